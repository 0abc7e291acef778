"""Standard deviations of predicted energies and forces."""
