"""The density of atoms about SOAP centres: which centres and spectra there are, coefficients, their slopes.

Owns everything of a SOAP descriptor but its Jacobian. The spectrum is dscribe's (Gaussian-type orbitals, no
weighting, same order of features), evaluated in closed form; `soap_check` compares with dscribe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers

from aenet_gpr_cli.descriptors.descriptor_settings import SoapSettings
from aenet_gpr_cli.descriptors.soap.soap_basis import make_basis
from aenet_gpr_cli.descriptors.soap.soap_loops import expand_density
from aenet_gpr_cli.descriptors.soap.soap_spectrum import differential
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.lattice import Lattice
from aenet_gpr_cli.structures import NOT_PERIODIC, FloatArray, Pbc


class SoapExpansion:
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
        self.kinds = np.array([elements.index(symbol) for symbol in species], dtype=np.int64)
        self.basis = make_basis(settings, len(elements))
        self.groups = self._mean_over(len(elements))
        self.n_channels = len(elements) * settings.n_max
        lattice = Lattice(cell, pbc)
        self._rows, self._inverse = (np.ascontiguousarray(a) for a in (lattice.rows, lattice.inverse))
        self._shifts = lattice.translations(settings.reach) if lattice.rank else np.zeros((1, 3))

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
        return 1 if self.average == "inner" else len(self.groups)

    @property
    def n_features(self) -> int:
        """Length of the descriptor: n_centres spectra."""
        return self.n_centres * self.basis.n_features

    def coefficients(self, positions: FloatArray) -> FloatArray:
        """Return the expansion coefficients c of the density of one structure.

        Returns
        -------
        ndarray of shape (n_local, n_species * n_max, (l_max + 1)²)
        """
        return self._expand(positions, with_slopes=False)[0]

    def slopes(self, positions: FloatArray) -> FloatArray:
        """Return ∂c/∂R of each atom with the centre held in place, zero for the atom of the centre.

        Returns
        -------
        ndarray of shape (n_local, n_atoms, 3, n_max, (l_max + 1)²)
            Of the coefficients of the atom's own species.
        """
        return self._expand(positions, with_slopes=True)[1]

    def spectrum(self, coefficients: FloatArray) -> FloatArray:
        """Return the power spectra of one structure, shape (n_features,)."""
        if self.average == "inner":
            coefficients = coefficients.mean(axis=0)[None]
        return self.gather(0.5 * differential(self.basis, coefficients, coefficients))

    def gather(self, spectra: FloatArray) -> FloatArray:
        """Return spectra of all centres, or their means, one after another."""
        return spectra.ravel() if self.average in ("off", "inner") else (self.groups @ spectra).ravel()

    @property
    def slope_bytes(self) -> int:
        """Memory of `slopes`."""
        return 24 * self.n_local * self.n_atoms * self.parameters.n_max * (self.parameters.l_max + 1) ** 2

    def checked(self, positions: FloatArray) -> FloatArray:
        """Return positions of these atoms, (n_structures, n_atoms, 3); refuse others."""
        if positions.ndim != 3 or positions.shape[1:] != (self.n_atoms, 3):
            raise InputError(f"positions: expected shape (n, {self.n_atoms}, 3), got {positions.shape}")
        if not np.isfinite(positions).all():
            raise InputError("positions: expected finite numbers")
        return positions

    def _expand(self, positions: FloatArray, with_slopes: bool) -> tuple[FloatArray, FloatArray]:
        p, n = self.parameters, self.n_local
        size = (p.l_max + 1) ** 2
        coefficients = np.zeros((n, self.n_channels // p.n_max, p.n_max, size))
        slopes = np.zeros((n if with_slopes else 0, self.n_atoms, 3, p.n_max, size))
        expand_density(
            np.ascontiguousarray(positions),
            self.kinds,
            np.ascontiguousarray(positions if self.centres is None else self.centres),
            np.arange(n) if self.centres is None else np.full(n, -1),
            self._rows,
            self._inverse,
            self._shifts,
            p.reach,
            self.basis.exponents,
            self.basis.amplitudes,
            self.basis.norms,
            coefficients,
            slopes,
        )
        return coefficients.reshape(n, self.n_channels, size), slopes

    def _mean_over(self, n_species: int) -> FloatArray:
        """Weights of the spectra of all centres in each spectrum of the descriptor."""
        if self.average == "off":
            return np.eye(self.n_local)
        if self.average != "species":
            return np.full((1, self.n_local), 1.0 / self.n_local)
        members = (self.kinds == np.arange(n_species)[:, None]).astype(float)
        return members / members.sum(axis=1, keepdims=True)
