"""The committee as a module that TorchScript compiles: for engines that bring their own neighbour lists.

Plain tensor operations from edges to atomic energies, so that the engine differentiates them. The same
formulas as `descriptors.chebyshev.chebyshev_loops`, whose tables it takes; a test keeps the numbers equal.
"""
# TorchScript reads annotations as they stand: no postponed evaluation here.

from typing import List, Tuple  # noqa: UP035

import numpy as np
import torch
from torch import Tensor

from aenet_gpr_cli.ann.network.architecture import MTANH_A, MTANH_B, TWIST_C
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.baseline.repulsion import COEFFICIENTS, COULOMB, DECAYS, EXPONENT, INNER, LENGTH
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_loops import PI
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_work import expansion, recurrence


def _cutoff_function(r: Tensor, cutoff: float, pi: float = PI) -> Tensor:
    """Return f_c = ½(cos(πr/R_c) + 1), zero from R_c on."""
    inside = (r < cutoff).to(r.dtype)
    return inside * 0.5 * (torch.cos(pi * r / cutoff) + 1.0)


class ScriptedChebyshev(torch.nn.Module):
    """Descriptors of all atoms from their edges, see `chebyshev.values`."""

    weights: Tensor
    mixing: Tensor

    def __init__(self, basis: ChebyshevBasis) -> None:
        super().__init__()
        self.radial_cutoff = float(basis.radial_cutoff)
        self.angular_cutoffs: List[float] = list(basis.angular_cutoffs) or [0.0]  # noqa: UP006
        self.n_radial, self.n_angular = basis.n_radial, basis.n_angular
        table = recurrence(max(basis.n_angular, 1))  # TorchScript takes no empty lists
        self.first: List[List[float]] = table[0].tolist()  # noqa: UP006
        self.second: List[List[float]] = table[1].tolist()  # noqa: UP006
        self.register_buffer("weights", torch.tensor(basis.neighbour_weights, dtype=torch.float64))
        # (l, n) and, for -Σ w², a last row of -1: power spectrum to angular terms
        mixing = 0.5 * expansion(basis.n_angular).T
        mixing[-1] *= -1.0
        self.register_buffer("mixing", torch.tensor(np.ascontiguousarray(mixing), dtype=torch.float64))

    def forward(self, vectors: Tensor, centres: Tensor, neighbours: Tensor, kinds: Tensor) -> Tensor:
        """Return the descriptors.

        Parameters
        ----------
        vectors : tensor of shape (n_edges, 3), Å
            From centre to neighbour; longer than the cutoff does no harm.
        centres, neighbours : tensors of int64, shape (n_edges,)
        kinds : tensor of int64, shape (n_atoms,)
            Species, as in the basis.

        Returns
        -------
        tensor of shape (n_atoms, n_features), dimensionless
        """
        r = torch.sqrt((vectors * vectors).sum(dim=1))
        ends = self.weights[:, kinds[neighbours]]
        radial = self._radial(r)
        n_atoms = kinds.shape[0]
        near = torch.nonzero(r < self.angular_cutoffs[0])[:, 0]
        harmonics = self._harmonics(vectors[near] / r[near][:, None])
        parts: List[Tensor] = []  # noqa: UP006
        for spin in [torch.ones_like(r)] + [ends[k] for k in range(ends.shape[0])]:
            parts.append(_sum_to(radial * spin[:, None], centres, n_atoms))
            if self.n_angular > 0:
                for cutoff in self.angular_cutoffs:
                    w = _cutoff_function(r[near], cutoff) * spin[near]
                    parts.append(self._angular(w, harmonics, centres[near], n_atoms))
        return torch.cat(parts, dim=1)

    def _radial(self, r: Tensor) -> Tensor:
        """Return f_c T_n, (n_edges, n_radial)."""
        fc = _cutoff_function(r, self.radial_cutoff)
        x = 2.0 * r / self.radial_cutoff - 1.0
        terms = [fc]
        if self.n_radial > 1:
            terms.append(x * fc)
        for n in range(2, self.n_radial):
            terms.append(2.0 * x * terms[n - 1] - terms[n - 2])
        return torch.stack(terms, dim=1)

    def _harmonics(self, u: Tensor) -> List[Tensor]:  # noqa: UP006
        """Return per degree l the real spherical harmonics of the unit vectors, (n_edges, 2(l + 1))."""
        x, y, z = u[:, 0], u[:, 1], u[:, 2]
        cosines, sines = [torch.ones_like(x)], [torch.zeros_like(x)]
        for m in range(1, self.n_angular):
            cosines.append(x * cosines[m - 1] - y * sines[m - 1])
            sines.append(x * sines[m - 1] + y * cosines[m - 1])
        degrees: List[List[Tensor]] = []  # noqa: UP006
        for l in range(self.n_angular):
            row: List[Tensor] = []  # noqa: UP006
            for m in range(l + 1):
                if l == m:
                    row.append(torch.full_like(z, self.first[l][m]))
                elif l == m + 1:
                    row.append(self.first[l][m] * z * degrees[l - 1][m])
                else:
                    low = self.second[l][m] * degrees[l - 2][m]
                    row.append(self.first[l][m] * z * degrees[l - 1][m] - low)
            degrees.append(row)
        found: List[Tensor] = []  # noqa: UP006
        for l in range(self.n_angular):
            columns: List[Tensor] = []  # noqa: UP006
            for m in range(l + 1):
                columns.append(degrees[l][m] * cosines[m])
                columns.append(degrees[l][m] * sines[m])
            found.append(torch.stack(columns, dim=1))
        return found

    def _angular(self, w: Tensor, harmonics: List[Tensor], centres: Tensor, n_atoms: int) -> Tensor:  # noqa: UP006
        """Return ½ (Σ_l B_nl Σ_m |Σ_j w_j Y_lm|² - Σ_j w_j²), (n_atoms, n_angular)."""
        powers: List[Tensor] = []  # noqa: UP006
        for values in harmonics:
            moments = _sum_to(w[:, None] * values, centres, n_atoms)
            powers.append((moments * moments).sum(dim=1))
        powers.append(_sum_to((w * w)[:, None], centres, n_atoms)[:, 0])
        return torch.stack(powers, dim=1) @ self.mixing


