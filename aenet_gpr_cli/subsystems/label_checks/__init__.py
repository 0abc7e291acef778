"""Whether energies, forces and stress of structures are there and can be what they should be."""

__all__ = [
    "checks",
    "constrained",
    "energy_slope",
    "force_units",
    "other_geometry",
    "pair_slope",
    "part_of_data",
    "plausibility",
    "shears",
    "stress_check",
]
