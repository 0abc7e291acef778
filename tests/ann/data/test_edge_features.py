"""A feature that hardly varies in training, and does elsewhere, must not decide the energy."""

import numpy as np

from aenet_gpr_cli.ann.data.training_set import TrainingSet
from aenet_gpr_cli.ann.potential.prediction import predict
from aenet_gpr_cli.ann.training import train
from aenet_gpr_cli.ann.training_settings import LevenbergMarquardt
from aenet_gpr_cli.descriptors.chebyshev.chebyshev_basis import ChebyshevBasis
from tests.ann.ann_helpers import changed, labelled


def triangles(lengths):
    """Equilateral triangles of hydrogen, sides in Å."""
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0]])
    return labelled(("H", "H", "H"), lengths[:, None, None] * corners)


def test_atoms_that_come_a_little_closer_than_in_training_make_no_hole(settings):
    """The angular cutoff lies at the shortest distance of training: its features are 1e-8 there."""
    basis = ChebyshevBasis(("H",), 4.0, 6, 1.3, 2)
    data = TrainingSet.collect([triangles(np.linspace(1.2935, 2.2, 40))], [], None)
    optimiser = LevenbergMarquardt(iterations=40, window_gain=0.0)
    keys = changed(settings, n_members=4, optimizer=optimiser, validation_fraction=0.0, hidden=(5,))
    closer = triangles(np.array([1.27, 1.25]))
    found = predict(train(data, basis, keys, 1).model, closer, False, 10)[0]
    assert np.abs(found - closer.energies).max() < 0.01
