"""Targets that are moved: against a loop, and what they gain."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_friedman1
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import pairwise_distances

from skdistill.selection.candidates import Recipe
from skdistill.selection.contest import Entry
from skdistill.selection.judge import Judge
from skdistill.selection.part import CLIP, Part
from skdistill.selection.polish import Attempts, exchanged, polish
from skdistill.selection.targets import SHRINKAGE, moved, nearest


def part_of(X, y):
    n = len(X)
    key = np.arange(n, dtype=np.uint64)
    numbers = y.reshape(n, -1).astype(float)
    return Part(X, y, lambda rows: rows, np.arange(n), X, None, numbers, np.ones(n), key, 0)


@pytest.fixture(scope="module")
def part():
    X, y = make_friedman1(1500, noise=1.0, random_state=0)
    return part_of(X, y)


@pytest.mark.parametrize("n_outputs", [None, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_moved_is_the_mean_error_of_near_rows(n_outputs, dtype):
    rng = np.random.default_rng(0)
    shape = (50,) if n_outputs is None else (50, n_outputs)
    y = (10 * rng.normal(size=shape)).astype(dtype)
    part = part_of(rng.normal(size=(50, 3)), y)
    small = part.small_set(np.arange(6), np.ones(6))
    near, error = rng.integers(0, 5, 50), rng.normal(size=shape)  # no row is near to the last
    weight = rng.uniform(0.5, 2, 50)
    got = moved(small, near, error, 7 * weight, 0.3)
    weight = weight / weight.mean()
    for i in range(6):
        own = near == i
        mean = (error[own].T * weight[own]).sum(axis=-1) / (weight[own].sum() + SHRINKAGE)
        assert_allclose(got.y[i], small.y[i] + 0.3 * mean, rtol=1e-5)
    assert got.y.dtype == (np.float64 if dtype == np.int64 else dtype)


@pytest.mark.parametrize("space", ["columns", "leaves"])
def test_nearest_by_brute_force(part, space):
    small = part.small_set(np.arange(0, 1500, 50), np.ones(30))
    rows = np.arange(3, 1500, 7)
    points = np.clip(part.scaled, -CLIP, CLIP)
    if space == "leaves":
        points = part.embedded[:, part.scaled.shape[1] :]
    distance = pairwise_distances(points[rows], points[small.which])
    assert_array_equal(nearest(part, small, rows, space), distance.argmin(axis=1))
    if space == "columns":  # rows that are not the user's: the same place by their features
        foreign = replace(small, which=None)
        assert_array_equal(nearest(part, foreign, rows, space), distance.argmin(axis=1))


def test_a_moved_target_stays_moved_where_rows_are_exchanged(part):
    cell = np.zeros(len(part), dtype=np.int64)
    small = part.small_set(np.arange(40), np.ones(40))
    shifted = replace(small, y=small.y + 5)
    for kind, carried in (("medoids", 5), ("uniform", 0)):
        recipe = Recipe(kind)
        other = exchanged(part, shifted, cell, 0.5, recipe, np.random.RandomState(0))
        same = other.which == shifted.which
        assert 0 < same.sum() < 40
        assert_allclose(other.y[same], part.y[other.which[same]] + 5)
        assert_allclose(other.y[~same], part.y[other.which[~same]] + carried)


def test_moving_targets_pays_for_a_forest(part):
    X_test, y_test = make_friedman1(2000, noise=0.0, random_state=1)
    judge = Judge(RandomForestRegressor(20, random_state=0), None, 0)
    entry = Entry(Recipe("uniform"), False)
    gain = []
    for seed in range(4):
        scores = []
        for move in (False, True):
            rng = np.random.RandomState(seed)
            small = polish(part, entry, [judge], 50, n_trials=8, move_targets=move, rng=rng)
            scores.append(judge.fit(small, False).score(X_test, y_test))
            if not move:
                assert_array_equal(small.y, part.y[small.which])
        gain.append(scores[1] - scores[0])
    assert np.mean(gain) > 0.03


@pytest.mark.parametrize(
    ("scores", "kept"), [((0.7, 0.5), True), ((0.9, 0.4), False), ((0.6, 0.4), False)]
)
def test_of_several_models_none_may_lose(part, scores, kept):
    """A set on which the models score more in the mean is refused where it costs one of them."""

    class Told:
        def __init__(self, score):
            self.score = score

        def fit(self, small, use_weights):
            return self.score if (small.y == 0).all() else 0.5

        def score_of(self, model, held):
            return model

    judges = [Told(score) for score in scores]
    entry = Entry(Recipe("uniform"), False)
    attempts = Attempts(part, entry, judges, 50, np.random.RandomState(0))
    other = replace(attempts.best, y=np.zeros(50))
    assert attempts.take(other) == kept
    assert (attempts.best is other) == kept


@pytest.mark.parametrize(("cheap", "made"), [(1500 * 50, 4), (1500 * 50 - 1, 1)])
def test_sets_that_are_dear_are_made_once(part, monkeypatch, cheap, made):
    monkeypatch.setattr("skdistill.selection.polish.CHEAP_SET", cheap)
    judge = Judge(RandomForestRegressor(2, random_state=0), None, 0)
    rng, count = np.random.RandomState(0), []

    class Counted(Recipe):
        def make(self, *args):
            count.append(1)
            return super().make(*args)

    entry = Entry(Counted("uniform"), False)
    polish(part, entry, [judge], 50, n_trials=1, move_targets=False, rng=rng)
    assert len(count) == made
