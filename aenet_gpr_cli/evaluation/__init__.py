"""Error measures, and measurements of time and memory."""

__all__ = ["calibration", "clusters", "crossing", "error_sums", "metrics", "parity_samples"]
