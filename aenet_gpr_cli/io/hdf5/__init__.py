"""HDF5 that may be damaged, altered or hostile, on disks that may be full, with one writer at a time."""

__all__ = ["checksums", "contents", "full_disk", "locks", "probing"]
