"""`train-ann`: a committee of networks."""

__all__ = ["members", "train_ann_stage", "training_errors"]
