"""SOAP power spectra as a global descriptor: averaged over centres, atom-centred, or about fixed centres.

The spectrum is dscribe's (Gaussian-type orbitals, no weighting, same order of features), evaluated in closed
form so that all derivatives are analytic; dscribe has analytic ones for isolated structures without average
only. `soap_check` compares with dscribe. Periodic directions need whole cells, not wrapped atoms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.interface.descriptor import DescriptorProducts
from aenet_gpr_cli.descriptors.soap.soap_basis import make_basis
from aenet_gpr_cli.descriptors.soap.soap_linearisation import SoapLinearization
from aenet_gpr_cli.descriptors.soap.soap_loops import expand_density
from aenet_gpr_cli.descriptors.soap.soap_spectrum import (
    adjoint,
    channel_tables,
    differential,
    local_jacobian,
    projected_jacobian,
    summed_jacobian,
)
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import NOT_PERIODIC, FloatArray, Pbc

KEEP_BYTES = 2**28  # ∂c/∂R is kept between products up to this size: making it takes longer than using it


class Soap(DescriptorProducts):
    """SOAP power spectra p_nn'l = π √(8/(2l+1)) Σ_m c_nlm c_n'lm about one or many centres.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols, one per atom.
    settings : SoapSettings
        ``average`` off: the spectra of all centres one after another. ``inner``: the spectrum of the mean
        coefficients. ``outer``: the mean spectrum. ``species``: the mean spectrum of the atoms of each
        species, one after another (centres on atoms only). ``centres`` None: one on every atom, which moves
        with it.
    cell : ndarray of shape (3, 3), Å, or None
        Lattice vectors as rows; the same for all structures.
    pbc : tuple of three bool

    Raises
    ------
    ConfigError
        If the basis cannot be built.
    InputError
        If a periodic direction has no lattice vector.

    Notes
    -----
    About 0.7 µs per atom (image) near a centre for values, 2 µs with derivatives (n_max 6, l_max 4).
    """

    def __init__(
        self,
        species: Sequence[str],
        settings: SoapSettings,
        cell: FloatArray | None = None,
        pbc: Pbc = NOT_PERIODIC,
    ) -> None:
        self.species, self.parameters, self.average = tuple(species), settings, settings.average
        self.centres = None if settings.centres is None else np.array(settings.centres, float)
        self.cell, self.pbc = cell, pbc
        elements = sorted(set(species), key=lambda symbol: atomic_numbers[symbol])
        self._kinds = np.array([elements.index(symbol) for symbol in species], dtype=np.int64)
        self._basis = make_basis(settings, len(elements))
        self._groups = self._mean_over(len(elements))
        self._tables: tuple[FloatArray, list[list[FloatArray]]] | None = None
        self._n_channels = len(elements) * settings.n_max
        lattice = Lattice(cell, pbc)
        self._rows, self._inverse = (np.ascontiguousarray(a) for a in (lattice.rows, lattice.inverse))
        self._shifts = lattice.translations(settings.reach) if lattice.rank else np.zeros((1, 3))

    @property
    def name(self) -> str:
        """Name used in configurations and artefacts."""
        return "soap"

    @property
    def n_atoms(self) -> int:
        """Atoms per structure."""
        return len(self.species)

    @property
    def n_local(self) -> int:
        """Number of centres that the density is expanded about."""
        return self.n_atoms if self.centres is None else len(self.centres)

    @property
    def n_centres(self) -> int:
        """Number of spectra in the descriptor: 1 where they are averaged over all centres."""
        return 1 if self.average == "inner" else len(self._groups)

    @property
    def n_features(self) -> int:
        """Length of the descriptor: n_centres spectra."""
        return self.n_centres * self._basis.n_features

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the power spectra.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_structures, n_features), dimensionless
        """
        return np.stack([self._spectrum(self.coefficients(r)) for r in self._checked(positions)])

    def linearize(self, positions: FloatArray) -> SoapLinearization:
        """Return values and analytic Jacobian products.

        Parameters
        ----------
        positions : ndarray of shape (n_structures, n_atoms, 3), Å

        Returns
        -------
        SoapLinearization
        """
        coefficients = np.stack([self.coefficients(r) for r in self._checked(positions)])
        values = np.stack([self._spectrum(c) for c in coefficients])
        kept = None
        if len(positions) * self._slope_bytes <= KEEP_BYTES:
            kept = np.stack([self.slopes(r) for r in positions])
        return SoapLinearization(self, positions, values, coefficients, kept)

    def coefficients(self, positions: FloatArray) -> FloatArray:
        """Return the expansion coefficients c of the density of one structure.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_local, n_species * n_max, (l_max + 1)²)
        """
        return self._expand(positions, with_slopes=False)[0]

    def slopes(self, positions: FloatArray) -> FloatArray:
        """Return ∂c/∂R of each atom with the centre held in place, zero for the atom of the centre.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3), Å

        Returns
        -------
        ndarray of shape (n_local, n_atoms, 3, n_max, (l_max + 1)²)
            Of the coefficients of the atom's own species.
        """
        return self._expand(positions, with_slopes=True)[1]

    def jvp_one(self, coefficients: FloatArray, slopes: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return J t of one structure.

        Parameters
        ----------
        coefficients, slopes : ndarray
            From `coefficients` and `slopes`.
        tangent : ndarray of shape (n_atoms, 3)

        Returns
        -------
        ndarray of shape (n_features,)
        """
        moves = np.broadcast_to(tangent, (self.n_local, *tangent.shape))
        if self.centres is None:
            moves = moves - tangent[:, None]
        by_kind = np.zeros((self.n_local, self._n_channels // slopes.shape[3], slopes[0, 0, 0].size))
        for kind in range(by_kind.shape[1]):
            own = np.flatnonzero(self._kinds == kind)
            flat = slopes[:, own].reshape(self.n_local, 3 * len(own), -1)
            by_kind[:, kind] = (moves[:, own].reshape(self.n_local, 1, -1) @ flat)[:, 0]
        change = by_kind.reshape(coefficients.shape)
        if self.average == "inner":
            coefficients, change = coefficients.mean(axis=0)[None], change.mean(axis=0)[None]
        return self._gather(differential(self._basis, coefficients, change))

    def vjp_one(self, coefficients: FloatArray, slopes: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Return Jᵀ w of one structure.

        Parameters
        ----------
        coefficients, slopes : ndarray
            From `coefficients` and `slopes`.
        cotangent : ndarray of shape (n_features,)

        Returns
        -------
        ndarray of shape (n_atoms, 3)
        """
        out = self._pull(coefficients, slopes, cotangent)
        total = out.sum(axis=0)
        return total if self.centres is not None else total - out.sum(axis=1)

    def _pull(self, coefficients: FloatArray, slopes: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Gradients of the weighted spectra of each centre held in place, shape (n_local, n_atoms, 3)."""
        spectra = cotangent.reshape(self.n_centres, -1)
        own = coefficients.mean(axis=0)[None] if self.average == "inner" else coefficients
        if self.average != "inner":
            spectra = self._groups.T @ spectra
        pull = adjoint(self._basis, own, spectra).reshape(len(own), -1, slopes[0, 0, 0].size)
        if self.average == "inner":
            pull = np.broadcast_to(pull / self.n_local, (self.n_local, *pull.shape[1:]))
        per_pair = slopes.reshape(*slopes.shape[:3], -1)
        return np.asarray(np.einsum("ciag,cig->cia", per_pair, pull[:, self._kinds], optimize=True))

    def jacobian_one(self, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
        """Return J of one structure.

        Parameters
        ----------
        coefficients, slopes : ndarray
            From `coefficients` and `slopes`.

        Returns
        -------
        ndarray of shape (3 * n_atoms, n_features)
            Transposed, which is how it is made and used.
        """
        if self.average == "inner":
            return self._inner_jacobian(coefficients, slopes)
        if self.average == "off":
            return self._separate_jacobian(coefficients, slopes)
        parts = [self._mean_jacobian(coefficients, slopes, weights) for weights in self._groups]
        return np.stack(parts, axis=1).reshape(3 * self.n_atoms, -1)

    def jacobian_along(
        self, coefficients: FloatArray, slopes: FloatArray, directions: FloatArray, own: FloatArray
    ) -> FloatArray:
        """Return J of one structure along directions in the space of one spectrum.

        Parameters
        ----------
        coefficients, slopes : ndarray
            From `coefficients` and `slopes`.
        directions : ndarray of shape (n_features / n_centres, q)
            The same for all centres.
        own : ndarray of shape (n_centres, n_features / n_centres)
            One more direction for each centre.

        Returns
        -------
        ndarray of shape (n_centres, 3 * n_atoms, q + 1)
            Transposed. About points in space it is made without the long Jacobian.
        """
        q = directions.shape[1]
        if self.average != "off" or self.centres is None:
            long = self.jacobian_one(coefficients, slopes)
            long = np.ascontiguousarray(long.reshape(len(long), self.n_centres, -1).swapaxes(0, 1))
            return np.concatenate([long @ directions, long @ own[..., None]], axis=2)
        out = np.empty((self.n_centres, self.n_atoms, 3, q + 1))
        for kind, table in enumerate(self._tables_of(directions)):
            atoms = np.flatnonzero(self._kinds == kind)
            along = projected_jacobian(coefficients, slopes[:, atoms], table)
            out[:, atoms, :, :q] = along.reshape(self.n_centres, len(atoms), 3, q)
        out[..., q] = self._pull(coefficients, slopes, own)
        return out.reshape(self.n_centres, 3 * self.n_atoms, q + 1)

    def _tables_of(self, directions: FloatArray) -> list[list[FloatArray]]:
        """Tables of all species, kept for the directions last asked for."""
        if self._tables is None or self._tables[0] is not directions:
            kinds = range(int(self._kinds.max()) + 1)
            tables = [channel_tables(self._basis, directions, kind) for kind in kinds]
            self._tables = directions, tables
        return self._tables[1]

    def _separate_jacobian(self, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
        local = np.empty((*slopes.shape[:3], self._basis.n_features))
        for kind in range(self._n_channels // self.parameters.n_max):
            own = np.flatnonzero(self._kinds == kind)
            local[:, own] = local_jacobian(self._basis, coefficients, slopes[:, own], kind)
        if self.centres is None:  # an atom that is a centre moves against all others
            local[np.arange(self.n_atoms), np.arange(self.n_atoms)] = -local.sum(axis=1)
        return local.transpose(1, 2, 0, 3).reshape(3 * self.n_atoms, -1)

    def _mean_jacobian(self, coefficients: FloatArray, slopes: FloatArray, weights: FloatArray) -> FloatArray:
        """Jᵀ of the weighted mean of the spectra, shape (3 n_atoms, n_features of one spectrum)."""
        members = np.flatnonzero(weights)
        weighted = weights[members, None, None] * coefficients[members]
        local = slopes if len(members) == len(slopes) else slopes[members]
        out = np.empty((self.n_atoms, 3, self._basis.n_features))
        back = np.empty((len(members), 3, self._n_channels // slopes.shape[3], slopes[0, 0, 0].size))
        for kind in range(back.shape[2]):
            own = np.flatnonzero(self._kinds == kind)
            out[own] = summed_jacobian(self._basis, weighted, local[:, own], kind)
            back[:, :, kind] = local[:, own].sum(axis=1).reshape(*back.shape[:2], -1)
        if self.centres is None:  # an atom that is a centre moves against all others
            change = back.reshape(3 * len(members), *coefficients.shape[1:])
            out[members] -= differential(self._basis, np.repeat(weighted, 3, axis=0), change).reshape(
                len(members), 3, -1
            )
        return out.reshape(3 * self.n_atoms, -1)

    def _inner_jacobian(self, coefficients: FloatArray, slopes: FloatArray) -> FloatArray:
        n, size = self.n_atoms, slopes[0, 0, 0].size
        change = np.zeros((n, 3, self._n_channels // self.parameters.n_max, size))
        flat = slopes.reshape(*slopes.shape[:3], size)
        change[np.arange(n), :, self._kinds] = flat.sum(axis=0)
        if self.centres is None:
            for kind in range(change.shape[2]):
                change[:, :, kind] -= flat[:, self._kinds == kind].sum(axis=1)
        mean = np.broadcast_to(coefficients.mean(axis=0), (3 * n, *coefficients.shape[1:]))
        return differential(self._basis, mean, change.reshape(mean.shape) / self.n_local)

    @property
    def _slope_bytes(self) -> int:
        return 24 * self.n_local * self.n_atoms * self.parameters.n_max * (self.parameters.l_max + 1) ** 2

    def _expand(self, positions: FloatArray, with_slopes: bool) -> tuple[FloatArray, FloatArray]:
        p, n = self.parameters, self.n_local
        size = (p.l_max + 1) ** 2
        coefficients = np.zeros((n, self._n_channels // p.n_max, p.n_max, size))
        slopes = np.zeros((n if with_slopes else 0, self.n_atoms, 3, p.n_max, size))
        expand_density(
            np.ascontiguousarray(positions),
            self._kinds,
            np.ascontiguousarray(positions if self.centres is None else self.centres),
            np.arange(n) if self.centres is None else np.full(n, -1),
            self._rows,
            self._inverse,
            self._shifts,
            p.reach,
            self._basis.exponents,
            self._basis.amplitudes,
            self._basis.norms,
            coefficients,
            slopes,
        )
        return coefficients.reshape(n, self._n_channels, size), slopes

    def _spectrum(self, coefficients: FloatArray) -> FloatArray:
        if self.average == "inner":
            coefficients = coefficients.mean(axis=0)[None]
        return self._gather(0.5 * differential(self._basis, coefficients, coefficients))

    def _gather(self, spectra: FloatArray) -> FloatArray:
        return spectra.ravel() if self.average in ("off", "inner") else (self._groups @ spectra).ravel()

    def _mean_over(self, n_species: int) -> FloatArray:
        """Weights of the spectra of all centres in each spectrum of the descriptor."""
        if self.average == "off":
            return np.eye(self.n_local)
        if self.average != "species":
            return np.full((1, self.n_local), 1.0 / self.n_local)
        members = (self._kinds == np.arange(n_species)[:, None]).astype(float)
        return members / members.sum(axis=1, keepdims=True)

    def _checked(self, positions: FloatArray) -> FloatArray:
        if positions.ndim != 3 or positions.shape[1:] != (self.n_atoms, 3):
            raise InputError(f"positions: expected shape (n, {self.n_atoms}, 3), got {positions.shape}")
        if not np.isfinite(positions).all():
            raise InputError("positions: expected finite numbers")
        return positions
