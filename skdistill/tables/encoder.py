"""`TableEncoder`: a DataFrame in, numbers without gaps out, in units that distances can add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._input.frames import as_array_of_rows, is_frame, to_pandas
from .columns import LeftOut, UnreadableColumnError, read_column

NAMES_SHOWN = 8
LARGE = 1e150  # numbers whose squares leave the range of double precision


class _RefusedError(Exception):
    """Columns that cannot be encoded; `columns` says what each of them holds."""

    def __init__(self, message: str, columns: dict[Any, str]) -> None:
        super().__init__(message)
        self.columns = columns


class UnreadableTableError(_RefusedError, TypeError):
    """Columns that hold neither numbers, dates, categories nor texts, or infinity beside them."""


class InfiniteTableError(_RefusedError, ValueError):
    """Columns that hold infinity."""


class TableEncoder(TransformerMixin, BaseEstimator):
    """Encode the columns of a DataFrame by what their values are.

    Numbers, also those written as text, keep one column; the median stands for missing ones.
    Dates become their days since 1970, their year, and month, day, weekday and hour as angles;
    times of day and lengths of time become days.
    Categories of up to 40 levels are one-hot, with one column for all levels rarer than 1 % and one
    for missing ones. Texts of more levels are reduced to at most 30 directions of their character
    n-grams, and left out where nearly all are different single words: those are ids.

    An array of numbers, dense or sparse, passes through as it is, but for its missing values.

    Parameters
    ----------
    scale : bool, default=True
        Give numbers and dates mean 0 and deviation 1, in single precision.

    leave_out : list of column names, default=()
        Columns of a DataFrame that are no features.

    Attributes
    ----------
    columns_ : list of Column or None
        What each column was read as; None for an array of numbers.

    names_ : list
        Names of the columns.

    n_features_in_ : int
        Number of columns.
    """

    def __init__(self, *, scale: bool = True, leave_out: Sequence[Any] = ()) -> None:
        self.scale = scale
        self.leave_out = leave_out

    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Learn the columns.

        Parameters
        ----------
        X : DataFrame, array or list of rows, of shape (n_samples, n_columns)
            The table.

        y : None
            Not used.

        Returns
        -------
        self : TableEncoder
            Fitted.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn the columns and encode them.

        Parameters
        ----------
        X : DataFrame, array or list of rows, of shape (n_samples, n_columns)
            The table.

        y : None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_features), or `X` where it holds numbers only

        Raises
        ------
        TypeError
            If columns hold neither numbers, dates, categories nor texts.
        ValueError
            If columns hold infinity, or none is left.
        """
        table, self.names_ = as_table(X)
        self.n_features_in_ = table.shape[1]
        if not is_frame(table):
            self.columns_ = None
            self.fill_ = _medians(table)
            return _filled(table, self.fill_)
        self.columns_, blocks = _fit_columns(table, self.names_, self.leave_out)
        if not any(block.shape[1] for block in blocks):
            raise ValueError(
                f"X has no column that makes a feature: {self.describe()}; leave the ids to the "
                "index and add other columns."
            )
        self.fill_ = [_medians(block) for block in blocks]
        blocks = [_filled(block, fill) for block, fill in zip(blocks, self.fill_, strict=True)]
        self.shift_, self.unit_ = [], []
        for column, block in zip(self.columns_, blocks, strict=True):
            shift, unit = np.zeros(block.shape[1]), np.ones(block.shape[1])
            if self.scale and column.scaled:
                shift, unit = _mean_and_deviation(block)
            self.shift_.append(shift)
            self.unit_.append(np.where(unit > 1e-12 * np.abs(shift), unit, 1.0))
        return self._joined(blocks, len(table))

    def transform(self, X: Any) -> Any:
        """Encode rows.

        Parameters
        ----------
        X : DataFrame, array or list of rows, of shape (n_samples, n_columns)
            With the columns of the training rows, in their order.

        Returns
        -------
        ndarray of shape (n_samples, n_features), or `X` where it holds numbers only
        """
        check_is_fitted(self)
        table, names = as_table(X)
        if table.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {table.shape[1]} columns, but the encoder was fitted to "
                f"{self.n_features_in_}."
            )
        if self.columns_ is None:
            return _filled(_numbers_of(table), self.fill_)
        if not is_frame(table):
            table = _frame(table, names)
        infinite: list[Any] = []
        columns = zip(self.columns_, self.fill_, strict=True)

        def blocks() -> Iterator[np.ndarray]:  # one by one: together they take twice the memory
            for j, (column, fill) in enumerate(columns):
                block = column.features(table.iloc[:, j])
                infinite.extend(_infinite([block], [self.names_[j]]))
                yield _filled(block, fill)

        features = self._joined(blocks(), len(table))
        _refuse({}, infinite)
        return features

    def _joined(self, blocks: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
        """Scale the blocks of all columns into one array."""
        dtype = np.float32 if self.scale else np.float64
        stop = np.cumsum([len(shift) for shift in self.shift_])
        features = np.empty((n_rows, stop[-1]), dtype=dtype)
        for j, block in enumerate(blocks):
            shift, unit = self.shift_[j], self.unit_[j]
            if shift.any() or (unit != 1).any():
                if np.abs(shift).max() > LARGE or unit.max() > LARGE:  # or differences leave it
                    block, shift, unit = block / 4, shift / 4, unit / 4
                with np.errstate(invalid="ignore"):  # infinity is told once all columns are known
                    block = (block - shift) / unit
            features[:, stop[j] - len(shift) : stop[j]] = block
        return features

    def inverse_scale(self, features: np.ndarray) -> np.ndarray:
        """Return features in the units of the table.

        Parameters
        ----------
        features : ndarray of shape (n_samples, n_features)
            As `transform` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features), dtype float64
            Numbers as they were, dates in days since 1970-01-01, 0 or 1 for the levels of a
            category. An array of numbers was not scaled.
        """
        check_is_fitted(self)
        if self.columns_ is None:
            return features
        return features * np.concatenate(self.unit_) + np.concatenate(self.shift_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features: those of numbers, ``column_level`` and ``column_part``.

        Parameters
        ----------
        input_features : None
            Not used.

        Returns
        -------
        ndarray of shape (n_features,), dtype object
            All different.
        """
        check_is_fitted(self)
        if self.columns_ is None:
            return np.asarray(self.names_, dtype=object)
        names: dict[str, None] = {}
        for column in self.columns_:
            for name in column.names:
                while name in names:
                    name += "_"
                names[name] = None
        return np.array(list(names), dtype=object)

    def describe(self) -> str:
        """Say what the columns were read as.

        Returns
        -------
        str
            One line, such as ``"3 numbers, 2 categories, left out: id (an id)"``.
        """
        if self.columns_ is None:
            return _counted(self.n_features_in_, "number")
        kinds = [column.kind for column in self.columns_]
        order = ("number", "date", "duration", "category", "text")
        parts = [_counted(kinds.count(kind), kind) for kind in order if kind in kinds]
        parts += [
            f"left out: {name} ({column.reason})"
            for name, column in zip(self.names_, self.columns_, strict=True)
            if column.kind == "left out"
        ]
        return ", ".join(parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags


def as_table(X: Any) -> tuple[Any, list[Any]]:
    """Return `X` as an array of numbers, CSR or a pandas DataFrame, and the names of its columns.

    Parameters
    ----------
    X : DataFrame, array, sparse matrix or list of rows

    Returns
    -------
    table : ndarray, CSR matrix or DataFrame of shape (n, d)
    names : list of length d
        Numbers from 0 where there are none.
    """
    if is_frame(X):
        frame = to_pandas(X)
        return frame, list(frame.columns)
    if sp.issparse(X):
        return X, list(range(X.shape[1]))
    array = as_array_of_rows(X)
    array = array if isinstance(array, np.ndarray) else np.asarray(array)
    if array.ndim != 2:
        raise ValueError(
            f"X must be a table of rows and columns, got shape {array.shape}; texts alone become "
            "one with X.reshape(-1, 1)."
        )
    names = list(range(array.shape[1]))
    if array.dtype.kind in "biuf":
        return array, names
    if array.dtype.kind == "O":
        array = _if_numbers(array)
    return (array if array.dtype.kind == "f" else _frame(array, names)), names


def _frame(array: Any, names: list[Any]) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "preprocessor='auto' needs pandas for columns that are not all numbers: "
            'pip install "skdistill[tables]"'
        ) from error
    return pd.DataFrame(array, columns=names).infer_objects()


def _if_numbers(array: np.ndarray) -> np.ndarray:
    """Objects as float64 where all are numbers or missing, else as they are."""
    kinds = {type(value) for value in array.ravel()}
    numeric = all(
        issubclass(kind, (int, float, np.number, np.bool_)) for kind in kinds - {type(None)}
    )
    return array.astype(np.float64) if numeric else array


def _numbers_of(table: Any) -> Any:
    """Check that rows hold numbers as the training rows did."""
    if is_frame(table):
        table = table.to_numpy()
        if table.dtype.kind not in "biuf":
            raise TypeError(
                "X holds other values than numbers, but the training rows were numbers."
            )
    return table


def _fit_columns(
    table: Any, names: list[Any], leave_out: Sequence[Any]
) -> tuple[list[Any], list[np.ndarray]]:
    """Read and encode every column, and name all that cannot be at once."""
    columns, blocks, unreadable = [], [], {}
    for j, name in enumerate(names):
        series = table.iloc[:, j]
        try:
            left_out = name in leave_out
            columns.append(LeftOut("as asked for") if left_out else read_column(series))
            blocks.append(columns[-1].fit(series, str(name)))
        except UnreadableColumnError as error:
            unreadable[name] = str(error)
    readable = [name for name in names if name not in unreadable]
    _refuse(unreadable, _infinite(blocks, readable) if len(readable) == len(blocks) else [])
    return columns, blocks


def _infinite(blocks: list[np.ndarray], names: list[Any]) -> list[Any]:
    return [name for block, name in zip(blocks, names, strict=True) if np.isinf(block).any()]


def _refuse(unreadable: dict[Any, str], infinite: list[Any]) -> None:
    """Raise an error that names columns."""
    said = []
    if unreadable:
        told = "; ".join(f"{name!r} holds {what}" for name, what in unreadable.items())
        said.append(
            f"X has columns that are neither numbers, dates, categories nor texts: {told}. Leave "
            f"them out: X.drop(columns={list(unreadable)})."
        )
    if infinite:
        shown = infinite[:NAMES_SHOWN] + ["..."] * (len(infinite) > NAMES_SHOWN)
        said.append(
            f"X contains infinity in the columns {shown}; replace it by a number, or by NaN to "
            "have it filled in."
        )
    if said:
        columns = {**unreadable, **dict.fromkeys(infinite, "infinity")}
        kind = UnreadableTableError if unreadable else InfiniteTableError
        raise kind(" ".join(said), columns)


def _mean_and_deviation(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, whatever the size of its numbers."""
    largest = np.abs(block).max(axis=0)
    extreme = (largest > LARGE) | ((largest > 0) & (largest < 1 / LARGE))
    if not extreme.any():
        return block.mean(0), block.std(0)
    size = np.where(extreme, largest, 1.0)
    return (block / size).mean(0) * size, (block / size).std(0) * size


def _medians(block: Any) -> Any:
    """Median of each column without missing values, 0 where there is none; None of sparse rows."""
    if sp.issparse(block):
        return None
    if block.dtype.kind != "f" or not np.isnan(block).any():
        step = max(1, len(block) // 10_000)  # nothing is missing yet; a sample will do
        # Of halves: the middle of two numbers is their sum first.
        return 2 * np.median(block[::step] / 2, axis=0) if len(block) else None
    known = ~np.isnan(block).all(axis=0)
    medians = np.zeros(block.shape[1])
    medians[known] = 2 * np.nanmedian(block[:, known] / 2, axis=0)
    return medians


def _filled(block: Any, fill: Any) -> Any:
    """Put `fill` in place of missing values; the block itself where none is missing."""
    if sp.issparse(block) or block.dtype.kind != "f" or fill is None:
        return block
    missing = np.isnan(block)
    return np.where(missing, fill.astype(block.dtype), block) if missing.any() else block


def _counted(count: int, kind: str) -> str:
    many = {"category": "categories"}.get(kind, f"{kind}s")
    return f"{count:,} {kind if count == 1 else many}"
