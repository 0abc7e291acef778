"""Energies along a coordinate, labels against each other, structures."""