def _sum_to(values: Tensor, centres: Tensor, n_atoms: int) -> Tensor:
    out = torch.zeros([n_atoms, values.shape[1]], dtype=values.dtype, device=values.device)
    return out.index_add(0, centres, values)


class ScriptedLayer(torch.nn.Module):
    """One layer of all members for one species."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: np.ndarray, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.a, self.b, self.c = MTANH_A, MTANH_B, TWIST_C
        self.register_buffer("weight", torch.tensor(layer[:, :, :-1], dtype=torch.float64))
        self.register_buffer("bias", torch.tensor(layer[:, :, -1], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the values (n_members, n_atoms, n_out) for inputs (n_members, n_atoms, n_in)."""
        z = self.sum(x)
        if self.activation == "tanh":
            return torch.tanh(z)
        if self.activation == "sigmoid":
            return torch.sigmoid(z)
        if self.activation == "mtanh":
            return self.a * torch.tanh(self.b * z)
        if self.activation == "twist":
            return self.a * torch.tanh(self.b * z) + self.c * z
        return z

    def sum(self, x: Tensor) -> Tensor:
        """Return what is activated, for the same inputs."""
        return torch.matmul(x, self.weight.transpose(1, 2)) + self.bias[:, None, :]

    def slope(self, x: Tensor) -> Tensor:
        """Return the derivatives of the values by `sum`."""
        z = self.sum(x)
        if self.activation == "tanh":
            t = torch.tanh(z)
            return 1.0 - t * t
        if self.activation == "sigmoid":
            s = torch.sigmoid(z)
            return s * (1.0 - s)
        if self.activation == "mtanh" or self.activation == "twist":
            t = torch.tanh(self.b * z)
            linear = self.c if self.activation == "twist" else 0.0
            return self.a * self.b * (1.0 - t * t) + linear
        return torch.ones_like(z)


