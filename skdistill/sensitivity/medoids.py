"""Real rows that stand for clusters: k-means within classes, and the row nearest to each centre.

Clusters of a class (or of all rows, with the target as further features) split the rows into as
many groups as rows are wanted. The row nearest to the mean of a group stands for it, with the
weight of the whole group. Nothing is drawn at random but the seeds of k-means: such a set is no
unbiased sample, and trains most models better than one of its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans

from .. import _torch as torch
from .._device import CPU_TILE_ELEMENTS
from .._input.rows import Moments, Rows, Units, row_hashes
from .draws import inclusion_probabilities, systematic_draw
from .kmeans import assign, restrict
from .one_per_group import nearest_to_means
from .seeding import greedy_seeds

POOL_ROWS = (20_000, 20)  # rows that k-means sees: at least, and for each cluster
GREEDY_WORK = 2**27  # rows x clusters x features up to which k-means++ pays
ROUNDS = 20  # of seeding, above that
LLOYD_STEPS = (50, 10)  # after seeding by k-means++, and by rounds
TARGET_WEIGHT = 0.25  # size of the target, relative to that of the features


@dataclass(frozen=True)
class Space:
    """Where distances are measured: features in some units, and numbers beside them.

    Attributes
    ----------
    units : Units
    numbers : float32 ndarray of shape (u, q) or None
        Further coordinates of the distinct rows.
    """

    units: Units
    numbers: np.ndarray | None = None

    def take(self, rows: Rows, which: np.ndarray) -> Any:
        """Coordinates (k, d + q) of some rows: a float32 array, or CSR for CSR."""
        beside = None if self.numbers is None else self.numbers[which]
        if sp.issparse(rows.X):
            points = self.units.load(rows.take(which), None, None)
            return points if beside is None else sp.hstack([points, beside], format="csr")
        points = self.units.load(rows.take(which), torch.float32, torch.device("cpu")).numpy()
        return points if beside is None else np.hstack([points, beside])

    def subset(self, which: np.ndarray) -> Space:
        """Return the space of some rows only."""
        return Space(self.units, None if self.numbers is None else self.numbers[which])


@dataclass(frozen=True)
class Clusters:
    """Rows split into m groups, each with the row that stands for it.

    Attributes
    ----------
    label : int64 ndarray of shape (u,)
        Group of each distinct row.
    medoid : int64 ndarray of shape (m,)
        The row of each group, as a position among the distinct rows; all differ.
    mass : float64 ndarray of shape (m,)
        Weight of all rows of each group.
    """

    label: np.ndarray
    medoid: np.ndarray
    mass: np.ndarray


def standard_space(
    moments: Moments, numbers: np.ndarray | None, weight: np.ndarray, *, scale: bool, clip: float
) -> Space:
    """Space in which each feature has the same say, and the target a quarter of all of them.

    Parameters
    ----------
    moments : Moments
        Of the distinct rows.
    numbers : float64 ndarray of shape (u, q) or None
        Target of the distinct rows, where it is numbers.
    weight : float64 ndarray of shape (u,)
    scale : bool
        A unit for each feature, its standard deviation, and no influence for constant features.
        Otherwise one unit for all.
    clip : float
        How many standard deviations a feature is taken from its mean at most; not where it is
        sparse.

    Returns
    -------
    Space
    """
    shift, factor = _units_of(moments.mean, np.sqrt(moments.variances))
    if scale:
        units, size = Units(shift, factor, clip), math.sqrt(max(1, int((factor > 0).sum())))
    else:
        unit = float(_coarse(moments.scale))
        deviation = np.divide(1.0, factor, out=np.zeros(len(factor)), where=factor > 0) / unit
        units = Units(shift, 1 / unit, clip * deviation)
        size = math.sqrt((deviation**2).sum()) or 1.0
    if numbers is None:
        return Space(units)
    share = weight / weight.sum()
    mean = share @ numbers
    shift, factor = _units_of(mean, np.sqrt(share @ (numbers - mean) ** 2))
    factor = factor * (TARGET_WEIGHT * size / math.sqrt(max(1, int((factor > 0).sum()))))
    return Space(units, ((numbers - shift) * factor).astype(np.float32))


def _units_of(mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and factor (d,) that bring columns to about mean 0 and size 1; constant ones to 0.

    They are coarse, so that sums in another order, which differ in their last digits, give the same
    units: k-means would make other clusters of rows that are moved by one rounding.
    """
    varies = deviation > 1e-12 * np.abs(mean)
    factor = np.divide(1.0, _coarse(deviation), out=np.zeros(len(mean)), where=varies)
    steps = np.round(mean * factor * 64) / 64
    shift = np.divide(steps, factor, out=mean.copy(), where=varies)
    return shift, factor


