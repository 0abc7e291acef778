"""Standard deviations of predicted energies and forces."""

__all__ = ["energy_sigma", "force_sigma"]