class ScriptedNetwork(torch.nn.Module):
    """The networks of all members for one species, with its scales."""

    mean: Tensor
    scale: Tensor

    def __init__(self, model: ANNModel, symbol: str) -> None:
        super().__init__()
        norm, layers = model.normalisation, model.weights[symbol]
        names = [*[model.activation] * len(model.hidden), "linear"]
        self.layers = torch.nn.ModuleList(
            [ScriptedLayer(layer, name) for layer, name in zip(layers, names, strict=True)]
        )
        self.energy_scale = float(model.energy_scale)
        self.reference = float(norm.atomic_energies[symbol] + norm.energy_shift)
        self.n_members = model.n_members
        self.register_buffer("mean", torch.tensor(norm.feature_mean[symbol], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(norm.feature_scale(symbol), dtype=torch.float64))

    def forward(self, raw: Tensor) -> Tensor:
        """Return the atomic energies (n_members, n_atoms), eV, for descriptors (n_atoms, n_features)."""
        x = ((raw - self.mean) * self.scale)[None].expand(self.n_members, -1, -1)
        for layer in self.layers:
            x = layer(x)
        return x[:, :, 0] * self.energy_scale + self.reference

    def weight_gradients(self, raw: Tensor) -> Tensor:
        """Return the derivatives of the sum of the energies by the weights, see `prediction`.

        Parameters
        ----------
        raw : tensor of shape (n_atoms, n_features), dimensionless

        Returns
        -------
        tensor of shape (n_members, n_weights of the species), eV
        """
        x = ((raw - self.mean) * self.scale)[None].expand(self.n_members, -1, -1)
        inputs: List[Tensor] = []  # noqa: UP006
        slopes: List[Tensor] = []  # noqa: UP006
        weights: List[Tensor] = []  # noqa: UP006
        for layer in self.layers:
            inputs.append(x)
            slopes.append(layer.slope(x))  # type: ignore[operator]
            weights.append(layer.weight)  # type: ignore[arg-type]
            x = layer(x)
        delta = torch.full_like(x, self.energy_scale)
        parts: List[Tensor] = []  # noqa: UP006
        for number in range(len(inputs) - 1, -1, -1):
            delta = delta * slopes[number]
            of_weights = torch.matmul(delta.transpose(1, 2), inputs[number])
            both = torch.cat([of_weights, delta.sum(dim=1)[:, :, None]], dim=2)
            parts.insert(0, both.reshape(self.n_members, -1))
            delta = torch.matmul(delta, weights[number])
        return torch.cat(parts, dim=1)


class ScriptedRepulsion(torch.nn.Module):
    """Half of the repulsion of each edge, see `baseline.repulsion.zbl`."""

    charges: Tensor
    outer: Tensor

    def __init__(self, charges: np.ndarray, outer: np.ndarray) -> None:
        super().__init__()
        self.coulomb, self.length, self.exponent, self.inner = COULOMB, LENGTH, EXPONENT, INNER
        self.terms: List[Tuple[float, float]] = list(zip(COEFFICIENTS, DECAYS, strict=True))  # noqa: UP006
        self.register_buffer("charges", torch.tensor(charges, dtype=torch.float64))
        self.register_buffer("outer", torch.tensor(outer, dtype=torch.float64))

    def forward(self, vectors: Tensor, one: Tensor, two: Tensor) -> Tensor:
        """Return energies (n_edges,), eV, for the species (n_edges,) at both ends."""
        r = torch.sqrt((vectors * vectors).sum(dim=1))
        first, second, outer = self.charges[one], self.charges[two], self.outer[one, two]
        x = r * (first**self.exponent + second**self.exponent) / self.length
        screened = torch.zeros_like(r)
        for coefficient, decay in self.terms:
            screened = screened + coefficient * torch.exp(-decay * x)
        t = torch.clamp((r - self.inner * outer) / ((1.0 - self.inner) * outer), 0.0, 1.0)
        switch = (1.0 - t) ** 3 * (1.0 + 3.0 * t + 6.0 * t * t)
        return 0.5 * self.coulomb * first * second / r * screened * switch


class ScriptedCommittee(torch.nn.Module):
    """A committee from edges to atomic energies, and to σ of their sum."""

    triangles: Tensor

    def __init__(self, model: ANNModel) -> None:
        super().__init__()
        n, known = len(model.basis.species), model.repulsion
        self.repulsive = known is not None
        self.repulsion = (
            ScriptedRepulsion(np.ones(n), np.ones((n, n)))  # not used, but TorchScript wants a module
            if known is None
            else ScriptedRepulsion(known.charges, known.outer)
        )
        stored = model.sigma
        self.factor = 1.0 if stored is None else stored.factor
        self.with_laplace = stored is not None and stored.with_laplace
        none = np.zeros((model.n_members, 0, 0), np.float32)
        lower = stored.lower_triangles() if stored is not None and stored.with_laplace else none
        self.register_buffer("triangles", torch.from_numpy(lower))
        self.descriptor = ScriptedChebyshev(model.basis)
        self.networks = torch.nn.ModuleList(
            [ScriptedNetwork(model, symbol) for symbol in model.basis.species]
        )
        self.n_members = model.n_members

    def forward(self, vectors: Tensor, centres: Tensor, neighbours: Tensor, kinds: Tensor) -> Tensor:
        """Return the atomic energies of all members.

        Parameters
        ----------
        vectors, centres, neighbours, kinds
            As for `ScriptedChebyshev`.

        Returns
        -------
        tensor of shape (n_members, n_atoms), eV
        """
        raw = self.descriptor(vectors, centres, neighbours, kinds)
        energies = torch.zeros([self.n_members, kinds.shape[0]], dtype=raw.dtype, device=raw.device)
        for number, network in enumerate(self.networks):
            rows = torch.nonzero(kinds == number)[:, 0]
            energies = energies.index_add(1, rows, network(raw[rows]))
        if self.repulsive:
            pairs = self.repulsion(vectors, kinds[centres], kinds[neighbours])
            energies = energies.index_add(1, centres, pairs[None].expand(self.n_members, -1))
        return energies

    def sigma(
        self, vectors: Tensor, centres: Tensor, neighbours: Tensor, kinds: Tensor, atoms: Tensor
    ) -> Tensor:
        """Return σ of the sum of the energies of some atoms, eV, see `network_sigma`; a tensor without shape.

        0 where a single network has none.

        Parameters
        ----------
        atoms : tensor of int64
        """
        raw = self.descriptor(vectors, centres, neighbours, kinds)
        total = torch.zeros([self.n_members], dtype=raw.dtype, device=raw.device)
        parts: List[Tensor] = []  # noqa: UP006
        for number, network in enumerate(self.networks):
            mine = raw[atoms[kinds[atoms] == number]]
            total = total + network(mine).sum(dim=1)
            if self.with_laplace:
                parts.append(network.weight_gradients(mine))  # type: ignore[operator]
        square = torch.zeros([], dtype=raw.dtype, device=raw.device)
        if self.n_members > 1:
            square = total.var(dim=0, unbiased=True)
        if self.with_laplace:
            gradients = torch.cat(parts, dim=1).to(self.triangles.dtype)[:, :, None]
            along = torch.linalg.solve_triangular(self.triangles, gradients, upper=False).to(raw.dtype)
            square = square + (along * along).sum(dim=1).mean()
        return self.factor * torch.sqrt(square)
