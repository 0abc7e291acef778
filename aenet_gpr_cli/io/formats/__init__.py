"""Formats of other programs, and files beside the artefacts."""

__all__ = ["aenet_nn", "copy_files", "metatomic", "prediction_files", "published", "source_files", "sources"]
