"""What a training minimises, and its value and slopes for all members at once."""

__all__ = ["loss_terms", "objective"]
