"""Results of single processes put into one artefact: shares of the local process summed, the better kept."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.gpr.subset_lookup import LOCAL
from aenet_gpr_cli.io.artefacts.artefact import open_artefact
from aenet_gpr_cli.io.artefacts.stored_gps import read_left_out
from aenet_gpr_cli.io.artefacts.stored_repulsion import read_repulsion
from aenet_gpr_cli.stages.fit_gpr.contest import Sample, Verdict, verdict
from aenet_gpr_cli.stages.fit_gpr.fit_local_stage import FittedLocal, finish_local
from aenet_gpr_cli.stages.shared.context import log

MOST_LINES = 10  # of verdicts below the table; all are stored


def join_fits(
    paths: Sequence[Path], kind: str, names: Sequence[str], file: h5py.File
) -> tuple[list[Sequence[str]], list[str]]:
    """Write the processes of all subsets, and warn of what is doubtful in those that are kept.

    Parameters
    ----------
    paths : sequence of Path
        Artefacts that hold the candidates, and the shares of the local process.
    kind : str
        Stage that wrote them.
    names : sequence of str
        Subsets with a candidate, in the order wanted.
    file : h5py.File
        Written to.

    Returns
    -------
    rows : list of sequence of str
        Of the table.
    notes : list of str
        Which process won where, with both errors; what is added to all of them.

    Raises
    ------
    InputError
        If shares of the local process do not belong together.
    """
    where, table = dict[str, Path](), dict[str, Sequence[str]]()
    for path in paths:
        with open_artefact(path, kind) as source:
            where |= dict.fromkeys(source["subsets"], path)
            table |= {row[0]: row for row in json.loads(source.attrs["summary"])["rows"]}
    target = file.create_group("subsets")
    local, without_full = _finished(where, table, kind)
    verdicts = dict[str, Verdict]()
    for name in names:
        with open_artefact(where[name], kind) as source:
            group = source[f"subsets/{name}"]
            verdicts[name] = _judge(group, table[name], local)
            if verdicts[name].full:
                source.copy(group, target, name)
                for doubt in json.loads(group.attrs.get("doubts", "[]")):
                    log.warning("%s: %s", name, doubt)
    rows = [table[name] for name in names if verdicts[name].full]
    if local is None:
        return rows, _baseline(target)
    if without_full or len(rows) < len(names) or not names:
        local.write(target.create_group(LOCAL))
        rows.append(local.row)
    file.attrs["comparison"] = json.dumps({name: v.why for name, v in verdicts.items()})
    notes = [*_lines(verdicts, without_full), *([local.note] if LOCAL in target else [])]
    return rows, notes + _baseline(target)


def _baseline(target: h5py.Group) -> list[str]:
    """Say what is added to the processes, where it is one thing with its distances."""
    found = {known.describe() for group in target.values() if (known := read_repulsion(group)) is not None}
    if len(found) <= 1:
        return list(found)
    return ["repulsion of nuclei (ZBL) below the distances of each process's data; `show` gives them"]


def _finished(
    where: Mapping[str, Path], table: Mapping[str, Sequence[str]], kind: str
) -> tuple[FittedLocal | None, dict[str, str]]:
    """Return the local process of all shares, and why subsets have no full one."""
    names = sorted((name for name in where if share_number(name)), key=lambda name: share_number(name) or ())
    if not names:
        return None, {}
    with contextlib.ExitStack() as stack:
        groups = [stack.enter_context(open_artefact(where[name], kind))[f"subsets/{name}"] for name in names]
        return (
            finish_local(groups, [table[name] for name in names]),
            json.loads(groups[0].attrs["without_full"]),
        )


def share_number(name: str) -> tuple[int, int] | None:
    """Return which share of the local process a name belongs to, from 0, and of how many; None if of none."""
    if name == LOCAL:
        return 0, 1
    words = name.removeprefix(f"{LOCAL} ").split(" of ")
    if not name.startswith(f"{LOCAL} ") or len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return int(words[0]) - 1, int(words[1])


def all_parts(whole: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return the names of all parts, the local process in as many shares as some of it is there.

    Raises
    ------
    InputError
        If there are shares of different numbers of parts.
    """
    numbers = {number[1] for name in there if (number := share_number(name)) is not None}
    if len(numbers) > 1:
        shares = [name for name in there if share_number(name) is not None]
        raise InputError(f"expected parts of one number of parts, got {', '.join(shares)}")
    if not numbers or LOCAL not in whole:
        return list(whole)
    (of,) = numbers
    shares = [LOCAL] if of == 1 else [f"{LOCAL} {number + 1} of {of}" for number in range(of)]
    return [*(name for name in whole if name != LOCAL), *shares]


def _judge(group: h5py.Group, row: Sequence[str], local: FittedLocal | None) -> Verdict:
    if local is None:
        return Verdict(True, "")
    full = read_left_out(group["left_out"]) if "left_out" in group else None
    sample = Sample.read(group["sample"]) if "sample" in group else None
    note = str(group.attrs["note"])
    judged = verdict(full, local.left_out.get(row[0]), sample, int(row[1]), note)
    return Verdict(False, judged.why) if group.attrs["declined"] else judged


def _lines(verdicts: Mapping[str, Verdict], without_full: Mapping[str, str]) -> list[str]:
    lines = [f"{name}: {'full' if v.full else 'local'} ({v.why})" for name, v in verdicts.items()]
    if len(lines) > MOST_LINES:
        n_full = sum(v.full for v in verdicts.values())
        rest = len(lines) - MOST_LINES
        lines = [*lines[:MOST_LINES], f"… and {rest} more; full for {n_full} of {len(verdicts)} compared"]
    for why, number in Counter(without_full.values()).most_common():
        lines.append(f"local for {number} subset{'s' if number > 1 else ''}: {why}")
    return lines
