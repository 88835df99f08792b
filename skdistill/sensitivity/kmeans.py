"""Sensitivities for the k-means loss, from a rough solution of the problem itself.

Centres from k-means++ on a pool of rows are a bicriteria approximation; one pass over all rows then
gives each row's distance and cluster, which bound its share in the cost of *any* k centres
(Langberg & Schulman 2010; Feldman & Langberg 2011; Bachem, Lucic & Krause 2017).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from .. import _torch as torch
from .._device import for_each_block, tile_rows
from .._input.rows import Rows, Units
from .draws import draw_pool
from .scores import Scores
from .seeding import greedy_seeds

POOL_ROWS = (5000, 200)  # rows that k-means++ sees: at least, and for each cluster
PART_POOL_ROWS = (2500, 100)  # the same for each of many parts, whose scores need no better centres
SEED_ROWS = (1000, 20)  # of the pool of such a part that k-means++ sees
LLOYD_STEPS = 5  # on the pool, after seeding


@dataclass(frozen=True)
class Clustering:
    """Centres (k, d) in the given units; squared distance and cluster (u,) of every row."""

    centres: np.ndarray
    label: np.ndarray
    distance2: np.ndarray


def kmeans_sensitivities(
    distance2: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    n_clusters: int,
    approx_factor: float = 1.0,
) -> np.ndarray:
    r"""Upper bounds on each row's share in the cost of any `n_clusters` centres.

    With rough centres B, clusters of weight W_i and cost c_i, cost c, and
    a = 16 (ln k + 2) * approx_factor,

    .. math:: s(x) = w(x) \left[ \frac{2 a\, d^2(x, B)}{c} + \frac{4 a\, c_i}{W_i c}
              + \frac{4}{W_i} \right],

    which may exceed 1. A cost of zero leaves w / W_i.

    Parameters
    ----------
    distance2 : ndarray of shape (u,)
        Squared distances to the nearest centre, in any unit.
    label : int ndarray of shape (u,)
        Nearest centre.
    weight : ndarray of shape (u,)
    n_clusters : int
        k, the number of centres that the bound is for.
    approx_factor : float
        Scales a. 1 is the constant that k-means++ meets in expectation.

    Returns
    -------
    float64 ndarray of shape (u,), positive
    """
    label = label.astype(np.intp, copy=False)  # once, and not in each of the calls below
    mass = np.bincount(label, weights=weight, minlength=n_clusters)
    row_cost = weight * distance2  # float64
    cost = row_cost.sum()
    if cost == 0:
        return weight / mass[label]
    a = 16 * (np.log(n_clusters) + 2) * approx_factor
    cluster_cost = np.bincount(label, weights=row_cost, minlength=n_clusters)
    present = np.where(mass > 0, mass, 1.0)
    bound = ((4 * a / cost * cluster_cost + 4) / present)[label]
    bound *= weight
    row_cost *= 2 * a / cost
    bound += row_cost
    return bound


def kmeans_scores(clustering: Clustering, weight: np.ndarray, approx_factor: float) -> Scores:
    """Scores for the draw: walk cluster by cluster from the centre outwards, then calibrate.

    The sensitivity is the bound clipped at 1. The draw goes by the bound as it is: clipping, which
    saves nothing where the budget is far below the sum of the bounds, would make the one outlier
    that carries most of the cost look like any other row.
    """
    bound = kmeans_sensitivities(
        clustering.distance2, clustering.label, weight, len(clustering.centres), approx_factor
    )
    clipped = np.minimum(bound, 1.0) if bound.max() > 1 else bound  # which spares a copy
    return Scores(clipped, bound, clustering.label, clustering.distance2, calibrated=True)


def default_n_clusters(budget: int) -> int:
    """Return the number of clusters for ``n_clusters="auto"``."""
    return int(np.clip(budget // 20, 2, 100))


def rough_clustering(
    rows: Rows,
    n_clusters: int,
    units: Units,
    device: Any,
    rng: np.random.RandomState,
    *,
    of_part: bool = False,
) -> Clustering:
    """Centres from k-means++ and a few Lloyd steps on a pool of rows, then one pass over all rows.

    The pool holds each row with probability proportional to its weight, so that heavy rows and
    repeated rows count alike. It is smaller where the rows are a part of a stream, `of_part`.
    """
    n_pool = _rows_for(n_clusters, PART_POOL_ROWS if of_part else POOL_ROWS)
    pool, pool_weight = draw_pool(rows, n_pool, rng)
    # Centres are the same in any unit of the weights, which float32 may not hold.
    pool_weight = pool_weight / pool_weight.mean()
    dtype = rows.dtype if sp.issparse(rows.X) else torch.float32
    features = units.load(rows.take(pool), dtype, torch.device("cpu"))
    columns = None
    if not sp.issparse(features):
        features = features.numpy()
    elif features.nnz < features.shape[1] / 2:
        columns = np.unique(features.indices) if features.nnz else np.zeros(1, dtype=np.int64)
        features = restrict(features, columns)
    n_clusters = min(n_clusters, len(pool))
    front = slice(_rows_for(n_clusters, SEED_ROWS) if of_part else None)
    seeds = greedy_seeds(features[front], n_clusters, pool_weight[front], rng)
    seeds = np.unique(seeds, axis=0)  # fewer where the pool has fewer distinct features
    if len(seeds) > 1:
        solver = KMeans(len(seeds), init=seeds, n_init=1, max_iter=LLOYD_STEPS, random_state=rng)
        with warnings.catch_warnings():  # equal features of other targets make fewer clusters
            warnings.simplefilter("ignore", ConvergenceWarning)
            seeds = solver.fit(features, sample_weight=pool_weight).cluster_centers_
    label, distance2 = assign(rows, np.asarray(seeds), units, device, columns=columns)
    return Clustering(seeds, label, distance2)


def _rows_for(n_clusters: int, rows: tuple[int, int]) -> int:
    least, for_each = rows
    return max(least, for_each * n_clusters)


def restrict(X: Any, columns: np.ndarray) -> Any:
    """Keep some columns, sorted, of a CSR matrix; the work depends on its entries alone.

    Slicing takes memory for all columns, of which there may be millions.
    """
    place = np.searchsorted(columns, X.indices)
    place[place == len(columns)] = 0
    kept = columns[place] == X.indices
    ends = np.concatenate([[0], np.cumsum(kept)])[X.indptr]
    return sp.csr_matrix((X.data[kept], place[kept], ends), shape=(X.shape[0], len(columns)))


def assign(
    rows: Rows,
    centres: np.ndarray,
    units: Units,
    device: Any,
    numbers: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centre and squared distance of every row, tile by tile.

    Parameters
    ----------
    rows : Rows
    centres : ndarray of shape (k, d), or (k, d + q) with `numbers`
        In `units`.
    units : Units
    device : torch.device
    numbers : float32 ndarray of shape (u, q), optional
        Further coordinates of each row, beside its features.
    columns : int ndarray of shape (d',) or None
        Of CSR rows, those that the centres have; they are 0 in all others.

    Returns
    -------
    label : int32 ndarray of shape (u,)
    distance2 : float32 ndarray of shape (u,), in squared `units`

    Notes
    -----
    The tile is k x rows, so that the minimum runs over whole vectors. Distances are positive
    float32, whose bit patterns order like integers: the centre's number is written into their
    lowest bits and one integer minimum finds both at once. (Rounding may leave a distance of about
    zero negative; it then still comes before all positive ones.) The distance is computed again
    from its definition, so neither the lost bits nor the cancellation in ``|x|^2 - 2xc + |c|^2``
    reaches the result.
    """
    label = np.empty(len(rows), dtype=np.int32)
    distance2 = np.empty(len(rows), dtype=np.float32)
    if sp.issparse(rows.X):
        work = _sparse_assignment(rows, centres, units, numbers, label, distance2, columns)
        device = torch.device("cpu")
    else:
        work = _dense_assignment(rows, centres, units, numbers, device, label, distance2)
    block = tile_rows(sum(centres.shape), device)
    for_each_block(work, len(rows), block, parallel=device.type == "cpu")
    return label, distance2


