"""Rules by which frames of reference calculations become training data."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.settings import settings


@settings
class ReadingRules:
    """Which energy and forces a frame has, and what becomes of frames that cannot be used."""

    energy_key: str | None = None
    """name of the energy in the files (energy, free_energy, REF_energy, ...); default: free_energy where
    there is one, else energy, else the only other one whose name says that it is a reference"""
    forces_key: str | None = None
    """name of the forces in the files; default: forces, else the only column with such a name"""
    stress_key: str | None = None
    """name of the stress (eV/Å³, positive under tension) or virial (eV, -V times the stress) in the files;
    default: that of the energy, else stress, else the only usual name (virial, REF_stress, ...)"""
    unconverged: Literal["skip", "refuse", "keep"] = "skip"
    """frames whose electronic self-consistency was not reached: leave out and name, refuse, or use them"""
    incomplete: Literal["skip", "refuse"] = "skip"
    """frames cut short, outputs of calculations that failed, files without the keys above, frames without the
    energy or forces that others of their file have: leave out and name, or refuse"""
