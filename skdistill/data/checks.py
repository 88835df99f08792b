"""What goes into a DistilledData, checked: rows, labels, weights, names.

Everything here is a function of plain values, so that the class itself stays a short list of what
it can do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from .._input.frames import as_array_of_rows, column_names, is_frame


def count(n: int, one: str, many: str = "") -> str:
    """Write a number with its noun, e.g. "1 row" and "2 rows"."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def as_rows(X: Any) -> Any:
    """Return `X` as a DataFrame, a CSR matrix or an ndarray of shape (n_rows, n_features)."""
    if sparse.issparse(X):
        X = X.tocsr()
    elif not is_frame(X):
        X = np.asarray(as_array_of_rows(X))
    if len(X.shape) != 2:
        raise ValueError(
            f"X must have shape (n_rows, n_features), got {X.shape}. "
            "Reshape it: X.reshape(-1, 1) for a single feature, X.reshape(len(X), -1) for images."
        )
    return X


def as_labels(y: Any, n_rows: int) -> np.ndarray | None:
    """Return `y` as an ndarray of shape (n_rows,) or (n_rows, n_outputs)."""
    if y is None:
        return None
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    _check_shape("y", y, n_rows, (1, 2))
    return y


def as_weights(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Return finite, non-negative weights of shape (n_rows,); None gives ones."""
    if sample_weight is None:
        return np.ones(n_rows)
    weights = _as_floats("sample_weight", sample_weight)
    _check_shape("sample_weight", weights, n_rows, (1,))
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise ValueError(
            "sample_weight must be finite and non-negative, got "
            f"{weights[bad][0]} in row {np.flatnonzero(bad)[0]}."
        )
    return weights


def as_targets(targets: Any, n_rows: int) -> np.ndarray | None:
    """Return soft labels of shape (n_rows, n_targets)."""
    if targets is None:
        return None
    targets = _as_floats("targets", targets)
    _check_shape("targets", targets, n_rows, (2,))
    return targets


def as_classes(classes: Any) -> np.ndarray | list[np.ndarray] | None:
    """Return one array of classes, or a list of arrays where there are several outputs."""
    if classes is None:
        return None
    if isinstance(classes, list) and all(isinstance(c, np.ndarray) for c in classes):
        return list(classes)
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(
            f"classes must have shape (n_classes,), got {classes.shape}. "
            "For several outputs pass a list of ndarrays, one per output."
        )
    return classes


def as_indices(indices: Any, n_rows: int) -> np.ndarray | None:
    """Return positions of shape (n_rows,) as integers."""
    if indices is None:
        return None
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"indices must be integers, got dtype {indices.dtype}.")
    _check_shape("indices", indices, n_rows, (1,))
    return indices.astype(np.intp)


def as_feature_names(feature_names: Any, X: Any) -> np.ndarray | None:
    """Return the given names, or those of a DataFrame whose labels are all text."""
    if feature_names is None:
        if not is_frame(X) or not all(isinstance(label, str) for label in column_names(X)):
            return None
        feature_names = column_names(X)
    names = np.asarray(feature_names, dtype=object)
    if names.shape != (X.shape[1],):
        raise ValueError(
            f"feature_names must hold {X.shape[1]} names, one per column of X, "
            f"got shape {names.shape}."
        )
    return names


def _as_floats(name: str, values: Any) -> np.ndarray:
    """Return an array of a floating type, float64 unless it has one."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return array if name == "targets" else array.astype(np.float64, copy=False)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers: {error}") from error


def _check_shape(name: str, array: np.ndarray, n_rows: int, ndims: tuple[int, ...]) -> None:
    """Check the number of axes and of rows."""
    if array.ndim not in ndims:
        expected = " or ".join(str(ndim) for ndim in ndims)
        raise ValueError(f"{name} must have {expected} axes, got shape {array.shape}.")
    if array.shape[0] != n_rows:
        raise ValueError(f"{name} has {count(array.shape[0], 'row')}, X has {n_rows}.")


def as_target_names(names: Any, y: np.ndarray | None) -> np.ndarray | None:
    """Check the names of the outputs of `y`."""
    if names is None:
        return None
    found = np.atleast_1d(np.asarray(names, dtype=object))
    n_outputs = 0 if y is None else (1 if y.ndim == 1 else y.shape[1])
    if found.shape != (n_outputs,) or not all(isinstance(name, str) for name in found):
        raise ValueError(
            f"target_names must hold {n_outputs} names, one for each output of y, got {names!r}."
        )
    return found
