"""A random pool of rows that stands for data larger than memory, for techniques that learn rows."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import _num_samples

from ..coreset import SensitivityCoreset
from ..streaming.coreset import NO_SHARE
from ..streaming.sources import is_stream, open_source

POOL_ROWS = 50_000  # more of them gain little: at a few thousand held-out rows scores are settled


def row_numbers(X: Any) -> np.ndarray:
    """Numbers (n, 1) from 0: as the only feature they tell all rows apart, and nothing is read."""
    return np.arange(_num_samples(X), dtype=np.float64)[:, None]


def larger_than_memory(distiller: Any, X: Any, y: Any, sample_weight: Any) -> bool:
    """Whether `fit` of a distiller is to read a pool of `X` instead of all of it.

    Raises
    ------
    ValueError
        If the number of rows of the small set depends on that of a stream.
    """
    if not is_stream(X):
        if open_source(X, y, sample_weight) is None or X.shape[0] <= POOL_ROWS:
            return False
        if not isinstance(distiller.n_samples, Integral):
            return False  # a share of the rows needs all of them at once
    if not isinstance(distiller.n_samples, Integral):
        raise ValueError(NO_SHARE.format(distiller.n_samples))
    return True


def random_pool(distiller: Any) -> SensitivityCoreset:
    """Return what draws a random pool, with a row of each class at least, from data of any size.

    Rows are alike to it, but for their weights: which of them matter is for the distiller to find.

    Parameters
    ----------
    distiller : BaseDistiller
        Whose preprocessor is left for later: it sees the pool as a whole.
    """
    return SensitivityCoreset(
        POOL_ROWS,
        loss=_alike,
        uniform_mixing=1.0,
        preprocessor=None if distiller.preprocessor is None else FunctionTransformer(row_numbers),
        target_type=distiller.target_type,
        device=distiller.device,
        random_state=distiller.random_state,
    )


def rows_of_pool(pool: SensitivityCoreset) -> tuple[Any, Any, np.ndarray]:
    """Rows, target and weights of a fitted pool."""
    small = pool.distilled_
    return small.X, small.y, small.sample_weight


def _alike(X: Any, y: Any) -> np.ndarray:
    return np.ones(X.shape[0])
