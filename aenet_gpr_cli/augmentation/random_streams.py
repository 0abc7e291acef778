"""Random numbers of each copy, keyed by seed, name of the parent and number of the copy.

Order, sharding and batches therefore change nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.special import ndtri

from aenet_gpr_cli.structures import FloatArray

PHILOX_WORDS = 4  # 64-bit numbers per step of the counter of the Philox generator


def standard_normal(seed: int, name: str, n_copies: int, size: int, first_copy: int = 0) -> FloatArray:
    """Return standard normal numbers for each copy, keyed by (seed, name, copy).

    Parameters
    ----------
    seed : int
    name : str
        Of the parent.
    n_copies, size : int
        Numbers per copy.
    first_copy : int

    Returns
    -------
    ndarray of shape (n_copies, size), dimensionless
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    steps = -(-size // PHILOX_WORDS)  # whole steps of the counter: copy c starts at c * steps
    generator.advance(first_copy * steps)
    raw = generator.random_raw(n_copies * steps * PHILOX_WORDS).reshape(n_copies, -1)[:, :size]
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # 53 bits, never 0 or 1
    return ndtri(uniform)
