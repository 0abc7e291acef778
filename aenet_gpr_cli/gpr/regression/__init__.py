"""The fitted Gaussian process: prior, fit, prediction, where it applies."""

__all__ = ["aenet_gpr", "conditioning", "gp_model", "leave_one_out", "structure_distances"]
