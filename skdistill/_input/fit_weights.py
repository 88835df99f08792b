"""How the weights of distilled rows reach an estimator, and what happens where they cannot.

A Pipeline and a grid search take ``**params`` in ``fit`` and so hide whether the estimator inside
takes ``sample_weight``. Here the estimator is followed down to the one that learns from the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

_ENSEMBLES = (StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor)
# Estimators whose fit hands its keywords unchanged to the estimator in this parameter.
_FORWARDING = ((BaseSearchCV, "estimator"), (RFE, "estimator"))


def fit_weighted(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: np.ndarray,
    use_weights: str | bool,
    **fit_params: Any,
) -> Any:
    """Fit `estimator` on weighted rows.

    Parameters
    ----------
    estimator : estimator
        Fitted in place.
    X : ndarray, CSR matrix or DataFrame of shape (n_rows, n_features)
        The rows.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Their labels.
    sample_weight : ndarray of shape (n_rows,)
        Their weights.
    use_weights : {"auto", True, False}
        False leaves the weights out. True and "auto" hand them on, and where the estimator takes
        none, True is an error and "auto" is one unless the weights are all equal.
    **fit_params : dict
        Further keywords of ``estimator.fit``.

    Returns
    -------
    estimator : estimator
        The same object, fitted.

    Raises
    ------
    ValueError
        If the weights matter and the estimator takes none.
    """
    if use_weights is False:
        return estimator.fit(X, y, **fit_params)
    keyword = weight_keyword(estimator)
    if keyword is not None:
        if get_config()["enable_metadata_routing"]:
            # Prefixed keywords are unknown to routers; the requests of the steps decide.
            keyword = "sample_weight"
        return estimator.fit(X, y, **{keyword: sample_weight}, **fit_params)
    if use_weights == "auto" and all_equal(sample_weight):
        return estimator.fit(X, y, **fit_params)
    raise ValueError(
        f"estimator={estimator!r} takes no sample_weight in fit, and the weights of the distilled "
        f"rows matter (use_weights={use_weights!r}; they lie between {sample_weight.min():.4g} and "
        f"{sample_weight.max():.4g}). Pass an estimator that takes sample_weight, or "
        "use_weights=False to train on the rows as if they were equal."
    )


def all_equal(sample_weight: np.ndarray) -> bool:
    """Tell whether weights differ by rounding at most."""
    return bool(np.allclose(sample_weight, sample_weight[0], rtol=1e-9, atol=0.0))


def weight_keyword(estimator: Any) -> str | None:
    """Return the keyword of ``estimator.fit`` that brings weights to what learns inside it.

    In a Pipeline that is the last step: were the weights sent to an earlier scaler alone, the model
    would silently go without. None means that the weights cannot be passed.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = weight_keyword(last)
        return None if inner is None else f"{name}__{inner}"
    if isinstance(estimator, TransformedTargetRegressor):
        # Without a regressor it is LinearRegression.
        inner = estimator.regressor
        return "sample_weight" if inner is None else weight_keyword(inner)
    if isinstance(estimator, _ENSEMBLES):
        # Asked first: where their fit names sample_weight, the members may still take none.
        members = [member for _, member in estimator.estimators if member != "drop"]
        members.append(getattr(estimator, "final_estimator", None))
        takes = (weight_keyword(m) == "sample_weight" for m in members if m is not None)
        return "sample_weight" if all(takes) else None
    for router, parameter in _FORWARDING:
        if isinstance(estimator, router):
            return weight_keyword(getattr(estimator, parameter))
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None
