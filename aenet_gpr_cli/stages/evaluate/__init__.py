"""`evaluate`: errors of all models on structures that training never saw."""

__all__ = ["evaluate_stage", "evaluation_pictures"]
