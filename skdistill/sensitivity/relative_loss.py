"""Importance by relative loss: rows that a reference model gets wrong matter more.

The share of a row in the loss of one model is no supremum over models: this is importance, not
sensitivity, and no guarantee follows beyond unbiased weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._device import CPU_TILE_ELEMENTS
from .._fit_weights import fit_weighted, weight_keyword
from .._rows import Rows
from .._targets import Target
from ..sampling import draw_pool
from .scores import Scores

PILOT_ROWS = 10_000  # rows that the reference model is fitted on


def reference_model(classification: bool) -> Any:
    """Linear model on scaled features: logistic regression for classes, ridge for numbers."""
    # A rough fit is enough to tell hard rows from easy ones.
    model = LogisticRegression(tol=1e-2, max_iter=1000) if classification else Ridge()
    return make_pipeline(StandardScaler(with_mean=False), model)


def relative_scores(losses: np.ndarray, weight: np.ndarray) -> Scores:
    """Share of each row in the weighted sum of losses; zeros where all losses are zero."""
    share = weight * losses
    total = share.sum()
    share = share / total if total > 0 else np.zeros(len(share))
    return Scores(share, share, np.zeros(len(share), dtype=np.int32), losses)


def model_losses(
    loss: str,
    estimator: Any,
    X: Any,
    y: np.ndarray,
    target: Target,
    rows: Rows,
    strata: np.ndarray | None,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Losses of a reference model that was fitted on a pilot sample.

    Parameters
    ----------
    loss : {"cross_entropy", "squared_error"}
    estimator : estimator or None
        Fitted in place. None takes `reference_model`.
    X : ndarray or csr_matrix of shape (n, d)
    y : ndarray of shape (n,) or (n, q)
        The user's labels or numbers.
    target : Target
    rows : Rows
    strata : int ndarray of shape (u,) or None
        Every stratum has a row in the pilot.
    rng : RandomState

    Returns
    -------
    float64 ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the target or the model cannot give what the loss needs.
    """
    classes = target.classes
    if loss == "cross_entropy":
        if classes is None:
            raise ValueError(
                f"loss='cross_entropy' needs one column of classes as y, got {target.kind}; use "
                "loss='squared_error' or 'kernel_ridge'."
            )
        if len(classes) == 1:
            raise ValueError(
                f"loss='cross_entropy' needs at least two classes, but y holds 1 class, "
                f"{classes[0]!r}; use loss='kmeans'."
            )
    model = reference_model(classes is not None) if estimator is None else estimator
    if loss == "cross_entropy" and not hasattr(model, "predict_proba"):
        raise ValueError(
            f"loss='cross_entropy' needs an estimator with predict_proba, got {model!r}; "
            "use another one, or loss='squared_error'."
        )
    pilot, pilot_weight = draw_pool(rows, PILOT_ROWS, rng, strata)
    pilot = rows.index[pilot]
    takes_weights = weight_keyword(model) is not None
    fit_weighted(model, X[pilot], y[pilot], pilot_weight, takes_weights)
    values = target.values
    losses = np.empty(X.shape[0])
    block = max(256, CPU_TILE_ELEMENTS // X.shape[1])
    for start in range(0, X.shape[0], block):
        rows = slice(start, start + block)
        if classes is None:
            predicted = np.asarray(model.predict(X[rows]), dtype=np.float64)
            predicted = predicted.reshape(len(predicted), -1)
        else:
            predicted = _class_outputs(model, X[rows], classes)
        if loss == "cross_entropy":
            p = np.einsum("ij,ij->i", predicted, values[rows])
            losses[rows] = -np.log(np.maximum(p, 1e-12))
        else:
            losses[rows] = ((predicted - values[rows]) ** 2).sum(1)
    return losses


def _class_outputs(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Probabilities, or one-hot predictions, with one column for each of `classes`."""
    outputs = np.zeros((X.shape[0], len(classes)))
    if hasattr(model, "predict_proba"):
        outputs[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(X)
    else:
        outputs[np.arange(len(outputs)), np.searchsorted(classes, model.predict(X))] = 1.0
    return outputs


def callable_losses(loss: Callable, X: Any, y: np.ndarray | None) -> np.ndarray:
    """Losses (n,) of a user's function, checked.

    Raises
    ------
    ValueError
        If the shape is not (n,), or a loss is negative or not finite.
    """
    losses = np.asarray(loss(X, y), dtype=np.float64)
    if losses.shape != (X.shape[0],):
        raise ValueError(
            f"loss={loss!r} must return one loss for each row, shape {(X.shape[0],)}, but "
            f"returned shape {losses.shape}."
        )
    if not np.isfinite(losses).all() or (losses < 0).any():
        raise ValueError(
            f"loss={loss!r} must return finite, non-negative losses, but returned values from "
            f"{losses.min()} to {losses.max()}; square them or take their absolute value."
        )
    return losses
