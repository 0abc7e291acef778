"""What several stages share: context and table, processes and signals, parts by subset, predictors."""

__all__ = [
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
