"""A file for HDF5 to write into that keeps a full disk to itself until it is asked.

When HDF5 cannot write, it can no longer be closed: it ends the process by a segmentation fault, or fails with
another message (seen with HDF5 1.14). So some space is held back; when the disk is full it is given free, the
failure is noted, HDF5 goes on as if nothing had happened, and the one who writes asks afterwards.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

RESERVE_BYTES = 4 * 2**20  # more than HDF5 keeps in its buffers


class NotingFile(io.FileIO):
    """A file whose failed writes are noted instead of raised.

    Parameters
    ----------
    path : Path
        Made anew; the space held back is a file beside it until this one is closed.

    Attributes
    ----------
    failure : OSError or None
        The first error.

    Raises
    ------
    OSError
        If there is not even space to hold back.
    """

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._reserve = path.with_name(f"{path.name.removesuffix('.tmp')}.reserve.tmp")
        super().__init__(path, "w+")
        try:
            with self._reserve.open("wb") as held:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(held.fileno(), 0, RESERVE_BYTES)
                else:
                    held.write(bytes(RESERVE_BYTES))
        except OSError:
            self.close()
            raise

    def write(self, data: Any, /) -> int:
        """Write everything; what does not fit any more after the reserve is lost, which is noted."""
        rest = memoryview(data).cast("B")
        total = len(rest)
        while len(rest):
            try:
                written = super().write(rest)
            except OSError as error:
                if self.failure is not None:
                    break
                self._note(error)
            else:
                rest = rest[written:]
        return total

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size, or note why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._note(error)
            return size or 0

    def raise_failure(self) -> None:
        """Raise the first error, if there was one.

        Raises
        ------
        OSError
        """
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Close, and give the reserve free."""
        self._reserve.unlink(missing_ok=True)
        super().close()

    def _note(self, error: OSError) -> None:
        self.failure = self.failure or error
        self._reserve.unlink(missing_ok=True)
