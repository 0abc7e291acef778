"""`benchmark`: time and memory, a process for each point."""

__all__ = ["benchmark_stage"]
