"""A small finished case, in which every artefact is made once, and an account of the calls."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aenet_gpr_cli.cli.main import main
from aenet_gpr_cli.io.formats.xsf import write_xsf
from tests.faults.conftest import water

from .judge import Account

SMALL = (
    "levenberg_marquardt.iterations=3",
    "n_members=2",
    "network.radial_order=3",
    "network.angular_order=1",
)


def sets(*keys: str) -> tuple[str, ...]:
    """Return the options that set keys."""
    return tuple(f"--set={key}" for key in keys)


STAGES: dict[str, tuple[str, ...]] = {
    "split": ("split", "runs", *sets("train=8"), "-o", "out/split.h5"),
    "fit-gpr": ("fit-gpr", "split.h5", *sets("length_scale=1.0", "power=1.0"), "-o", "out/gpr.h5"),
    "augment": ("augment", "split.h5", "gpr.h5", *sets("n_copies=4"), "-o", "out/augmented.h5"),
    "train-ann": (
        "train-ann", "split.h5", "augmented.h5", *sets(*SMALL), "-o", "out/ann.h5",
    ),
    "evaluate": (
        "evaluate", "split.h5", "gpr.h5", "ann.h5", *sets("plots=false"), "-o", "out/metrics.h5",
    ),
    "predict": ("predict", "gpr.h5", "runs", "-o", "out/predictions.h5"),
    "md": (
        "md", "ann.h5", "runs", *sets("time_ps=0.002", "temperature=10", "table_every=1"), "-o", "out/md.h5",
    ),
    "select": ("select", "gpr.h5", "runs", *sets("n_select=3"), "-o", "out/selected.h5"),
    "label": ("label", "selected.h5", *sets("calculator.name=stored"), "-o", "out/labelled.h5"),
}  # fmt: skip
CONSUMERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "split.h5": (
        STAGES["fit-gpr"], STAGES["augment"], STAGES["train-ann"], STAGES["evaluate"], ("show", "split.h5"),
    ),
    "gpr.h5": (
        STAGES["augment"], STAGES["evaluate"], STAGES["predict"], STAGES["select"], ("show", "gpr.h5"),
    ),
    "augmented.h5": (STAGES["train-ann"], ("show", "augmented.h5")),
    "ann.h5": (
        ("predict", "ann.h5", "runs", "-o", "out/p.h5"), STAGES["md"],
        ("select", "ann.h5", "runs", "-o", "out/s.h5"),
        ("export", "ann.h5", "-o", "out/nn"), STAGES["evaluate"], ("show", "ann.h5"),
    ),
    "metrics.h5": (
        ("report", ".", "-o", "out/report.html"), ("show", "metrics.h5"), ("status", "."),
    ),
    "selected.h5": (STAGES["label"], ("show", "selected.h5")),
    "runs/w0.xsf": (STAGES["split"], STAGES["predict"]),
    "structures.extxyz": (("split", "structures.extxyz", "-o", "out/s.h5"),),
    "nn/member_00/H.nn": (
        ("import", *(f"nn/member_00/{s}.nn" for s in "HO"), "-o", "out/imported.h5"),
        ("import", "nn/member_00", "-o", "out/imported.h5"),
        ("import", "nn/member_01/H.nn", "nn/member_00/O.nn", "-o", "out/imported.h5"),
    ),
    "workflow.yaml": (
        ("validate", "workflow.yaml"), ("run", "workflow.yaml", "--workdir", "out", "--dry-run"),
    ),
}  # fmt: skip
WORKFLOW = """name: small
split: {inputs: [runs], train: 8}
fit_gpr: {model: full, length_scale: 1.0, power: 1.0}
augment: {gpr: {n_copies: 4, displacement: 0.02}}
train_ann: {gpr: {mode: gpr, levenberg_marquardt: {iterations: 3}}}
"""


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """Folder of structures, all artefacts made from them, a potential of ænet and a workflow."""
    folder = tmp_path_factory.mktemp("base")
    rng = np.random.default_rng(0)
    (folder / "runs").mkdir()
    for i in range(12):
        write_xsf(water(rng, f"w{i}"), folder / "runs" / f"w{i}.xsf")
    (folder / "workflow.yaml").write_text(WORKFLOW)
    made = [*STAGES.values(), ("export", "ann.h5", "-o", "out/nn")]
    for arguments in made:
        (folder / "out").mkdir()
        _here(arguments, folder)
        for path in (folder / "out").iterdir():
            path.rename(folder / path.name)
        (folder / "out").rmdir()
    (folder / "predictions_predictions.extxyz").rename(folder / "structures.extxyz")
    (folder / "out").mkdir()
    return folder


def _here(arguments: tuple[str, ...], folder: Path) -> None:
    """Run a command in this process, so that later ones find everything imported and compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["aenet-gpr", *arguments, "-q"])
        main()


@pytest.fixture
def fresh(base, tmp_path) -> Callable[[], Path]:
    """Return a function that makes another copy of the case."""
    count = 0

    def copy() -> Path:
        nonlocal count
        count += 1
        target = tmp_path / str(count)
        shutil.copytree(base, target)
        return target

    return copy


@pytest.fixture
def account(request) -> Iterator[Account]:
    """Count calls; at the end print how many were tried and fail if one did wrong."""
    account = Account()
    yield account
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{account.table()}")
    if path := os.environ.get("AENET_GPR_HOSTILE_LOG"):
        with open(path, "a") as file:
            file.write(f"{account.table()}\n{account.failures()}\n")
    if account.failed:
        pytest.fail(account.failures(), pytrace=False)