def _coarse(values: Any) -> Any:
    """Values rounded to nine binary digits."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 512) / 512, exponent)


def kmeans_clusters(
    rows: Rows,
    space: Space,
    budgets: np.ndarray,
    strata: np.ndarray | None,
    importance: np.ndarray,
    cost_weight: np.ndarray,
    device: Any,
    rng: np.random.RandomState,
) -> Clusters:
    """Split the rows of each stratum by weighted k-means, and find the row nearest to each mean.

    K-means sees a pool of at most 20,000 rows a stratum (20 a cluster, where that is more), drawn
    by importance; one pass over all rows then finds the nearest mean of each. Strata of a single
    group need no k-means: the mean of all their rows is found directly, for all of them at once,
    and their medoid is the nearest row up to rounding in float32.

    Parameters
    ----------
    rows : Rows
        u distinct rows.
    space : Space
    budgets : int64 ndarray of shape (c,)
        Number of groups of each stratum; a stratum is large enough for its own.
    strata : int64 ndarray of shape (u,) or None
        Stratum of each row; None is one.
    importance : float64 ndarray of shape (u,)
        What the pool is drawn by.
    cost_weight : float64 ndarray of shape (u,)
        Weight of each row in the cost of k-means. What a row stands for is `rows.weight`.
    device : torch.device
    rng : RandomState

    Returns
    -------
    Clusters
        Their masses add up to the weight of the rows, in each stratum.
    """
    label = np.empty(len(rows), dtype=np.int64)
    medoid = np.empty(int(budgets.sum()), dtype=np.int64)
    begin = np.cumsum(budgets) - budgets
    stratum = np.zeros(len(rows), dtype=np.int64) if strata is None else strata
    order = np.argsort(stratum, kind="stable")  # stratum after stratum
    size = np.bincount(stratum, minlength=len(budgets))
    ends = np.cumsum(size)
    whole = budgets >= size
    if whole.any():  # each row stands for itself
        members = order[whole[stratum[order]]]
        of = stratum[members]
        place = np.arange(len(members)) - (np.cumsum(size * whole) - size)[of]
        label[members] = begin[of] + place
        medoid[label[members]] = members
    single = (budgets == 1) & ~whole
    if single.any():
        members = order[single[stratum[order]]]
        of = stratum[members]
        label[members] = begin[of]
        costs = np.bincount(of, weights=cost_weight[members], minlength=len(budgets))[of]
        medoid[begin[single]] = nearest_to_means(
            partial(space.take, rows),
            members,
            size[single],
            np.where(costs > 0, cost_weight[members], rows.weight[members]),
            rows.key[members],
        )
    for s in np.flatnonzero(~(whole | single)):
        k = int(budgets[s])
        members, part, within = order, rows, space
        if strata is not None:
            members = order[ends[s] - size[s] : ends[s]]
            part, within = rows.subset(members), space.subset(members)
        centres, columns = _centres(
            part, within, k, importance[members], cost_weight[members], device, rng
        )
        here, distance2 = assign(part, centres, within.units, device, within.numbers, columns)
        here, row = nearest_members(here, distance2, part.weight, part.key, k)
        label[members] = begin[s] + here
        medoid[begin[s] : begin[s] + k] = members[row]
    return Clusters(label, medoid, np.bincount(label, weights=rows.weight, minlength=len(medoid)))


def nearest_members(
    label: np.ndarray, distance2: np.ndarray, weight: np.ndarray, key: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row of each group that lies nearest to its centre; of equally near ones that of smallest key.

    Groups without a row get one: the rows that cost most where they are become groups of their own.

    Parameters
    ----------
    label : int ndarray of shape (u,)
        Nearest centre of each row.
    distance2 : float32 ndarray of shape (u,)
        Squared distance to it.
    weight : float64 ndarray of shape (u,)
    key : uint64 ndarray of shape (u,)
    k : int
        Number of groups, at most u.

    Returns
    -------
    label : int64 ndarray of shape (u,)
        Group of each row; none is empty.
    medoid : int64 ndarray of shape (k,)
        Row of each group.
    """
    label = label.astype(np.int64)
    least = np.full(k, np.inf, dtype=distance2.dtype)
    np.minimum.at(least, label, distance2)
    near = np.flatnonzero(distance2 == least[label])
    near = near[np.lexsort((key[near], label[near]))]
    group, first = np.unique(label[near], return_index=True)
    medoid = np.full(k, -1, dtype=np.int64)
    medoid[group] = near[first]
    empty = np.flatnonzero(medoid < 0)
    if len(empty):
        cost = weight * distance2
        cost[medoid[group]] = -1.0
        costly = np.lexsort((key, -cost))[: len(empty)]
        medoid[empty] = costly
        label[costly] = empty
    return label, medoid


