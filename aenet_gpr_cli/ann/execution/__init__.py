"""What surrounds a training: processes, requests to stop, room for what is larger than memory, arrays
kept over iterations, portions.
"""

__all__ = ["portions", "surroundings", "workspace"]
