"""`fit-gpr`: candidates, search, fit of each subset."""

__all__ = ["contest", "fit_gpr_stage", "fit_local_stage", "join_fits", "model_kinds"]
