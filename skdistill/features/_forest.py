"""Leaves of a forest as a sparse matrix, for rows the trees have seen and for rows they have not.

Two rows are alike, for the target, where many trees put them into the same leaf. A tree that
was grown on a row would put it where its own label says, so rows of the training set are asked of
the other trees only: those that had it out of their bag.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

BLOCK_ROWS = 2**14  # rows sent through the trees at a time
OVERSAMPLING = 10  # of the randomised decomposition
POWER_STEPS = 3


@dataclass(frozen=True)
class LeafForest:
    """A forest with its leaves numbered.

    Attributes
    ----------
    forest : ExtraTreesClassifier or ExtraTreesRegressor
    node_start : int64 ndarray of shape (n_trees,)
        Where the nodes of each tree begin in `leaf_of_node`.
    leaf_of_node : int64 ndarray of shape (n_nodes,)
        Number of a leaf among those of all trees, by its node.
    values : float64 ndarray of shape (n_leaves, q)
        Class probabilities or mean targets in each leaf.
    """

    forest: Any
    node_start: np.ndarray
    leaf_of_node: np.ndarray
    values: np.ndarray

    @property
    def n_trees(self) -> int:
        return len(self.node_start)

    def memberships(self, Z: np.ndarray, counted: np.ndarray | None = None) -> sp.csr_matrix:
        """Shares of the trees that put each row into each leaf.

        Parameters
        ----------
        Z : float32 ndarray of shape (b, p)
        counted : bool ndarray of shape (b, n_trees), default=None
            Trees that are asked about each row; None is all of them. A row that no tree may be
            asked about is asked of all.

        Returns
        -------
        csr_matrix of shape (b, n_leaves)
            Rows sum to one.
        """
        leaves = self.leaf_of_node[self.forest.apply(Z) + self.node_start]
        b, n_trees = leaves.shape
        if counted is None:
            counts = np.full(b, n_trees)
            entries = leaves.ravel()
        else:
            counted = counted | ~counted.any(axis=1, keepdims=True)
            counts = counted.sum(axis=1)
            entries = leaves[counted]
        ends = np.concatenate([[0], np.cumsum(counts)])
        shares = np.repeat(1 / counts, counts)
        return sp.csr_matrix((shares, entries, ends), shape=(b, len(self.values)))

    def out_of_bag(self, n: int) -> np.ndarray:
        """Tell which trees (n, n_trees) have not seen each of the n rows they were grown on."""
        unseen = np.ones((n, self.n_trees), dtype=bool)
        for tree, seen in enumerate(self.forest.estimators_samples_):
            unseen[seen, tree] = False
        return unseen


def fit_forest(
    Z: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    *,
    n_classes: int,
    n_estimators: int,
    max_leaf_nodes: int | None,
    n_jobs: int | None,
    rng: np.random.RandomState,
) -> LeafForest:
    """Grow extremely randomised trees, each on a bootstrap sample.

    Parameters
    ----------
    Z : float32 ndarray of shape (n, p)
    y : ndarray of shape (n,) or (n, q)
        Class codes, or numbers, whose columns count alike whatever their units.
    weight : float64 ndarray of shape (n,)
    n_classes : int
        Number of classes, 0 for numbers.
    n_estimators, max_leaf_nodes, n_jobs
        As in scikit-learn's forests.
    rng : RandomState

    Returns
    -------
    LeafForest
    """
    kind = ExtraTreesClassifier if n_classes else ExtraTreesRegressor
    forest = kind(
        n_estimators,
        max_leaf_nodes=max_leaf_nodes,
        bootstrap=True,
        n_jobs=n_jobs,
        random_state=rng.randint(np.iinfo(np.int32).max),
    )
    mean, scale = np.zeros(1), np.ones(1)
    if not n_classes:
        mean = np.average(y, axis=0, weights=weight)
        scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
        scale[scale == 0] = 1.0
        y = (y - mean) / scale
        y = y[:, 0] if y.shape[1] == 1 else y
    # Drawing rows by weights takes longer than growing trees on few.
    forest.fit(Z, y, sample_weight=None if (weight == weight[0]).all() else weight)
    trees = [member.tree_ for member in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    is_leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    means = np.concatenate([tree.value for tree in trees])[is_leaf]
    if n_classes:
        values = np.zeros((len(means), n_classes))
        # Classes of zero weight are unknown to the trees.
        values[:, forest.classes_] = means[:, 0] / means[:, 0].sum(axis=1, keepdims=True)
    else:
        values = means[:, :, 0] * scale + mean
    return LeafForest(forest, np.cumsum([0, *sizes[:-1]]), np.cumsum(is_leaf) - 1, values)


def draw_rows(
    n: int, codes: np.ndarray | None, size: int | None, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows to grow trees on, with the factors that their weights are to be multiplied by.

    Half of the rows are shared out equally among classes, so that rare classes are seen, and half
    by their number of rows.

    Parameters
    ----------
    n : int
        Number of rows.
    codes : int ndarray of shape (n,) or None
        Class codes 0, 1, ...
    size : int or None
        About as many rows are drawn; None takes all.
    rng : RandomState

    Returns
    -------
    index : int64 ndarray of shape (k,), sorted
    factor : float64 ndarray of shape (k,)
    """
    if size is None or n <= size:
        return np.arange(n), np.ones(n)
    codes = np.zeros(n, dtype=np.int64) if codes is None else codes
    counts = np.bincount(codes)
    quota = np.round(size / 2 * (counts / n + 1 / np.count_nonzero(counts))).astype(np.int64)
    quota = np.clip(quota, 1, np.maximum(counts, 1))
    order = rng.permutation(n)
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.cumsum(counts) - counts  # where each class begins in that order
    place = np.arange(n) - first[codes[order]]
    index = np.sort(order[place < quota[codes[order]]])
    return index, (counts / quota)[codes[index]]


