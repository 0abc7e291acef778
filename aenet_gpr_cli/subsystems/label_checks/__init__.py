"""Whether energies, forces and stress of structures are there and can be what they should be."""

__all__ = ["checks", "part_of_data", "plausibility", "stress_check"]
