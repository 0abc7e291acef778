"""HDF5 artefacts: written whole or not at all, checked when read, with what they hold."""
