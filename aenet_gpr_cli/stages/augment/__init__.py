"""`augment`: displaced and labelled copies, in blocks."""

__all__ = ["augment_stage", "copy_costs"]
