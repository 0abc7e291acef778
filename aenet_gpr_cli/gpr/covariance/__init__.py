"""The covariance matrix of energies and forces: order of its rows, blocks, products, what it cannot see."""
