"""HDF5 artefacts: written whole or not at all, checked when read, with what they hold."""

__all__ = [
    "artefact",
    "checkpoint",
    "fields",
    "file_list",
    "side_files",
    "stored_anns",
    "stored_gps",
    "stored_repulsion",
    "streaming",
    "structure_sets",
]
