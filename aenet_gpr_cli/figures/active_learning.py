"""Error against the number of reference calculations, as active learning goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.figures.style import DOUBLE_COLUMN, mode_style, new_figure, print_style
from aenet_gpr_cli.units import MEV_PER_EV

Curve = Sequence[tuple[int, float, float]]


def plot(curves: Mapping[str, Curve]) -> Figure:
    """Draw energy and force errors of one or several models.

    Parameters
    ----------
    curves : mapping of str to sequence of (int, float, float)
        Model → number of training structures, error of ‖F‖ (eV/Å), error of the energy (eV).

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If there is no curve.
    """
    if not any(curves.values()):
        raise InputError("active learning: expected at least one round, got none")
    with print_style():
        figure = new_figure(DOUBLE_COLUMN, 2.6)
        energies, forces = figure.subplots(1, 2)
        for name, curve in curves.items():
            style = mode_style(name)
            numbers = [n for n, _, _ in curve]
            look = {"color": style.color, "marker": style.marker, "label": style.label}
            energies.plot(numbers, [e * MEV_PER_EV for _, _, e in curve], **look)
            forces.plot(numbers, [f for _, f, _ in curve], **look)
        for axis, quantity in ((energies, "energy MAE / meV"), (forces, "‖F‖ MAE / eV/Å")):
            axis.set_yscale("log")
            axis.set_xlabel("reference calculations")
            axis.set_ylabel(quantity)
        forces.legend()
    return figure
