"""Targets of a small set of numbers, moved until the model trained on it errs less.

A model trained on few rows is wrong in the same direction over whole regions: forests and boosting
draw what is large or small towards the mean. Each row therefore takes over the mean error of the
rows near it: a step down the squared error on all rows that needs no gradient of the model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from .part import CLIP, Part, SmallSet

SHRINKAGE = 2.0  # rows without error beside the others, so that a lone one does not decide


def nearest(part: Part, small: SmallSet, rows: np.ndarray, space: str) -> np.ndarray:
    """Position (k,) in a small set of the row nearest to each of some rows of a part.

    Parameters
    ----------
    part : Part
        That the set was made from.
    small : SmallSet
    rows : int64 ndarray of shape (k,)
        Positions in the part.
    space : {"columns", "leaves"}
        Nearness in scaled columns or, for rows of the part, in the leaves of its forest.
    """
    if space == "leaves" and small.which is not None:
        leaves = part.embedded[:, part.scaled.shape[1] :]
        return pairwise_distances_argmin(leaves[rows], leaves[small.which])
    points = np.clip(part.scaled[rows], -CLIP, CLIP)
    return pairwise_distances_argmin(points, np.clip(part.scaled_rows(small), -CLIP, CLIP))


def moved(
    small: SmallSet, near: np.ndarray, error: np.ndarray, weight: np.ndarray, step: float
) -> SmallSet:
    """Move each target by a step along the mean error of the rows that its row is nearest to.

    Parameters
    ----------
    small : SmallSet
        With targets y (m,) or (m, q).
    near : int64 ndarray of shape (k,)
    error : ndarray of shape (k,) or (k, q)
        Target minus prediction.
    weight : ndarray of shape (k,)
    step : float
    """
    y = np.asarray(small.y)
    y = y if y.dtype.kind == "f" else y.astype(np.float64)
    weight = weight / weight.mean()
    mass = np.bincount(near, weights=weight, minlength=len(y))
    columns = error.reshape(len(near), -1).T * weight
    total = np.column_stack([np.bincount(near, weights=c, minlength=len(y)) for c in columns])
    change = step * total / (mass + SHRINKAGE)[:, None]
    return replace(small, y=y + change.reshape(y.shape).astype(y.dtype))
