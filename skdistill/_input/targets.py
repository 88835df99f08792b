"""Targets: what kind they are, their classes, and the numbers that scores work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets, type_of_target

TARGET_TYPES = ("auto", "classification", "regression")


@dataclass(frozen=True)
class Target:
    """A target in the forms that scores need.

    Attributes
    ----------
    kind : {"none", "classes", "multilabel", "numbers"}
    numbers : float64 ndarray of shape (n, q) or None
        0/1 labels or numbers; None for classes.
    classes : ndarray of shape (q,) or None
        Sorted class labels.
    codes : int ndarray of shape (n,) or None
        Position of each label in `classes`.
    """

    kind: str
    numbers: np.ndarray | None = None
    classes: np.ndarray | None = None
    codes: np.ndarray | None = None

    @property
    def identity(self) -> np.ndarray | None:
        """Numbers (n,) or (n, q) that are equal where targets are equal."""
        return self.numbers if self.codes is None else self.codes

    @property
    def n_outputs(self) -> int:
        """Columns of `take`; 0 without a target."""
        if self.classes is not None:
            return len(self.classes)
        return 0 if self.numbers is None else self.numbers.shape[1]

    def take(self, index: Any) -> np.ndarray | None:
        """Values that squared losses are computed on, float64: one-hot classes, labels or numbers.

        Parameters
        ----------
        index : int64 ndarray of shape (k,) or slice

        Returns
        -------
        ndarray of shape (k, q) or None
        """
        if self.codes is None:
            return None if self.numbers is None else self.numbers[index]
        codes = self.codes[index]
        one_hot = np.zeros((len(codes), self.n_outputs))
        one_hot[np.arange(len(codes)), codes] = 1.0
        return one_hot


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
            values = y.astype(np.float64, copy=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"target_type={target_type!r} needs a numeric y, but y has dtype {y.dtype}; "
                "use target_type='classification' for labels."
            ) from error
        return Target("numbers", values.reshape(len(values), -1))
    _check_labels(y)
    if y.ndim == 2:
        if type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                "y has several columns of classes; only 0/1 labels (multilabel) or one column of "
                "classes are supported. Distil each column on its own, or pass "
                "target_type='regression' if the columns are numbers."
            )
        return Target("multilabel", y.astype(np.float64))
    classes, codes = np.unique(y, return_inverse=True)
    return Target("classes", None, classes, codes)


def check_objects(y: Any) -> None:
    """Check labels that are objects: none is missing, and all have a common order.

    Numbers are left to the general check of arrays, whose messages for objects do not name y.

    Raises
    ------
    ValueError
        If a label is NaN, None or pandas' NA.
    TypeError
        If text stands beside other labels.
    """
    if not hasattr(y, "dtype") or sp.issparse(y):
        return
    labels = np.asarray(y)
    if labels.dtype.kind != "O":
        return
    found = labels.ravel().tolist()
    missing = sum(map(is_missing, found))
    if missing:
        raise ValueError(
            f"Input y contains NaN or None, {missing} of {len(found)} labels; leave those rows "
            "out, or give them a class of their own."
        )
    kinds = {type(label).__name__ for label in found}
    if "str" in kinds and len(kinds) > 1:
        raise TypeError(
            f"y mixes labels of the types {sorted(kinds)}, which have no common order; pass "
            "y.astype(str)."
        )


def is_missing(label: Any) -> bool:
    """Tell whether an object stands for a missing value."""
    # pandas.NA compares to itself as NA, which has no truth value.
    return label is None or type(label).__name__ == "NAType" or bool(label != label)


def _check_labels(y: np.ndarray) -> None:
    """Raise a ValueError where numbers are no classes."""
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise ValueError(
            f"{error} Use target_type='regression' for numbers; for classes, group them first, for "
            "example with numpy.digitize."
        ) from error
