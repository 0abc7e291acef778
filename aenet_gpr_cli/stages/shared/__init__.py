"""What several stages share: context and table, processes and signals, parts by subset, predictors, bulk."""

__all__ = [
    "bulk",
    "context",
    "many_subsets",
    "model_keys",
    "outputs",
    "predictors",
    "processes",
    "signals",
    "subset_parts",
    "torchrun",
]
