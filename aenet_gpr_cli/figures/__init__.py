"""Pictures: one module for each kind, from numbers to a figure of matplotlib; nothing is read or fitted."""

__all__ = [
    "active_curves",
    "benchmark_plot",
    "energy_curves",
    "energy_distributions",
    "error_bars",
    "label_differences",
    "learning_curves",
    "parity_plot",
    "spread_plot",
    "structure_views",
    "style",
    "sweep_curves",
]
