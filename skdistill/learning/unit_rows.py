"""Dense rows of length 1, as of convolutional features, and whether a mirror changes them.

`skdistill.networks.ConvFeatures` makes features of photographs the second half of which change
their sign in the mirror image. A pipeline hands the numbers on and not what they mean; held-out
rows tell whether that sign matters.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..batches.training_set import TrainingSet
from ..kernels.functions import Kernel
from .kernel_search import KernelStart, search_rbf
from .problem import Problem

WIDE = 128  # features beyond which rows may be such
TOLERANCE = 1e-3
MOST_ZEROS = 0.1  # share of the numbers; counts of words and pixels of drawings have more


def are_unit_rows(X: np.ndarray) -> bool:
    """Tell whether rows (n, d) have length 1 and many features, few of them 0.

    Some rows may be 0 as a whole.
    """
    if X.shape[1] <= WIDE:
        return False
    length = np.linalg.norm(X.astype(np.float64), axis=1)
    seen = length > TOLERANCE
    if not seen.any() or (np.abs(length[seen] - 1) >= TOLERANCE).any():
        return False
    return bool((X[seen] == 0).mean() <= MOST_ZEROS)


def mirrored_start(
    problem: Problem, data: TrainingSet, parts: list, best: KernelStart
) -> tuple[Kernel, KernelStart] | None:
    """Kernel for which the common sign of the second half of the features does not matter.

    Parameters
    ----------
    problem : Problem
    data : TrainingSet
        Rows as they are, with targets.
    parts : list of (Tensor, Tensor)
        Index of training and of held-out rows.
    best : KernelStart
        Of the RBF kernel.

    Returns
    -------
    (Kernel, KernelStart) or None
        None unless it predicts held-out rows better than the RBF kernel does, by more than a
        standard error.
    """
    n_odd = data.rows.shape[1] // 2
    found = search_rbf(data, parts, problem.n_support, problem.kind, n_odd=n_odd)
    n_held_out = sum(len(held_out) for _, held_out in parts)
    chance = math.sqrt(max(0.0, best.score * (1 - best.score)) / max(1, n_held_out))
    if not found.score > best.score + chance:
        return None
    return replace(problem.kernel, name="mirror_rbf", params={"n_odd": n_odd}), found
