"""Gaussian-process regression on energies and forces."""
