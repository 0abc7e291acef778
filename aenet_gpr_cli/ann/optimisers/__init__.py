"""AdamW and Levenberg-Marquardt, with what the latter needs: Jacobians, JᵀJ, damped steps, decays by
evidence; the posterior of the weights where it ends.
"""

__all__ = ["adamw", "laplace", "levenberg_marquardt"]
