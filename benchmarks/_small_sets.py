"""Ways to choose a small set that are compared with this package's: plain draws and rivals.

Each is a function of a table, the number of rows and a generator. Where it says "equal shares",
each class gets the same number of rows, or all its rows if it has fewer; this is how papers on few
rows a class, and balanced accuracy, see the classes. Numbers are one class whose target is one more
column.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _tables import Table
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min

from skdistill import DistilledData

Rng = np.random.Generator
CONDENSED_FROM = 2500  # condensing looks at its rows one by one, in Python
MOST_LINKED = 5000  # rows of a class whose distances fit into memory


# How many rows of each class --------------------------------------------------------------------


def proportional(y: np.ndarray, m: int) -> np.ndarray:
    """Rows a class by largest remainders, at least one."""
    size = np.bincount(y)
    exact = np.maximum(m * size / size.sum(), 1.0)
    share = np.floor(exact).astype(int)
    rest = m - share.sum()
    if rest > 0:
        share[np.argsort(share - exact, kind="stable")[:rest]] += 1
    while share.sum() > m:  # the classes of one row took from the others
        share[np.argmax(share)] -= 1
    return share


def equal(y: np.ndarray, m: int) -> np.ndarray:
    """Equal shares; what small classes lack goes to the others."""
    size = np.bincount(y)
    share = np.zeros(len(size), int)
    while (rest := m - share.sum()) > 0 and (share < size).any():
        open_ = np.flatnonzero(share < size)
        more = np.full(len(open_), rest // len(open_))
        more[: rest % len(open_)] += 1
        share[open_] = np.minimum(share[open_] + more, size[open_])
    return share


def by_class(
    table: Table, m: int, share: Callable, pick: Callable[[np.ndarray, int], np.ndarray]
) -> list[np.ndarray]:
    """Positions of the rows picked in each class; `pick` gets the features of a class."""
    if table.numbers:
        joined = np.column_stack([table.X, table.y])
        return [pick(joined, m)]
    found = []
    for code, k in enumerate(share(table.y, m)):
        rows = np.flatnonzero(table.y == code)
        found.append(rows[pick(table.X[rows], k)] if k else rows[:0])
    return found


def unweighted(table: Table, rows: list[np.ndarray]) -> DistilledData:
    """Rows of the table that count alike."""
    chosen = np.concatenate(rows)
    return DistilledData(table.X[chosen], table.y[chosen], indices=chosen)


# Draws ------------------------------------------------------------------------------------------


def uniform(table: Table, m: int, rng: Rng) -> DistilledData:
    """Rows at random, classes in proportion."""
    return unweighted(
        table, by_class(table, m, proportional, lambda X, k: rng.permutation(len(X))[:k])
    )


def balanced(table: Table, m: int, rng: Rng) -> DistilledData:
    """Rows at random, equal shares."""
    return unweighted(table, by_class(table, m, equal, lambda X, k: rng.permutation(len(X))[:k]))


# Rivals -----------------------------------------------------------------------------------------


def kmeans_medoids(table: Table, m: int, rng: Rng) -> DistilledData:
    """Take the row nearest to each k-means centre of a class, equal shares."""

    def pick(X: np.ndarray, k: int) -> np.ndarray:
        seed = int(rng.integers(2**31))
        centres = KMeans(k, n_init=1, max_iter=50, random_state=seed).fit(X).cluster_centers_
        return np.unique(pairwise_distances_argmin_min(centres, X)[0])

    return unweighted(table, by_class(table, m, equal, pick))


def agglomerative(table: Table, m: int, rng: Rng) -> DistilledData:
    """Take the row nearest to the mean of each cluster of Ward's linkage, equal shares.

    The best way without networks in the comparison of TDBench; at most `MOST_LINKED` rows of a
    class, drawn at random, are linked.
    """

    def pick(X: np.ndarray, k: int) -> np.ndarray:
        some = rng.permutation(len(X))[:MOST_LINKED]
        if k >= len(some):
            return some
        cluster = fcluster(linkage(X[some], "ward"), k, "maxclust") - 1
        size = np.bincount(cluster)
        means = np.zeros((len(size), X.shape[1]))
        np.add.at(means, cluster, X[some])
        means /= size[:, None]
        return np.unique(some[pairwise_distances_argmin_min(means, X[some])[0]])

    return unweighted(table, by_class(table, m, equal, pick))


def herding(table: Table, m: int, rng: Rng) -> DistilledData:
    """Rows whose running mean follows the mean of their class, equal shares (Welling 2009)."""

    def pick(X: np.ndarray, k: int) -> np.ndarray:
        mean, total = X.mean(0), np.zeros(X.shape[1])
        length = (X**2).sum(1)
        chosen: list[int] = []
        for step in range(1, min(k, len(X)) + 1):
            # |mean - (total + x) / step|², up to what is the same for all rows
            cost = length - 2 * X @ (step * mean - total)
            cost[chosen] = np.inf
            chosen.append(int(cost.argmin()))
            total += X[chosen[-1]]
        return np.array(chosen)

    return unweighted(table, by_class(table, m, equal, pick))


def k_centre(table: Table, m: int, rng: Rng) -> DistilledData:
    """Each row is the farthest from those before it, from a random one on; equal shares."""

    def pick(X: np.ndarray, k: int) -> np.ndarray:
        chosen = [int(rng.integers(len(X)))]
        distance = ((X - X[chosen[0]]) ** 2).sum(1)
        while len(chosen) < min(k, len(X)):
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, ((X - X[chosen[-1]]) ** 2).sum(1))
        return np.array(chosen)

    return unweighted(table, by_class(table, m, equal, pick))


def cluster_centroids(table: Table, m: int, rng: Rng) -> DistilledData:
    """Cluster centroids of imbalanced-learn, equal shares."""
    from imblearn.under_sampling import ClusterCentroids

    seed = int(rng.integers(2**31))
    made = ClusterCentroids(
        sampling_strategy=dict(enumerate(equal(table.y, m))),
        estimator=KMeans(n_init=1, max_iter=50, random_state=seed),
        random_state=seed,
    )
    return DistilledData(*made.fit_resample(table.X, table.y))


def near_miss(table: Table, m: int, rng: Rng) -> DistilledData:
    """NearMiss (version 1) of imbalanced-learn, equal shares."""
    from imblearn.under_sampling import NearMiss

    made = NearMiss(sampling_strategy=dict(enumerate(equal(table.y, m))))
    return DistilledData(*made.fit_resample(table.X, table.y))


def condensed(table: Table, m: int, rng: Rng) -> DistilledData:
    """Condensed nearest neighbours of imbalanced-learn, then m rows in equal shares.

    It chooses its number of rows itself, so that m are drawn from those it keeps; it sees at most
    `CONDENSED_FROM` rows, since it looks at them one by one.
    """
    from imblearn.under_sampling import CondensedNearestNeighbour

    some = rng.permutation(len(table.X))[:CONDENSED_FROM]
    made = CondensedNearestNeighbour(random_state=int(rng.integers(2**31)))
    X, y = made.fit_resample(table.X[some], table.y[some])
    kept = Table(table.name, X, y, table.X_test, table.y_test, False)
    return balanced(kept, m, rng)