def _dense_assignment(rows, centres, units, numbers, device, label, distance2):
    C = torch.from_numpy(np.ascontiguousarray(centres, dtype=np.float32)).to(device)
    half_c2 = (C.square().sum(1) / 2)[:, None]
    low_bits = 2 ** max(1, (len(C) - 1).bit_length()) - 1
    number = torch.arange(len(C), dtype=torch.int32, device=device)[:, None]

    def work(start: int, stop: int) -> None:
        x = units.load(rows.block(start, stop), torch.float32, device)
        if numbers is not None:
            x = torch.cat([x, torch.from_numpy(numbers[start:stop]).to(device)], 1)
        tile = torch.addmm(half_c2, C, x.T, alpha=-1)  # (|c|^2 - 2 c.x) / 2
        tile.add_(torch.linalg.vecdot(x, x).div_(2))
        packed = tile.view(torch.int32).bitwise_and_(~low_bits).bitwise_or_(number)
        nearest = packed.amin(0).bitwise_and_(low_bits)
        x.sub_(C.index_select(0, nearest))
        label[start:stop] = nearest.cpu().numpy()
        distance2[start:stop] = torch.linalg.vecdot(x, x).cpu().numpy()

    return work


def _sparse_assignment(rows, centres, units, numbers, label, distance2, columns):
    c2 = (centres**2).sum(1)

    def work(start: int, stop: int) -> None:
        x = units.load(rows.block(start, stop), None, None)
        if numbers is not None:
            x = sp.hstack([x, numbers[start:stop]], format="csr")
        x2 = np.asarray(x.multiply(x).sum(1)).ravel()
        x = x if columns is None else restrict(x, columns)
        d2 = x2[:, None] - 2 * (x @ centres.T) + c2
        label[start:stop] = d2.argmin(1)
        distance2[start:stop] = np.maximum(d2.min(1), 0)

    return work
