"""Targets: what kind they are, their classes, and the numbers that scores work with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

TARGET_TYPES = ("auto", "classification", "regression")


@dataclass(frozen=True)
class Target:
    """A target in the forms that scores need.

    Attributes
    ----------
    kind : {"none", "classes", "multilabel", "numbers"}
    values : float64 ndarray of shape (n, q) or None
        One-hot classes, 0/1 labels or numbers: what squared losses are computed on.
    classes : ndarray of shape (q,) or None
        Sorted class labels.
    codes : int ndarray of shape (n,) or None
        Position of each label in `classes`.
    """

    kind: str
    values: np.ndarray | None = None
    classes: np.ndarray | None = None
    codes: np.ndarray | None = None

    @property
    def identity(self) -> np.ndarray | None:
        """Numbers (n,) or (n, q) that are equal where targets are equal."""
        return self.values if self.codes is None else self.codes


def encode_target(y: np.ndarray | None, target_type: str) -> Target:
    """Read the target as classes, labels or numbers.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, q), or None
    target_type : {"auto", "classification", "regression"}
        "auto" reads a float target as regression and anything else as classification.

    Returns
    -------
    Target

    Raises
    ------
    ValueError
        If the target does not fit `target_type`.
    """
    if y is None:
        return Target("none")
    regression = target_type == "regression" or (target_type == "auto" and y.dtype.kind == "f")
    if regression:
        try:
            values = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"target_type={target_type!r} needs a numeric y, but y has dtype {y.dtype}; "
                "use target_type='classification' for labels."
            ) from error
        return Target("numbers", values.reshape(len(values), -1))
    check_classification_targets(y)
    if y.ndim == 2:
        if type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "y has several columns of classes; only 0/1 labels (multilabel) or one column of "
                "classes are supported. Distil each column on its own, or pass "
                "target_type='regression' if the columns are numbers."
            )
        return Target("multilabel", y.astype(np.float64))
    classes, codes = np.unique(y, return_inverse=True)
    one_hot = np.zeros((len(y), len(classes)))
    one_hot[np.arange(len(y)), codes] = 1.0
    return Target("classes", one_hot, classes, codes)
