"""The multilayer perceptrons, one for each species: layout of the weights, passes forward and back."""

__all__ = ["architecture", "backend", "tensor_passes"]
