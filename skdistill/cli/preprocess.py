"""Make numbers of the columns of any table: the features of the command line.

Scores and estimators need numbers of similar scale without gaps. Numeric columns get the median
where a value is missing and are standardised, dates count as numbers, all else is a category and
becomes one column for each frequent value, one for the rest together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from .table import InputError

MAX_DISTINCT_TEXTS = 10_000
MIN_CATEGORY_SHARE = 0.01
MAX_CATEGORY_COLUMNS = 30


def make_preprocessor(
    X: Any, *, share_scale: bool = False, scaled: bool = True
) -> tuple[TransformerMixin, str]:
    """Return an unfitted transformer from the columns of `X` to features, and what it does.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_columns)
        The table.

    share_scale : bool, default=False
        Divide all columns by one number, as suits the pixels of images, rather than each by its
        own.

    scaled : bool, default=True
        False leaves numbers in their own units: `make_scaler` makes the step that is left out.

    Returns
    -------
    preprocessor : transformer
        Its output is a dense float array.

    description : str
        One line, such as ``"3 numbers scaled, 2 categories one-hot, 14 missing values imputed"``.

    Raises
    ------
    InputError
        If a column can be encoded neither as numbers nor as categories.
    """
    if not hasattr(X, "columns"):
        n_missing = int(np.isnan(X).sum()) if X.dtype.kind == "f" else 0
        scaler = make_scaler(X, share_scale=share_scale)
        description = f"{X.shape[1]:,} numbers scaled" + (" together" if share_scale else "")
        steps = [_fill_median(), scaler] if scaled else [_fill_median()]
        return make_pipeline(*steps), description + _say_missing(n_missing)

    numbers: list[str] = []
    dates: list[str] = []
    texts: list[str] = []
    for name in X.columns:
        kind = X[name].dtype.kind
        (numbers if kind in "fiub" else dates if kind in "Mm" else texts).append(name)
    _check_numbers(X, numbers)
    _check_texts(X, texts)
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=MIN_CATEGORY_SHARE,
        max_categories=MAX_CATEGORY_COLUMNS,
        sparse_output=False,
    )
    scaling = [StandardScaler()] if scaled else []
    preprocessor = make_column_transformer(
        (make_pipeline(_fill_median(), *scaling), numbers),
        (make_pipeline(_named(dates_to_days), _fill_median(), *scaling), dates),
        (make_pipeline(_named(fill_missing_text), encoder), texts),
    )
    said = [
        (numbers, "number scaled", "numbers scaled"),
        (dates, "date as a number", "dates as numbers"),
        (texts, "category one-hot", "categories one-hot"),
    ]
    parts = [
        f"{len(group):,} {one if len(group) == 1 else many}" for group, one, many in said if group
    ]
    return preprocessor, ", ".join(parts) + _say_missing(int(X.isna().to_numpy().sum()))


def make_scaler(X: Any, *, share_scale: bool = False) -> TransformerMixin:
    """Return the step that gives numbers without gaps a common scale.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        The numbers.

    share_scale : bool, default=False
        Divide all columns by one number.

    Returns
    -------
    transformer
        Not fitted.
    """
    if not share_scale:
        return StandardScaler()
    return FunctionTransformer(_divide, kw_args={"scale": float(np.nanstd(X)) or 1.0})


def encoded_names(preprocessor: Any, X: Any) -> list[str]:
    """Return the names of the columns that a fitted preprocessor makes of a DataFrame.

    Parameters
    ----------
    preprocessor : transformer
        From `make_preprocessor`, fitted.

    X : DataFrame
        What it was fitted to.

    Returns
    -------
    list of str
        A number keeps its name, a category becomes ``column_value``; all are different.
    """
    names: dict[str, None] = {}
    for name in preprocessor.get_feature_names_out(list(X.columns)):
        name = str(name).split("__", 1)[1]
        while name in names:
            name += "_"
        names[name] = None
    return list(names)


def _fill_median() -> SimpleImputer:
    """Return an imputer that keeps a column without any value, as zeros."""
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _named(function: Any) -> FunctionTransformer:
    """Wrap a function of a DataFrame that keeps its columns."""
    return FunctionTransformer(function, feature_names_out="one-to-one")


def _divide(X: np.ndarray, scale: float) -> np.ndarray:
    """Divide an array of any number type."""
    return X / scale


def dates_to_days(X: Any) -> np.ndarray:
    """Return dates and durations as days, NaN where they are missing.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_columns)
        Columns of datetimes, with or without time zone, or of durations.

    Returns
    -------
    ndarray of shape (n_samples, n_columns), dtype float64
        Days since 1970-01-01, or days that passed.
    """
    columns = []
    for name in X.columns:
        column = X[name]
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_convert(None)
        values = column.to_numpy()
        unit = np.timedelta64(1, "D")
        elapsed = values - np.datetime64(0, "D") if values.dtype.kind == "M" else values
        columns.append(elapsed / unit)
    return np.column_stack(columns).astype(np.float64)


def fill_missing_text(X: Any) -> np.ndarray:
    """Return all values as texts, a missing one as the category ``"missing"``.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_columns)
        Columns of any type.

    Returns
    -------
    ndarray of shape (n_samples, n_columns), dtype object
        Texts only.
    """
    columns = []
    for name in X.columns:
        values = X[name].astype(object)
        columns.append(values.where(values.notna(), "missing").map(str).to_numpy(dtype=object))
    return np.column_stack(columns)


def _check_numbers(X: Any, names: list[str]) -> None:
    """Refuse infinity, which has no scale."""
    for name in names:
        if X[name].dtype.kind == "f" and np.isinf(X[name].to_numpy(float, na_value=np.nan)).any():
            raise InputError(
                f"column {name!r} holds infinity; leave it out with --drop {name} or mend the file"
            )


def _check_texts(X: Any, names: list[str]) -> None:
    """Refuse lists, and texts that are no categories because there are too many of them."""
    for name in names:
        try:
            n_distinct = X[name].nunique()
        except TypeError as error:  # lists, arrays and mappings cannot be counted
            raise InputError(
                f"column {name!r} holds neither numbers nor texts; leave it out with --drop {name}"
            ) from error
        if n_distinct > MAX_DISTINCT_TEXTS:
            raise InputError(
                f"column {name!r} holds {n_distinct:,} distinct texts, more than the"
                f" {MAX_DISTINCT_TEXTS:,} that can be categories; leave it out with --drop {name}"
            )


def _say_missing(n_missing: int) -> str:
    """Tell how many values were filled in."""
    if not n_missing:
        return ", no value missing"
    return f", {n_missing:,} missing value{'s' if n_missing > 1 else ''} imputed"
