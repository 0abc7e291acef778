"""Standard deviations of predicted energies and forces."""

__all__ = ["covering", "energy_sigma", "force_sigma"]
