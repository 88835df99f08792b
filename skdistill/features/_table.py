"""Tables of mixed columns as numbers: what a forest splits on, and what distances are taken in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from .._input.frames import is_frame, to_pandas
from .._input.targets import is_missing

_NUMERIC_KINDS = "iufb"
_DATE_KINDS = "mM"
_UNKNOWN, _MISSING = -1, -2  # codes of levels that were not there when the encoder was fitted


@dataclass(frozen=True)
class Table:
    """Columns of a table by kind.

    Attributes
    ----------
    numbers : float ndarray of shape (n, a)
        NaN where a value is missing.
    labels : object ndarray of shape (n, b)
        None where a value is missing.
    """

    numbers: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: Any) -> Table:
        """Keep some of the rows."""
        return Table(self.numbers[index], self.labels[index])


def numeric_columns(X: Any) -> np.ndarray:
    """Tell which columns are numbers: numbers, truth values, dates and spans of time.

    A column of objects is one where all of its values are numbers or missing. Text is never read
    as numbers: codes such as "01234" are names.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n, d)

    Returns
    -------
    bool ndarray of shape (d,)
    """
    if is_frame(X):
        X = to_pandas(X)
        return np.array([_is_numeric(X[name]) for name in X.columns], dtype=bool)
    if X.dtype.kind == "O":
        return np.array([_is_numeric(column) for column in X.T], dtype=bool)
    return np.full(X.shape[1], X.dtype.kind in _NUMERIC_KINDS + _DATE_KINDS)


def read_table(X: Any, numeric: np.ndarray) -> Table:
    """Read numbers and labels; an array of floats is not copied.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n, d)
    numeric : bool ndarray of shape (d,)
        From `numeric_columns`, of the table that a model was fitted on.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a column that was numeric holds something else, or a number is infinite.
    """
    n = X.shape[0]
    if isinstance(X, np.ndarray) and X.dtype.kind in _NUMERIC_KINDS and numeric.all():
        single = X.dtype in (np.float16, np.float32)
        numbers = X.astype(np.float32 if single else np.float64, copy=False)
        return Table(numbers, np.empty((n, 0), dtype=object))
    if is_frame(X):
        X = to_pandas(X)
        names = list(X.columns)
        columns = [X[name] for name in names]
    else:
        names = list(range(X.shape[1]))
        columns = list(X.T)
    numbers = np.empty((n, int(numeric.sum())), order="F")
    labels = np.empty((n, len(columns) - numbers.shape[1]), dtype=object)
    numbers_done = labels_done = 0
    for name, column, is_number in zip(names, columns, numeric, strict=True):
        if is_number:
            numbers[:, numbers_done] = _as_numbers(name, column)
            numbers_done += 1
        else:
            labels[:, labels_done] = _as_labels(column)
            labels_done += 1
    return Table(numbers, labels)


class ColumnEncoder:
    """Scaled numbers and indicators of levels, for distances; scaled numbers and codes for trees.

    Numbers are imputed by their median and scaled to unit variance. Labels become 0/1 columns, the
    rare levels of a column together, for distances, and the rank of the level for trees; trees are
    told which numbers were missing.

    Parameters
    ----------
    max_categories : int
        Most 0/1 columns of a column of labels.
    """

    def __init__(self, max_categories: int) -> None:
        self._ordinal = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=_UNKNOWN,
            encoded_missing_value=_MISSING,
        )
        self._one_hot = OneHotEncoder(
            max_categories=max_categories,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
        )
        self._imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        self._scaler = StandardScaler()
        for encoder in (self._ordinal, self._one_hot, self._imputer, self._scaler):
            encoder.set_output(transform="default")  # whatever is set globally

    def fit_levels(self, table: Table) -> ColumnEncoder:
        """Learn the levels of each column of labels, and which numbers may be missing."""
        self._may_miss = np.isnan(table.numbers).any(axis=0)
        if table.labels.shape[1]:
            self._ordinal.fit(table.labels)
        return self

    def fit(self, table: Table, weight: np.ndarray) -> ColumnEncoder:
        """Learn medians, means, scales and frequent levels from distinct rows (k, .)."""
        if table.numbers.shape[1]:
            imputed = self._imputer.fit_transform(table.numbers)
            self._scaler.fit(imputed, sample_weight=weight)
        if table.labels.shape[1]:
            self._one_hot.fit(table.labels)
        return self

    def identity(self, table: Table) -> np.ndarray:
        """Numbers (n, .) that are equal where rows are equal; needs the levels only."""
        if not table.labels.shape[1] and not self._may_miss.any():
            return table.numbers
        missing = np.isnan(table.numbers[:, self._may_miss])
        return np.hstack([np.nan_to_num(table.numbers), missing, self._codes(table)])

    def scaled(self, table: Table) -> np.ndarray:
        """Numbers (n, a) without gaps and with unit variance."""
        if not table.numbers.shape[1]:
            return table.numbers
        return self._scaler.transform(self._imputer.transform(table.numbers))

    def for_trees(self, table: Table, scaled: np.ndarray) -> np.ndarray:
        """Columns (n, .) that trees split on, in single precision.

        Scaled numbers, so that what differs in the last digits only, such as dates, still does.
        """
        missing = np.isnan(table.numbers[:, self._may_miss])
        parts = [scaled, missing, self._codes(table)]
        return np.ascontiguousarray(np.hstack(parts, dtype=np.float32, casting="unsafe"))

    def for_distances(self, table: Table, scaled: np.ndarray) -> np.ndarray:
        """Columns (n, .) that distances are taken in."""
        if not table.labels.shape[1]:
            return scaled
        return np.hstack([scaled, self._one_hot.transform(table.labels)])

    def names(self, columns: np.ndarray, numeric: np.ndarray) -> np.ndarray:
        """Name the columns of `for_distances`, given names (d,) of the table's columns."""
        if numeric.all():
            return columns
        levels = self._one_hot.get_feature_names_out(columns[~numeric])
        return np.concatenate([columns[numeric], levels]).astype(object)

    def _codes(self, table: Table) -> np.ndarray:
        if not table.labels.shape[1]:
            return np.empty((len(table), 0))
        return self._ordinal.transform(table.labels)


