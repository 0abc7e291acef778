"""Length scale, power and noise from training data: objectives, their search, natural units."""

__all__ = ["objectives", "parabola", "search"]
