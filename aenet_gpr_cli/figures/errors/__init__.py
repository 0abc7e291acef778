"""Errors of models: parity, bars, sweeps, distributions, spread."""
