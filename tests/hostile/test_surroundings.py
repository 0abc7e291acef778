"""Limits, full or closed streams, encodings, folders where files should be, signals, names."""

import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from .conftest import STAGES, sets
from .judge import Account, Call, clear, limit_memory

pytestmark = pytest.mark.hostile
COMMANDS = [
    *STAGES.values(), ("show", "gpr.h5"), ("status", "."), ("report", ".", "-o", "out/report.html"),
    ("validate", "workflow.yaml"), ("schema",), ("--help",), ("init", "runs", "-o", "out/w.yaml"),
]  # fmt: skip


def stream(fd: int, path: str, encoding: str = "utf-8"):
    """Return a function that lets a stream of the process go to a file."""

    def prepare():
        os.dup2(os.open(path, os.O_WRONLY), fd)
        opened = open(fd, "w", encoding=encoding, closefd=False)  # noqa: SIM115
        setattr(sys, ("", "stdout", "stderr")[fd], opened)

    return prepare


def closed_pipe(fd: int):
    def prepare():
        read, write = os.pipe()
        os.dup2(write, fd)
        os.close(read)
        os.close(write)
        setattr(sys, ("", "stdout", "stderr")[fd], open(fd, "w", encoding="utf-8", closefd=False))  # noqa: SIM115

    return prepare


def no_stdout():
    os.close(1)
    sys.stdout = None  # type: ignore[assignment]


def encoded(name: str):
    def prepare():
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding=name, errors="strict")

    return prepare


def file_size(bytes_: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def open_files(more: int):
    def prepare():
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, highest + more))

    return prepare


PREPARED = {
    "standard output full": stream(1, "/dev/full"),
    "standard output a closed pipe": closed_pipe(1),
    "no standard output": no_stdout,
    "ascii": encoded("ascii"),
    "latin-1": encoded("latin-1"),
    "cp1252": encoded("cp1252"),
    "files of 1 kB": file_size(1000),
    "files of 20 kB": file_size(20000),
    "5 more open files": open_files(5),
    "30 MiB more memory": lambda: limit_memory(30),
    "2 MiB more memory": lambda: limit_memory(2),
}


@pytest.mark.parametrize("kind", PREPARED)
def test_limits_and_streams(fresh, account: Account, kind):
    folder = fresh()
    for arguments in COMMANDS:
        for option in ((), ("-q",)) if arguments != ("--help",) else ((),):
            account.try_(Call(kind, (*arguments, *option), folder, PREPARED[kind]))
            clear(folder / "out")


IN_THE_WAY = (
    "folder", "empty file", "text", "loop", "dangling link", "empty lock", "reused pid", "lock folder",
    "garbage lock", "old temporary",
)  # fmt: skip


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_things_in_the_place_of_an_output(fresh, account: Account, kind):
    folder = fresh()
    for arguments in STAGES.values():
        output = folder / arguments[-1]
        lock = output.with_name(f".{output.name}.lock")
        if kind == "folder":
            output.mkdir()
            (output / "mine").write_text("mine")
        elif kind == "empty file":
            output.touch()
        elif kind == "text":
            output.write_text("mine")
        elif kind == "loop":
            output.symlink_to(output.name)
        elif kind == "dangling link":
            output.symlink_to("nowhere/file")
        elif kind == "empty lock":
            lock.touch()
            os.utime(lock, (1e9, 1e9))
        elif kind == "lock folder":
            lock.mkdir()
        elif kind == "garbage lock":
            lock.write_bytes(b"\xff\x00{")
            os.utime(lock, (1e9, 1e9))
        elif kind == "reused pid":  # of an earlier process, whose number another one has now
            lock.write_text(f'{{"host": "{os.uname().nodename}", "pid": 1, "since": "2020-01-01 00:00:00"}}')
            os.utime(lock, (1e9, 1e9))
        else:
            output.with_name(f".{output.name}.999999.tmp").write_text("half")
        call = Call(f"output is {kind}", (*arguments, "-q"), folder)
        before = {"out/" + p.name for p in (folder / "out").iterdir()}
        call.may_change = before if kind != "folder" else set()
        account.try_(call)
        clear(folder / "out")


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals(fresh, account: Account, number, delay):
    folder = fresh()

    def prepare():
        pid = os.getpid()
        if os.fork() == 0:
            time.sleep(delay)
            try:
                os.kill(pid, number)
            finally:
                os._exit(0)

    for arguments in STAGES.values():
        call = Call(f"{number.name}", (*arguments, "-q", "--set=seed=3"), folder, prepare)
        call.signal = number
        account.try_(call)
        account.try_(Call(f"again after {number.name}", (*arguments, "-q", "--set=seed=3"), folder))
        clear(folder / "out")


