"""ASE calculators of the fitted models."""
