"""Descriptors of whole structures: coordinates, inverse distances, several joined, their symmetries."""
