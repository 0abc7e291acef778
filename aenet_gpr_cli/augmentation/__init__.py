"""Displaced copies of reference structures and their approximate energies."""
