"""Error measures of predictions, calibration of σ, and what the benchmark compares."""

__all__ = [
    "calibration",
    "clusters",
    "crossing",
    "error_sums",
    "metrics",
    "parity_samples",
    "stress_errors",
    "verdict",
]
