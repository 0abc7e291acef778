"""Grouping of mixed data into homogeneous subsets, and sampling of training and test structures."""

__all__ = [
    "checks",
    "contacts",
    "geometry",
    "grouping",
    "isolated_atoms",
    "molecular_symmetry",
    "ordering",
    "plausibility",
    "reading_rules",
    "sampling",
    "stratification",
    "trajectories",
]
