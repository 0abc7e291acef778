"""A trained committee: energies and forces of structures, its range, its start, its TorchScript form."""

__all__ = ["ann_model", "extrapolation", "prediction", "torchscript"]
