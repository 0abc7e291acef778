"""Configurations: which keys a stage has, and the one way from YAML and the command line to them."""

__all__ = [
    "annotate",
    "idle_keys",
    "json_schema",
    "keys",
    "reading",
    "recipes",
    "slurm_config",
    "stages",
    "workflow_config",
]
