"""Kinds of small sets: budgets, weights, classes, and what each promises."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, make_classification

from skdistill import SensitivityCoreset
from skdistill.selection.candidates import CENTROIDS, CLASSES, NUMBERS, Given, Recipe
from skdistill.selection.part import Part
from skdistill.selection.polish import cells, exchanged


def part_of(X, y, codes=None, weight=None):
    n = len(X)
    weight = np.ones(n) if weight is None else weight
    numbers = None if codes is not None else y.reshape(n, -1).astype(float)
    key = np.random.default_rng(0).permutation(n).astype(np.uint64)
    return Part(X, y, lambda rows: rows, np.arange(n), X, codes, numbers, weight, key, 0)


@pytest.fixture(scope="module")
def classes():
    X, codes = make_classification(
        400, 6, n_informative=4, n_classes=3, weights=[0.8, 0.15], random_state=0
    )
    weight = np.random.default_rng(1).uniform(0.5, 2, 400)
    return part_of(X, np.array(["a", "b", "c"])[codes], codes, weight)


@pytest.fixture(scope="module")
def numbers():
    return part_of(*load_diabetes(return_X_y=True))


@pytest.mark.parametrize("recipe", CLASSES + CENTROIDS["classes"], ids=lambda r: r.name)
def test_sets_of_classes(classes, recipe):
    small = recipe.make(classes, 30, np.random.RandomState(0))
    assert len(small.y) == 30
    assert set(small.y) == {"a", "b", "c"}
    assert_allclose(small.features, small.X)
    if recipe.kind != "centroids":
        assert_array_equal(small.X, classes.X[small.index])
        assert len(set(small.index)) == 30
    counts = np.unique(small.y, return_counts=True)[1]
    if recipe.share == "balanced":
        assert counts.max() - counts.min() <= 1
    mass = np.bincount(np.searchsorted(["a", "b", "c"], small.y), weights=small.weight)
    if recipe.trust == "all" and recipe.kind in ("uniform", "medoids", "centroids"):
        assert_allclose(mass, np.bincount(classes.codes, weights=classes.weight), rtol=0.15)
    if recipe.kind in ("medoids", "centroids") and recipe.trust == "all":
        assert_allclose(mass, np.bincount(classes.codes, weights=classes.weight))


@pytest.mark.parametrize("recipe", NUMBERS + CENTROIDS["numbers"], ids=lambda r: r.name)
def test_sets_of_numbers(numbers, recipe):
    small = recipe.make(numbers, 25, np.random.RandomState(0))
    assert small.X.shape == (25, 10) and small.y.shape == (25,)
    if recipe.trust == "denoised" and small.which is not None:
        assert_allclose(small.y, numbers.predicted[small.which, 0])
    elif small.which is not None:
        assert_array_equal(small.y, numbers.y[small.which])


def test_uniform_rows_are_unbiased(classes):
    total = np.zeros(6)
    draws = 400
    rng = np.random.RandomState(0)
    for _ in range(draws):
        small = Recipe("uniform").make(classes, 20, rng)
        total += small.weight @ small.X / draws
    exact = classes.weight @ classes.X
    spread = np.sqrt((classes.weight**2) @ classes.X**2 * 20)
    assert (np.abs(total - exact) < 4 * spread / np.sqrt(draws)).all()


def test_clean_rows_leave_wrong_labels_out():
    X, codes = make_classification(600, 5, n_informative=5, n_redundant=0, random_state=1)
    wrong = np.random.default_rng(0).random(600) < 0.15
    noisy = np.where(wrong, 1 - codes, codes)
    part = part_of(X, noisy, noisy)
    clean = Recipe("medoids", "balanced", "supervised", "clean")
    share = [
        wrong[recipe.make(part, 60, np.random.RandomState(0)).index].mean()
        for recipe in (clean, Recipe("medoids", "balanced", "supervised"))
    ]
    assert share[0] < 0.05 < 0.1 < share[1]


def test_a_class_that_no_tree_believes_keeps_its_rows(classes):
    codes = classes.codes.copy()
    codes[7] = 3  # one row: every tree that has not seen it takes it for another class
    part = part_of(classes.X, codes, codes)
    assert 7 in part.clean


def test_given_distillers_get_budget_and_seed(classes):
    given = Given(SensitivityCoreset(5, loss="cross_entropy"), True)
    one, two = (given.make(classes, 30, np.random.RandomState(0)) for _ in range(2))
    assert len(one.y) == 30 and given.weights == (True,)
    assert_array_equal(one.index, two.index)
    assert "cross_entropy" in given.name


def test_denoised_numbers_are_those_of_other_rows():
    # Noise that no other row explains: an out-of-bag prediction must not repeat it.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    noise = rng.normal(size=500)
    part = part_of(X, X[:, 0] + noise)
    assert abs(np.corrcoef(part.predicted[:, 0] - X[:, 0], noise)[0, 1]) < 0.25


@pytest.mark.parametrize("recipe", [Recipe("uniform"), Recipe("medoids"), CLASSES[-1]], ids=repr)
def test_exchanged_rows_stay_in_their_cell(classes, recipe):
    rng = np.random.RandomState(0)
    small = recipe.make(classes, 40, rng)
    cell = cells(classes, small, recipe)
    other = exchanged(classes, small, cell, 0.5, recipe, rng)
    assert_array_equal(np.sort(cell[other.which]), np.sort(cell[small.which]))
    assert_array_equal(classes.codes[other.which], classes.codes[small.which])
    assert len(set(other.which)) == 40
    moved = (other.which != small.which).mean()
    assert 0 < moved <= 0.5
    assert_array_equal(other.weight, small.weight)
    assert_array_equal(other.y, classes.y[other.index])
    if recipe.trust == "clean":
        assert set(other.which) <= set(classes.clean)
