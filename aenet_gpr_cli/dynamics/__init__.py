"""Molecular dynamics: integrators of constant energy, temperature and pressure, and what they conserve."""

__all__ = ["asking", "evaluation", "integrator", "md_record"]
