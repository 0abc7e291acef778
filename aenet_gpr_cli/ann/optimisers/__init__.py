"""AdamW and Levenberg-Marquardt, with what the latter needs: Jacobians, JᵀJ, damped steps, decays by
evidence.
"""

__all__ = ["adamw", "levenberg_marquardt"]
