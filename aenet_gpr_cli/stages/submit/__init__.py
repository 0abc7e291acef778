"""`submit`: a workflow as jobs of SLURM, and forecasts of the time, cores and memory that stages take."""

__all__ = ["forecast", "submit_stage"]
