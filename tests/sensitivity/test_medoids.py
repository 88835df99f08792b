"""Medoids: the rows nearest to the means of clusters, against a search of all rows by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from oracles import CPU, distinct_rows
from sklearn.cluster import KMeans

from skdistill._input.rows import Moments, Units, weighted_moments
from skdistill.sensitivity import medoids, one_per_group
from skdistill.sensitivity.medoids import (
    Space,
    cluster_means,
    kmeans_clusters,
    nearest_members,
    standard_space,
)


def space_of(rows, numbers=None, scale=True, clip=1e9):
    moments = weighted_moments(rows.take(np.arange(len(rows))), rows.weight)
    return standard_space(moments, numbers, rows.weight, scale=scale, clip=clip)


def clusters_of(rows, space, budgets, strata=None, cost_weight=None, seed=0):
    weight = rows.weight if cost_weight is None else cost_weight
    rng = np.random.RandomState(seed)
    budgets = np.atleast_1d(budgets)
    return kmeans_clusters(rows, space, budgets, strata, rows.weight, weight, CPU, rng)


def nearest_by_hand(points, centres, weight):
    """Medoid of each centre, and the weight of all rows nearer to it than to another."""
    label = [int(np.argmin([((x - c) ** 2).sum() for c in centres])) for x in points]
    medoid, mass = [], []
    for k, centre in enumerate(centres):
        members = [i for i in range(len(points)) if label[i] == k]
        medoid.append(min(members, key=lambda i: ((points[i] - centre) ** 2).sum()))
        mass.append(sum(weight[i] for i in members))
    return medoid, mass


# Against the search by hand --------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("n_numbers", [0, 2])
def test_medoids_equal_the_search_by_hand(n_classes, n_numbers):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4)) * [1, 10, 0.1, 1] + 50
    weight = rng.uniform(0.5, 4, 150)
    rows = distinct_rows(X, weight)
    strata = rng.integers(0, n_classes, 150) if n_classes > 1 else None
    numbers = rng.normal(size=(150, n_numbers)) if n_numbers else None
    space = space_of(rows, numbers)
    budgets = np.full(n_classes, 6)
    clusters = clusters_of(rows, space, budgets, strata)
    points = space.take(rows, np.arange(150)).astype(np.float64)
    found = {}
    for k, (row, mass) in enumerate(zip(clusters.medoid, clusters.mass, strict=True)):
        held = clusters.label == k
        found[int(row)] = mass
        # K-means has converged: a centre is the weighted mean of its rows.
        centre = np.average(points[held], axis=0, weights=rows.weight[held])
        d2 = ((points[held] - centre) ** 2).sum(1)
        assert_allclose(((points[row] - centre) ** 2).sum(), d2.min(), rtol=1e-4)
        assert strata is None or len(np.unique(strata[held])) == 1
    for code in range(n_classes):
        inside = np.arange(150) if strata is None else np.flatnonzero(strata == code)
        groups = np.unique(clusters.label[inside])
        centres = [
            np.average(
                points[clusters.label == k], axis=0, weights=rows.weight[clusters.label == k]
            )
            for k in groups
        ]
        medoid, mass = nearest_by_hand(points[inside], centres, rows.weight[inside])
        assert set(inside[medoid]) == set(clusters.medoid[groups])
        assert_allclose([found[int(inside[i])] for i in medoid], mass)


def test_clusters_cost_what_those_of_scikit_learn_do():
    X = np.random.default_rng(0).normal(size=(2000, 5))
    rows = distinct_rows(X)
    space = space_of(rows)
    clusters = clusters_of(rows, space, 40)
    points = space.take(rows, np.arange(2000))
    means = np.stack([points[clusters.label == k].mean(0) for k in range(40)])
    cost = ((points - means[clusters.label]) ** 2).sum()
    assert cost < 1.03 * KMeans(40, n_init=3, random_state=0).fit(points).inertia_


@given(
    arrays(float, st.tuples(st.integers(1, 25), st.integers(1, 3)), elements=st.integers(-3, 3)),
    st.data(),
)
def test_any_rows_give_as_many_medoids_as_asked_for(X, data):
    """Of few distinct rows, equal ones in other units, constant columns."""
    weight = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(X), max_size=len(X))))
    rows = distinct_rows(X, weight.astype(float))
    k = data.draw(st.integers(1, len(rows)))
    scale = data.draw(st.booleans())
    clusters = clusters_of(rows, space_of(rows, scale=scale, clip=1.0), k)
    assert len(np.unique(clusters.medoid)) == k
    assert_array_equal(clusters.label[clusters.medoid], np.arange(k))
    assert clusters.mass.sum() == weight.sum()
    assert_array_equal(clusters.mass, np.bincount(clusters.label, rows.weight))


def test_groups_without_a_row_get_the_costliest():
    label = np.array([0, 0, 0, 2, 2])
    distance2 = np.array([1, 5, 9, 0, 2], dtype=np.float32)
    weight = np.array([1.0, 3, 1, 1, 1])
    key = np.arange(5, dtype=np.uint64)
    label, medoid = nearest_members(label, distance2, weight, key, 4)
    assert medoid.tolist() == [0, 1, 3, 2]
    assert label.tolist() == [0, 1, 3, 2, 2]


def test_the_key_decides_between_equally_near_rows():
    key = np.array([7, 3, 5], dtype=np.uint64)
    _, medoid = nearest_members(np.zeros(3), np.ones(3, dtype=np.float32), np.ones(3), key, 1)
    assert medoid.tolist() == [1]


@given(st.integers(0, 10_000))
def test_sums_of_smooth_functions_err_by_the_stated_bound(seed):
    """Theorem 9 of the mathematics; the functions have slope 1."""
    rng = np.random.default_rng(seed)
    rows = distinct_rows(rng.pareto(1.5, (40, 2)), rng.uniform(0.1, 5, 40))
    space = space_of(rows, clip=3.0)
    clusters = clusters_of(rows, space, int(rng.integers(1, 12)))
    z = space.take(rows, np.arange(40)).astype(np.float64)
    for point in [*z[:5], rng.normal(size=2)]:
        f = np.linalg.norm(z - point, axis=1)
        error = abs(clusters.mass @ f[clusters.medoid] - rows.weight @ f)
        # Converged k-means: the means of the clusters are its centres.
        means, _ = cluster_means(replace(rows, X=z, index=np.arange(40)), clusters)
        away = np.linalg.norm(z - means[clusters.label], axis=1)
        assert error <= 2 * rows.weight @ away * (1 + 1e-3) + 1e-6
        assert (2 * rows.weight @ away) ** 2 <= 4 * rows.weight.sum() * (rows.weight @ away**2) * (
            1 + 1e-9
        )


# One row for each of many classes ---------------------------------------------------------------


def grouped_rows(kind, seed=0):
    """400 rows of 60 strata of one to a dozen rows, with weights, some of which cost nothing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 6)) * [1, 10, 0.1, 1, 1, 1] + 5
    X[:, 1:][rng.random((400, 5)) < 0.4] = 0
    strata = np.append(np.arange(60), rng.integers(0, 60, 340))
    weight = rng.uniform(0.5, 4, 400)
    rows = distinct_rows(sp.csr_matrix(X) if kind == "sparse" else X, weight)
    cost_weight = np.where(strata % 7 == 0, 0.0, rows.weight * rng.uniform(0.5, 2, 400))
    numbers = rng.normal(size=(400, 2)).astype(np.float32) if kind == "numbers" else None
    space = Space(Units(np.full(6, 0.5), 2.0, 9.0), numbers)
    return rows, space, strata, cost_weight


