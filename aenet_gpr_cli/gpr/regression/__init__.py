"""The fitted Gaussian process: prior, fit, prediction, where it applies."""
