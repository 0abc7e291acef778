"""AdamW and Levenberg-Marquardt, with what the latter needs: damped steps, decays and noises by evidence,
phases of combined training; the posterior of the weights where it ends.
"""

__all__ = ["adamw", "course", "laplace", "levenberg_marquardt", "phases"]