@pytest.mark.parametrize("kind", ["dense", "numbers", "sparse"])
@pytest.mark.parametrize("elements", [medoids.CPU_TILE_ELEMENTS, 40])
def test_one_row_a_class_is_that_of_k_means_class_by_class(monkeypatch, kind, elements):
    """Its centre, one of k-means, is found in float32: no other row is nearer by more than that."""
    monkeypatch.setattr(one_per_group, "CPU_TILE_ELEMENTS", elements)
    rows, space, strata, cost_weight = grouped_rows(kind)
    found = clusters_of(rows, space, np.ones(60, dtype=int), strata, cost_weight)
    assert_array_equal(found.label, strata)
    assert_allclose(found.mass, np.bincount(strata, rows.weight))
    same = 0
    for s in range(60):
        inside = np.flatnonzero(strata == s)
        slow = clusters_of(
            rows.subset(inside), space.subset(inside), 1, None, cost_weight[inside], seed=s
        )
        slow_row, row = inside[slow.medoid[0]], found.medoid[s]
        assert strata[row] == s
        points = space.take(rows, inside)
        points = points.toarray() if sp.issparse(points) else points.astype(float)
        w = cost_weight[inside] if cost_weight[inside].any() else rows.weight[inside]
        d2 = ((points - np.average(points, axis=0, weights=w)) ** 2).sum(1)
        nearest = dict(zip(inside.tolist(), d2.tolist(), strict=True))
        for chosen in (row, slow_row):
            assert nearest[chosen] <= d2.min() * (1 + 1e-5) + 1e-9
        same += row == slow_row
    assert same >= 55


