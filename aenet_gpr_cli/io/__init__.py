"""Files: XSF and other structure formats, HDF5 artefacts, tables, published data."""