def _is_numeric(column: Any) -> bool:
    kind = column.dtype.kind
    if kind != "O":
        return kind in _NUMERIC_KINDS + _DATE_KINDS
    if not isinstance(column, np.ndarray) and str(column.dtype) != "object":
        return False  # categories and text of pandas
    values = _as_labels(column)
    # NumPy finds the common type of the values in one pass: text anywhere makes it text.
    found = np.array(values[~_missing(values)].tolist() or [""]).dtype.kind
    return found in _NUMERIC_KINDS


def _as_numbers(name: Any, column: Any) -> np.ndarray:
    """Float64 numbers (n,) of a column, NaN where missing."""
    if hasattr(column, "isna") and column.dtype.kind in _NUMERIC_KINDS:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)  # nullable types too
    else:
        values = np.asarray(column)
    if values.dtype.kind in _DATE_KINDS:
        # Parts of a second are no news, and this way NaT becomes NaN.
        stamps = values.astype(f"{values.dtype.kind}8[s]")
        values = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64))
    try:
        values = np.where(_missing(values), np.nan, values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {name!r} of X held numbers when the embedding was fitted, but now holds "
            "something else; convert it, or fit on a column of text."
        ) from error
    if np.isinf(values).any():
        raise ValueError(
            f"Input X contains infinity in column {name!r}; replace it by NaN, which is imputed."
        )
    return values


def _as_labels(column: Any) -> np.ndarray:
    """Objects (n,) of a column, None where missing."""
    values = np.array(column, dtype=object)
    is_missing = column.isna() if hasattr(column, "isna") else _missing(values)
    values[np.asarray(is_missing, dtype=bool)] = None
    return values


def _missing(values: np.ndarray) -> np.ndarray:
    """Where (n,) a value is NaN or None."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=bool)
    with np.errstate(invalid="ignore"):  # to compare a NaN sets the flag on some Pythons
        return np.frompyfunc(is_missing, 1, 1)(values).astype(bool)
