"""Neural-network potentials: committee, potential, and the ways to train it."""