NAMES = (
    "a b", "new\nline", "\x1b[31mred", "[red]markup[/red]", "-dash", "--help", "quote'\"", "$(touch X)",
    ";touch X", "%s{0}", "ü", "\u202egnp", "not\udcff\udcfeutf8", "x" * 200, "a,b", "*", "?", "[a-z]", "~",
    "C:\\x", "tab\there", "\x7f",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_names(fresh, account: Account, name):
    folder = fresh()
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(folder / "runs/w0.xsf", folder / f"{name}.xsf")
    (folder / name).mkdir()
    for i in range(4):
        shutil.copy(folder / f"runs/w{i}.xsf", folder / name / f"{Path(name).name}{i}.xsf")
    shutil.copy(folder / "gpr.h5", folder / f"{name}.h5")
    (folder / f"{name}.yaml").write_text("length_scale: 1.0\npower: 1.0\n")
    here = f"./{name}"
    calls = [
        ("split", f"{here}.xsf", *sets("train=1"), "-o", "out/s.h5"),
        ("split", here, *sets("train=2"), "-o", "out/s2.h5"),
        ("split", here, *sets("train=2"), "-o", f"out/{name}.h5"),
        ("split", name, "-o", "out/s3.h5"),
        ("predict", "gpr.h5", here, *sets("write=[xsf, extxyz]"), "-o", "out/p.h5"),
        ("predict", f"{here}.h5", here, "-o", f"out/{name}p"),
        ("select", "gpr.h5", here, *sets("n_select=2"), "-o", f"out/{name}s.h5"),
        ("show", f"{here}.h5"),
        ("show", name),
        ("evaluate", "split.h5", f"{here}.h5", "ann.h5", *sets("plots=false"), "-o", "out/m.h5"),
        ("fit-gpr", "split.h5", "-c", f"{here}.yaml", "-o", "out/g.h5"),
        ("fit-gpr", "split.h5", f"--subset={name}", "-o", "out/g.h5"),
        ("fit-gpr", "split.h5", f"--variant={name}", "-c", "workflow.yaml", "-o", "out/g.h5"),
        ("fit-gpr", "split.h5", f"--set={name}=1", "-o", "out/g.h5"),
        ("predict", "gpr.h5", here, f"--set=subset={name!r}", "-o", "out/q.h5"),
        ("status", here),
        ("validate", f"{here}.yaml"),
        ("init", here, "--name", name, "-o", "out/w.yaml"),
        ("run", "workflow.yaml", f"--set=name={name!r}", "--dry-run"),
        ("submit", "workflow.yaml", f"--set=slurm.partition={name!r}", "--workdir", "out/sub", "--dry-run"),
        ("label", "selected.h5", f"--set=calculator.name={name!r}", "-o", "out/l.h5"),
        ("figures", here, "-f", name, "-o", "out/f"),
        ("export", "ann.h5", "-o", f"out/{name}"),
        (name,),
    ]
    loud = NAMES.index(name) % 2
    for number, arguments in enumerate(calls):  # each is loud for half of the names
        quiet = () if number % 2 == loud else ("-q",)
        account.try_(Call(f"name {ascii(name)[:20]}", (*arguments, *quiet), folder))
        clear(folder / "out")
