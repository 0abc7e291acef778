"""Rows of J = ∂ρ/∂W, JᵀJ summed or by its rows, and solutions of (JᵀJ + damping) x = y."""

__all__ = [
    "damped_solver",
    "form_costs",
    "interface",
    "jacobian_numba",
    "jacobian_torch",
    "linearise",
    "normal_equations",
]
