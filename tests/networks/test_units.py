"""Units of features and channels against their definitions on repeated rows, in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdistill import _torch as torch
from skdistill._input.rows import Units
from skdistill.networks import MLP, ConvFeatures, ConvNet, NetworkClassifier, _units

SHAPE = (2, 3, 4)


@pytest.fixture
def repeated(monkeypatch):
    """Rows, weights and the rows so often repeated; several blocks."""
    monkeypatch.setattr(_units, "BLOCK_ROWS", 16)
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(50, 24)) * rng.uniform(1, 9, 24) + 100).astype(np.float32)
    weight = rng.integers(0, 4, 50)
    return X, weight, X.astype(np.float64).repeat(weight, axis=0)


def test_features(repeated):
    X, weight, rows = repeated
    mean, deviation = _units.feature_units(X, weight / weight.sum())
    assert_allclose(mean, rows.mean(0))
    assert_allclose(deviation, rows.std(0))


def test_channels(repeated):
    X, weight, rows = repeated
    mean, deviation = _units.channel_units(X, weight / weight.sum(), SHAPE)
    for channel in (slice(0, 12), slice(12, 24)):
        assert_allclose(mean[channel], rows[:, channel].mean())
        assert_allclose(deviation[channel], rows[:, channel].std())


def test_a_constant_channel_has_no_unit(repeated):
    X, weight, _ = repeated
    X[:, 12:] = 0.1
    _, deviation = _units.channel_units(X, weight / weight.sum(), SHAPE)
    assert np.isfinite(deviation[:12]).all() and np.isinf(deviation[12:]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_conversion_is_in_double_precision(dtype):
    X = np.random.default_rng(0).integers(0, 255, (9000, 64)).astype(dtype)  # two blocks
    units = Units(np.linspace(0, 255, 64), np.linspace(0.01, 1, 64))
    found = units.convert(X, np.float32)
    assert found.dtype == np.float32
    expected = (X.astype(np.float64) - units.shift) * units.factor
    np.testing.assert_array_equal(found, expected.astype(np.float32))


IMAGES = (None, SHAPE)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
@pytest.mark.parametrize("cell", [1e6, -1e12])
def test_outliers_are_out_of_the_units(shape, dtype, cell):
    """One cell, and one in every feature, of as many rows; which weigh as much as they stand."""
    rng = np.random.default_rng(0)
    X = (100 * rng.normal(size=(1000, 24)) + 300).astype(dtype)
    weight = rng.integers(1, 3, 1000).astype(float)
    plain = _units.network_units(X, weight, shape)
    assert plain.limits is None
    some, all_of_them = X.copy(), X.copy()
    some[7, 3] = all_of_them[np.arange(24), np.arange(24)] = cell
    for spoilt in (some, all_of_them):
        found = _units.network_units(spoilt, weight, shape)
        assert_allclose(found.shift, plain.shift, rtol=0.05)
        assert_allclose(found.factor, plain.factor, rtol=0.05)
        rows = found.convert(spoilt, np.float64)
        assert np.abs(rows).max() < 6
        assert_allclose(
            found.load(spoilt, torch.float64, "cpu").numpy(), rows, rtol=1e-5, atol=1e-5
        )
        twice = _units.network_units(
            spoilt.repeat(weight.astype(int), 0), np.ones(int(weight.sum())), shape
        )
        np.testing.assert_array_equal(found.limits, twice.limits)


@pytest.mark.parametrize(
    "column",
    [
        np.arange(200) == 3,  # rare, but all that varies
        np.random.default_rng(0).standard_t(3, 200),
        np.exp(2 * np.random.default_rng(0).normal(size=200)),
        np.append(np.zeros(195), [1, 1, 2, 50, 150]),
        np.append(np.random.default_rng(0).normal(size=100), np.full(100, 1e9)),  # two clusters
        np.array([0, 1, 2, 1e9]),  # four rows say nothing
    ],
    ids=["indicator", "heavy tails", "skewed", "counts", "clusters", "few rows"],
)
def test_ordinary_features_have_no_limits(column):
    X = column[:, None].astype(float)
    weight = np.ones(len(X))
    share = weight / weight.sum()
    assert _units.outlier_limits(X, share) is None
    units, (mean, deviation) = _units.network_units(X, weight), _units.feature_units(X, share)
    assert units.shift == mean and units.factor == 1 / deviation


def test_networks_do_not_see_a_huge_cell(digits):
    X, X_test, y, y_test = digits
    X, y = X[:300].copy(), y[:300]
    for shape, network in ((None, MLP(32)), ((1, 8, 8), ConvNet(width=8, depth=2))):
        model = NetworkClassifier(
            network, image_shape=shape, n_epochs=40, learning_rate=0.1, random_state=0
        )
        scores = []
        for cell in (X[5, 20], 1e12):
            spoilt = X.copy()
            spoilt[5, 20] = cell
            scores.append(model.fit(spoilt, y).score(X_test, y_test))
        assert min(scores) > max(0.7, scores[0] - 0.03)


def test_convolutional_features_do_not_see_a_huge_cell(digits):
    X = digits[0][:300].copy()
    features = ConvFeatures((1, 8, 8), n_filters=32, random_state=0)
    Z = features.fit_transform(X)
    spoilt = X.copy()
    spoilt[5, 20] = 1e12
    found = features.fit_transform(spoilt)
    rest = np.arange(len(X)) != 5
    assert np.isfinite(found).all() and np.ptp(found[5]) < 2 * np.ptp(Z[rest])
    assert (
        np.corrcoef((found[rest] @ found[rest].T).ravel(), (Z[rest] @ Z[rest].T).ravel())[0, 1]
        > 0.9
    )
