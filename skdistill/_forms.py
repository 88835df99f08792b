"""What goes into a DistilledData and what it turns into: checked arrays, a table, torch tensors.

Everything here is a function of plain values, so that the class itself stays a short list of what
it can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from . import _torch as torch

if TYPE_CHECKING:
    from .data import DistilledData


def is_frame(value: Any) -> bool:
    """Tell whether `value` is a pandas DataFrame, without importing pandas."""
    return hasattr(value, "iloc") and hasattr(value, "columns")


def count(n: int, one: str, many: str = "") -> str:
    """Write a number with its noun, e.g. "1 row" and "2 rows"."""
    return f"{n} {one if n == 1 else many or one + 's'}"


# Into a DistilledData ------------------------------------------------------------------------


def as_rows(X: Any) -> Any:
    """Return `X` as a DataFrame, a CSR matrix or an ndarray of shape (n_rows, n_features)."""
    if sparse.issparse(X):
        X = X.tocsr()
    elif not is_frame(X):
        X = np.asarray(X)
    if X.ndim != 2:
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
        if not is_frame(X) or not all(isinstance(label, str) for label in X.columns):
            return None
        feature_names = X.columns
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


# Out of a DistilledData ----------------------------------------------------------------------


def to_frame(small: DistilledData, y_name: str | Sequence[str], weight_name: str) -> Any:
    """Return a DataFrame of features, labels and weights."""
    frame = _feature_frame(small)
    for name, column in _label_columns(small.y, y_name):
        _check_free(frame, "y_name", name)
        frame[name] = column
    _check_free(frame, "weight_name", weight_name)
    frame[weight_name] = small.sample_weight
    return frame


def _feature_frame(small: DistilledData) -> Any:
    """Return the rows as a new DataFrame."""
    import pandas as pd

    if is_frame(small.X):
        return small.X.copy()
    names: Any = small.feature_names
    if names is None:
        names = [f"x{j}" for j in range(small.X.shape[1])]
    if sparse.issparse(small.X):
        return pd.DataFrame.sparse.from_spmatrix(small.X, index=small.indices, columns=names)
    return pd.DataFrame(small.X, index=small.indices, columns=names, copy=True)


def _label_columns(
    y: np.ndarray | None, y_name: str | Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns of `y` with their names."""
    if y is None:
        return
    if y.ndim == 1:
        if not isinstance(y_name, str):
            raise ValueError(f"y_name must be one name, as y has one output, got {y_name!r}.")
        yield y_name, y
        return
    n_outputs = y.shape[1]
    names = [f"{y_name}{k}" for k in range(n_outputs)] if isinstance(y_name, str) else list(y_name)
    if len(names) != n_outputs:
        raise ValueError(f"y_name must hold {n_outputs} names, one per output, got {names}.")
    yield from zip(names, y.T, strict=True)


def _check_free(frame: Any, parameter: str, name: str) -> None:
    """Check that no column has the name yet."""
    if name in frame.columns:
        raise ValueError(f"{parameter}={name!r} is already a column; choose another {parameter}.")


def to_dataset(small: DistilledData, dtype: Any) -> Any:
    """Return a TensorDataset of X, y (left out when None) and sample_weight."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    tensors = [torch.tensor(_numeric_rows(small.X), dtype=dtype)]
    if small.y is not None:
        labels = _numeric_labels(small.y, small.classes)
        label_type = torch.int64 if labels.dtype.kind == "i" else dtype
        tensors.append(torch.tensor(labels, dtype=label_type))
    tensors.append(torch.tensor(small.sample_weight, dtype=dtype))
    return torch.utils.data.TensorDataset(*tensors)


def _numeric_rows(X: Any) -> np.ndarray:
    """Return the rows as a dense array of numbers."""
    if sparse.issparse(X):
        X = X.toarray()
    if is_frame(X):
        names = [
            label for label, dtype in X.dtypes.items() if getattr(dtype, "kind", "O") not in "biuf"
        ]
        if names:
            raise TypeError(
                f"X has columns that are no numbers: {names}. Encode them first, e.g. with "
                "sklearn.preprocessing.OneHotEncoder."
            )
        X = X.to_numpy(dtype=np.float64, na_value=np.nan)
    if X.dtype.kind not in "biuf":
        raise TypeError(f"X has dtype {X.dtype}; torch needs numbers: encode the rows first.")
    return X


def _numeric_labels(y: np.ndarray, classes: Any) -> np.ndarray:
    """Return class positions as int64, or the numbers of `y` as floats where it has no classes."""
    if y.ndim == 1 and isinstance(classes, np.ndarray):
        return _positions(y, classes)
    if y.ndim == 2 and isinstance(classes, list):
        columns = zip(y.T, classes, strict=True)
        return np.stack([_positions(column, its_own) for column, its_own in columns], axis=1)
    if y.dtype.kind not in "biuf":
        raise TypeError(
            f"y has dtype {y.dtype} and classes={classes!r}, so its labels have no numbers; "
            "set small.classes, or encode y."
        )
    # float64 also for integers: only class positions leave as integers.
    return y.astype(np.float64)


def _positions(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the position of each label in the sorted classes, as int64."""
    found = np.isin(labels, classes)
    if not found.all():
        label = labels[~found].tolist()[0]
        raise ValueError(f"y holds {label!r}, which is not in classes={classes}.")
    return np.searchsorted(classes, labels).astype(np.int64)
