"""`active`: rounds of the other stages."""

__all__ = ["active_stage", "active_table"]
