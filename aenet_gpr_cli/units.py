"""Units of everything stored and printed: eV, Å, eV/Å, eV/Å³, degrees.

Forces are physical, F = -dE/dR; stress is positive under tension. Cell vectors are the rows of a cell matrix.
"""

from __future__ import annotations

ENERGY = "eV"
LENGTH = "Å"
FORCE = "eV/Å"
STRESS = "eV/Å³"
ANGLE = "degree"
DIMENSIONLESS = "dimensionless"

MEV_PER_EV = 1000.0
GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.2176634
BYTES_PER_GIB = 1024.0**3
BOLTZMANN = 8.617333262e-5  # eV/K
FS_PER_TIME_UNIT = 10.18050569  # Å √(u/eV): the unit of time where masses are in u
G_PER_CM3 = 1.66053907  # of one u/Å³, in g/cm³
