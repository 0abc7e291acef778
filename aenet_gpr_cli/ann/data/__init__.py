"""What networks are trained on: structures and copies as arrays, batches, selected forces."""

__all__ = ["batches", "force_selection", "force_targets", "normalisation", "out_of_core", "training_set"]
