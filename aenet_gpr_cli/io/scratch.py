"""Numbers on disk for the time of a run: a file without a name, which goes with the process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from aenet_gpr_cli.errors import ResourceError
from aenet_gpr_cli.structures import FloatArray


class ScratchRows:
    """Rows of float32 in an unnamed file, as `FeatureRows` asks for. Nothing of it stays in memory.

    Parameters
    ----------
    folder : Path
        Where there is space.
    width : int
        Numbers per row.

    Raises
    ------
    ResourceError
        From `append`, if the disk is full.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self.width, self._folder = width, folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the rows)
        self._row = 4 * width

    def append(self, rows: FloatArray) -> None:
        """Write rows at the end."""
        try:
            self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())
            self._file.flush()
        except OSError as error:
            raise ResourceError(
                f"{self._folder}: cannot keep the descriptors there ({error.strerror}); make space, or raise "
                "max_memory_gib to hold them in memory"
            ) from error

    def read(self, start: int, stop: int) -> FloatArray:
        """Return the rows start … stop-1, float64."""
        size = (stop - start) * self._row
        data = bytearray(size)
        view, offset = memoryview(data), start * self._row
        while len(view):
            got = os.preadv(self._file.fileno(), [view], offset)
            if not got:
                raise ResourceError(f"{self._folder}: the descriptors kept there are cut short")
            view, offset = view[got:], offset + got
        return np.frombuffer(data, np.float32).reshape(stop - start, self.width).astype(float)
