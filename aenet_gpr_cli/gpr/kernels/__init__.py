"""The covariance functions and their derivatives, for one pair and for expansions over the training data."""

__all__ = ["expansion", "stationary"]
