"""Outputs in the place of inputs, inputs that are something else, two writers, runs that are killed."""

import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

import h5py
import pytest

from aenet_gpr_cli.io.files import sha256_of
from aenet_gpr_cli.io.hdf5.checksums import checksum, seal

from .conftest import CONSUMERS, STAGES
from .judge import Account, Call, clear, run

pytestmark = pytest.mark.hostile
INPUTS = {
    stage: [word for word in arguments[1:-2] if not word.startswith("-")]
    for stage, arguments in STAGES.items()
}


@pytest.mark.parametrize("stage", STAGES)
def test_outputs_that_meet_inputs(fresh, account: Account, stage):
    folder = fresh()
    (folder / "linked").symlink_to(".")
    (folder / "pipe").symlink_to("out/pipe")
    for source in INPUTS[stage]:
        (folder / f"link_{source}").symlink_to(source)
        outputs = [source, f"./{source}", f"out/../{source}", f"linked/{source}", f"link_{source}"]
        if (folder / source).is_dir():
            outputs += [f"{source}/x.h5", f"linked/{source}/x.h5", f"link_{source}/x.h5", f"{source}/"]
        else:
            outputs += [f"{source}/x.h5", f"link_{source}/x.h5"]
            os.link(folder / source, folder / f"hard_{source}")
            outputs.append(f"hard_{source}")
        if stage == "predict":  # which adds .h5 to other names
            outputs = [output for output in outputs if output.endswith(".h5")]
        for output in outputs:
            for option in ("-q", "--force"):
                arguments = (*STAGES[stage][:-1], output, option)
                if stage in ("select", "label") and option == "--force":
                    arguments = (*arguments, "--set=write=[xsf, extxyz]")
                account.try_(Call("output meets input", arguments, folder))


@pytest.mark.parametrize(
    "output",
    [
        "/dev/null", "/dev/full", "/dev/stdout", "/dev/fd/1", "/proc/self/x.h5", "/proc/version", "", ".",
        "..", "out", "out/", "out/a/b/c/d.h5", "out/" + "x" * 300, "out/" + "y/" * 3000 + "z.h5", "out/.h5",
        "out/.", "split.h5/x.h5", "out/pipe", "out/a\nb.h5", "out/\x1b[31m.h5", "out/[red].h5", "out/..h5",
        "out/x",
    ],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_odd_outputs(fresh, account: Account, output):
    folder = fresh()
    others = (
        ("export", "ann.h5", "-o", ""), ("report", ".", "-o", ""), ("init", "runs", "-o", ""),
        ("import", "nn/member_00/H.nn", "nn/member_00/O.nn", "-o", ""),
    )  # fmt: skip
    for arguments in (*STAGES.values(), *others):
        os.mkfifo(folder / "out/pipe")
        if (arguments[0], str(Path(output))) != ("predict", "out"):  # which makes out.h5
            account.try_(Call("odd output", (*arguments[:-1], output, "-q"), folder))
        clear(folder / "out")
    assert os.stat("/dev/null").st_rdev == os.makedev(1, 3)


def newer(path):
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
        seal(file)


def of_another_stage(path):
    with h5py.File(path, "a") as file:
        file.attrs["kind"] = "some other"
        seal(file)


def without_arrays(path):
    with h5py.File(path, "a") as file:
        for name in list(file):
            del file[name]
        seal(file)


def odd_texts(path):
    with h5py.File(path, "a") as file:
        for name in ("config", "inputs", "summary", "versions"):
            file.attrs[name] = '{"a": [1, {"b": "\\u001b[31m\\udcff"}]}'
        seal(file)


def odd_types(path):
    with h5py.File(path, "a") as file:
        for name in ("wall_time_s", "peak_rss_bytes", "created", "seed"):
            file.attrs[name] = [[1.0, 2.0]]
        seal(file)


def odd_numbers(path):
    with h5py.File(path, "a") as file:
        for name in ("wall_time_s", "peak_rss_bytes"):
            file.attrs[name] = "much"
        seal(file)


def odd_table(path):
    with h5py.File(path, "a") as file:
        file.attrs["summary"] = '{"title": "t", "columns": ["a"], "rows": [["1", "2"]], "notes": [3]}'
        seal(file)


def odd_files(path):
    """That its next writer would remove, as they have the content that is listed."""
    runs = path.parent / "runs"
    with h5py.File(path, "a") as file:
        listed = {f"../{runs.parent.name}/runs/{p.name}": sha256_of(p) for p in runs.iterdir()}
        file.attrs["files"] = json.dumps(listed)
        seal(file)


def instead(make):
    def replaced(path):
        path.unlink()
        make(path)

    return replaced


DAMAGES = {
    "newer": newer, "of another stage": of_another_stage, "without arrays": without_arrays,
    "odd texts": odd_texts, "odd types": odd_types, "odd numbers": odd_numbers, "odd table": odd_table,
    "odd files": odd_files,
    "nothing": instead(lambda path: None), "zero bytes": instead(lambda path: path.touch()),
    "pipe": instead(os.mkfifo), "folder": instead(lambda path: path.mkdir()),
    "loop": instead(lambda path: path.symlink_to(path.name)),
    "device": instead(lambda path: path.symlink_to("/dev/zero")),
    "text": instead(lambda path: path.write_text("mine\n" * 100)),
    "unreadable": lambda path: path.chmod(0),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_inputs_that_are_something_else(fresh, account: Account, damage):
    folder = fresh()
    artefacts = [name for name in CONSUMERS if name.endswith(".h5") or damage in list(DAMAGES)[8:]]
    for name in artefacts:
        shutil.copy(folder / name, folder / "kept")
        DAMAGES[damage](folder / name)
        for arguments in CONSUMERS[name]:
            account.try_(Call(f"input {damage}", (*arguments, "-q"), folder))
            clear(folder / "out")
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)
        os.replace(folder / "kept", folder / name)


@pytest.mark.parametrize("stage", STAGES)
def test_artefacts_in_each_other_s_place(fresh, account: Account, stage):
    folder = fresh()
    sources = INPUTS[stage]
    for place in range(len(sources)):
        for other in ("split.h5", "gpr.h5", "augmented.h5", "ann.h5", "metrics.h5", "predictions.h5", "runs"):
            words = [*sources[:place], other, *sources[place + 1 :]]
            arguments = (stage, *words, *STAGES[stage][1 + len(sources) :], "-q")
            account.try_(Call("artefact of another stage", arguments, folder))
            clear(folder / "out")


def numbers_of(path):
    with h5py.File(path) as file:
        return checksum(file)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_goes_on_to_the_same_numbers(fresh, account: Account, stage):
    folder = fresh()
    output = folder / STAGES[stage][-1]
    arguments = (*STAGES[stage], "-q")
    account.try_(Call("to be killed", arguments, folder))
    expected = numbers_of(output)
    clear(folder / "out")
    for delay in (0.02, 0.1, 0.4):
        run(Call("", arguments, folder, signalled(signal.SIGKILL, delay)))
        account.try_(Call("after SIGKILL", arguments, folder, may_change=left_in(folder / "out")))
        assert numbers_of(output) == expected
        assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".")]
        clear(folder / "out")


