"""Units of everything stored and printed: eV, Å, eV/Å, degrees.

Forces are physical, F = -dE/dR. Cell vectors are the rows of a cell matrix.
"""

from __future__ import annotations

ENERGY = "eV"
LENGTH = "Å"
FORCE = "eV/Å"
ANGLE = "degree"
DIMENSIONLESS = "dimensionless"

MEV_PER_EV = 1000.0
BYTES_PER_GIB = 1024.0**3
