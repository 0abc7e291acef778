"""Gaussian-process regression on energies and forces."""

__all__ = [
    "covariance",
    "greedy_batch",
    "hyperparameters",
    "kernels",
    "left_out_errors",
    "local",
    "process",
    "process_settings",
    "regression",
    "solvers",
    "subset_lookup",
    "surrogate",
    "uncertainty",
]
