"""One column of a table, read as a number, a date, a category or a text, and its features.

What a column is gets decided by its values and not by its dtype alone: a number may be written as
text, a date too, and an object column may hold numbers. The decision is taken once, on the training
rows; later rows are read in the same way.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from .dates import are_times, date_parser, days_of_times, import_skrub
from .number_text import common_unit, find_convention, is_missing_mark, numbers_of_texts

MAX_LEVELS = 40  # different texts of a category; a column with more of them is text
MIN_LEVEL_SHARE = 0.01  # levels that are rarer are one level together
TEXT_FEATURES = 30
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"}
_DATES = {"datetime", "datetime64", "date", "period"}


class UnreadableColumnError(TypeError):
    """A column that is no number, date, category or text; the message says what it holds."""


def read_column(series: Any) -> Column:
    """Decide what a column is, from its values.

    Parameters
    ----------
    series : pandas Series of shape (n,)

    Returns
    -------
    Column
        Not fitted yet.

    Raises
    ------
    UnreadableColumnError
        If its values are lists, mappings or complex numbers.
    """
    import pandas as pd

    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if kind == "c":
        raise UnreadableColumnError("complex numbers")
    if isinstance(dtype, pd.CategoricalDtype):
        return Category()
    if pd.api.types.is_numeric_dtype(dtype):  # booleans and decimals among them
        return Number()
    if kind == "M" or isinstance(dtype, pd.PeriodDtype):
        return Date()
    if kind == "m":
        return Duration()
    found = pd.api.types.infer_dtype(series, skipna=True)
    if found in _NUMBERS or found == "empty":
        return Number()
    if found in _DATES:
        return Date()
    if found == "timedelta":
        return Duration()
    return _read_texts(series)


def _read_texts(series: Any) -> Column:
    values = _distinct(series)
    kinds = {type(value).__name__ for value in values if not _is_one(value)}
    if kinds:
        raise UnreadableColumnError(f"values of the type {', '.join(sorted(kinds))}")
    if all(isinstance(value, Real | Decimal) for value in values):  # fractions among them
        return Number()
    texts = [text_of(value) for value in values]
    told = [text for text in texts if not is_missing_mark(text)]
    unit = common_unit(told)
    decimal = find_convention(text.removesuffix(unit) for text in texts)
    if decimal is not None:
        return Number(decimal, unit)
    if are_times(told):
        return Duration(clock=True)
    parser = date_parser(told)
    if parser is not None:
        return Date(parser)
    if len(texts) <= MAX_LEVELS:
        return Category()
    n_told = len(series) - int(series.isna().sum())
    if len(texts) > 0.95 * n_told and not any(" " in text.strip() for text in told[:1000]):
        return LeftOut("an id, as nearly every value is different")
    return Text()


def _is_one(value: Any) -> bool:
    """Whether a value is one and not several: a UUID is, a list is not."""
    return isinstance(value, str | bytes) or not (isinstance(value, complex) or np.iterable(value))


def text_of(value: Any) -> str:
    """Text of a value of any kind; bytes are letters, as readers of ARFF files give them."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _distinct(series: Any) -> Any:
    """Different values of a column but for missing ones."""
    try:
        return series.dropna().unique().tolist()
    except TypeError as error:  # lists and mappings cannot be compared
        kind = type(series.dropna().iloc[0]).__name__
        raise UnreadableColumnError(f"values of the type {kind}") from error


@dataclass
class Column:
    """What a column is; `fit` learns from the training rows, `features` gives (n, k) floats."""

    kind = ""
    names: list[str] = field(default_factory=list, init=False)
    scaled = True  # whether the features are in units of their own, which a scaling takes away

    def fit(self, series: Any, name: str) -> np.ndarray:
        """Learn from a column, and return its features."""
        self.names = [name]
        return self.features(series)

    def features(self, series: Any) -> np.ndarray:
        """Features (n, k), floats, NaN where a number is missing."""
        raise NotImplementedError


@dataclass
class Number(Column):
    """A number, or one written as text under a convention, with a unit after it perhaps."""

    decimal: str = "."
    unit: str = ""
    kind = "number"

    def features(self, series: Any) -> np.ndarray:
        """Values, NaN where one is missing or no number."""
        import pandas as pd

        if isinstance(series.dtype, pd.SparseDtype):
            series = series.sparse.to_dense()
        if pd.api.types.is_numeric_dtype(series.dtype):
            return series.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
        codes, values = pd.factorize(series)
        if any(isinstance(value, str | bytes) for value in values):
            texts = (text_of(value).removesuffix(self.unit) for value in values)
            numbers = numbers_of_texts(texts, self.decimal)
        else:
            numbers = np.asarray(values, dtype=np.float64)
        return np.append(numbers, np.nan)[codes][:, None]


@dataclass
class Duration(Column):
    """A length of time or a time of day, in days."""

    clock: bool = False  # whether it is written as text or a time of Python
    kind = "duration"

    def features(self, series: Any) -> np.ndarray:
        """Days, NaN where one is missing."""
        import pandas as pd

        if self.clock:
            codes, values = pd.factorize(series)
            return np.append(days_of_times(map(text_of, values)), np.nan)[codes][:, None]
        values = pd.to_timedelta(series).to_numpy()
        return (values / np.timedelta64(1, "D")).astype(np.float64)[:, None]


