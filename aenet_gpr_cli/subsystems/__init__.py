"""Grouping of mixed data into homogeneous subsets, and sampling of training and test structures."""

__all__ = [
    "contacts",
    "geometry",
    "grouping",
    "isolated_atoms",
    "label_checks",
    "molecular_symmetry",
    "ordering",
    "reading_rules",
    "sampling",
    "stratification",
    "trajectories",
]
