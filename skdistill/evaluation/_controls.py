"""What a distilled set owes to its rows, and what to soft labels or the recipe of training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._input.caller import warn_caller
from .._input.frames import take_rows
from ..data import DistilledData
from ._protocols import (
    NETWORKS,
    classes_of,
    fresh_scores,
    known_to,
    labels_of,
    small_set,
    soft_targets,
    unwrapped,
)

N_DRAWS = 3
RECOVERY_WEIGHT = 0.5  # of the hard label recovery in the label-robust score, as in DD-Ranking
ALL_ROWS_STEPS = 6000  # of networks on all rows; 300 epochs of many rows would take hours


def compare(
    distilled: Any,
    test: tuple[Any, Any, Any],
    y: Any,
    n_draws: int,
    labels: str,
    teacher: Any,
    options: dict[str, Any],
) -> dict[str, float]:
    """Score a small set of classes beside random rows that are treated alike.

    Parameters
    ----------
    distilled : DistilledData or fitted distiller
    test : tuple
        Test rows, their labels, and the protocol.
    y : array-like of shape (n,)
        Classes of the real rows, which are ``options["X_train"]``.
    n_draws : int
    labels : str
    teacher : fitted classifier or None
    options : dict
        Further parameters of `fresh_scores`.

    Returns
    -------
    dict of str to float
        See `evaluate`.
    """
    distilled, protocol = unwrapped(distilled), test[2]
    rng = check_random_state(options["random_state"])
    options = options | {"random_state": rng.randint(2**31 - 1)}
    small = small_set(distilled, test[0])
    hard, y = labels_of(small), np.asarray(y)
    if hard.ndim > 1 or hard.dtype.kind == "f" or y.ndim > 1:
        raise ValueError("controls compare sets with one class a row; leave controls=False.")
    estimator = not isinstance(protocol, (str, *NETWORKS))
    soft = labels == "teacher" or (not estimator and soft_targets(small, labels) is not None)
    if soft:
        check_teacher(teacher, "the labels of distilled are soft, and those of random rows must be")
    # All sets are trained on alike, but that a step size that was learnt goes with the rows.
    given = options["learning_rate"]
    known = known_to(distilled, options["network"], options["image_shape"], given)
    with_rows = options | known
    others = with_rows | {"learning_rate": given}

    def score(some: Any, kind: str, options: dict[str, Any]) -> float:
        return float(np.mean(fresh_scores(some, *test, labels=kind, teacher=teacher, **options)))

    own = "auto" if estimator and not soft else labels
    found = {"own": score(distilled, own, with_rows)}
    found["hard"] = score(_with_classes(small), "hard", with_rows) if soft else found["own"]
    everything = DistilledData(options["X_train"], y)
    draws = [_random_rows(everything, small, rng) for _ in range(n_draws)]
    found["random_hard"] = float(np.mean([score(draw, "hard", others) for draw in draws]))
    found["random"] = found["random_hard"]
    if soft:
        found["random"] = float(np.mean([score(draw, "teacher", others) for draw in draws]))
    found["all_rows"] = score(everything, "hard", others | {"most_steps": ALL_ROWS_STEPS})
    recovery = found["all_rows"] - found["hard"]
    improvement = found["own"] - found["random"]
    exponent = RECOVERY_WEIGHT * improvement - (1 - RECOVERY_WEIGHT) * recovery
    found["hard_label_recovery"] = recovery
    found["improvement_over_random"] = improvement
    found["label_robust_score"] = (math.exp(exponent) - math.exp(-1)) / (math.e - math.exp(-1))
    return found


def check_teacher(teacher: Any, why: str) -> None:
    """Raise a ValueError unless there is a classifier with probabilities."""
    if not hasattr(teacher, "predict_proba"):
        raise ValueError(
            f"teacher={teacher!r} has no predict_proba, but {why}: pass a fitted classifier, such "
            "as one trained on all rows."
        )


def _with_classes(small: DistilledData) -> DistilledData:
    """Rows of a set with the class of each, without what it knows beside them."""
    return DistilledData(small.X, small.y, small.sample_weight, classes=small.classes)


def _random_rows(everything: DistilledData, small: DistilledData, rng: Any) -> DistilledData:
    """Random rows, as many of a class as a set has; all where there are fewer."""
    drawn, y = [], labels_of(everything)
    for label, count in zip(*np.unique(labels_of(small), return_counts=True), strict=True):
        members = np.flatnonzero(y == label)
        if len(members) < count:
            warn_caller(
                f"Class {label!r} has {len(members)} rows, the small set {count}; all are taken.",
                UserWarning,
            )
        drawn.append(rng.permutation(members)[:count])
    index = np.concatenate(drawn)
    return DistilledData(take_rows(everything.X, index), y[index], classes=classes_of(small))
