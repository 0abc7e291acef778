"""Formats of other programs, and files beside the artefacts."""