def test_classes_with_one_many_and_all_of_their_rows():
    rows, space, strata, cost_weight = grouped_rows("dense")
    size = np.bincount(strata)
    budgets = np.choose(np.arange(60) % 3, [size, np.ones_like(size), np.minimum(size, 3)])
    assert (budgets > 1).any() and ((budgets == 1) & (size > 1)).any()
    found = clusters_of(rows, space, budgets, strata, cost_weight)
    assert len(np.unique(found.medoid)) == budgets.sum()
    assert_array_equal(strata[found.medoid], np.repeat(np.arange(60), budgets))
    assert_array_equal(found.label[found.medoid], np.arange(budgets.sum()))
    assert_array_equal(np.repeat(np.arange(60), budgets)[found.label], strata)
    assert_allclose(found.mass, np.bincount(found.label, rows.weight))


def test_order_settles_nothing_between_two_rows_of_a_class():
    X = np.random.default_rng(0).normal(size=(200, 3))
    strata = np.arange(200) // 2
    rows = distinct_rows(X)
    space = space_of(rows)
    strata = strata[rows.index]
    chosen = clusters_of(rows, space, np.ones(100, dtype=int), strata).medoid
    back = np.arange(200)[::-1]
    again = clusters_of(
        rows.subset(back), space.subset(back), np.ones(100, dtype=int), strata[back]
    )
    assert_array_equal(back[again.medoid], chosen)
    assert all(rows.key[i] == rows.key[strata == strata[i]].min() for i in chosen)


# The space -------------------------------------------------------------------------------------


def test_features_count_alike_and_the_target_a_quarter():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4)) * [1e-3, 1, 1e4, 0] + [0, 5, 1e6, 0.1]
    y = rng.normal(size=(500, 2)) * [3, 400]
    weight = rng.uniform(1, 3, 500)
    rows = distinct_rows(X, weight)
    points = space_of(rows, y[rows.index]).take(rows, np.arange(500))
    share = rows.weight / rows.weight.sum()
    variance = share @ (points - share @ points) ** 2
    # Units are rounded to three digits.
    assert_allclose(variance[:4], [1, 1, 1, 0], rtol=5e-3)
    assert_allclose(variance[4:].sum(), 3 / 16, rtol=5e-3)
    assert_allclose(variance[4], variance[5], rtol=5e-3)


def test_one_unit_keeps_the_relation_of_features():
    X = np.random.default_rng(0).normal(size=(300, 2)) * [1, 10]
    rows = distinct_rows(X)
    points = space_of(rows, X[rows.index, :1], scale=False).take(rows, np.arange(300))
    variance = points.var(0)
    assert variance[1] / variance[0] == pytest.approx(X.var(0)[1] / X.var(0)[0], rel=1e-4)
    assert variance[2] == pytest.approx(variance[:2].sum() / 16, rel=1e-2)


def test_units_do_not_follow_the_last_digits():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)) * 10.0 ** np.arange(5) + 1e4, rng.normal(size=(300, 1)) + 100
    rows, far = distinct_rows(X), np.arange(300)
    moments = weighted_moments(X, None)
    moved = Moments(moments.mean * (1 + 1e-15), moments.variance, moments.variances * (1 - 1e-14))
    spaces = [
        standard_space(m, y, weight, scale=scale, clip=3.0).take(rows, far)
        for m, weight in ((moments, np.ones(300)), (moved, np.full(300, 1 / 3)))
        for scale in (True, False)
    ]
    assert_array_equal(spaces[0], spaces[2])
    assert_array_equal(spaces[1], spaces[3])


def test_clip_bounds_the_say_of_an_outlier():
    X = np.random.default_rng(0).normal(size=(300, 2))
    X[5, 0] = 1e6
    rows = distinct_rows(X)
    points = space_of(rows, clip=3.0).take(rows, np.arange(300))
    assert points.max() == 3.0
    points = space_of(rows, scale=False, clip=3.0).take(rows, np.arange(300))
    assert_allclose(points.max(0)[0], 3 * X[:, 0].std() / np.sqrt(X.var()), rtol=5e-3)
    assert_allclose(points[:, 1].std(), X[:, 1].std() / np.sqrt(X.var()), rtol=0.05)


