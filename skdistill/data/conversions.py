"""What a DistilledData turns into: a table, torch tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from .. import _torch as torch
from .._input.frames import is_frame, is_pandas, to_pandas


def to_frame(
    X: Any,
    y: np.ndarray | None,
    sample_weight: np.ndarray,
    indices: np.ndarray | None,
    feature_names: Any,
    y_name: str | Sequence[str],
    weight_name: str,
) -> Any:
    """Return a DataFrame of features, labels and weights."""
    frame = _feature_frame(X, indices, feature_names)
    for name, column in _label_columns(y, y_name):
        _check_free(frame, "y_name", name)
        frame[_label(frame, name)] = column
    _check_free(frame, "weight_name", weight_name)
    frame[_label(frame, weight_name)] = sample_weight
    return frame


def _label(frame: Any, name: str) -> Any:
    """Name of a new column; with empty lower levels where columns have several."""
    n_levels = frame.columns.nlevels
    return name if n_levels == 1 else (name, *[""] * (n_levels - 1))


def _feature_frame(X: Any, indices: np.ndarray | None, names: Any) -> Any:
    """Return the rows as a new DataFrame."""
    import pandas as pd

    if is_frame(X):
        return X.copy() if is_pandas(X) else to_pandas(X)
    if names is None:
        names = [f"x{j}" for j in range(X.shape[1])]
    if sparse.issparse(X):
        return pd.DataFrame.sparse.from_spmatrix(X, index=indices, columns=names)
    return pd.DataFrame(X, index=indices, columns=names, copy=True)


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


def to_dataset(
    X: Any, y: np.ndarray | None, sample_weight: np.ndarray, classes: Any, dtype: Any
) -> Any:
    """Return a TensorDataset of X, y (left out when None) and sample_weight."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    tensors = [torch.tensor(_numeric_rows(X), dtype=dtype)]
    if y is not None:
        labels = _numeric_labels(y, classes)
        label_type = torch.int64 if labels.dtype.kind == "i" else dtype
        tensors.append(torch.tensor(labels, dtype=label_type))
    tensors.append(torch.tensor(sample_weight, dtype=dtype))
    return torch.utils.data.TensorDataset(*tensors)


def _numeric_rows(X: Any) -> np.ndarray:
    """Return the rows as a dense array of numbers."""
    if sparse.issparse(X):
        X = X.toarray()
    if is_frame(X):
        X = to_pandas(X)
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