def cluster_means(
    rows: Rows, clusters: Clusters, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Weighted mean of the rows of each cluster: centroids, for numeric features.

    Parameters
    ----------
    rows : Rows
        Of dense features.
    clusters : Clusters
    values : float64 ndarray of shape (u, q), optional
        Targets of the distinct rows.

    Returns
    -------
    features : float64 ndarray of shape (m, d)
        In the user's units.
    values : float64 ndarray of shape (m, q) or None
    """
    n, m = len(rows), len(clusters.mass)
    share = rows.weight / clusters.mass[clusters.label]
    features = np.zeros((m, rows.X.shape[1]))
    block = max(1, CPU_TILE_ELEMENTS // max(1, rows.X.shape[1]))
    for start in range(0, n, block):
        stop = min(n, start + block)
        features += _membership(clusters.label, share, m, start, stop) @ rows.block(start, stop)
    if values is None:
        return features, None
    return features, _membership(clusters.label, share, m, 0, n) @ values


def _membership(label: np.ndarray, share: np.ndarray, m: int, start: int, stop: int) -> Any:
    """CSR matrix (m, rows) of what each row adds to the mean of its cluster."""
    part = slice(start, stop)
    place = (label[part], np.arange(stop - start))
    return sp.csr_matrix((share[part], place), shape=(m, stop - start))


def _centres(
    rows: Rows,
    space: Space,
    k: int,
    importance: np.ndarray,
    cost_weight: np.ndarray,
    device: Any,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Means of k clusters, or fewer, in the space; from a pool where there are many rows.

    Of CSR rows with far more columns than entries, only in the columns that are returned beside
    them: means are dense.
    """
    if not cost_weight.sum() > 0:
        cost_weight = rows.weight
    n_pool = max(POOL_ROWS[0], POOL_ROWS[1] * k)
    pool = rows.walk()  # by content: k-means then starts alike whatever the order of the input
    if len(rows) > n_pool:
        p = inclusion_probabilities(importance, n_pool)
        pool = systematic_draw(p, pool, rng)
        cost_weight = cost_weight[pool] / p[pool]
    else:
        cost_weight = cost_weight[pool]
    pool, cost_weight = pool[cost_weight > 0], cost_weight[cost_weight > 0]
    points = space.take(rows, pool)
    keys, first = np.unique(row_hashes(points), return_index=True)
    greedy = len(pool) * k * points.shape[1] <= GREEDY_WORK
    columns, tolerance = None, 1e-4  # of mean variances over columns
    if sp.issparse(points) and 0 < 2 * points.nnz < points.shape[1]:
        columns = np.unique(points.indices)
        tolerance *= len(columns) / points.shape[1]
        points = restrict(points, columns)
    if len(keys) <= k:
        distinct = points[first]
        return distinct.toarray() if sp.issparse(distinct) else distinct, columns
    cost_weight = cost_weight / cost_weight.mean()
    if greedy:
        seeds = greedy_seeds(points, k, cost_weight, rng)
        seeds = seeds.toarray() if sp.issparse(seeds) else seeds
    else:
        seeds = _seeds_in_rounds(points, k, cost_weight, device, rng)
    steps = LLOYD_STEPS[not greedy]
    solver = KMeans(
        len(seeds), init=seeds, n_init=1, max_iter=steps, tol=tolerance, random_state=rng
    )
    return solver.fit(points, sample_weight=cost_weight).cluster_centers_, columns


def _seeds_in_rounds(
    points: Any, k: int, weight: np.ndarray, device: Any, rng: np.random.RandomState
) -> np.ndarray:
    """Draw seeds as k-means++ does, by weight times squared distance, but many at a time."""
    n = len(weight)
    rows = Rows(points, np.arange(n), weight, np.arange(n, dtype=np.uint64), None)
    units = Units(np.zeros(points.shape[1]))
    distance2, chosen = np.ones(n), np.empty(0, dtype=np.int64)
    while len(chosen) < k:
        count = min(k - len(chosen), -(-k // ROUNDS))
        cost = weight * distance2
        count = min(count, int((cost > 0).sum()))
        if count == 0:  # distances too small for their squares
            break
        new = systematic_draw(inclusion_probabilities(cost, count), np.arange(n), rng)
        chosen = np.union1d(chosen, new)
        seeds = points[new]
        seeds = seeds.toarray() if sp.issparse(seeds) else seeds
        distance2 = np.minimum(distance2, assign(rows, seeds, units, device)[1])
        distance2[chosen] = 0
    found = points[chosen]
    return found.toarray() if sp.issparse(found) else found
