"""Frames of reference calculations: what a file has of each, and which of it is used."""

__all__ = [
    "calculation",
    "declared_units",
    "frame",
    "labels",
    "recognise",
    "report",
    "stress",
    "xsf_steps",
    "xyz_text",
]
