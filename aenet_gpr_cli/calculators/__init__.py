"""ASE calculators of the fitted models."""

__all__ = [
    "ann_calculator",
    "committee",
    "elasticity",
    "gpr_calculator",
    "lammps",
    "md_potential",
    "named_calculators",
    "strain_polynomial",
    "strained_cells",
]