def left_in(folder):
    return {f"{folder.name}/{path.relative_to(folder)}" for path in folder.rglob("*")}


def signalled(number, delay):
    def prepare():
        pid = os.getpid()
        if os.fork() == 0:
            time.sleep(delay)
            try:
                os.kill(pid, number)
            finally:
                os._exit(0)

    return prepare


@pytest.mark.parametrize("stage", STAGES)
def test_two_writers(fresh, account: Account, stage):
    """One is told to wait, or finds the work of the other; the result is that of one."""
    folder = fresh()
    arguments = (*STAGES[stage], "-q")
    read, write = os.pipe()  # both writers hold an end of it as long as they live
    code, said = run(Call("two writers", arguments, folder, os.fork))  # both go on from here
    os.close(write)
    assert select.select([read], [], [], 20)[0], "the second writer hangs"
    os.close(read)
    assert code in (0, 4), said
    assert b"Traceback" not in said
    assert b"this is a bug" not in said
    account.try_(Call("after two writers", arguments, folder))


BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else '0'}]" for i in range(12))
DOCUMENTS = {
    "bomb": BOMB, "deep": "a: " + "[" * 20000, "deep map": "a: " + "{b: " * 5000, "cycle": "a: &a [*a]",
    "duplicate": "seed: 1\nseed: 2\n", "duplicate within": "kernel: {a: 1, a: 2}\n",
    "tab": "seed:\t1\n\tx: 2\n", "nan": "length_scale: .nan\n", "huge number": "length_scale: 1e999\n",
    "huge integer": f"seed: {'9' * 20000}\n", "tag": "seed: !!python/object/apply:os.system ['touch X']\n",
    "name": "? [a, b]\n: 1\n", "list": "- 1\n- 2\n", "text": "hello", "number": "3", "nothing": "",
    "null": "null", "two": "seed: 1\n---\nseed: 2\n", "merge": "<<: {seed: 1}\n",
    "time": "seed: 2001-12-14t21:59:43.10-05:00\n", "binary": "seed: !!binary x\n", "bell": "seed: '\x07'\n",
    "byte order": "\ufeffseed: 1\n", "long": f"seed: {'x' * 10**6}\n", "long key": f"{'k' * 10**6}: 1\n",
    "open": "seed: [1, 2\n", "anchor": "seed: *nothing\n", "set": "!!set {a, b}\n",
    "sexagesimal": "seed: 1:30\n", "markup": "'[red]x[/red]': 1\n", "escape": '"\\u001b[31m": 1\n',
    "surrogate": '"\\udcff": 1\n', "version": "%YAML 9.9\n---\nseed: 1\n",
    "many": "a: [" + "0, " * 200000 + "]\n",
}  # fmt: skip
ENCODED = {"utf-16": "seed: 1\n".encode("utf-16"), "latin-1": b"# \xfc\nseed: 1\n", "zeros": bytes(1000)}


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "hostile.yaml"), ("fit-gpr", "split.h5", "-c", "hostile.yaml", "-o", "out/g.h5"),
        ("run", "hostile.yaml", "--workdir", "out", "--dry-run"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_hostile_yaml(fresh, account: Account, arguments):
    folder = fresh()
    for name, text in (DOCUMENTS | ENCODED).items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "hostile.yaml").write_bytes(content)
        account.try_(Call("configuration", (*arguments, "-q"), folder, note=f"{name}: "))
        clear(folder / "out")
