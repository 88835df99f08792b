"""Importance by relative loss: rows that a reference model gets wrong matter more.

The share of a row in the loss of one model is no supremum over models: this is importance, not
sensitivity, and no guarantee follows beyond unbiased weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._device import CPU_TILE_ELEMENTS
from .._input.fit_weights import fit_weighted, weight_keyword
from .._input.rows import Rows
from .._input.targets import Target
from .draws import draw_pool
from .scores import Scores

PILOT_ROWS = 10_000  # rows that the reference model is fitted on


def reference_model(classification: bool, sparse: bool) -> Any:
    """Linear model on scaled features: logistic regression for classes, ridge for numbers."""
    # A rough fit is enough to tell hard rows from easy ones.
    model = LogisticRegression(tol=1e-2, max_iter=1000) if classification else Ridge()
    return make_pipeline(StandardScaler(with_mean=not sparse), model)


def relative_scores(losses: np.ndarray, weight: np.ndarray) -> Scores:
    """Share of each row in the weighted sum of losses; zeros where all losses are zero."""
    largest = losses.max()
    relative = losses / largest if largest > 0 else losses  # no sum or rank overflows
    share = weight * relative
    total = share.sum()
    share = share / total if total > 0 else np.zeros(len(share))
    return Scores(share, share, np.zeros(len(share), dtype=np.int32), relative)


def model_losses(
    loss: str,
    estimator: Any,
    X: Any,
    y: Any,
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
    if y is None:
        raise ValueError(
            f"loss={loss!r} needs a target: requires y to be passed, but the target y is None; use "
            "loss='kmeans' or 'kernel_ridge' without one."
        )
    if loss == "cross_entropy":
        if classes is None:
            raise ValueError(
                f"loss='cross_entropy' needs one column of classes as y, got {target.kind}; use "
                "loss='squared_error' or 'kernel_ridge'."
            )
    if classes is not None and target.codes is not None:
        present = np.unique(target.codes[rows.index])
        if len(present) == 1 and not isinstance(estimator, FrozenEstimator):
            raise ValueError(
                f"loss={loss!r} needs at least two classes, but y holds 1 class of positive "
                f"weight, {classes[present[0]]!r}; use loss='kmeans'."
            )
    if estimator is None:
        estimator = reference_model(classes is not None, sp.issparse(X))
    model = estimator
    if loss == "cross_entropy" and not hasattr(model, "predict_proba"):
        raise ValueError(
            f"loss='cross_entropy' needs an estimator with predict_proba, got {model!r}; "
            "use another one, or loss='squared_error'."
        )
    pilot, pilot_weight = draw_pool(rows, PILOT_ROWS, rng, strata)
    pilot_weight /= pilot_weight.mean()  # or their unit would set the model's regularisation
    pilot = rows.index[pilot]
    takes_weights = weight_keyword(model) is not None
    fit_weighted(model, _not_half(X[pilot]), y[pilot], pilot_weight, takes_weights)
    losses = np.empty(X.shape[0])
    block = max(256, CPU_TILE_ELEMENTS // X.shape[1])
    for start in range(0, X.shape[0], block):
        part = slice(start, start + block)
        values, features = target.take(part), _not_half(X[part])
        assert values is not None  # a target without values was refused before
        if classes is None:
            predicted = np.asarray(model.predict(features), dtype=np.float64)
            predicted = predicted.reshape(len(predicted), -1)
        else:
            predicted = _class_outputs(model, features, classes)
        if loss == "cross_entropy":
            p = np.einsum("ij,ij->i", predicted, values)
            losses[part] = np.abs(np.log(np.clip(p, 1e-12, 1)))  # -log(1) would be -0.0
        else:
            losses[part] = ((predicted - values) ** 2).sum(1)
    return losses


def _not_half(X: Any) -> Any:
    """Rows in a type that a model can square and divide them in."""
    return X.astype(np.float32) if X.dtype == np.float16 else X


def _class_outputs(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Probabilities, or one-hot predictions, with one column for each of `classes`.

    The model may know more classes, or fewer.
    """
    if hasattr(model, "predict_proba"):
        outputs = np.zeros((X.shape[0], len(classes)))
        known = np.isin(model.classes_, classes)
        column = np.searchsorted(classes, model.classes_[known])
        outputs[:, column] = model.predict_proba(X)[:, known]
        return outputs
    if not hasattr(model, "classes_"):
        raise ValueError(
            f"estimator={model!r} has no classes_, but y holds classes; use a classifier, or "
            "target_type='regression'."
        )
    return (model.predict(X)[:, None] == classes).astype(np.float64)


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
