"""What surrounds a training: processes, requests to stop, room for what is larger than memory, portions."""

__all__ = ["portions", "surroundings"]
