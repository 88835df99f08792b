"""Where the kernel scale and the ridge start: label solves on plain rows, compared on others.

A learnt row does the work of many real ones. The scale is therefore chosen for more landmarks than
there will be rows; at the number of rows itself it would come out far too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _torch as torch
from ..batches.training_set import TrainingSet, score
from ..objectives._ridge.labels import LabelSystem
from ..objectives._ridge.rbf import exponentiate, rbf_exponents

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

    def exponents(rows: Any, landmarks: Any) -> list[Any]:
        return rbf_exponents(rows, landmarks, n_odd)

    # Products of rows are most of the work, and those of one scale serve all.
    blocks = _blocks(data, splits, n_support, exponents)
    for gamma in gammas:
        found = _best_ridge(data, splits, blocks, _at_scale(gamma), kind, gamma, ridges)
        if found.score > best.score:
            best = found
    return best


def _at_scale(gamma: float) -> Callable[[list[Any]], Any]:
    """Make the function: exponents of rows -> their kernel at a scale."""

    def kernel(exponents: list[Any]) -> Any:
        parts = [part * gamma for part in exponents]
        exponentiate(parts)
        return parts[0]

    return kernel


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
    blocks = _blocks(data, splits, n_support, kernel)
    return _best_ridge(data, splits, blocks, lambda block: block, kind, gamma, ridges)


def _blocks(
    data: TrainingSet,
    splits: Sequence[tuple[Any, Any]],
    n_support: int,
    function: Callable[[Any, Any], Any],
) -> list[tuple[Any, Any, Any]]:
    """Apply a function to landmarks, rows to fit and held-out rows, and landmarks, by split."""
    found = []
    for train, held_out in splits:
        landmarks = data.rows[train[: landmark_count(n_support, len(train))]].double()
        parts = (landmarks, data.rows[train[:FIT_ROWS]].double(), data.rows[held_out].double())
        found.append(tuple(function(rows, landmarks) for rows in parts))
    return found


def _best_ridge(
    data: TrainingSet,
    splits: Sequence[tuple[Any, Any]],
    blocks: list[tuple[Any, Any, Any]],
    kernel: Callable[[Any], Any],
    kind: str,
    gamma: float,
    ridges: Sequence[float],
) -> KernelStart:
    """Solve labels with a kernel of blocks, and take the ridge that predicts held-out rows best."""
    best = KernelStart(-float("inf"), gamma, ridges[0])
    outputs: dict[float, list[Any]] = {ridge: [] for ridge in ridges}
    for (train, _), of_split in zip(splits, blocks, strict=True):
        index = train[:FIT_ROWS]
        weight = data.weight[index].double()
        K_SS, K, K_held_out = (kernel(block) for block in of_split)
        system = LabelSystem.of_rows(K, data.targets[index].double(), weight / weight.sum(), K_SS)
        for ridge, (a, b) in zip(ridges, system.solve_each(ridges), strict=True):
            outputs[ridge].append(torch.addmm(b, K_held_out, a))
    scored_rows = data.subset(torch.cat([held_out for _, held_out in splits]))
    for ridge, parts in outputs.items():
        found = score(torch.cat(parts), scored_rows, kind)
        if found > best.score:
            best = KernelStart(found, gamma, ridge)
    return best
