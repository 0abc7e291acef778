"""Export of a committee to metatomic: one file that LAMMPS, ASE, GROMACS, i-PI and others can load.

Owns the interface that metatomic asks for; the numbers are `torchscript`'s. The engine makes the neighbour
list and differentiates the energy. Needs the extra ``metatomic``.
"""
# TorchScript and metatomic read annotations as they stand: no postponed evaluation here.

from pathlib import Path
from typing import Dict, List, Optional  # noqa: UP035

import torch
from ase.data import atomic_numbers
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.torchscript import ScriptedCommittee
from aenet_gpr_cli.io.files import written_whole

REFERENCES = {
    "architecture": ["https://doi.org/10.1103/PhysRevB.96.014112"],
    "model": ["https://doi.org/10.1038/s41524-025-01651-0"],
}
HEAVIEST = 119


class CommitteeModule(torch.nn.Module):
    """Mean, σ and members of a committee as metatomic's energy, energy_uncertainty, energy_ensemble.

    σ is that of the whole energy: the engines' limits are for it, and atomic ones would add up to anything.
    """

    kind_of: torch.Tensor

    def __init__(self, model: ANNModel) -> None:
        super().__init__()
        self.committee = ScriptedCommittee(model)
        self.n_members = model.n_members
        self.options = NeighborListOptions(model.basis.cutoff, full_list=True, strict=True)
        kind_of = torch.full((HEAVIEST,), -1, dtype=torch.int64)
        for kind, symbol in enumerate(model.basis.species):
            kind_of[atomic_numbers[symbol]] = kind
        self.register_buffer("kind_of", kind_of)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:  # noqa: UP006
        """Tell the engine which neighbours are needed."""
        return [self.options]

    def forward(
        self,
        systems: List[System],  # noqa: UP006
        outputs: Dict[str, ModelOutput],  # noqa: UP006
        selected_atoms: Optional[Labels],  # noqa: UP045
    ) -> Dict[str, TensorMap]:  # noqa: UP006
        """Return what is asked for, of the selected atoms; called by metatomic."""
        energies: List[torch.Tensor] = []  # noqa: UP006
        samples: List[torch.Tensor] = []  # noqa: UP006
        for number, system in enumerate(systems):
            atomic = self._atomic_energies(system)
            atoms = torch.arange(len(system), device=atomic.device)
            if selected_atoms is not None:
                mine = selected_atoms.column("system") == number
                atoms = selected_atoms.column("atom")[mine].to(torch.int64)
            energies.append(atomic[:, atoms])
            samples.append(torch.stack([torch.full_like(atoms, number), atoms], dim=1))
        results: Dict[str, TensorMap] = {}  # noqa: UP006
        for name, output in outputs.items():
            if name == "energy_uncertainty":
                values = torch.stack(
                    [self._sigma(system, rows[:, 1]) for system, rows in zip(systems, samples)]
                )[None]
                labels = torch.arange(len(systems), device=values.device)[:, None]
                columns = ["system"]
            elif output.sample_kind == "atom":
                values, labels = torch.cat(energies, dim=1), torch.cat(samples, dim=0)
                columns = ["system", "atom"]
            else:
                values = torch.stack([part.sum(dim=1) for part in energies], dim=1)
                labels = torch.arange(len(systems), device=values.device)[:, None]
                columns = ["system"]
            block = self._block(name, values, Labels(columns, labels.to(torch.int32)))
            keys = Labels(["_"], torch.zeros((1, 1), dtype=torch.int32, device=values.device))
            results[name] = TensorMap(keys, [block])
        return results

    def _sigma(self, system: System, atoms: torch.Tensor) -> torch.Tensor:
        kinds = self.kind_of[system.types.to(torch.int64)]
        edges = system.get_neighbor_list(self.options)
        centres = edges.samples.column("first_atom").to(torch.int64)
        neighbours = edges.samples.column("second_atom").to(torch.int64)
        return self.committee.sigma(edges.values[:, :, 0], centres, neighbours, kinds, atoms)

    def _atomic_energies(self, system: System) -> torch.Tensor:
        kinds = self.kind_of[system.types.to(torch.int64)]
        edges = system.get_neighbor_list(self.options)
        centres = edges.samples.column("first_atom").to(torch.int64)
        neighbours = edges.samples.column("second_atom").to(torch.int64)
        return self.committee(edges.values[:, :, 0], centres, neighbours, kinds)

    def _block(self, name: str, members: torch.Tensor, samples: Labels) -> TensorBlock:
        """Return the block of one output from the energies of the members, (n_members, n_samples)."""
        values, column = members.mean(dim=0)[:, None], "energy"
        count = 1
        if name == "energy_ensemble":
            values, count = members.transpose(0, 1), self.n_members
        numbers = torch.arange(count, dtype=torch.int32, device=values.device)[:, None]
        components: List[Labels] = []  # noqa: UP006
        return TensorBlock(values.contiguous(), samples, components, Labels([column], numbers))


def write_metatomic(model: ANNModel, path: Path, name: str) -> None:
    """Write a committee as a metatomic model; the file appears complete or not at all.

    Parameters
    ----------
    path : Path
        Ends with ``.pt`` by convention.
    name : str
        Of the model, in its metadata.
    """
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    if model.n_members > 1:
        outputs["energy_ensemble"] = ModelOutput(unit="eV", sample_kind="atom")
    if model.n_members > 1 or model.sigma is not None:
        outputs["energy_uncertainty"] = ModelOutput(unit="eV", sample_kind="system")
    capabilities = ModelCapabilities(
        outputs=outputs,
        atomic_types=[atomic_numbers[symbol] for symbol in model.basis.species],
        interaction_range=float(model.basis.cutoff),
        length_unit="angstrom",
        supported_devices=["cpu", "cuda"],
        dtype="float64",
    )
    metadata = ModelMetadata(
        name=name,
        description=f"Committee of {model.n_members} Behler-Parrinello networks on Chebyshev descriptors",
        references=REFERENCES,
    )
    with written_whole(path) as temporary:
        AtomisticModel(CommitteeModule(model).eval(), metadata, capabilities).save(str(temporary))
