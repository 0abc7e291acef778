"""`md`: molecular dynamics with a fitted model, kept as it goes, stopped where the model knows nothing."""

__all__ = ["md_stage"]
