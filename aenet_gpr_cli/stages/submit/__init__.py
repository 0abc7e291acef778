"""`submit`: a workflow as jobs of SLURM, with the time, cores and memory that they ask for."""

__all__ = ["submit_stage"]
