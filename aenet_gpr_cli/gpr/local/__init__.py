"""The local process: sparse, on atomic environments, for any composition and cell; one for all subsets."""

__all__ = [
    "accumulation",
    "costs",
    "design",
    "environments",
    "learned_metric",
    "local_fit",
    "local_left_out",
    "local_model",
    "posterior",
    "virials",
]
