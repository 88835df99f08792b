"""What a distilled set owes to its rows, and what to soft labels or the recipe of training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._input.caller import warn_caller
from .._input.frames import take_rows
from ..data import DistilledData
from ._evaluate import (
    _NETWORKS,
    _classes,
    _labels,
    _small_set,
    _soft_targets,
    _unwrapped,
    evaluate,
)


def evaluate_controls(
    distilled: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    protocol: Any = "network",
    *,
    teacher: Any = None,
    n_draws: int = 3,
    recovery_weight: float = 0.5,
    random_state: Any = None,
    **options: Any,
) -> dict[str, Any]:
    r"""Score a small set of classes beside random rows that are treated alike.

    Soft labels of a teacher can help a model whatever the rows are. A claim for a distilled set is
    therefore a claim against random rows with equal labels.

    Parameters
    ----------
    distilled : DistilledData or fitted distiller
        The small set, of one class a row.

    X : array-like of shape (n_samples, n_features)
        All training rows, in the units of the small set's rows.

    y : array-like of shape (n_samples,)
        Their classes.

    X_test : array-like of shape (n_test, n_features)
        Test rows.

    y_test : array-like of shape (n_test,)
        Their classes.

    protocol : {"network", "kernel_ridge"} or estimator, default="network"
        As in :func:`evaluate`. With "kernel_ridge" random rows get plain kernel ridge regression.

    teacher : fitted classifier, default=None
        Its ``predict_proba`` labels the random rows where the labels of the small set are soft.
        Needed then, and unused else.

    n_draws : int, default=3
        Draws of random rows, each with as many rows of a class as the small set has.

    recovery_weight : float in [0, 1], default=0.5
        The w of the label-robust score.

    random_state : int, RandomState instance or None, default=None
        Seed of the draws, and of networks.

    **options : dict
        Further parameters of :func:`evaluate`, but for `labels` and `X_train`, which is `X`.

    Returns
    -------
    scores : dict
        Mean scores over models, and over draws: "own" of the small set as it is, "hard" of its rows
        with one class each, "random" of random rows with labels of the same kind, "random_hard" of
        random rows with one class each, "all_rows" of `X`. And from them
        "hard_label_recovery" (HLR), "improvement_over_random" (IOR) and "label_robust_score":

        .. math:: \mathrm{HLR} = a_\mathrm{all} - a_\mathrm{hard}, \quad
            \mathrm{IOR} = a_\mathrm{own} - a_\mathrm{random}, \quad
            \frac{\exp(w\,\mathrm{IOR} - (1 - w)\,\mathrm{HLR}) - e^{-1}}{e - e^{-1}} .

        A small HLR and a large IOR are good.

    Raises
    ------
    ValueError
        If the small set has no classes, or has soft labels and there is no teacher.

    See Also
    --------
    evaluate : The scores of one set.

    References
    ----------
    .. [1] Z. Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation",
       arXiv:2505.13300, 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skdistill import SensitivityCoreset
    >>> from skdistill.evaluation import evaluate_controls
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> small = SensitivityCoreset(50, random_state=0).fit_distill(X, y).normalized()
    >>> found = evaluate_controls(
    ...     small, X, y, X_test, y_test, KNeighborsClassifier(1), use_weights=False, random_state=0
    ... )
    >>> bool(found["improvement_over_random"] > 0)
    True
    """
    for name, use in (("labels", "the kinds of labels are compared"), ("X_train", "X is taken")):
        if name in options:
            raise ValueError(f"{name} is no parameter of evaluate_controls: {use}; leave it out.")
    if not 0 <= recovery_weight <= 1:
        raise ValueError(f"recovery_weight={recovery_weight!r} must lie in [0, 1].")
    if isinstance(n_draws, bool) or int(n_draws) != n_draws or n_draws < 1:
        raise ValueError(f"n_draws={n_draws!r} must be a positive integer.")
    rng = check_random_state(random_state)
    seed = rng.randint(2**31 - 1)
    small = _small_set(_unwrapped(distilled), X_test)
    hard = _labels(small)
    y = np.asarray(y)
    if hard.ndim > 1 or hard.dtype.kind == "f" or y.ndim > 1:
        raise ValueError(
            "evaluate_controls compares sets with one class a row; score others by evaluate."
        )
    estimator = not isinstance(protocol, (str, *_NETWORKS))
    soft = not estimator and _soft_targets(small, "auto") is not None
    if soft and not hasattr(teacher, "predict_proba"):
        raise ValueError(
            f"teacher={teacher!r} has no predict_proba, and the labels of distilled are soft: pass "
            "a fitted classifier that labels the random rows, such as one trained on X and y."
        )

    def score(some: Any, labels: str) -> float:
        kind = {} if estimator else {"labels": labels}
        if not estimator:
            kind["X_train"] = X
        given = {"random_state": seed} | options
        return float(np.mean(evaluate(some, X_test, y_test, protocol, **kind, **given)))

    found: dict[str, Any] = {"own": score(distilled, "auto")}
    found["hard"] = score(_with_classes(small), "hard") if soft else found["own"]
    everything = DistilledData(X, y)
    draws = [_random_rows(everything, small, rng) for _ in range(n_draws)]
    found["random_hard"] = float(np.mean([score(draw, "hard") for draw in draws]))
    found["random"] = found["random_hard"]
    if soft:
        taught = [_taught(draw, teacher, _classes(small)) for draw in draws]
        found["random"] = float(np.mean([score(draw, "soft") for draw in taught]))
    found["all_rows"] = score(everything, "hard")
    recovery = found["all_rows"] - found["hard"]
    improvement = found["own"] - found["random"]
    exponent = recovery_weight * improvement - (1 - recovery_weight) * recovery
    found["hard_label_recovery"] = recovery
    found["improvement_over_random"] = improvement
    found["label_robust_score"] = (math.exp(exponent) - math.exp(-1)) / (math.e - math.exp(-1))
    return found


def _with_classes(small: DistilledData) -> DistilledData:
    """Rows of a set with the class of each, without what it knows beside them."""
    return DistilledData(small.X, small.y, small.sample_weight, classes=small.classes)


def _random_rows(everything: DistilledData, small: DistilledData, rng: Any) -> DistilledData:
    """Random rows, as many of a class as a set has; all where there are fewer."""
    drawn, y = [], _labels(everything)
    for label, count in zip(*np.unique(_labels(small), return_counts=True), strict=True):
        members = np.flatnonzero(y == label)
        if len(members) < count:
            warn_caller(
                f"Class {label!r} has {len(members)} rows, the small set {count}; all are taken.",
                UserWarning,
            )
        drawn.append(rng.permutation(members)[:count])
    index = np.concatenate(drawn)
    return DistilledData(take_rows(everything.X, index), y[index], classes=small.classes)


def _taught(random: DistilledData, teacher: Any, classes: Any) -> DistilledData:
    """Random rows with the probabilities of a teacher, in the order of the classes."""
    found = teacher.predict_proba(random.X)
    targets = np.zeros((len(random), len(classes)))
    place = np.searchsorted(classes, teacher.classes_)
    known = np.flatnonzero(np.isin(teacher.classes_, classes))
    targets[:, place[known]] = found[:, known]
    return DistilledData(random.X, random.y, targets=targets, classes=classes)