# Many rows -------------------------------------------------------------------------------------


def test_pools_and_rounds_of_seeds_come_near_to_all_rows(monkeypatch):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 8)) * 6
    X = centres[rng.integers(0, 50, 6000)] + rng.normal(size=(6000, 8))
    rows = distinct_rows(X)
    space = space_of(rows)
    points = space.take(rows, np.arange(6000))

    def cost(clusters):
        return ((points - points[clusters.medoid][clusters.label]) ** 2).sum()

    exact = cost(clusters_of(rows, space, 60))
    monkeypatch.setattr(medoids, "POOL_ROWS", (1500, 20))
    pooled = clusters_of(rows, space, 60)
    assert cost(pooled) < 1.25 * exact
    assert pooled.mass.sum() == 6000
    monkeypatch.setattr(medoids, "GREEDY_WORK", 0)
    assert cost(clusters_of(rows, space, 60)) < 1.3 * exact
    uniform = rng.choice(6000, 60, replace=False)
    label = ((points[:, None] - points[uniform]) ** 2).sum(-1).argmin(1)
    assert ((points - points[uniform][label]) ** 2).sum() > 1.5 * exact


def test_rows_of_no_weight_in_the_cost_are_still_stood_for(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    rows = distinct_rows(X)
    cost_weight = np.zeros(400)
    cost_weight[:10] = 1.0
    space = space_of(rows)
    for work in (medoids.GREEDY_WORK, 0):
        monkeypatch.setattr(medoids, "GREEDY_WORK", work)
        clusters = clusters_of(rows, space, 30, cost_weight=cost_weight)
        assert len(np.unique(clusters.medoid)) == 30
        assert clusters.mass.sum() == 400
        assert set(range(10)) <= set(clusters.medoid.tolist())
    assert clusters_of(rows, space, 5, cost_weight=np.zeros(400)).mass.sum() == 400


@pytest.mark.parametrize("work", [medoids.GREEDY_WORK, 0])
def test_sparse_rows_are_clustered_as_dense_ones(monkeypatch, work):
    monkeypatch.setattr(medoids, "GREEDY_WORK", work)
    X = sp.random_array((500, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    X = sp.csr_matrix(X)
    y = np.asarray(X.sum(1)).ravel()[:, None]
    rows, dense = distinct_rows(X), distinct_rows(X.toarray())
    order = {int(i): k for k, i in enumerate(rows.index)}
    same = np.array([order[int(i)] for i in dense.index])  # the hashes of the two differ
    units = Units(np.zeros(30), 2.0)
    numbers = y.astype(np.float32)
    sparse = clusters_of(rows, Space(units, numbers[rows.index]), 40)
    points = Space(units, numbers[rows.index]).take(rows, np.arange(len(rows)))
    assert sp.issparse(points)
    points = points.toarray()
    assert_allclose(points[same], Space(units, numbers[dense.index]).take(dense, np.arange(500)))

    def cost(clusters, points):
        return ((points - points[clusters.medoid][clusters.label]) ** 2).sum()

    other = clusters_of(dense, Space(units, numbers[dense.index]), 40)
    assert cost(sparse, points) < 1.1 * cost(other, points[same])


# Centroids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_cluster_means_are_weighted_means_in_the_units_of_the_user(monkeypatch, dtype):
    monkeypatch.setattr(medoids, "CPU_TILE_ELEMENTS", 100)
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(200, 3)) * 20 + 100).astype(dtype)
    weight, y = rng.uniform(1, 3, 200), rng.normal(size=(200, 2))
    rows = distinct_rows(X, weight, y)
    clusters = clusters_of(rows, space_of(rows), 12)
    features, values = cluster_means(rows, clusters, y[rows.index])
    for k in range(12):
        held = clusters.label == k
        w = rows.weight[held]
        assert_allclose(features[k], np.average(X[rows.index[held]], axis=0, weights=w), rtol=1e-6)
        assert_allclose(values[k], np.average(y[rows.index[held]], axis=0, weights=w))
    assert_allclose(clusters.mass @ features, weight @ X.astype(float), rtol=1e-6)
    assert cluster_means(rows, clusters)[1] is None
