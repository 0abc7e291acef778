"""What networks are trained on: structures and copies as arrays, batches, selected forces."""

__all__ = ["batches", "force_targets", "normalisation", "training_set"]
