"""Coordinates: distances are those of the scaled rows, and the way back is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdistill.learning.coordinates import (
    Coordinates,
    plain_coordinates,
    robust_coordinates,
    unit_coordinates,
)

CPU = torch.device("cpu")


def pixels(n=300, d=60, seed=0):
    """Rows near a plane of few dimensions."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, 8)) @ rng.normal(size=(8, d)) * 5 + 100 + rng.normal(size=(n, d)) * 0.1
    )


def test_load_and_restore_are_inverse():
    X = np.random.default_rng(0).lognormal(size=(200, 5)) * 10.0 ** np.arange(-2, 3)
    coordinates = robust_coordinates(X, np.ones(200))
    back = coordinates.restore(coordinates.load(X, torch.float64, CPU))
    np.testing.assert_allclose(back, X, rtol=1e-12)


def test_typical_row_has_length_one():
    X = np.random.default_rng(0).normal(size=(2000, 30)) * 7 + 3
    z = robust_coordinates(X, np.ones(2000)).load(X, torch.float64, CPU)
    assert float(z.square().sum(1).median()) == pytest.approx(1, abs=0.1)


def test_outliers_do_not_set_the_unit():
    X = np.random.default_rng(0).normal(size=(1000, 2))
    spoilt = X.copy()
    spoilt[0] = 1e12
    unit = robust_coordinates(spoilt, np.ones(1000)).scale
    np.testing.assert_allclose(unit, robust_coordinates(X, np.ones(1000)).scale, rtol=0.1)


def test_constant_features_have_no_influence_and_keep_their_value():
    X = np.column_stack([np.arange(50.0), np.full(50, 0.1), np.full(50, 1e9)])
    coordinates = robust_coordinates(X, np.ones(50))
    z = coordinates.load(X + np.array([0, 5, 5]), torch.float64, CPU)
    assert (z[:, 1:] == 0).all()
    np.testing.assert_array_equal(coordinates.restore(z + 1)[:, 1:], X[:, 1:])


def test_weight_is_repetition():
    X = np.random.default_rng(0).normal(size=(30, 3))
    weight = np.arange(30) % 3 + 1.0
    one = robust_coordinates(X, weight)
    other = robust_coordinates(np.repeat(X, weight.astype(int), axis=0), np.ones(int(weight.sum())))
    np.testing.assert_allclose(one.center, other.center)
    np.testing.assert_allclose(one.scale, other.scale)


@pytest.mark.parametrize("per_feature", [True, False])
def test_distances_to_the_span_are_exact(per_feature):
    X = pixels()
    coordinates = robust_coordinates(X, np.ones(len(X)), per_feature=per_feature, explained=0.9)
    assert coordinates.basis is not None
    assert coordinates.free == coordinates.width - 1 <= 8
    z = coordinates.load(X, torch.float64, CPU)
    learnt = z[:10].clone()
    learnt[:, -1] = 0
    rows = coordinates.restore(learnt)
    exact = (((X[:, None] - rows[None]) / coordinates.scale) ** 2).sum(-1)
    found = torch.cdist(z, learnt).square().numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-12)


def test_directions_are_left_out_where_they_save_nothing():
    X = np.random.default_rng(0).normal(size=(500, 20))
    assert robust_coordinates(X, np.ones(500), explained=0.975).basis is None


def test_one_constant_row_is_finite():
    X = np.full((1, 4), 3.0)
    for per_feature in (True, False):
        coordinates = robust_coordinates(X, np.ones(1), per_feature=per_feature, explained=0.9)
        assert torch.isfinite(coordinates.load(X, torch.float64, CPU)).all()


def test_unit_features_are_robust_ones_of_another_length():
    X = np.random.default_rng(0).lognormal(size=(300, 5)) * 10.0 ** np.arange(-2, 3)
    X[:, 3] = 7.0
    unit, row = unit_coordinates(X, np.ones(300)), robust_coordinates(X, np.ones(300))
    assert unit.length == 2.0  # of four features that vary
    np.testing.assert_allclose(unit.scale * unit.length, row.scale)
    np.testing.assert_allclose(unit.center, row.center)


def test_channels_have_mean_0_and_deviation_1_by_weight():
    rng = np.random.default_rng(0)
    X = rng.normal([[3.0, -2.0]], [[5.0, 0.1]], size=(40, 2)).repeat(12, axis=1)
    X += rng.normal(size=X.shape)
    weight = np.arange(40) % 3 + 1.0
    coordinates = unit_coordinates(X, weight, (2, 3, 4))
    z = coordinates.load(X, torch.float64, CPU).numpy().reshape(40, 2, 12)
    for channel in range(2):
        part, share = z[:, channel], np.repeat(weight, 12)
        assert np.average(part.ravel(), weights=share) == pytest.approx(0, abs=1e-9)
        assert np.average(part.ravel() ** 2, weights=share) == pytest.approx(1)
    assert len(np.unique(coordinates.scale)) == len(np.unique(coordinates.center)) == 2


def test_a_constant_channel_has_no_influence():
    X = np.column_stack([np.random.default_rng(0).normal(size=(20, 4)), np.full((20, 4), 0.1)])
    coordinates = unit_coordinates(X, np.ones(20), (2, 2, 2))
    z = coordinates.load(X + 5, torch.float64, CPU)
    assert (z[:, 4:] == 0).all()
    np.testing.assert_allclose(coordinates.restore(z + 1)[:, 4:], 0.1)
    assert coordinates.length == 2.0


def test_plain_coordinates_change_nothing():
    X = np.arange(6, dtype=np.uint8).reshape(2, 3)
    z = plain_coordinates(3).load(X, torch.float32, CPU)
    np.testing.assert_array_equal(z.numpy(), X)


def test_input_is_not_changed():
    X = np.random.default_rng(0).normal(size=(20, 3))
    X.flags.writeable = False
    before = X.copy()
    Coordinates(np.ones(3), np.full(3, 2.0)).load(X, torch.float64, CPU)
    np.testing.assert_array_equal(X, before)
