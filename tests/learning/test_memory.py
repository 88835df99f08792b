"""What a fit holds in memory: coordinates once, codes instead of one-hot classes, no copy of X."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skdistill import DatasetDistiller, distiller
from skdistill.batches.one_hot import OneHot
from skdistill.learning import coordinates, course, runner
from skdistill.learning.starts import kmeans_start
from skdistill.learning.trainer import train
from skdistill.objectives import TrainingSet


@pytest.mark.parametrize(
    "index", [slice(None), slice(2, 7), torch.tensor([3, 3, 0]), torch.tensor([], dtype=torch.long)]
)
def test_one_hot_rows_are_those_of_the_dense_matrix(index):
    codes = torch.arange(10) % 4
    targets, dense = OneHot(codes, 4), torch.eye(4, dtype=torch.float64)[codes]
    torch.testing.assert_close(targets[index], dense[index])
    torch.testing.assert_close(targets.subset(index)[:], dense[index])
    assert targets.shape == dense.shape


def test_parts_of_one_hot_rows_are_views():
    codes = torch.arange(10) % 4
    part = OneHot(codes, 4).subset(slice(2, 7))
    assert part.codes.untyped_storage().data_ptr() == codes.untyped_storage().data_ptr()


def test_classes_are_held_as_codes_and_once(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2500, 3)), rng.integers(0, 7, 2500)
    found = []

    def watching(trainer):
        found.append((trainer.data, trainer.held_out))
        return train(trainer)

    monkeypatch.setattr(runner, "train", watching)
    DatasetDistiller(7, gamma=0.5, max_iter=2, random_state=0).fit(X, y)
    (parts,) = found
    memory = set()
    for part in parts:
        assert isinstance(part.targets, OneHot)
        assert_array_equal(part.targets[:].argmax(1), part.codes)
        memory |= {t.untyped_storage().data_ptr() for t in (part.codes, part.targets.codes)}
    assert len(memory) == 1


def test_repeated_rows_cost_no_copy_of_the_rows(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    X[2000:] = X[:1000]
    problems = []

    def watching(problem, *args):
        problems.append(problem)
        return course.learn(problem, *args)

    monkeypatch.setattr(distiller, "learn", watching)
    options = {"gamma": 0.5, "max_iter": 2, "random_state": 0}
    repeated = DatasetDistiller(5, **options).fit(X, X[:, 0])
    weight = np.repeat([2.0, 1.0], 1000)
    weighted = DatasetDistiller(5, **options).fit(X[:2000], X[:2000, 0], sample_weight=weight)
    (problem, _) = problems
    assert len(problem) == 2000
    assert np.shares_memory(problem.X, X)
    assert_array_equal(repeated.distilled_.X, weighted.distilled_.X)


def test_quantiles_of_a_few_columns_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    X, share = rng.normal(size=(50, 7)), rng.dirichlet(np.ones(50))
    expected = coordinates._weighted_quantiles(X, share, (0.25, 0.5, 0.75))
    monkeypatch.setattr(coordinates, "_QUANTILE_ELEMENTS", 150)
    assert_array_equal(coordinates._weighted_quantiles(X, share, (0.25, 0.5, 0.75)), expected)


@pytest.mark.parametrize("n_distinct", [3, 5])
def test_few_distinct_rows_are_their_own_centres(n_distinct):
    rows = torch.randn(n_distinct, 2, generator=torch.Generator().manual_seed(0)).double()
    data = TrainingSet(rows[torch.arange(40) % n_distinct], None, torch.ones(40))
    centres = kmeans_start(data, 5, np.random.RandomState(0)).rows
    assert centres.shape == (5, 2)
    assert_array_equal(np.unique(centres, axis=0), np.unique(rows, axis=0))
