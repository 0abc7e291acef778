"""Figures from tables; no science here."""
