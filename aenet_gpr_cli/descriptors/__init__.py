"""Descriptors of whole structures (for the GP) and of atomic environments (for the ANN)."""

__all__ = [
    "atomic_environments",
    "build",
    "chebyshev",
    "descriptor_settings",
    "environment_keys",
    "interface",
    "soap",
    "structure",
]
