"""Training that runs out of memory: smaller batches, then the best rows so far."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from skdistill import DatasetDistiller
from skdistill.objectives import KernelRidge


def limited(monkeypatch, most_rows, first_steps=0):
    """Let the steps of learnt rows fail on batches of more rows, after the first steps."""
    genuine, sizes = KernelRidge.gradients, []

    def failing(self, support, batch, weights, names):
        sizes.append(len(batch.rows))
        if len(sizes) > first_steps and sizes[-1] > most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return genuine(self, support, batch, weights, names)

    monkeypatch.setattr(KernelRidge, "gradients", failing)
    return sizes


@pytest.mark.parametrize("n", [200, 2600])  # held out in parts, and one part
def test_steps_out_of_memory_go_on_with_smaller_batches(n, monkeypatch):
    X = np.random.default_rng(0).normal(size=(n, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    sizes = limited(monkeypatch, 40, first_steps=10)
    distiller = DatasetDistiller(8, init="kmeans", batch_size=100, max_iter=30, random_state=0)
    with pytest.warns(RuntimeWarning) as told:
        distiller.fit(X, y)
    assert "Out of memory: going on with batches of 25 rows." in [str(w.message) for w in told]
    assert {100, 50, 25} <= set(sizes)
    assert distiller.n_iter_ > 12
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(n)


@pytest.mark.parametrize("n", [200, 2600])
def test_steps_that_memory_is_never_enough_for_leave_the_best_rows(n, monkeypatch):
    X = np.random.default_rng(0).normal(size=(n, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    limited(monkeypatch, 0, first_steps=15)
    distiller = DatasetDistiller(8, init="kmeans", batch_size=100, max_iter=30, random_state=0)
    with pytest.warns(RuntimeWarning) as told:
        distiller.fit(X, y)
    assert any(re.match(r"Out of memory after \d+ steps: the best", str(w.message)) for w in told)
    assert np.isfinite(distiller.distilled_.X).all()
    limited(monkeypatch, 0)
    with pytest.raises((torch.OutOfMemoryError, MemoryError)), pytest.warns(RuntimeWarning):
        distiller.fit(X, y)  # there is nothing to keep
