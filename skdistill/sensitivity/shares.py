"""How a budget of rows is shared among classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

CLASS_SHARES = ("proportional", "balanced", "sqrt")


def class_shares(
    class_share: str | Mapping, weight: np.ndarray, classes: np.ndarray | None = None
) -> np.ndarray:
    """Share of each class in the budget.

    Parameters
    ----------
    class_share : {"proportional", "balanced", "sqrt"} or mapping
        In proportion to the weight of the classes, as much for each, or in proportion to the square
        root of their weight. A mapping gives each class a positive number, its part.
    weight : float64 ndarray of shape (c,), positive
        Total weight of each class.
    classes : ndarray of shape (c,), optional
        Their labels, for a mapping.

    Returns
    -------
    float64 ndarray of shape (c,), of sum 1

    Raises
    ------
    ValueError
        If a mapping does not give each class a positive number.
    """
    if isinstance(class_share, Mapping):
        part = _parts(class_share, weight, classes)
    else:
        powers = {"proportional": 1.0, "sqrt": 0.5, "balanced": 0.0}
        part = (weight / weight.sum()) ** powers[class_share]
    return part / part.sum()


def class_budgets(share: np.ndarray, budget: int, size: np.ndarray | None = None) -> np.ndarray:
    """Whole numbers of rows for each class, at least one, that add up to `budget`.

    Each is ``share * budget`` rounded down or up (by largest remainder), except where a class is
    raised to one row or has fewer rows than its share: all of its rows are then taken, and the
    others share the rest.

    Parameters
    ----------
    share : float64 ndarray of shape (c,), positive, of sum 1
    budget : int
    size : int ndarray of shape (c,), positive, optional
        Rows that each class has; not given, rows may be repeated. Sums to `budget` or more.

    Returns
    -------
    int64 ndarray of shape (c,)

    Raises
    ------
    ValueError
        If there are fewer rows than classes.
    """
    n_classes = len(share)
    if budget < n_classes:
        raise ValueError(
            f"n_samples={budget} is fewer than the {n_classes} classes in y; use n_samples of at "
            f"least {n_classes}."
        )
    counts = np.zeros(n_classes, dtype=np.int64)
    free = np.ones(n_classes, dtype=bool)
    while free.any():
        # One row for each, and the rest by largest remainder: what is owed beyond the first row.
        left = budget - counts[~free].sum()
        rest = left - free.sum()
        owed = np.maximum(share[free] / share[free].sum() * left - 1, 0)
        owed = owed * (rest / owed.sum()) if owed.sum() > 0 else np.zeros(free.sum())
        full = np.zeros(n_classes, dtype=bool)
        if size is not None:
            full[free] = owed + 1 >= size[free]
        if not full.any():
            counts[free] = 1 + _rounded(owed, rest)
            break
        counts[full] = size[full]  # type: ignore[index]
        free &= ~full
    return counts


def _rounded(owed: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that add up to `total`, by largest remainder."""
    counts = np.floor(owed + 1e-9).astype(np.int64)
    order = np.argsort(-(owed - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def _parts(given: Mapping, weight: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Numbers of a mapping in the order of the classes, checked."""
    labels = np.arange(len(weight)) if classes is None else classes
    known: list[Any] = labels.tolist()
    missing = [label for label in known if label not in given]
    unknown = [label for label in given if label not in known]
    if missing or unknown:
        wrong = f"has no share for {missing}" if missing else f"names {unknown}"
        raise ValueError(
            f"class_share={dict(given)!r} {wrong}, but the classes in y are {known}; give each of "
            "them a positive number."
        )
    part = np.array([given[label] for label in known], dtype=np.float64)
    if not (np.isfinite(part).all() and (part > 0).all()):
        raise ValueError(
            f"class_share={dict(given)!r} must give each class a positive number; to leave a class "
            "out, drop its rows from X and y."
        )
    return part
