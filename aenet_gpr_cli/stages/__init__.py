"""The stages: each reads artefacts, computes, and publishes one artefact."""

__all__ = [
    "active",
    "augment",
    "benchmark",
    "collect_stage",
    "evaluate",
    "exchange_stage",
    "fit_gpr",
    "init_stage",
    "inspection",
    "kept_relaxations",
    "label_stage",
    "md",
    "predict_stage",
    "properties_stage",
    "select_stage",
    "shared",
    "split",
    "submit",
    "train_ann",
    "workflow_steps",
]
