"""Independent pieces of work, one after another or side by side in processes of their own.

Processes are spawned, fed and read through pipes; they share the cores. Progress and log lines come back to
the parent, which alone listens to signals. One failure does not end the others.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

from aenet_gpr_cli.errors import AenetGprError, InterruptedRun, ResourceError
from aenet_gpr_cli.stages.shared.context import GO_ON, Context, log
from aenet_gpr_cli.stages.shared.signals import SIGNALS

SECONDS_BETWEEN_LOOKS = 0.5  # at the request to stop, while nothing comes from the processes
SECONDS_TO_LEAVE = 5.0  # for an idle process to end by itself
STOP = "stop"

Work = Callable[..., Any]
Tell = Callable[[str, int, int, str], None]  # name of a task; done, total, message


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(
    work: Work,
    tasks: Mapping[str, tuple[Any, ...]],
    workers: int,
    context: Context,
    said: Mapping[str, str] | None = None,
    tell: Tell | None = None,
) -> Generator[tuple[str, Any], None, None]:
    """Yield the result of each task, or the exception that ended it, as they finish.

    Parameters
    ----------
    work : callable
        A function of a module, called with the arguments of a task and a progress callable. Arguments and
        results are plain data.
    tasks : mapping of str to tuple
        Arguments by the name of the task.
    workers : int
        Processes; with 1 everything happens in this one.
    said : mapping of str to str, optional
        What the progress says of a task; default: that it works on the name of it.
    tell : callable, optional
        Takes the progress of tasks, each with its name, in place of the context, which counts tasks.

    Yields
    ------
    result : object
        What ``work`` returned, or the exception.

    Raises
    ------
    InterruptedRun
        If the context asked to stop before all were finished.

    Notes
    -----
    Those who ask for tasks keep what was finished, in a checkpoint. Each process has its share of the threads
    of this one. Results do not depend on the order, and on the number of processes only through the rounding
    of products that are divided among other numbers of threads.
    """
    context = replace(context, keeps=True)
    workers, said = min(workers, len(tasks)), said or {name: f"working on {name}" for name in tasks}
    if workers > 1:
        yield from _Pool(work, tasks, workers, context, said, tell).results()
        return
    for number, (name, arguments) in enumerate(tasks.items()):
        if tell is None:
            own = context
            own.report(number, len(tasks), said[name])
        else:
            own = replace(context, progress=partial(tell, name))
        try:
            result = work(*arguments, own.report)
        except InterruptedRun:
            raise
        except Exception as error:
            result = error
        yield name, result


@dataclass(slots=True)
class _Worker:
    """A process, this end of its pipe, and the task it is at."""

    process: Any
    connection: Connection
    task: str


class _Pool:
    def __init__(
        self,
        work: Work,
        tasks: Mapping[str, tuple[Any, ...]],
        workers: int,
        context: Context,
        said: Mapping[str, str],
        tell: Tell | None,
    ) -> None:
        self.work, self.tasks, self.context, self.said, self.tell = work, tasks, context, said, tell
        self.waiting = deque(tasks)
        self.threads = max(1, max((pool["num_threads"] for pool in threadpool_info()), default=1) // workers)
        self.busy: dict[Connection, _Worker] = {}
        self.n_workers, self.n_done, self.stopping = workers, 0, False

    def results(self) -> Iterator[tuple[str, Any]]:
        try:
            for _ in range(self.n_workers):
                self._start()
            while self.busy:
                for connection in wait(list(self.busy), SECONDS_BETWEEN_LOOKS):
                    yield from self._receive(self.busy[connection])  # type: ignore[index]
                if self.context.stop() and not self.stopping:
                    self._stop()
        finally:
            for worker in self.busy.values():
                worker.process.kill()
                worker.process.join()
        if self.n_done < len(self.tasks):
            raise InterruptedRun(f"{self.n_done} of {len(self.tasks)} finished. {GO_ON}")

    def _start(self) -> None:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, self.work, self.threads, log.getEffectiveLevel()), daemon=True
        )
        process.start()
        theirs.close()  # so that the pipe ends when the process does
        self._feed(_Worker(process, ours, ""))

    def _feed(self, worker: _Worker) -> None:
        """Give the next task, or let the process go."""
        if not self.waiting:
            self.busy.pop(worker.connection, None)
            worker.connection.close()
            worker.process.join(SECONDS_TO_LEAVE)
            return
        worker.task = self.waiting.popleft()
        self.busy[worker.connection] = worker
        with contextlib.suppress(OSError):  # it died; reading from the pipe shows it
            worker.connection.send(self.tasks[worker.task])

    def _receive(self, worker: _Worker) -> Iterator[tuple[str, Any]]:
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            self.n_done += 1
            yield worker.task, self._bury(worker)
            return
        if kind == "progress":
            done, total, message = content
            if self.tell is not None:
                self.tell(worker.task, done, total, message)
                return
            text = f"{self.said[worker.task]}: {message} {done}/{total}"
            self.context.progress(self.n_done, len(self.tasks), text)
        elif kind == "log":
            log.log(*content)
        else:
            name, interrupted = worker.task, isinstance(content, InterruptedRun)
            self.n_done += not interrupted
            self._feed(worker)
            if not interrupted:
                yield name, content

    def _bury(self, worker: _Worker) -> ResourceError:
        del self.busy[worker.connection]
        worker.process.join()
        code = worker.process.exitcode
        if self.waiting:
            self._start()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return ResourceError(f"its process was {how}, perhaps because the memory was full; use fewer workers")

    def _stop(self) -> None:
        self.stopping = True
        self.waiting.clear()
        for worker in self.busy.values():
            with contextlib.suppress(OSError):  # it died; reading from the pipe shows it
                worker.connection.send(STOP)


class _ToParent(logging.Handler):
    """Sends log lines through the pipe."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self.connection.send(("log", (record.levelno, "%s", record.getMessage())))


def _serve(connection: Connection, work: Work, threads: int, level: int) -> None:
    """Work on tasks until the pipe ends: what a process does."""
    for number in SIGNALS:  # a terminal or a scheduler may send them to all processes; the parent decides
        signal.signal(number, signal.SIG_IGN)
    log.handlers[:], log.propagate = [_ToParent(connection)], False
    log.setLevel(level)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(min(threads, sys.modules["numba"].config.NUMBA_NUM_THREADS))
    with threadpool_limits(threads):
        try:
            while (task := connection.recv()) != STOP:
                connection.send(("result", _attempt(work, task, connection)))
        except (EOFError, OSError):
            return  # the parent is gone, or needs no more


def _attempt(work: Work, task: tuple[Any, ...], connection: Connection) -> Any:
    def report(done: int, total: int, message: str) -> None:
        connection.send(("progress", (done, total, message)))
        if connection.poll():  # nothing but a request to stop, or the parent's end, comes during work
            raise InterruptedRun(message)

    try:
        return work(*task, report)
    except (AenetGprError, MemoryError) as error:
        return error
    except BrokenPipeError:  # the parent is gone
        raise
    except Exception as error:
        return _as_bug(error)


def _as_bug(error: Exception) -> RuntimeError:
    """Return an exception that any process can read, with the traceback of the original."""
    bug = RuntimeError(f"{type(error).__name__}: {error}")
    bug.add_note(traceback.format_exc())
    return bug
