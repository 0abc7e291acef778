"""Whether energies, forces and stress of structures are there and can be what they should be."""

__all__ = ["checks", "plausibility", "stress_check"]
