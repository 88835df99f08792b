"""Several starts make a few steps each, and training goes on from the best."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from small_problems import generator

from skdistill import DatasetDistiller
from skdistill.kernels import Kernel
from skdistill.learning.race import best_start
from skdistill.learning.trainer import TrainingOptions
from skdistill.objectives import Context, KernelRidge, TrainingSet

CPU = torch.device("cpu")


def rings(n=600):
    g = generator(0)
    rows = torch.randn(n, 2, generator=g)
    codes = torch.bucketize(rows.norm(dim=1), torch.tensor([0.8, 1.5]))
    return TrainingSet(rows, torch.eye(3)[codes], torch.ones(n), codes)


def technique(kernel="rbf"):
    objective = KernelRidge()
    objective.setup(Context("classes", 12, 2, 3, Kernel(kernel, 1.0), generator(1), CPU))
    return objective


def supports(kernel="rbf"):
    """Twelve rows of all rings; twelve times the same row; rows that are not finite."""
    data, objective = rings(), technique(kernel)
    spread, nan = torch.arange(12), torch.full((12, 2), math.nan, dtype=torch.float64)
    alike = torch.zeros(12, dtype=torch.int64)
    made = [(data.rows[i].double(), data.targets[i].double()) for i in (spread, alike)]
    made.append((nan, made[0][1]))
    return [objective.start(*given) for given in made]


def best(given, kernel="rbf", max_iter=None, seed=0):
    data = rings()
    options = TrainingOptions(max_iter=max_iter)
    return given[best_start(lambda: technique(kernel), given, data, data.weight, options, seed)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_best_start_wins_wherever_it_stands(order):
    spread, alike, nan = supports()
    given = [(spread, alike, nan)[k] for k in order]
    before = spread.clone()
    found = best(given)
    assert found is spread
    for name in ("rows", "labels", "dual", "log_scale"):  # training itself begins at the start
        assert_array_equal(found[name].numpy(), before[name].numpy())


def test_all_starts_see_the_same_batches():
    """Of equal starts the first is returned: no loss is less than its own."""
    spread, *_ = supports()
    for seed in range(5):
        given = [spread.clone() for _ in range(3)]
        assert best(given, seed=seed) is given[0]


def test_nothing_to_compare():
    spread, alike, nan = supports()
    assert best([alike]) is alike
    assert best([alike, spread], max_iter=0) is alike
    assert best([nan, nan.clone()]) is nan
    linear = supports("linear")[:2]  # all rows through their moments, and no batches
    assert best(linear[::-1], "linear") is linear[1]


@pytest.mark.filterwarnings("ignore:Training lost:sklearn.exceptions.ConvergenceWarning")
def test_the_start_of_the_default_scores_better():
    """Ten seeds of five steps: the best of some starts is better than one, on average."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (3000, 2))
    y = (np.floor(X).sum(1) % 2).astype(int)

    def accuracy(init, seed):
        distiller = DatasetDistiller(
            14,
            gamma=1.0,
            init=init,
            max_iter=5,
            batch_sampling="uniform",
            early_stopping=False,
            random_state=seed,
        ).fit(X[:600], y[:600])
        outputs = distiller.make_predictor().predict(X[600:])
        return np.mean(outputs.argmax(1) == y[600:])

    gain = [accuracy("auto", seed) - accuracy("uniform", seed) for seed in range(10)]
    assert np.mean(gain) > 2 * np.std(gain, ddof=1) / math.sqrt(len(gain))