@dataclass
class Date(Column):
    """A date with its parts: days since 1970, year, and month, day, weekday, hour as angles."""

    parser: Any = None
    kind = "date"

    def fit(self, series: Any, name: str) -> np.ndarray:
        """Learn which parts the dates have."""
        skrub = import_skrub("a date")
        self.encoder = skrub.DatetimeEncoder(
            resolution="hour",
            add_weekday=True,
            add_total_seconds=False,
            periodic_encoding="circular",
        ).set_output(transform="default")
        dates = self._distinct_dates(series)[1]
        parts = self.encoder.fit_transform(dates)
        values = parts.to_numpy(dtype=np.float64)
        # A part that does not vary is none, such as the hour of plain days.
        varies = np.nanmax(values, 0) > np.nanmin(values, 0) if len(values) else [False]
        self.varying = np.flatnonzero(varies)
        told = [str(part).removeprefix("date_") for part in parts.columns[self.varying]]
        self.names = [f"{name}_days", *(f"{name}_{part}" for part in told)]
        return self.features(series)

    def _distinct_dates(self, series: Any) -> tuple[np.ndarray, Any]:
        """Codes (n,) and different dates of a column, as a Series without time zone."""
        import pandas as pd

        if isinstance(series.dtype, pd.PeriodDtype):
            series = series.dt.to_timestamp()
        codes, values = pd.factorize(series)
        if pd.api.types.infer_dtype(values) == "period":
            values = pd.PeriodIndex(values).to_timestamp()
        values = pd.Series(values, name="date")
        if self.parser is not None and not pd.api.types.is_datetime64_any_dtype(values.dtype):
            values = self.parser.transform(values.map(text_of))
        if getattr(values.dtype, "tz", None) is None:
            values = pd.to_datetime(values, errors="coerce", utc=True)
        # The hour of a date is that of its own clock.
        return codes, values.dt.tz_localize(None).astype("datetime64[us]")

    def features(self, series: Any) -> np.ndarray:
        """Days since 1970-01-01 and the parts, NaN where the date is missing."""
        codes, dates = self._distinct_dates(series)
        days = (dates.to_numpy() - np.datetime64(0, "D")) / np.timedelta64(1, "D")
        parts = self.encoder.transform(dates).to_numpy(dtype=np.float64)[:, self.varying]
        values = np.column_stack([days, parts])
        return np.vstack([values, np.full(values.shape[1], np.nan)])[codes]


@dataclass
class Category(Column):
    """A category: 0 or 1 for each level that is not rare, one for the rare, one for missing."""

    kind = "category"
    scaled = False

    def fit(self, series: Any, name: str) -> np.ndarray:
        """Learn the levels."""
        series = self._comparable(series)
        counts = series.value_counts(dropna=True)
        counts = counts[counts > 0]
        common = counts[counts >= MIN_LEVEL_SHARE * len(series)].index[:MAX_LEVELS]
        self.levels = sorted(common, key=str)
        self.has_rare = len(counts) > len(common)
        self.has_missing = bool(series.isna().any())
        self.names = [f"{name}_{level}" for level in self.levels]
        self.names += [f"{name}_rare"] * self.has_rare + [f"{name}_missing"] * self.has_missing
        return self.features(series)

    def features(self, series: Any) -> np.ndarray:
        """One column a level, in single precision; a level that is new counts as rare."""
        import pandas as pd

        series = self._comparable(series)
        codes = pd.Index(self.levels, dtype=object).get_indexer(series)
        missing = series.isna().to_numpy()
        codes[missing] = -1
        found = np.zeros((len(series), len(self.names)), dtype=np.float32)
        n_levels = len(self.levels)
        found[:, :n_levels] = codes[:, None] == np.arange(n_levels)
        if self.has_rare:
            found[:, n_levels] = (codes < 0) & ~missing
        if self.has_missing:
            found[:, -1] = missing
        return found

    @staticmethod
    def _comparable(series: Any) -> Any:
        """Values as objects; all as text where text stands beside other values."""
        values = series.astype(object)
        told = values.dropna()
        kinds = {type(value) for value in told.unique()}
        if bytes in kinds or (str in kinds and len(kinds) > 1):
            return values.where(values.isna(), told.map(text_of))
        return values


@dataclass
class Text(Column):
    """Free text or a category of many levels: its character n-grams, in a few directions."""

    kind = "text"
    scaled = False

    def fit(self, series: Any, name: str) -> np.ndarray:
        """Learn the directions from the different texts."""
        skrub = import_skrub(f"text of more than {MAX_LEVELS} values")
        texts = self._distinct_texts(series)[1]
        self.encoder = skrub.StringEncoder(
            n_components=min(TEXT_FEATURES, len(texts) - 1), random_state=0
        )
        with warnings.catch_warnings():  # fewer n-grams than directions stay as they are
            warnings.filterwarnings("ignore", "The matrix shape is", UserWarning)
            width = self.encoder.fit_transform(texts).shape[1]
        self.names = [f"{name}_{j}" for j in range(width)]
        return self.features(series)

    @staticmethod
    def _distinct_texts(series: Any) -> tuple[np.ndarray, Any]:
        import pandas as pd

        codes, values = pd.factorize(series)
        return codes, pd.Series([text_of(value) for value in values], name="text", dtype=object)

    def features(self, series: Any) -> np.ndarray:
        """Directions of each text, zeros where it is missing."""
        codes, texts = self._distinct_texts(series)
        values = np.zeros((len(texts) + 1, len(self.names)))
        if len(texts):
            values[:-1] = self.encoder.transform(texts).to_numpy(dtype=np.float64)
        return values[codes]


@dataclass
class LeftOut(Column):
    """A column that is no feature, and why."""

    reason: str = ""
    kind = "left out"

    def fit(self, series: Any, name: str) -> np.ndarray:
        """Learn nothing."""
        return self.features(series)

    def features(self, series: Any) -> np.ndarray:
        """No features at all."""
        return np.empty((len(series), 0))
