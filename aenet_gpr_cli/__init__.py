"""aenet-gpr-cli: neural-network potentials from energies and forces by GPR data augmentation."""

__version__ = "0.2.0.dev0"
