"""A trained committee: energies and forces of structures, its range, its start, its TorchScript form."""

__all__ = [
    "ann_model",
    "committee_sigma",
    "extrapolation",
    "network_sigma",
    "prediction",
    "torchscript",
    "warm_start",
]
