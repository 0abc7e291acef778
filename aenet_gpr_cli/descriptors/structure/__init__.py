"""Descriptors of whole structures: coordinates, inverse distances, several joined, their symmetries."""

__all__ = ["cartesian", "composite", "inverse_distance", "permutation", "rotation"]
