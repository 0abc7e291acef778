"""Displaced copies of reference structures and their approximate energies."""

__all__ = ["adaptive", "copy_labels", "displacements", "gates", "strains"]
