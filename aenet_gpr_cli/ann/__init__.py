"""Neural-network potentials: committee, potential, and the ways to train it."""

__all__ = ["curvature", "data", "execution", "network", "potential", "training", "training_settings"]
