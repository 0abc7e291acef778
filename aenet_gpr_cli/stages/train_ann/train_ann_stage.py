"""`train-ann`: split.h5 (+ augmented.h5) → ann.h5, a committee of neural-network potentials.

Energy-only, Taylor-ANN, GPR-ANN, direct force training and both together differ by the key ``mode`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from aenet_gpr_cli.ann.data.training_set import TrainingSet, validation_split
from aenet_gpr_cli.ann.execution.surroundings import MakeRows, MemoryRows, State, Surroundings
from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.ann.potential.network_sigma import describe_sigma
from aenet_gpr_cli.ann.potential.warm_start import check_start
from aenet_gpr_cli.ann.training import TrainingResult, train
from aenet_gpr_cli.ann.training_settings import Network
from aenet_gpr_cli.config.stages.train_ann_config import TrainAnnConfig
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from aenet_gpr_cli.devices import open_device
from aenet_gpr_cli.errors import ConfigError, InputError
from aenet_gpr_cli.io.artefacts.artefact import publish
from aenet_gpr_cli.io.artefacts.checkpoint import Checkpoint
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann
from aenet_gpr_cli.io.artefacts.streaming import StoredStructures, open_augmented
from aenet_gpr_cli.io.artefacts.structure_sets import choose_subsets, load_split, stress_doubt
from aenet_gpr_cli.io.scratch import ScratchRows
from aenet_gpr_cli.reference_energies import least_squares_energies
from aenet_gpr_cli.stages.shared.context import Context, Summary, log, make_job, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim
from aenet_gpr_cli.stages.shared.subset_parts import free_atoms
from aenet_gpr_cli.stages.shared.torchrun import torchrun_processes
from aenet_gpr_cli.stages.train_ann.members import (
    Committee,
    Keep,
    Work,
    say_left_behind,
    train_members,
    write_committee,
)
from aenet_gpr_cli.stages.train_ann.training_errors import ERROR_COLUMNS, TrainingErrors, training_errors
from aenet_gpr_cli.structures import Copies, StructureSet
from aenet_gpr_cli.text import rounded
from aenet_gpr_cli.units import BYTES_PER_GIB

KIND = "train-ann"
TITLE = "Neural-network potential"
COLUMNS = (
    "potential",
    "mode",
    "members",
    "structures",
    "weights",
    "steps",
    *ERROR_COLUMNS,
    "time / s",
)
FEATURE_COPIES = 2  # of the descriptors in memory at a time: as computed, and as the networks take them


def run(
    config: TrainAnnConfig,
    split: Path,
    augmented: Path | None,
    output: Path,
    context: Context,
    member: int | None = None,
    start: Path | None = None,
    must_fit: bool = True,
) -> Summary:
    """Train a committee, or one member of it.

    Parameters
    ----------
    split : Path
        Output of `split`.
    augmented : Path or None
        Output of `augment`; needed for the modes gpr, taylor and combined.
    member : int, optional
        Train this one only, counted from 0, to be collected with the others later.
    start : Path, optional
        Output of `train-ann` or `import` whose members the members of the same number begin with.
    must_fit : bool
        Refuse a start with other networks; otherwise begin anew then.

    Raises
    ------
    ConfigError
        If the mode and the augmented structures do not fit together, there is no such member, or an
        unfinished run of another configuration is there.
    InputError
        If a copy descends from a structure that is not in the training set, or the networks of ``start`` are
        others than those to train.
    InterruptedRun
        If the context asked to stop; the state is in the checkpoint.
    NumericalError
        If members fail; the others are in the checkpoint.
    """
    claim(KIND, output, [split, augmented, start])
    inputs = {"split": split} | ({"start": start} if start is not None else {})
    if config.with_copies:
        if augmented is None:
            raise ConfigError(
                f"train-ann: mode {config.mode} needs the output of augment; give it after the split"
            )
        inputs["augmented"] = augmented
    elif augmented is not None:
        raise ConfigError(
            f"train-ann: mode {config.mode} takes no augmented structures; use mode gpr, taylor or combined"
        )
    if member is not None and not 0 <= member < config.n_members:
        raise ConfigError(
            f"--member: expected a number from 0 to {config.n_members - 1} (n_members), got {member}"
        )
    members = tuple(range(config.n_members)) if member is None else (member,)
    everyone = tuple(map(str, range(config.n_members)))
    job = make_job(KIND, config, inputs, context, part=tuple(map(str, members)), whole=everyone)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    references = choose_subsets(load_split(split, "train"), config.subsets, split)
    _check_cutoff(config, references)
    if config.with_forces and config.loss.beta > 0.0 and (doubt := stress_doubt(split)):
        log.warning("trained on as it is (loss.beta: 0 trains no network on it): %s", doubt)
    with _open_copies(config, inputs.get("augmented"), references) as copies:
        data = TrainingSet.collect(list(references.values()), copies, config.loss.sigma_scale)
        network = config.network
        if not network.decided and not context.dry_run:
            network = _by_evidence(config, references, job.inputs["split"], context)
        basis = network.basis(data.species)
        first = (
            None if start is None or not start.exists() else _first(start, basis, config, network, must_fit)
        )
        if first is not None and max(members) >= first.n_members:
            log.info("%s has %d members; the others begin anew", start, first.n_members)
        need = FEATURE_COPIES * data.feature_bytes(basis.n_features) / BYTES_PER_GIB
        fits = need <= config.max_memory_gib
        plan = (
            f"{len(members)} network{'s' * (len(members) > 1)} on {len(data)} structures, "
            f"{basis.n_features} features per atom: "
            f"{rounded(need, 2)} GiB, {'in memory' if fits else 'kept on disk beside the output'}"
        )
        if context.dry_run:
            return planned(KIND, output, [plan])
        log.info(plan)
        atomic = config.atomic_energies
        if atomic is None and (known := free_atoms(split, data.species)):
            atomic = least_squares_energies(data.subsets, data.species, known)
        checkpoint = Checkpoint(output, job)
        make_rows: MakeRows = MemoryRows if fits else lambda n, width: ScratchRows(output.parent, width)
        open_device(config.device)
        with torchrun_processes(config.device) as (processes, device):

            def trainer(members: tuple[int, ...], state: State | None, keep: Keep) -> TrainingResult:
                around = Surroundings(context.progress, context.stop, keep, processes, make_rows)
                settings = replace(config, device=device, atomic_energies=atomic)
                result = train(data, basis, settings, config.seed, members, state, around, first)
                words, doubt = result.remarks(config)
                for word in words:
                    log.info(word)
                if doubt:
                    log.warning(doubt)
                return result

            work = Work(trainer, members, checkpoint, config.checkpoint_seconds, config.mode, processes)
            _, held_out = validation_split(data.parents, config.held_out, config.seed)
            held_out = held_out[held_out < data.n_references]
            errors = partial(training_errors, subsets=list(references.values()), held_out=held_out)
            return _train(work, config, len(data), errors, context)


def _first(
    start: Path, basis: ChebyshevBasis, config: TrainAnnConfig, network: Network, must_fit: bool
) -> ANNModel | None:
    """Return the potential to begin with; None where it need not fit and does not."""
    model = load_ann(start)
    try:
        check_start(model, basis, network.hidden, network.activation)
    except InputError as error:
        if must_fit:
            raise
        log.info("networks begin anew: %s", error)
        return None
    if model.repulsion is not None and config.baseline == "none":
        log.warning(
            "%s repels nuclei at short distances (baseline: zbl), this potential will not; set baseline: zbl",
            start,
        )
    return model


# what evidence has chosen in this process: variants of a workflow ask for the same
_CHOSEN: dict[tuple[str, tuple[str, ...], str, int], tuple[tuple[float, ...], bool]] = {}


def _by_evidence(
    config: TrainAnnConfig, references: Mapping[str, StructureSet], identity: str, context: Context
) -> Network:
    """Return descriptor and layers with the environments that local processes of the references find best."""
    from aenet_gpr_cli.gpr.local.local_fit import choose_environment  # compiles

    key = identity, tuple(references), repr(config.network), config.seed
    if key not in _CHOSEN:
        given = list(references.values()), config.network, config.seed, context.progress
        _CHOSEN[key] = choose_environment(*given)
    angles, resolved = _CHOSEN[key]
    words = "species resolved" if resolved else "species by ænet's two sums"
    log.info("by evidence: angular cutoffs %s Å, %s", "/".join(rounded(c) for c in angles), words)
    return replace(config.network, angular_cutoffs=angles, resolve_species=resolved)


def _check_cutoff(config: TrainAnnConfig, references: Mapping[str, StructureSet]) -> None:
    """Refuse a cutoff that no two atoms are within: every feature would be the same constant."""
    from aenet_gpr_cli.subsystems.contacts import close_contacts  # loads compiled code

    network = config.network
    cutoff = max(network.radial_cutoff, network.angular_reach)
    shaped = [subset for subset in references.values() if subset.n_atoms > 1]
    periodic = any(subset.is_periodic for subset in references.values())  # an atom may see its own images
    if shaped and not periodic and not any(close_contacts(subset, cutoff) for subset in shaped):
        raise ConfigError(
            f"network.radial_cutoff: no two atoms of the training structures are within {cutoff:g} Å, so "
            "that the network would see nothing; expected a cutoff of several bond lengths, such as 6"
        )


def _train(
    work: Work,
    config: TrainAnnConfig,
    n_structures: int,
    errors_of: Callable[[ANNModel], TrainingErrors],
    context: Context,
) -> Summary:
    """Train and write the output; of several processes the first one alone touches files."""
    output, first = work.checkpoint.output, work.processes.rank == 0
    with publish(output, work.checkpoint.job) if first else nullcontext() as file:
        started = time.perf_counter()
        if first:
            work.checkpoint.prepare(context.resume, context.restart)
        work.processes.wait()  # the others read what has been prepared
        committee, earlier = train_members(work, context)
        if file is None:
            return Summary(TITLE)
        write_committee(file, committee, work.mode)
        file.attrs["wall_time_s"] = earlier
        say_left_behind(committee, config.loss.form)
        log.info(describe_sigma(committee.model.sigma, committee.model.n_members))
        notes = [f"wrote {output}"]
        if committee.model.repulsion is not None:
            notes.insert(0, committee.model.repulsion.describe())
        seconds = earlier + time.perf_counter() - started
        errors = errors_of(committee.model)
        notes = [*errors.notes(), *notes]
        row = table_row(work.mode, output.stem, n_structures, committee, errors.cells(), seconds)
        summary = Summary(TITLE, COLUMNS, [row], notes)
        file.attrs["summary"] = summary.to_json()
    work.checkpoint.discard()
    return summary


@contextmanager
def _open_copies(
    config: TrainAnnConfig, path: Path | None, references: dict[str, StructureSet]
) -> Iterator[list[Copies[StoredStructures]]]:
    """Open the copies; refuse those whose parents are not trained on (they may be test structures)."""
    if path is None:
        yield []
        return
    with open_augmented(path) as stored:
        chosen = {name: copies for name, copies in stored.items() if name in references}
        for name, copies in chosen.items():
            if copies.label != config.label:
                raise ConfigError(
                    f"{path}: expected copies labelled {config.label}, got {copies.label}; change mode"
                )
            strangers = sorted(set(copies.parents) - set(references[name].names))
            if strangers:
                raise InputError(
                    f"{path}: {len(strangers)} parents of the copies are not training structures of this "
                    f"split, for example {strangers[0]}; run augment again with this split"
                )
        yield list(chosen.values())


def table_row(
    mode: str, name: str, n_structures: int, committee: Committee, errors: Sequence[str], seconds: float
) -> list[str]:
    """Return the row of a committee, as in `COLUMNS`."""
    return [
        name,
        mode,
        str(committee.model.n_members),
        str(n_structures),
        str(committee.model.architecture.n_weights),
        str(int(np.isfinite(committee.training_loss).sum(0).max())),
        *errors,
        f"{seconds:.1f}",
    ]
