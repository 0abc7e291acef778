"""AdamW and Levenberg-Marquardt, with what the latter needs: Jacobians, JᵀJ, damped steps, decays by
evidence, phases of combined training; the posterior of the weights where it ends.
"""

__all__ = ["adamw", "laplace", "levenberg_marquardt", "phases"]
