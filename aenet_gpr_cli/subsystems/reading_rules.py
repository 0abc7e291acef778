"""Rules by which frames of reference calculations become training data."""

from __future__ import annotations

from typing import Literal

from aenet_gpr_cli.settings import Number, settings


@settings
class ReadingRules:
    """Which energy and forces a frame has, and what becomes of frames that cannot be used."""

    energy_key: str | None = None
    """name of the energy in the files, any (energy, free_energy, REF_energy, E_dft, ...); default:
    free_energy where there is one, else energy, else the only other one whose name says that it is a
    reference"""
    forces_key: str | None = None
    """name of the forces in the files, any; default: forces, else the only column with such a name"""
    stress_key: str | None = None
    """name of the stress (eV/Å³, positive under tension) or virial (eV, -V times the stress) in the files;
    default: that of the energy, else stress, else the only usual name (virial, REF_stress, ...)"""
    stress_factor: Number = 1.0
    """what the stress of all files, as it is read, is multiplied by to be in eV/Å³, positive under tension:
    -1 turns the sign, 0.00624151 is for GPa without a stress_unit"""
    unconverged: Literal["skip", "refuse", "keep"] = "skip"
    """frames whose electronic self-consistency was not reached: leave out and name, refuse, or use them"""
    incomplete: Literal["skip", "refuse"] = "skip"
    """frames cut short, outputs of calculations that failed, files without the keys above, frames without the
    energy or forces that others of their file have: leave out and name, or refuse"""

    def __post_init__(self) -> None:
        if self.stress_factor == 0.0:
            raise ValueError(
                "stress_factor: expected a factor other than 0; to train on no stress, set "
                "fit_gpr.local.virials: false and train_ann.loss.beta: 0"
            )
