"""Sensitivities of the k-means loss: the formula, the bound it is, the pass over all rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from oracles import CPU, distinct_rows, kmeans_shares, nearest, no_shift
from oracles import kmeans_sensitivities as by_hand
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs

from skdistill import _torch as torch
from skdistill._input.rows import Rows, Units, weighted_moments
from skdistill.sensitivity.kmeans import (
    assign,
    default_n_clusters,
    kmeans_scores,
    kmeans_sensitivities,
    rough_clustering,
)


def score(X, weight=None, k=3, approx_factor=1.0, units=None, seed=0):
    """Sensitivities of the rows of `X`, which are distinct, in their own order."""
    rows = distinct_rows(X, weight)
    units = no_shift(X.shape[1]) if units is None else units
    clustering = rough_clustering(rows, k, units, CPU, np.random.RandomState(seed))
    scores = kmeans_scores(clustering, rows.weight, approx_factor)
    return rows, clustering, rows.split(scores.sensitivity, weight)


# The formula -----------------------------------------------------------------------------------


@pytest.mark.parametrize("approx_factor", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_sensitivities_equal_the_formula(approx_factor, seed):
    rng = np.random.default_rng(seed)
    distance2, label = rng.pareto(1.5, 400), rng.integers(0, 4, 400)
    label[label == 2] = 0  # a cluster may be empty
    weight = rng.uniform(0.1, 5, 400)
    s = kmeans_sensitivities(distance2, label, weight, 4, approx_factor)
    expected = by_hand(distance2, label, weight, 4, approx_factor)
    assert (expected < 1).sum() > 80  # the clip does not hide the formula
    assert_allclose(np.minimum(s, 1), expected, rtol=1e-12)


def test_unclipped_sensitivities_have_the_total_of_the_theory():
    rng = np.random.default_rng(0)
    n, k = 200_000, 5
    distance2, label = rng.uniform(1, 2, n), rng.integers(0, k, n)
    s = kmeans_sensitivities(distance2, label, rng.uniform(1, 2, n), k)
    a = 16 * (np.log(k) + 2)
    assert s.max() < 1
    assert s.sum() == pytest.approx(6 * a + 4 * k)


def test_a_cost_of_zero_leaves_the_share_of_the_cluster():
    weight, label = np.array([1.0, 3.0, 2.0]), np.array([0, 0, 1])
    assert_allclose(kmeans_sensitivities(np.zeros(3), label, weight, 2), [0.25, 0.75, 1])


@given(
    arrays(float, st.integers(1, 30), elements=st.just(0.0) | st.floats(1e-200, 1e12)),
    st.integers(1, 5),
    st.sampled_from([1e-8, 1.0, 1e8]),
    st.randoms(use_true_random=False),
)
def test_sensitivities_are_positive_and_know_no_units(distance2, k, scale, random):
    n = len(distance2)
    label = np.array([random.randrange(k) for _ in range(n)])
    weight = np.array([random.uniform(1e-3, 1e3) for _ in range(n)])
    s = kmeans_sensitivities(distance2 * scale, label, weight, k)
    assert (s > 0).all()
    # Neither the unit of the distances nor that of the weights matters.
    assert_allclose(s, kmeans_sensitivities(distance2, label, weight * 7, k), rtol=1e-9)


def test_rows_are_drawn_by_the_bound_and_told_its_clip():
    X = np.random.default_rng(0).standard_normal((300, 4))
    X[7] += 100  # most of the cost, unless it is a centre
    rows = distinct_rows(X, None)
    clustering = rough_clustering(rows, 3, no_shift(4), CPU, np.random.RandomState(0))
    scores = kmeans_scores(clustering, rows.weight, 1.0)
    assert scores.importance.max() > 1
    assert_allclose(scores.sensitivity, np.minimum(scores.importance, 1))


# The bound --------------------------------------------------------------------------------------


@given(
    arrays(
        float,
        st.tuples(st.integers(4, 14), st.integers(1, 3)),
        elements=st.integers(-6, 6).map(float),
        unique=False,
    ),
    st.integers(1, 4),
    st.integers(0, 1000),
)
def test_sensitivities_bound_the_share_in_the_cost_of_any_centres(X, k, seed):
    X = np.unique(X, axis=0)
    assume(len(X) > k)
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.2, 5, len(X))
    _, clustering, s = score(X, weight, k, seed=seed)
    # The premise, that the rough centres are good enough, is met by far on data so small.
    scattered = [X[rng.permutation(len(X))[:k]] for _ in range(40)]
    random_centres = [rng.uniform(-8, 8, (k, X.shape[1])) for _ in range(40)]
    shifted = [clustering.centres + rng.normal(size=clustering.centres.shape) for _ in range(20)]
    far = [np.vstack([X[:1] + 1e3, c[1:]]) for c in scattered[:10]]
    for centres in scattered + random_centres + shifted + far:
        assert (kmeans_shares(X, weight, centres) <= s + 1e-9).all()


def test_sensitivities_bound_shares_where_they_are_far_from_one():
    """On larger data the clip is idle, and the bound is one row alone in a cluster."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(3000, 2)), rng.normal(size=(3000, 2)) + 8, [[60.0, 60.0]]])
    weight = rng.uniform(0.5, 2, len(X))
    _, _, s = score(X, weight, k=3)
    assert np.median(s) < 0.1
    worst = np.zeros(len(X))
    for i in range(60):
        centres = X[rng.choice(len(X), 3, replace=False)] + rng.normal(size=(3, 2)) * (i % 5)
        cost = weight * cdist(X, centres, "sqeuclidean").min(1)
        worst = np.maximum(worst, cost / cost.sum())
    assert (worst <= s).all()
    assert s[-1] >= worst[-1] > 0.1


