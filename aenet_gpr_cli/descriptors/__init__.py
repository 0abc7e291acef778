"""Descriptors of whole structures (for the GP) and of atomic environments (for the ANN)."""
