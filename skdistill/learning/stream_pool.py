"""A random pool of rows that stands for data larger than memory, for techniques that learn rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..coreset import SensitivityCoreset
from ..streaming.sources import is_stream, open_source

POOL_ROWS = 50_000  # more of them gain little: at a few thousand held-out rows scores are settled


def larger_than_memory(X: Any, y: Any, sample_weight: Any) -> bool:
    """Whether `fit` is to read a pool of `X` instead of all of it."""
    return is_stream(X) or open_source(X, y, sample_weight) is not None


def random_pool(target_type: str, device: str, random_state: Any) -> SensitivityCoreset:
    """Return what draws a random pool, with a row of each class at least, from data of any size.

    Rows are alike to it, but for their weights: which of them matter is for the batches to find,
    under the rows learnt so far.
    """
    return SensitivityCoreset(
        POOL_ROWS,
        loss=_alike,
        uniform_mixing=1.0,
        target_type=target_type,
        device=device,
        random_state=random_state,
    )


def _alike(X: Any, y: Any) -> np.ndarray:
    return np.ones(X.shape[0])
