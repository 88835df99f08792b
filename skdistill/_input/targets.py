"""Targets: what kind they are, their classes, and the numbers that scores work with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from .frames import columns_of, is_frame, is_series, series_values
from .rows import LARGEST

TARGET_TYPES = ("auto", "classification", "regression")
_FIRST_LABELS = 1000  # of a long target of texts


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

    def subset(self, index: Any) -> Target:
        """Target of some rows, in the same form: classes stay codes."""
        numbers = None if self.numbers is None else self.numbers[index]
        codes = None if self.codes is None else self.codes[index]
        return Target(self.kind, numbers, self.classes, codes)


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
        if values.size and not np.abs(values).max() <= LARGEST:
            raise ValueError(
                f"y holds values up to {np.abs(values).max():.1e}, whose squares leave the range "
                "of float64; divide it by a constant."
            )
        return Target("numbers", values.reshape(len(values), -1))
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.ravel()
    if (few := _few_texts(y)) is not None:
        return Target("classes", None, *few)
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


def _few_texts(y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Classes and codes of many texts, as `np.unique` finds them by a sort; None for all else.

    Nearly always the first rows hold all classes.
    """
    if y.ndim != 1 or y.dtype.kind != "U" or len(y) < 4 * _FIRST_LABELS:
        return None
    classes = np.unique(y[:_FIRST_LABELS])
    codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    return (classes, codes) if (classes[codes] == y).all() else None


def target_kind(y: np.ndarray | None, target_type: str) -> str:
    """Return the kind of a target that `encode_target` is to read later, with others.

    Whatever it would refuse is refused here too.
    """
    if y is not None and y.ndim == 1 and y.dtype.kind == "U" and target_type != "regression":
        return "classes"  # texts are, whichever they are: to find out which takes a sort
    return encode_target(y, target_type).kind


def plain_target(y: Any) -> Any:
    """Return a target as an array of a plain type, whatever it came in.

    A list, a Series or a column of a DataFrame (pandas, polars, pyarrow) becomes an array of
    integers, booleans, floats, dates or objects, by its values: nullable integers stay integers,
    and integers in a column of objects are integers.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, q), sparse matrix or None

    Returns
    -------
    ndarray of shape (n,) or (n, q); a sparse matrix or None as it is

    Raises
    ------
    ValueError
        If a label is NaN, None or pandas' NA, or masked.
    TypeError
        If text stands beside other labels, or labels are neither text nor numbers, such as periods.
    """
    if y is None or sp.issparse(y):
        return y
    check_not_masked(y, "y")
    values = _as_array(y)
    if values.dtype.kind != "O" or values.size == 0:
        return values
    check_objects(values)
    kinds = {type(label) for label in values.ravel().tolist()}
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return values.astype(bool)
    if all(issubclass(kind, int | np.integer) for kind in kinds):
        return np.array(values.tolist())
    if all(issubclass(kind, Real | np.number | Decimal) for kind in kinds):
        return values.astype(np.float64)
    if all(issubclass(kind, str) for kind in kinds) and kinds != {str}:
        return np.array([str(label) for label in values], dtype=object)  # numpy.str_ among them
    others = sorted(k.__name__ for k in kinds if not issubclass(k, str | bytes | Collection))
    if others:
        raise TypeError(
            f"y holds labels of the type {', '.join(others)}; pass them as text, y.astype(str)."
        )
    return values


def _as_array(y: Any) -> np.ndarray:
    """Labels as an array, in which nothing was made text or float on the way."""
    if is_frame(y):
        return np.column_stack([_as_array(column) for column in columns_of(y)])
    if is_series(y):
        return series_values(y)
    if isinstance(y, list | tuple):
        array = np.asarray(y)
        if array.dtype.kind not in "US":
            return array
        values = np.asarray(y, dtype=object)  # NumPy makes text of None, NaN and numbers
        return array if all(isinstance(label, str) for label in values.ravel()) else values
    return np.asarray(y)


def check_not_masked(values: Any, name: str) -> None:
    """Raise a ValueError where values are masked, because NumPy would show them again."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        n_masked = int(np.ma.getmaskarray(values).sum())
        way_out = "X.filled(numpy.nan) and preprocessor='auto'" if name == "X" else "the rest"
        raise ValueError(
            f"{name} is a masked array with {n_masked} masked values, which would be used as if "
            f"they were not; leave those rows out and pass {way_out}."
        )


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
    texts = [isinstance(label, str) for label in found]
    if any(texts) and not all(texts):
        kinds = {type(label).__name__ for label in found}
        raise TypeError(
            f"y mixes labels of the types {sorted(kinds)}, which have no common order; pass "
            "y.astype(str)."
        )


def is_missing(label: Any) -> bool:
    # pandas.NA compares to itself as NA, which has no truth value.
    return label is None or type(label).__name__ in ("NAType", "NaTType") or bool(label != label)


def check_classes(y: np.ndarray) -> None:
    """Raise a ValueError where numbers are no classes; without a word of the cast that tells."""
    with np.errstate(invalid="ignore"):  # beyond int64
        check_classification_targets(y)


def _check_labels(y: np.ndarray) -> None:
    """Raise a ValueError where numbers are no classes."""
    try:
        check_classes(y)
    except ValueError as error:
        raise ValueError(
            f"{error} Use target_type='regression' for numbers; for classes, group them first, for "
            "example with numpy.digitize."
        ) from error
