"""Where the kernel scale and the ridge start: label solves on plain rows, compared on others.

A learnt row does the work of many real ones. The scale is therefore chosen for more landmarks than
there will be rows; at the number of rows itself it would come out far too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _torch as torch
from ..batches.training_set import Sample, TrainingSet, score
from ..objectives._ridge.labels import label_system
from ..objectives._ridge.rbf import rbf

GAMMAS = tuple(2.0**e for e in range(-7, 5))  # for rows whose typical length is 1
RIDGES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
LANDMARKS_PER_ROW = 20
LANDMARKS = (50, 500)  # least and most
FIT_ROWS = 4096


@dataclass(frozen=True)
class KernelStart:
    """Score on held-out rows, gamma and ridge of the best start."""

    score: float
    gamma: float
    ridge: float


def landmark_count(n_support: int, n_rows: int) -> int:
    """Landmarks for a budget of `n_support` rows: more, but no more than a quarter of the rows."""
    least, most = LANDMARKS
    wished = min(most, max(least, LANDMARKS_PER_ROW * n_support))
    return min(n_rows, max(n_support, min(wished, n_rows // 4)))


def search_rbf(
    data: TrainingSet,
    splits: Sequence[tuple[Any, Any]],
    n_support: int,
    kind: str,
    *,
    n_odd: int = 0,
    gammas: Sequence[float] = GAMMAS,
    ridges: Sequence[float] = RIDGES,
) -> KernelStart:
    """Choose gamma of the RBF kernel, and the ridge of the label solve.

    Parameters
    ----------
    data : TrainingSet
        With targets; rows of typical length 1.
    splits : sequence of (Tensor, Tensor)
        Index of training and of held-out rows, in random order.
    n_support : int
    kind : {"classes", "multilabel", "numbers"}
    n_odd : int
        Last coordinates whose common sign does not matter.
    gammas, ridges : sequence of float
        Candidates.

    Returns
    -------
    KernelStart
    """
    best = KernelStart(-float("inf"), gammas[len(gammas) // 2], ridges[0])
    for gamma in gammas:

        def kernel(rows: Any, landmarks: Any, scale: float = gamma**0.5) -> Any:
            return rbf(rows * scale, landmarks * scale, n_odd)

        found = search_ridge(data, splits, n_support, kind, kernel, gamma, ridges)
        if found.score > best.score:
            best = found
    return best


def search_ridge(
    data: TrainingSet,
    splits: Sequence[tuple[Any, Any]],
    n_support: int,
    kind: str,
    kernel: Callable[[Any, Any], Any],
    gamma: float,
    ridges: Sequence[float] = RIDGES,
) -> KernelStart:
    """Choose the ridge of the label solve for a kernel whose scale stands.

    Parameters
    ----------
    data, splits, n_support, kind, ridges
        As in `search_rbf`; rows of any length.
    kernel : callable
        Rows (a, d) and landmarks (b, d) -> values (a, b).
    gamma : float
        Its scale, for the result.

    Returns
    -------
    KernelStart
    """
    best = KernelStart(-float("inf"), gamma, ridges[0])
    outputs: dict[float, list[Any]] = {ridge: [] for ridge in ridges}
    for train, held_out in splits:
        landmarks = data.rows[train[: landmark_count(n_support, len(train))]].double()
        for ridge, found in _solved(data, train, held_out, landmarks, kernel, ridges):
            outputs[ridge].append(found)
    scored_rows = data.subset(torch.cat([held_out for _, held_out in splits]))
    for ridge, parts in outputs.items():
        found = score(torch.cat(parts), scored_rows, kind)
        if found > best.score:
            best = KernelStart(found, gamma, ridge)
    return best


def _solved(data, train, held_out, landmarks, kernel, ridges):
    """Yield each ridge and the outputs on held-out rows of label solves."""
    index = train[:FIT_ROWS]
    sample = Sample(data, index, data.weight[index] / data.weight[index].sum())
    system = label_system(
        lambda rows: kernel(rows, landmarks), kernel(landmarks, landmarks), sample
    )
    K = kernel(data.rows[held_out].double(), landmarks)
    for ridge, (a, b) in zip(ridges, system.solve_each(ridges), strict=True):
        yield ridge, torch.addmm(b, K, a)
