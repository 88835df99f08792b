"""DataFrames of any library, through narwhals: what is one, its columns, some of its rows.

pandas, polars, pyarrow and the others that narwhals knows go through the same few functions, and
what is taken from a frame is a frame of the same library.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from narwhals import dependencies
from sklearn.utils import _safe_indexing

NAMES_SHOWN = 8
WAY_OUT = (
    "pass preprocessor='auto', which encodes numbers, categories, texts, dates and missing values "
    "inside and hands out your own rows"
)


def is_frame(value: Any) -> bool:
    """Tell whether `value` is a DataFrame in memory, without importing the library it is from."""
    return nw.dependencies.is_into_dataframe(value)


def is_series(value: Any) -> bool:
    """Tell whether `value` is a Series of a library that narwhals knows."""
    return nw.dependencies.is_into_series(value)


def columns_of(frame: Any) -> list[Any]:
    """Columns of a DataFrame as Series of its library."""
    if is_pandas(frame):
        return [frame.iloc[:, j] for j in range(frame.shape[1])]
    return [series.to_native() for series in nw.from_native(frame, eager_only=True).iter_columns()]


def series_values(series: Any) -> np.ndarray:
    """Values of a Series as an array of a plain type; of objects where one of no float is missing.

    Nullable and Arrow types of pandas, which NumPy makes objects of, become integers and booleans.
    """
    values = nw.from_native(series, series_only=True)
    dtype, has_gap = values.dtype, values.is_null().any()
    if dtype.is_float() or dtype == nw.Decimal:
        return values.cast(nw.Float64).to_numpy() if dtype == nw.Decimal else values.to_numpy()
    if has_gap:
        return np.array(values.to_list(), dtype=object)
    if dtype.is_integer() or dtype == nw.Boolean:
        kind = np.dtype(str(dtype).lower().replace("boolean", "bool"))
        return np.asarray(values.to_numpy(), dtype=kind)
    if dtype.is_temporal():
        return values.to_numpy()
    return np.array(values.to_list(), dtype=object)


def is_pandas(value: Any) -> bool:
    """Tell whether `value` is a pandas DataFrame, without importing pandas."""
    return nw.dependencies.is_pandas_dataframe(value)


def is_pandas_like(value: Any) -> bool:
    """Tell whether `value` is a DataFrame or Series of pandas."""
    return is_pandas(value) or nw.dependencies.is_pandas_series(value)


def series_names(y: Any) -> list[Any] | None:
    """Name of a Series, names of the columns of a DataFrame; None for all else and without one."""
    if is_frame(y):
        return column_names(y)
    if not is_series(y):
        return None
    name = nw.from_native(y, series_only=True).name
    return None if name in (None, "") else [name]


def column_names(frame: Any) -> list[Any]:
    """Names of the columns, which in pandas may be anything."""
    return list(frame.columns) if is_pandas(frame) else list(nw.from_native(frame).columns)


def take_rows(X: Any, indices: np.ndarray) -> Any:
    """Rows at some positions, in the form of `X`; a pandas frame keeps their index."""
    if is_frame(X) and not is_pandas(X):
        return nw.from_native(X, eager_only=True)[indices].to_native()
    return _safe_indexing(X, indices)


def to_pandas(frame: Any) -> Any:
    """Turn any DataFrame into a pandas one; a pandas one comes back as it is."""
    return frame if is_pandas(frame) else nw.from_native(frame, eager_only=True).to_pandas()


def from_pandas(frame: Any, library: str) -> Any:
    """Turn a pandas DataFrame into one of a library, by the name that `library` gives."""
    if library == "pandas":
        return frame
    # Rows have no names in these libraries, and a column of them would appear.
    frame = nw.from_native(frame.reset_index(drop=True))
    return getattr(frame, {"polars": "to_polars", "pyarrow": "to_arrow"}[library])()


def library(frame: Any) -> str:
    """Name the library of a DataFrame: "polars", "pyarrow", and "pandas" for all others."""
    if is_pandas(frame):  # whose column names may repeat
        return "pandas"
    name = nw.from_native(frame).implementation.name.lower()
    return name if name in ("polars", "pyarrow") else "pandas"


def temporal_columns(X: Any) -> list[Any]:
    """Names of the columns of dates and durations, which NumPy would take for numbers."""
    if not is_frame(X):
        return ["all"] if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M") else []
    if is_pandas(X):
        dtypes = [(name, getattr(dtype, "kind", "O")) for name, dtype in X.dtypes.items()]
        return [name for name, kind in dtypes if kind in "mM"]
    return [name for name, dtype in nw.from_native(X).schema.items() if dtype.is_temporal()]


def text_columns(X: Any) -> list[Any]:
    """Names of the columns of a DataFrame that hold texts or categories, the first few of many."""
    if not is_frame(X):
        return []
    if is_pandas(X):
        names = [n for n, dtype in X.dtypes.items() if getattr(dtype, "kind", "O") not in "biufmM"]
    else:
        schema = nw.from_native(X).schema
        names = [
            n for n, dtype in schema.items() if not (dtype.is_numeric() or dtype.is_temporal())
        ]
    return names[:NAMES_SHOWN] + ["..."] * (len(names) > NAMES_SHOWN)


_LAZY = {  # what gives a table in memory
    "is_polars_lazyframe": "X.collect()",
    "is_duckdb_relation": "X.df()",
    "is_ibis_table": "X.to_pandas()",
    "is_pyspark_dataframe": "X.toPandas()",
    "is_pyspark_connect_dataframe": "X.toPandas()",
}


def check_is_table(X: Any) -> None:
    """Refuse what holds a table and is none, and a DataFrame that names a column twice.

    Raises
    ------
    TypeError
        Names the way to a DataFrame.
    ValueError
        Names the columns.
    """
    way_out = None
    is_dict = isinstance(X, dict) and not hasattr(X, "shape")  # as SciPy's dictionary of keys has
    if is_dict or (isinstance(X, list) and X and isinstance(X[0], dict)):
        way_out = "pandas.DataFrame(X)"
    elif getattr(getattr(X, "dtype", None), "names", None):  # a structured array
        way_out = "pandas.DataFrame(X)"
    elif type(X).__name__ == "RecordBatch":
        way_out = "pyarrow.Table.from_batches([X])"
    else:
        found = (way for name, way in _LAZY.items() if getattr(dependencies, name)(X))
        way_out = next(found, None)
    if way_out is not None:
        what = "a list of dicts" if isinstance(X, list) else f"a {type(X).__name__}"
        raise TypeError(f"X is {what}, which is not read; pass {way_out}.")
    if is_pandas(X) and not X.columns.is_unique:
        twice = list(dict.fromkeys(X.columns[X.columns.duplicated()]))
        raise ValueError(f"X has several columns of the names {twice}; rename them.")


def as_array_of_rows(X: Any) -> Any:
    """Turn lists into an array where a number beside a text stays a number; leave all else.

    NumPy makes text of the whole of ``[[3, "red"]]``.
    """
    check_is_table(X)
    if not isinstance(X, list | tuple) or any(map(is_text, X)):
        return X
    array = np.asarray(X)
    if array.dtype.kind not in "US":
        return array
    values = np.asarray(X, dtype=object)
    only_text = all(is_text(value) for value in values.ravel())
    return array if only_text else values


def is_text(value: Any) -> bool:
    """Tell whether one value is text."""
    return isinstance(value, str | bytes)


ENCODE = (
    "The estimator gets the columns of X as they are, and X has texts, categories, dates or "
    "missing values: pass make_pipeline(skdistill.tables.TableEncoder(), estimator), or an encoder "
    "of your own."
)


@contextmanager
def noting_raw_columns(X: Any) -> Iterator[None]:
    """Add to an error of an estimator that it got columns which it may not know."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if holds_more_than_numbers(X):
            error.add_note(ENCODE)
        raise


def holds_more_than_numbers(X: Any) -> bool:
    """Tell whether a DataFrame has texts, categories, dates or missing values."""
    if not is_frame(X):
        return False
    if text_columns(X) or temporal_columns(X):
        return True
    if is_pandas(X):
        return bool(X.isna().to_numpy().any())
    columns = nw.from_native(X, eager_only=True).iter_columns()
    return any(
        column.is_null().any() or (column.dtype.is_float() and bool(column.is_nan().any()))
        for column in columns
    )
