"""How the weights of distilled rows reach an estimator, and what happens where they cannot.

A Pipeline and a grid search take ``**params`` in ``fit`` and so hide whether the estimator inside
takes ``sample_weight``. Here the estimator is followed down to the one that learns from the rows.
"""

from __future__ import annotations

import re
import warnings
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
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_selection import RFE, RFECV
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import has_fit_parameter

_ENSEMBLES = (StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor)
_WEIGHTS = re.compile("sample_weight|sample weight", re.IGNORECASE)
_DROPPED = re.compile("not appear to accept sample_weight|sample weights will only", re.IGNORECASE)
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
    keyword, refusal = weight_keyword(estimator), None
    if get_config()["enable_metadata_routing"] and (keyword is not None or _routes(estimator)):
        # Prefixed keywords are unknown to routers; the requests of what is inside decide.
        keyword = "sample_weight"
    if keyword is not None:
        try:
            return _fit_with(estimator, X, y, {keyword: sample_weight, **fit_params})
        except _WeightsRefusedError as error:
            refusal = error
    if use_weights == "auto" and all_equal(sample_weight):
        return estimator.fit(X, y, **fit_params)
    name = learner_name(estimator)
    if all_equal(sample_weight):
        raise ValueError(
            f"{name} takes no sample_weight in fit, but use_weights=True asks for it; use "
            "use_weights='auto' or False, as the weights are equal."
        )
    raise ValueError(
        f"{name} takes no sample_weight in fit, but the distilled rows need it: their weights lie "
        f"between {sample_weight.min():.4g} and {sample_weight.max():.4g}. Pass use_weights=False "
        "to train without them, on rows that bear it: those of AutoDistiller(), of "
        "SensitivityCoreset(sampling='medoids'), or of SensitivityCoreset(uniform_mixing=1), a "
        "uniform sample. Or pass an estimator that takes sample_weight."
    ) from refusal


class _WeightsRefusedError(ValueError):
    """An estimator named weights in its signature, and could do nothing with them."""


def _fit_with(estimator: Any, X: Any, y: Any, weights: dict[str, np.ndarray]) -> Any:
    """Fit with weights; raise `_WeightsRefusedError` where they do not reach what learns.

    No signature tells this of an estimator around another: some raise an error of their own, some
    warn and go on without.
    """
    if not _is_around_another(estimator):
        return estimator.fit(X, y, **weights)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            fitted = estimator.fit(X, y, **weights)
        except UnsetMetadataPassedError:
            raise  # which says what to request
        except (TypeError, ValueError) as error:
            if _WEIGHTS.search(str(error)):
                raise _WeightsRefusedError(str(error)) from error
            raise
    for warning in told:
        if _DROPPED.search(str(warning.message)):
            raise _WeightsRefusedError(str(warning.message))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return fitted


def _is_around_another(estimator: Any) -> bool:
    """Whether there is an estimator among the parameters of another."""
    get_params = getattr(estimator, "get_params", None)
    inner = [] if get_params is None else get_params(deep=False).values()
    return any(hasattr(value, "fit") or isinstance(value, list) for value in inner)


def _routes(estimator: Any) -> bool:
    """Whether something inside an estimator has requested weights from the routing."""
    try:
        router = estimator.get_metadata_routing()
    except (AttributeError, NotImplementedError):  # of an estimator that knows no routing
        return False
    return isinstance(router, MetadataRouter) and bool(router.consumes("fit", ["sample_weight"]))


def learner_name(estimator: Any) -> str:
    """Name the class that learns from the rows, and the one around it if there is another."""
    inner = estimator
    while True:
        if isinstance(inner, Pipeline):
            inner = inner.steps[-1][1]
        elif isinstance(inner, TransformedTargetRegressor) and inner.regressor is not None:
            inner = inner.regressor
        elif router := next((p for kind, p in _FORWARDING if isinstance(inner, kind)), None):
            inner = getattr(inner, router)
        else:
            break
    name = type(inner).__name__
    return name if inner is estimator else f"{name} (in {type(estimator).__name__})"


def all_equal(sample_weight: np.ndarray) -> bool:
    """Tell whether weights differ by rounding at most."""
    return bool(np.allclose(sample_weight, sample_weight[0], rtol=1e-9, atol=0.0))


def weight_keyword(estimator: Any) -> str | None:
    """Return the keyword of ``estimator.fit`` that brings weights to what learns inside it.

    In a Pipeline that is the last step: were the weights sent to an earlier scaler alone, the model
    would silently go without. None means that the weights cannot be passed.
    """
    if isinstance(estimator, Pipeline):
        if any(hasattr(step, "fit_resample") for _, step in estimator.steps[:-1]):
            return None  # a sampler changes the rows, and the weights would not follow
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
    if isinstance(estimator, RFECV):
        return None  # it takes weights through the routing only
    for router, parameter in _FORWARDING:
        if isinstance(estimator, router):
            return weight_keyword(getattr(estimator, parameter))
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None
