"""Frames of reference calculations: what a file has of each, and which of it is used."""

__all__ = ["arrays", "calculation", "extxyz", "frame", "labels", "recognise", "report", "stress", "xsf_steps"]
