"""Files: XSF and other structure formats, HDF5 artefacts, tables, published data."""

__all__ = ["artefacts", "files", "formats", "frames", "hdf5", "process_memory", "scratch", "slurm"]
