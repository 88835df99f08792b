"""Real rows for an estimator that stops early: held out before the data are distilled.

Boosting and networks that watch a validation set would split the small set for it, and lose rows
that were hard to choose. Real rows that take no part in the small set are plentiful.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from .._input.frames import take_rows

SHARE, MOST_ROWS = 0.1, 10_000


def validation_keywords(estimator: Any, X: Any, y: Any) -> dict[str, Any]:
    """Keywords of ``estimator.fit`` that bring it a validation set.

    Raises
    ------
    ValueError
        If it takes none.
    """
    if has_fit_parameter(estimator, "X_val"):
        return {"X_val": X, "y_val": y}
    if has_fit_parameter(estimator, "eval_set"):
        return {"eval_set": [(X, y)]}
    raise ValueError(
        f"validation='held_out' needs an estimator whose fit takes X_val and y_val, or eval_set, "
        f"as those of boosting do, but {type(estimator).__name__} takes neither; use "
        "validation=None."
    )


def hold_out(
    X: Any, y: np.ndarray, sample_weight: Any, classes: bool
) -> tuple[tuple[Any, np.ndarray, Any], tuple[Any, np.ndarray], np.ndarray]:
    """Split off a tenth of the rows, at most 10,000; classes in proportion where they can be.

    Returns
    -------
    rest : (X, y, sample_weight)
    held : (X, y)
    places : int ndarray
        Of the rest.
    """
    n = len(y)
    n_held = max(1, min(round(SHARE * n), MOST_ROWS))
    stratify = None
    if classes and y.ndim == 1:
        counts = np.unique(y, return_counts=True)[1]
        stratify = y if counts.min() > 1 and n_held >= len(counts) else None
    rest, held = train_test_split(np.arange(n), test_size=n_held, stratify=stratify, random_state=0)
    weight = None if sample_weight is None else _safe_indexing(sample_weight, rest)
    kept = (take_rows(X, rest), y[rest], weight)
    return kept, (take_rows(X, held), y[held]), rest
