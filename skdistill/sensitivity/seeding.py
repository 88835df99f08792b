"""k-means++ with several trials a seed, as scikit-learn's, with no more work than the products.

That one checks its arguments and computes norms anew for each seed, which on a pool of some
thousand rows takes three times as long as the products of rows and candidates.

D. Arthur, S. Vassilvitskii. "k-means++: the advantages of careful seeding". SODA 2007.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import kmeans_plusplus

from .._device import one_blas_thread


def greedy_seeds(points: Any, k: int, weight: np.ndarray, rng: np.random.RandomState) -> Any:
    """Choose k rows as seeds: each the best of ``2 + log(k)`` that are drawn by their cost so far.

    Parameters
    ----------
    points : ndarray or CSR matrix of shape (n, d)
        At least k rows.
    k : int
    weight : float64 ndarray of shape (n,)
    rng : RandomState

    Returns
    -------
    float64 ndarray or CSR matrix of shape (k, d)
        What `sklearn.cluster.kmeans_plusplus` gives for the same generator.
    """
    # In float64, because scikit-learn would convert float32 block by block for each centre.
    points = points.astype(np.float64)
    with one_blas_thread():  # the products are too small to share out
        if sp.issparse(points):
            return kmeans_plusplus(points, k, sample_weight=weight, random_state=rng)[0]
        return points[_dense_seeds(points, k, weight, rng)]


def _dense_seeds(
    X: np.ndarray, k: int, weight: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Positions (k,) of the seeds among the rows (n, d)."""
    n, n_trials = len(X), 2 + int(math.log(k))
    x2, columns = np.einsum("ij,ij->i", X, X), -2 * X.T

    def squared_distances(chosen: np.ndarray) -> np.ndarray:  # (len(chosen), n)
        distance2 = X[chosen] @ columns
        distance2 += x2[chosen, None]
        distance2 += x2
        return np.maximum(distance2, 0, out=distance2)

    seeds = np.empty(k, dtype=np.int64)
    seeds[0] = rng.choice(n, p=weight / weight.sum())
    nearest = squared_distances(seeds[:1])[0]
    cost = nearest @ weight
    for number in range(1, k):
        drawn = rng.uniform(size=n_trials) * cost
        # Rounding may leave the last sum below what was drawn.
        tried = np.minimum(np.searchsorted(np.cumsum(weight * nearest), drawn), n - 1)
        distance2 = squared_distances(tried)
        np.minimum(distance2, nearest, out=distance2)
        costs = distance2 @ weight
        best = costs.argmin()
        seeds[number], nearest, cost = tried[best], distance2[best], costs[best]
    return seeds