# Assignment ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 64, 65, 300])
@pytest.mark.parametrize("n_features", [1, 5, 40])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_assignment_equals_cdist(k, n_features, dtype):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(500, n_features)) * 40 + 100).clip(0, 255).astype(dtype)
    rows = distinct_rows(X)
    units = Units(np.full(n_features, 100.0), 1 / 40)
    centres = rng.normal(size=(k, n_features)).astype(np.float32)
    label, distance2 = assign(rows, centres, units, CPU)
    x = (X[rows.index].astype(float) - 100) / 40
    exact = cdist(x, centres.astype(float), "sqeuclidean")
    # The distance is that of the label, and the label is as good as the best to a stated tolerance.
    assert_allclose(distance2, exact[np.arange(len(x)), label], rtol=2e-5, atol=1e-7)
    assert (exact[np.arange(len(x)), label] <= exact.min(1) * (1 + 2e-4) + 1e-4).all()
    assert (label == exact.argmin(1)).mean() > 0.99


def test_sparse_assignment_equals_cdist():
    X = sp.random(300, 20, 0.2, format="csr", random_state=0)
    rows = distinct_rows(X)
    centres = np.random.default_rng(0).uniform(size=(7, 20))
    label, distance2 = assign(rows, centres, Units(np.zeros(20), 2.0), CPU)
    exact = cdist(2 * X[rows.index].toarray(), centres, "sqeuclidean")
    assert_array_equal(label, exact.argmin(1))
    assert_allclose(distance2, exact.min(1), rtol=1e-6)


def test_assignment_far_from_the_origin_keeps_small_distances():
    """|x|^2 - 2 x c + |c|^2 in single precision would be noise here."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * 1e-3 + 1e6
    rows = distinct_rows(X)
    centres = rng.normal(size=(4, 3)).astype(np.float32)
    label, distance2 = assign(rows, centres, Units(X.mean(0), 1e3), CPU)
    x = (X[rows.index] - X.mean(0)) * 1e3
    expected_label, expected = nearest(x, centres.astype(float))
    assert (label == expected_label).mean() > 0.99
    assert_allclose(distance2, expected, rtol=1e-3)


def test_assignment_over_many_tiles():
    X, _ = make_blobs(70_000, 20, centers=5, random_state=0)
    rows = distinct_rows(X.astype(np.float32))
    rng = np.random.default_rng(0)
    centres = X[rng.choice(len(X), 5)].astype(np.float32)
    label, distance2 = assign(rows, centres, no_shift(20), CPU)
    exact = cdist(X[rows.index], centres.astype(float), "sqeuclidean")
    assert (label == exact.argmin(1)).mean() > 0.999
    assert_allclose(distance2, exact[np.arange(len(X)), label], rtol=1e-4, atol=1e-3)


def test_threads_share_tiles_without_changing_a_bit():
    X = np.random.default_rng(0).standard_normal((60_000, 20)).astype(np.float32)
    weight = np.random.default_rng(1).random(len(X))
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            rows = distinct_rows(X)
            moments = weighted_moments(X, weight)
            label, distance2 = assign(rows, X[:7], no_shift(20), CPU)
            found.append((rows.key, moments.mean, moments.variance, label, distance2))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            assert_array_equal(ours, theirs)


# Rough clustering ------------------------------------------------------------------------------


def test_rough_clustering_is_near_the_best():
    X, _ = make_blobs(3000, 3, centers=6, cluster_std=0.5, random_state=0)
    rows, clustering, _ = score(X, k=6)
    label, distance2 = nearest(X[rows.index], clustering.centres.astype(float))
    assert_array_equal(clustering.label, label)
    assert_allclose(clustering.distance2, distance2, rtol=1e-3, atol=1e-4)
    within = 3 * 0.5**2 * len(X)  # the clusters' own variance
    assert clustering.distance2.sum() < 10 * within


def test_heavy_rows_pull_the_centres():
    X = np.vstack([np.linspace(0, 1, 50), np.linspace(0, 1, 50)]).T
    X = np.vstack([X, [[10.0, 10.0]]])
    weight = np.append(np.ones(50), 1e6)
    _, clustering, _ = score(X, weight, k=1)
    assert_allclose(clustering.centres, 10, rtol=1e-3)


def test_more_clusters_than_rows():
    X = np.array([[0.0], [1.0], [5.0]])
    _, clustering, s = score(X, k=10)
    assert len(clustering.centres) == 3
    assert_allclose(s, 1)


def test_rows_that_single_precision_cannot_tell_apart():
    X = np.array([[0.0], [1e-12], [2e-12], [1.0], [1 + 1e-12]])
    _, clustering, s = score(X, k=4, units=Units(X.mean(0)))
    assert np.isfinite(s).all()
    assert (s > 0).all()
    assert np.isfinite(clustering.distance2).all()


def test_default_number_of_clusters_grows_with_the_budget():
    numbers = [default_n_clusters(budget) for budget in (1, 10, 100, 1000, 10**6)]
    assert numbers == sorted(numbers)
    assert numbers[0] >= 1


@given(st.integers(-40, 40), st.integers(0, 100))
def test_scores_do_not_depend_on_the_unit(exponent, seed):
    X = np.random.default_rng(seed).normal(size=(60, 3))
    results = []
    for table in (X, X * 2.0**exponent):
        rows = Rows(table, np.arange(60), np.ones(60), np.arange(60, dtype=np.uint64), None)
        moments = weighted_moments(table, None)
        units = Units(moments.mean, 1 / moments.scale)
        clustering = rough_clustering(rows, 4, units, CPU, np.random.RandomState(seed))
        results.append(kmeans_scores(clustering, rows.weight, 1.0).sensitivity)
    assert_allclose(*results, rtol=1e-6)
