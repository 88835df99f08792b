"""Learnt rows of data larger than memory: from a random pool, and chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.learning import stream_pool


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(stream_pool, "POOL_ROWS", 600)


def problem(n=2000, n_classes=3):
    rng = np.random.default_rng(0)
    y = rng.choice(n_classes, n)
    centres = 3 * np.random.default_rng(1).normal(size=(n_classes, 4))
    return centres[y] + rng.normal(size=(n, 4)), y


def chunks(X, y, size=300):
    for start in range(0, len(X), size):
        yield X[start : start + size], y[start : start + size]


def test_iterable_of_chunks():
    X, y = problem()
    model = DistilledClassifier(distiller=DatasetDistiller(12, max_iter=60, random_state=0))
    model.fit(chunks(X, y))
    assert model.distilled_.sample_weight.sum() == pytest.approx(2000)
    assert model.score(X, y) > 0.9


def test_chunk_by_chunk():
    X, y = problem()
    late = y.copy()
    late[-200:] = 7
    X[-200:] += 8
    distiller = DatasetDistiller(16, max_iter=60, random_state=0)
    for part, labels in chunks(X, late, 600):
        distiller.partial_fit(part, labels)
    assert distiller.classes_.tolist() == [0, 1, 2, 7]
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(2000)
    outputs = distiller.make_predictor().predict(X)
    assert (distiller.classes_[outputs.argmax(1)] == late).mean() > 0.85
    with pytest.raises(ValueError, match="X has 3 features, but DatasetDistiller is expecting 4"):
        distiller.partial_fit(X[:, :3], y)
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(2000)


def test_goes_on_from_the_rows_before():
    X, y = problem(900)
    distiller = DatasetDistiller(9, max_iter=40, random_state=0).partial_fit(X[:450], y[:450])
    before = distiller.distilled_.X
    distiller.set_params(max_iter=0).partial_fit(X[450:], y[450:])
    np.testing.assert_allclose(distiller.distilled_.X, before, atol=1e-5)
