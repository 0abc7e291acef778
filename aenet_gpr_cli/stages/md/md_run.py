"""The steps of a run, what is kept of them, and the state that an interrupted run goes on from.

Rows and frames since the last state are a file of their own in the checkpoint: memory does not grow with the
length of a run, and nothing is written twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from aenet_gpr_cli.config.stages.md_config import MdConfig
from aenet_gpr_cli.dynamics.asking import Asking
from aenet_gpr_cli.dynamics.evaluation import Evaluation
from aenet_gpr_cli.dynamics.integrator import Integrator, Motion
from aenet_gpr_cli.dynamics.md_record import COLUMNS, Fences, crossed, row_of
from aenet_gpr_cli.errors import AenetGprError, InterruptedRun, NumericalError
from aenet_gpr_cli.io.artefacts.artefact import open_artefact, publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.fields import append_field, write_field
from aenet_gpr_cli.stages.label_stage import calculate
from aenet_gpr_cli.stages.shared.context import GO_ON, Context, log, no_progress
from aenet_gpr_cli.structures import FloatArray, Structure
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import FS_PER_TIME_UNIT

KIND = "md"
STEPS_OF_FORECAST = 5  # after the first, which may compile
FORECAST_FROM = 30.0  # s; shorter runs need none
FRAME_FIELDS = ("positions", "cells", "energies", "forces", "velocities", "times", "names")
REFERENCE_FIELDS = ("reference_energies", "reference_forces")
STRESS_FIELDS = ("stress", "reference_stress")  # where a cell has a pressure


class Record:
    """Rows and frames of a run, in the checkpoint of its output.

    Parameters
    ----------
    structure : Structure
        What moves.
    with_reference : bool
        Whether some frames are checked by a calculator.
    """

    def __init__(self, checkpoint: Checkpoint, structure: Structure, with_reference: bool) -> None:
        self.checkpoint, self.structure = checkpoint, structure
        compared = (*REFERENCE_FIELDS, *(STRESS_FIELDS if all(structure.pbc) else ()))
        self.fields = (*FRAME_FIELDS, *(compared if with_reference else ()))
        self.seconds_before = 0.0
        self.n_frames = 0
        self._n_segments = 0
        self._n_steps_here = 0
        self._rows: list[FloatArray] = []
        self._frames: list[dict[str, object]] = []
        self._began = time.perf_counter()

    def load(self, rng: np.random.Generator) -> Motion | None:
        """Return the state that was kept, and set the generator to its own; None at the start."""
        kept = self.checkpoint.load_state()
        segments = sorted(self.checkpoint.finished())
        if kept is None:
            for path in segments:
                path.unlink()
            return None
        state = kept.arrays
        self._n_segments, self.n_frames = int(state["n_segments"]), int(state["n_frames"])
        for path in segments[self._n_segments :]:  # written after the state, just before a kill
            path.unlink()
        self.seconds_before = kept.wall_time
        rng.bit_generator.state = json.loads(bytes(state["generator"]).decode())
        log.info("going on from step %d", int(state["step"]))
        return Motion(
            state["positions"],
            state["velocities"],
            state.get("cell"),
            state["masses"],
            float(state["heat"]),
            int(state["step"]),
            int(state["held"]) if "held" in state else 0,  # states of earlier versions have none
            (state["listed_positions"], state.get("listed_cell")) if "listed_positions" in state else None,
        )

    def add_row(self, row: FloatArray) -> None:
        """Keep a row of the table."""
        self._rows.append(row)

    def add_frame(
        self, motion: Motion, found: Evaluation, time_fs: float, reference: Structure | None
    ) -> None:
        """Keep a frame, and what a calculator says about it."""
        frame: dict[str, object] = {
            "positions": motion.positions,
            "cells": motion.cell,
            "energies": found.energy,
            "forces": found.forces,
            "velocities": motion.velocities / FS_PER_TIME_UNIT,
            "times": time_fs,
            "names": f"{self.structure.name} step {motion.step}",
        }
        if "reference_energies" in self.fields:
            unknown = np.full_like(found.forces, np.nan)
            frame["reference_energies"] = np.nan if reference is None else reference.energy
            frame["reference_forces"] = unknown if reference is None else reference.forces
        if "reference_stress" in self.fields:
            gradient, stress = found.strain_gradient, None if reference is None else reference.stress
            nothing = np.full((3, 3), np.nan)
            frame["stress"] = nothing if gradient is None else gradient / motion.volume
            frame["reference_stress"] = nothing if stress is None else stress
        self._frames.append(frame)
        self.n_frames += 1

    def save(self, integrator: Integrator) -> None:
        """Keep rows and frames, then the state that follows them."""
        part = (f"{self._n_segments:07d}",)
        with publish(self.checkpoint.path_of(part), self.checkpoint.job_of(part)) as file:
            write_field(file, "table", np.array(self._rows).reshape(-1, len(COLUMNS)))
            if self._frames:
                for name in self._stored():
                    values = [frame[name] for frame in self._frames]
                    write_field(file, name, values if name == "names" else np.array(values))
        self._rows, self._frames = [], []
        self._n_segments += 1
        motion = integrator.motion
        arrays = {
            "positions": motion.positions,
            "velocities": motion.velocities,
            "masses": motion.masses,
            "heat": np.array(motion.heat),
            "step": np.array(motion.step),
            "held": np.array(motion.held),
            "n_segments": np.array(self._n_segments),
            "n_frames": np.array(self.n_frames),
            "generator": np.frombuffer(json.dumps(integrator.rng.bit_generator.state).encode(), np.uint8),
        }
        if motion.cell is not None:
            arrays["cell"] = motion.cell
        if integrator.found.listed is not None:
            arrays["listed_positions"], cell = integrator.found.listed
            arrays |= {} if cell is None else {"listed_cell": cell}
        self.checkpoint.save_state((KIND,), arrays, self._seconds())

    def count_step(self) -> None:
        """Count a step of this process, for its time."""
        self._n_steps_here += 1

    def seconds_a_step(self) -> float:
        """Return the wall time of a step in this process, s; NaN without any."""
        return (time.perf_counter() - self._began) / self._n_steps_here if self._n_steps_here else np.nan

    def write(self, file: h5py.File) -> None:
        """Put everything that was kept into the artefact."""
        group = file.create_group("trajectory")
        write_field(group, "species", self.structure.species)
        write_field(group, "pbc", np.array(self.structure.pbc))
        for path in sorted(self.checkpoint.finished()):
            with open_artefact(path, KIND) as segment:
                append_field(file, "table", segment["table"][()])
                if "times" not in segment:
                    continue
                for name in self._stored():
                    values = segment[name].asstr()[()] if name == "names" else segment[name][()]
                    append_field(group, name, tuple(values) if name == "names" else values)
        file.attrs["columns"] = json.dumps(COLUMNS)
        self.seconds_before += time.perf_counter() - self._began

    def _stored(self) -> list[str]:
        return [name for name in self.fields if name != "cells" or self.structure.cell is not None]

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self._began


def run_steps(
    config: MdConfig, integrator: Integrator, fences: Fences, n_steps: int, record: Record, context: Context
) -> Asking[str]:
    """Run until the end or until a fence is crossed; what was run is in the record.

    Returns
    -------
    str
        When and why the run was stopped; empty where it reached the end.

    Raises
    ------
    InterruptedRun
        If the context asked to stop; the state is kept.
    """
    motion, fs = integrator.motion, integrator.time_step * FS_PER_TIME_UNIT
    bath, check = integrator.bath, _checker(config, record)
    found, why = integrator.found, None
    last_state = time.monotonic()
    forecast = _Forecast(n_steps)
    fenced = fences.sigma is not None or fences.beyond is not None

    def keep(row: bool, frame: bool) -> None:
        if row:
            record.add_row(row_of(motion, found, bath, integrator.time_step))
        if frame:
            record.add_frame(motion, found, motion.step * fs, check(motion))

    if motion.step == 0:
        why = crossed(fences, motion, found, bath)
        keep(True, True)
    while motion.step < n_steps and why is None:
        number = motion.step + 1
        row = number % config.table_every == 0 or number == n_steps
        frame = number % config.store_every == 0 or number == n_steps
        try:
            found = yield from integrator.moving(frame or (row and fenced), row)
        except AenetGprError as error:
            why = f"there are no forces any more: {error}"
            break
        record.count_step()
        if not config.replica:  # of all replicas together there is another
            forecast.step(motion.step)
        why = crossed(fences, motion, found, bath)
        keep(row or why is not None, frame or why is not None)
        if row:
            context.progress(motion.step, n_steps, f"md: {motion.step * fs * 1e-3:.2f} ps")
        asked = context.stop()
        if asked or time.monotonic() - last_state >= config.checkpoint_seconds:
            record.save(integrator)
            last_state = time.monotonic()
        if asked and motion.step < n_steps and why is None:
            raise InterruptedRun(f"md at step {motion.step} of {n_steps}. {GO_ON}")
    record.save(integrator)
    if why is None:
        return ""
    run, asked_for = (rounded(steps * fs * 1e-3, 4) for steps in (motion.step, n_steps))
    return f"at {run} of {asked_for} ps: {why}"


class _Forecast:
    """Says once how long the whole run will take."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps, self._seen, self._began = n_steps, 0, 0.0

    def step(self, number: int) -> None:
        self._seen += 1
        if self._seen == 1:
            self._began = time.perf_counter()
        elif self._seen == 1 + STEPS_OF_FORECAST:
            each = (time.perf_counter() - self._began) / STEPS_OF_FORECAST
            left = each * (self._n_steps - number)
            if left >= FORECAST_FROM:
                log.info("about %s for %d steps of %.2g ms", duration(left), self._n_steps, each * 1e3)


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    minutes = round(seconds / 60)
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{minutes} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )


def _checker(config: MdConfig, record: Record) -> Callable[[Motion], Structure | None]:
    """Return what asks the reference calculator about every so many stored frames."""
    calculator, structure = config.reference, record.structure
    folder: Path = record.checkpoint.folder / "runs"

    def check(motion: Motion) -> Structure | None:
        if calculator is None or record.n_frames % config.reference_every:
            return None
        moved = Structure(
            structure.species, motion.positions, motion.cell, structure.pbc, state=structure.state,
            name=f"step {motion.step}",
        )  # fmt: skip
        try:
            return calculate(calculator, moved, folder / f"{motion.step}", no_progress)
        except NumericalError as error:
            log.warning("reference at step %d: %s", motion.step, error)
            return None

    return check
