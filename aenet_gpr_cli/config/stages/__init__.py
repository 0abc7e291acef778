"""Keys of each stage: the settings of the numerics, and what a stage needs besides."""

__all__ = [
    "active_config",
    "augment_config",
    "benchmark_config",
    "fit_gpr_config",
    "md_config",
    "prediction_config",
    "properties_config",
    "split_config",
    "train_ann_config",
]
