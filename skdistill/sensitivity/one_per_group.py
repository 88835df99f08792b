"""The row nearest to the mean of its group, for all groups at once.

Thousands of classes with a budget of one row each need no k-means: their single centre is their
mean. Two passes over blocks of rows find all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._device import CPU_TILE_ELEMENTS


def nearest_to_means(
    take: Callable[[np.ndarray], Any],
    members: np.ndarray,
    size: np.ndarray,
    weight: np.ndarray,
    key: np.ndarray,
) -> np.ndarray:
    """Find the row of each group that lies nearest to the weighted mean of the group.

    Sums are taken in float64, and distances compared in float32: of rows that are as near but for
    rounding it is the one of the smallest key, in whatever order they come.

    Parameters
    ----------
    take : callable
        Index (k,) of rows -> their coordinates (k, d), an array or CSR.
    members : int64 ndarray of shape (r,)
        Index of the rows, group after group.
    size : int64 ndarray of shape (c,), positive
        Rows of each group.
    weight : float64 ndarray of shape (r,), non-negative
        Of the members; positive in sum for each group.
    key : uint64 ndarray of shape (r,)
        Of the members.

    Returns
    -------
    int64 ndarray of shape (c,)
        One of the members for each group.
    """
    if not len(size):
        return np.empty(0, dtype=np.int64)
    first = take(members[:1])
    width = max(1, first.shape[1])
    block = max(1, CPU_TILE_ELEMENTS // width)
    # Dense means are held for as many groups as fill a few blocks; sparse ones are small.
    step = len(size) if sp.issparse(first) else max(1, 8 * CPU_TILE_ELEMENTS // width)
    ends = np.cumsum(size)
    found = []
    for g in range(0, len(size), step):
        sizes = size[g : g + step]
        start, stop = ends[g] - size[g], ends[g + len(sizes) - 1]
        part = slice(start, stop)
        found.append(start + _nearest(take, members[part], sizes, weight[part], key[part], block))
    return members[np.concatenate(found)]


def _nearest(
    take: Callable[[np.ndarray], Any],
    members: np.ndarray,
    size: np.ndarray,
    weight: np.ndarray,
    key: np.ndarray,
    block: int,
) -> np.ndarray:
    """Position (c,) among the members of the nearest one of each group."""
    n, c = len(members), len(size)
    group = np.repeat(np.arange(c), size)
    share = weight / np.bincount(group, weights=weight)[group]
    blocks = [slice(i, min(n, i + block)) for i in range(0, n, block)]
    means: Any = 0.0
    for part in blocks:
        points = take(members[part]).astype(np.float64)
        place = (group[part], np.arange(part.stop - part.start))
        means = means + sp.csr_matrix((share[part], place), shape=(c, len(place[1]))) @ points
    distance2 = np.empty(n, dtype=np.float32)
    for part in blocks:
        away = take(members[part]).astype(np.float64) - means[group[part]]
        square = away.multiply(away) if sp.issparse(away) else away * away
        distance2[part] = np.asarray(square.sum(1)).ravel()
    order = np.lexsort((key, distance2, group))
    return order[np.cumsum(size) - size]
