"""What every descriptor of a structure offers, and what they share."""

__all__ = ["descriptor", "farthest_points", "neighbour_list"]
