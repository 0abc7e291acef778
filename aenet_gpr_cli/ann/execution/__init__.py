"""How trainings are spread: over processes, over threads for the members, over halves of what is too
large.
"""

__all__ = ["distributed", "halving", "member_threads"]
