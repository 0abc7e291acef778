"""`split`: structures are read, grouped, looked at, and divided into training and test."""

__all__ = ["input_paths", "split_stage"]
