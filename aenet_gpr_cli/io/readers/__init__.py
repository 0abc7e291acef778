"""Readers of formats that ASE does not read, or not as they are meant: a file → `frames.frame.Frame`."""

__all__ = ["arrays", "cp2k", "deepmd", "extxyz", "mlearn", "n2p2"]
