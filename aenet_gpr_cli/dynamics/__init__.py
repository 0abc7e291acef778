"""Molecular dynamics: integrators of constant energy, temperature and pressure, and what they conserve."""

__all__ = ["integrator", "md_record"]
