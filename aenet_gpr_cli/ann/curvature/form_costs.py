"""Which form of JᵀJ suits a training, and what it takes."""

from __future__ import annotations

FEWER = 0.7  # rows for each weight below which rows are kept: the times are as the square of this ratio


def are_fewer(n_rows: float, n_weights: int) -> bool:
    """Return whether it pays to hold so many rows, rather than a matrix as large as the weights."""
    return n_rows < FEWER * n_weights


def forecast_bytes(n_rows: float, n_weights: int, n_groups: int) -> int:
    """Return the memory of what is held for one member, with a factor, on one CPU."""
    if are_fewer(n_rows, n_weights):
        return bytes_of_rows(n_rows, n_weights, n_groups)
    return bytes_summed(n_weights, 1)


def bytes_of_rows(n_rows: float, n_weights: int, n_groups: int) -> int:
    """Return the memory of rows, of their products by group of weights, and of a factor."""
    return int(8 * n_rows * ((n_groups + 2) * n_rows + 2 * n_weights))


def bytes_summed(n_weights: int, n_kinds: int) -> int:
    """Return the memory of JᵀJ, of all rows and of each of several kinds, and of a factor."""
    return 8 * n_weights**2 * (4 if n_kinds == 1 else 3 + n_kinds)
