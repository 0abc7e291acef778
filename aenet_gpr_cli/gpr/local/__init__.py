"""The local process: sparse, on atomic environments, for any composition and cell; one for all subsets."""

__all__ = ["design", "environments", "local_fit", "local_model"]
