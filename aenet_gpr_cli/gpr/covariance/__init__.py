"""The covariance matrix of energies and forces: order of its rows, blocks, products, what it cannot see."""

__all__ = ["centre_pairs", "cross", "image_pairs", "observation_order", "seen_directions", "single"]
