"""Readers: a file of any format but XSF → `frames.frame.Frame`s, through ASE where that is right."""

__all__ = [
    "aims_dynamics",
    "arrays",
    "ase_reader",
    "bare_structures",
    "cp2k",
    "deepmd",
    "extxyz",
    "gpaw_blocks",
    "mlearn",
    "n2p2",
]
