"""Units of features and channels against their definitions on repeated rows, in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdistill._input.rows import Units
from skdistill.networks import _units

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
