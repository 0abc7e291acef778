"""One call of the command line in a process of its own, and the one judge of what it did.

A call is forked from this process, which has compiled and imported everything, so that it takes about 0.1 s.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from threadpoolctl import threadpool_limits

EXIT_CODES = (0, 2, 3, 4, 75, 141)
MIB_MORE = 4096  # of memory than this process has
SECONDS_TO_HANG = 20
SECONDS_TO_STOP = 8  # a call that works on until then is asked to stop, and must do it
MESSAGE = re.compile(r"^(error:|Error:|stopped:|interrupted)", re.M)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
FORBIDDEN = re.compile(r"Traceback|this is a bug|Exception ignored|Segmentation|^Fatal", re.M)


@dataclass
class Call:
    """Arguments of ``aenet-gpr`` in a folder, whose subfolder out takes the outputs."""

    kind: str
    arguments: tuple[str, ...]
    folder: Path
    prepare: Callable[[], None] | None = None
    """called in the new process: limits, streams"""
    note: str = ""
    """printed with a failure"""
    may_change: set[str] = field(default_factory=set)
    """what stood in the place of the output"""
    signal: int = 0
    """that is sent and may end it, before it listens"""

    def __str__(self) -> str:
        return f"(cd {self.folder} && aenet-gpr {' '.join(self.arguments)!r})"


@dataclass
class Account:
    """Calls tried and failed, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[Call, str]] = field(default_factory=list)

    def table(self) -> str:
        """Return one line per kind."""
        wrong = Counter(call.kind for call, _ in self.failed)
        lines = [f"{kind:<34} {n:>5} tried {wrong[kind]:>4} failed" for kind, n in self.tried.items()]
        return "\n".join([*lines, f"{'in all':<34} {self.tried.total():>5} tried {wrong.total():>4} failed"])

    def failures(self) -> str:
        """Return the calls that failed, and why."""
        return "\n".join(f"{call.kind}: {call}\n    {why}" for call, why in self.failed)

    def try_(self, call: Call) -> bool:
        """Run a call and judge it; return whether it did nothing wrong."""
        self.tried[call.kind] += 1
        why = judge(call)
        if why:
            self.failed.append((call, f"{call.note}{why}"))
        return not why


def judge(call: Call) -> str:
    """Run a call; return what is wrong with what it did, or nothing."""
    before, patience = contents(call.folder), _patience()
    started = time.monotonic()
    code, said = run(call)
    seconds = time.monotonic() - started
    text = said.decode("utf-8", "replace")
    wrong = []
    if call.signal and code == -call.signal:
        code = 141  # quietly
    if code not in EXIT_CODES:
        wrong.append(f"exit code {code}")
    if seconds > SECONDS_TO_HANG * patience:
        wrong.append(f"{seconds:.0f} s")
    if found := FORBIDDEN.search(text):
        wrong.append(found[0])
    if found := CONTROL.search(text):
        wrong.append(f"control character {found[0]!r}")
    messages = len(MESSAGE.findall(text))
    if messages != (code not in (0, 141)):
        wrong.append(f"{messages} messages")
    after = contents(call.folder)
    for name in call.may_change:
        before.pop(name, None)
        after.pop(name, None)
    wrong += _changes(before, after, code)
    return f"{', '.join(wrong)}; it said: {text.strip()[-600:]}" if wrong else ""


def run(call: Call) -> tuple[int, bytes]:
    """Run a call; return its exit code (negative for a signal) and what it wrote to its streams."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(call, write)
    os.close(write)
    os.set_blocking(read, False)
    said, status, asked, hangs, started = b"", None, False, False, time.monotonic()
    patience = _patience()
    while status is None:
        time.sleep(0.005)
        done, ended = os.waitpid(pid, os.WNOHANG)
        status = ended if done else None
        with contextlib.suppress(BlockingIOError):
            while some := os.read(read, 65536):
                said += some
        seconds = time.monotonic() - started
        if status is None and seconds > SECONDS_TO_HANG * patience and not hangs:
            os.kill(pid, signal.SIGKILL)
            said, hangs = said + b"hangs", True
        elif status is None and seconds > SECONDS_TO_STOP * patience and not asked:
            os.kill(pid, signal.SIGTERM)
            asked = True
    os.close(read)
    code = os.waitstatus_to_exitcode(status)
    return 141 if code == -signal.SIGPIPE else code, said


def _patience() -> float:
    """Return how many times as long a call may take where others share the cores."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _child(call: Call, said: int) -> None:
    from aenet_gpr_cli.cli.main import main

    code = 99
    try:
        os.chdir(call.folder)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logging.getLogger("aenet_gpr_cli").handlers.clear()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit_memory(MIB_MORE)
        sys.argv = ["aenet-gpr", *call.arguments]
        if call.prepare is not None:
            call.prepare()
        with threadpool_limits(1):  # the threads of the parent are not in this process
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:  # before the command line listens
        code = 141
    except BaseException as error:
        with contextlib.suppress(BaseException):
            print(f"Traceback: {error!r} left main", file=sys.stderr)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(code)


def limit_memory(mib: int) -> None:
    """Let this process have so much memory more than it has."""
    limit = psutil.Process().memory_info().vms + mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def clear(folder: Path) -> None:
    """Empty a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder; links and folders by what they are."""
    found = {}
    for here, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(here, name)
            short = os.fsdecode(os.path.relpath(path, os.fsencode(folder)))
            found[short] = _content(path)
    return found


def _content(path: bytes) -> str:
    if os.path.islink(path):
        return f"link to {os.fsdecode(os.readlink(path))}"
    if not os.path.isfile(path):
        return "folder"
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _changes(before: dict[str, str], after: dict[str, str], code: int) -> list[str]:
    wrong = [
        f"{name} changed"
        for name, content in before.items()
        if after.get(name) != content and ".checkpoint" not in name
    ]
    new = [name for name in after if name not in before]
    wrong += [f"{name} made outside the output" for name in new if not name.startswith("out/")]
    if code != 75:  # where work is kept
        wrong += [f"{name} left behind" for name in new if name.endswith((".tmp", ".lock"))]
    return wrong
