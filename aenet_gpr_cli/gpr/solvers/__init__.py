"""Solving with the covariance matrix: Cholesky, mixed precision, conjugate gradients and what speeds them
up.
"""

__all__ = ["cholesky", "conjugate_gradient", "device", "mixed_precision", "preconditioner"]
