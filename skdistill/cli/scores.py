"""What the command line scores a model by.

Accuracy alone says nothing where a class is rare: two classes are scored by ROC AUC and average
precision too, more of them by balanced accuracy and log loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    get_scorer,
    log_loss,
    r2_score,
    recall_score,
    roc_auc_score,
)

from .table import InputError

Test = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Scores = dict[str, Callable[..., float]]


def make_scores(task: str, n_classes: int, scoring: str | None) -> Scores:
    """Return functions of a model, rows, targets and ``sample_weight``, each under a name.

    Parameters
    ----------
    task : {"classification", "regression"}
        What is learnt.

    n_classes : int
        Classes are numbers from 0; of two, 1 is the one that is looked for.

    scoring : str or None
        Name of a score of scikit-learn, which then comes first.

    Returns
    -------
    dict of str to callable
        The first is the one that decides. NaN where a model does not give what a score needs.

    Raises
    ------
    InputError
        If there is no score of that name.
    """
    found: Scores = {}
    if scoring is not None:
        try:
            found[scoring] = get_scorer(scoring)
        except ValueError as error:
            raise InputError(
                f"--scoring {scoring!r} is no score of scikit-learn; take accuracy, roc_auc,"
                " balanced_accuracy, f1, neg_log_loss, r2, neg_root_mean_squared_error or another"
                " of sklearn.metrics.get_scorer_names()"
            ) from error
    if task == "regression":
        return found | {"R2": _of_predictions(r2_score)}
    found["accuracy"] = _of_predictions(accuracy_score)
    if n_classes == 2:
        found["ROC AUC"] = _of_leaning(roc_auc_score)
        found["avg precision"] = _of_leaning(average_precision_score)
        return found

    def balanced(model: Any, X: np.ndarray, y: np.ndarray, **weights: Any) -> float:
        # A class that is predicted and that no row has is wrong, and none to average over.
        options: dict[str, Any] = {"average": "macro", "zero_division": 0}
        return recall_score(y, model.predict(X), labels=np.unique(y), **options, **weights)

    def loss(model: Any, X: np.ndarray, y: np.ndarray, **weights: Any) -> float:
        found = _probabilities(model, X, n_classes)
        return log_loss(y, found, labels=np.arange(n_classes), **weights)

    return found | {"balanced acc": balanced, "log loss": loss}


def _of_predictions(metric: Any) -> Any:
    return lambda model, X, y, **weights: metric(y, model.predict(X), **weights)


def _of_leaning(metric: Any) -> Any:
    return lambda model, X, y, **weights: metric(y, _leaning(model, X), **weights)


def check_scores(scores: Scores, scoring: str | None, y: np.ndarray) -> None:
    """Refuse a score that does not go with the target.

    Parameters
    ----------
    scores : dict of str to callable
        From `make_scores`.

    scoring : str or None
        The one that was asked for.

    y : ndarray of shape (n_samples,)
        Target.

    Raises
    ------
    InputError
        For example for f1 of more than two classes.
    """
    if scoring is None:
        return
    X = np.zeros((len(y), 1))
    dummy = DummyRegressor() if y.dtype.kind == "f" else DummyClassifier()
    try:
        scores[scoring](dummy.fit(X, y), X, y)
    except (ValueError, AttributeError) as error:
        raise InputError(f"--scoring {scoring} does not go with the target: {error}") from error


def score_all(scores: Scores, model: Any, test: Test) -> dict[str, float]:
    """Score a fitted model in every way.

    Parameters
    ----------
    scores : dict of str to callable
        From `make_scores`.

    model : estimator
        Fitted.

    test : tuple (X, y, sample_weight)
        Rows to score on; None for weights leaves them out.

    Returns
    -------
    dict of str to float
        NaN where the model cannot be scored in that way.
    """
    X, y, weights = test
    params = {} if weights is None else {"sample_weight": weights}
    found = {}
    for name, score in scores.items():
        try:
            found[name] = float(score(model, X, y, **params))
        except (AttributeError, ValueError):  # no predict_proba, or not of all classes
            found[name] = np.nan
    return found


def _leaning(model: Any, X: np.ndarray) -> np.ndarray:
    """Return numbers that are the larger the more likely class 1 is."""
    if len(model.classes_) == 1:
        return np.zeros(len(X))
    if hasattr(model, "decision_function"):
        return model.decision_function(X)
    return model.predict_proba(X)[:, 1]


def _probabilities(model: Any, X: np.ndarray, n_classes: int) -> np.ndarray:
    """Return probabilities of all classes, also of those that the model has not seen."""
    found = np.zeros((len(X), n_classes))
    found[:, model.classes_] = model.predict_proba(X)
    found = np.clip(found, np.finfo(np.float32).eps, None)
    return found / found.sum(axis=1, keepdims=True)
