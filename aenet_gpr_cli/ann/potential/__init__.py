"""A trained committee: its energies and forces, range, compositions, start, and its TorchScript form."""

__all__ = [
    "ann_model",
    "committee_sigma",
    "compositions",
    "extrapolation",
    "network_sigma",
    "prediction",
    "torchscript",
    "warm_start",
]