def principal_directions(
    M: sp.csr_matrix, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Centre a sparse matrix without filling it, and decompose it by random projections.

    Parameters
    ----------
    M : csr_matrix of shape (n, p)
    weight : float64 ndarray of shape (n,)
    n_components : int
    rng : RandomState

    Returns
    -------
    V : ndarray of shape (p, k)
        Directions of most variance, k of `n_components` at most, one at least; scaled so that the
        entries of ``M @ V - offset`` have a mean square of 1.
    offset : ndarray of shape (k,)
        Product of the mean row with `V`.

    References
    ----------
    Halko, N., Martinsson, P. G., Tropp, J. A. (2011). Finding structure with randomness. SIAM
    Review 53 (2).
    """
    n, p = M.shape
    share = weight / weight.sum()
    mean = M.T @ share
    root = np.sqrt(share)
    A = M.multiply(root[:, None]).tocsr()
    T = A.T.tocsr()  # row-wise products in both directions
    width = min(n, p, n_components + OVERSAMPLING)
    Q = np.linalg.qr(rng.standard_normal((p, width)))[0]
    for _ in range(POWER_STEPS):
        P = A @ Q - np.outer(root, mean @ Q)
        Q = np.linalg.qr(T @ P - np.outer(mean, root @ P))[0]
    R = np.linalg.qr(A @ Q - np.outer(root, mean @ Q), mode="r")
    _, s, W = np.linalg.svd(R)
    kept = max(1, min(n_components, int((s > 1e-8 * max(s[0], 1e-8)).sum())))
    V = Q @ W[:kept].T
    V *= np.sign(V[np.abs(V).argmax(axis=0), np.arange(kept)])
    size = np.sqrt(np.mean(s[:kept] ** 2))  # M has the weighted variances s^2 along V
    if size > 0:
        V /= size
    return V, mean @ V


def blocks(n: int) -> Iterator[slice]:
    """Slices that cover n rows."""
    return (slice(start, start + BLOCK_ROWS) for start in range(0, n, BLOCK_ROWS))
