"""Signals that ask a run to stop: noted at once, obeyed between units of work.

SIGTERM and SIGUSR1 are what schedulers send before the time is up, SIGINT is Ctrl-C, SIGHUP the end of a
terminal (ignored where it was ignored before, as by nohup). The stages poll the request (see
`context.Context`); a second signal stops at once, unless it only repeats the first: schedulers send theirs to
the shell, which passes it on, and to its children.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

NAMES = ("SIGTERM", "SIGUSR1", "SIGINT", "SIGHUP")
_HANG_UP: Any = getattr(signal, "SIGHUP", None)
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))

SECONDS_OF_ONE_REQUEST = 10.0
SECONDS_UNTIL_AGAIN = 0.02  # by then a destructor or callback has ended


class StopRequest:
    """Whether a signal has asked this process to stop; calling it asks.

    Attributes
    ----------
    name : str or None
        Name of the signal.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._since = 0.0

    def __call__(self) -> bool:
        """Return True once a signal has come."""
        return self.name is not None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; a second one raises KeyboardInterrupt."""
        if self.name is not None:
            soon = time.monotonic() - self._since < SECONDS_OF_ONE_REQUEST
            if soon and signal.Signals(number) is not signal.SIGINT:
                return
            raise KeyboardInterrupt
        self._since = time.monotonic()
        self.name = signal.Signals(number).name
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone
            print(f"{self.name}: stopping after the current step; once more to stop at once", file=sys.stderr)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn signals into a request to stop while the block runs; afterwards they act as before.

    Notes
    -----
    Outside the main thread, where Python allows no handlers, signals act as always.
    """
    request = StopRequest()
    with _handled(request.receive):
        yield request


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let all these signals end the block as Ctrl-C does, by KeyboardInterrupt: nothing is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt), _never_lost():
        try:
            yield
        except Exception as error:
            if KeyboardInterrupt.__name__ in str(error):  # pydantic makes errors of what ends its building
                raise KeyboardInterrupt from error
            raise


@contextlib.contextmanager
def _never_lost() -> Iterator[None]:
    """Interrupt again where Python drops a KeyboardInterrupt: destructors and callbacks can raise nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, main_thread = sys.unraisablehook, threading.get_ident()
    again: list[threading.Timer] = []

    def hook(dropped: Any, /) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            before(dropped)
            return
        timer = threading.Timer(SECONDS_UNTIL_AGAIN, signal.pthread_kill, (main_thread, signal.SIGINT))
        timer.daemon = True
        timer.start()
        again.append(timer)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in again:
            timer.cancel()


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listening = [n for n in SIGNALS if n is not _HANG_UP or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in listening}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
