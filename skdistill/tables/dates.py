"""Dates and times of day that stand in a table as text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import product
from typing import Any

import numpy as np

_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d*)?))?(?: ?([AaPp])\.?[Mm]\.?)?")
# What skrub does not guess: short names of months, years of two digits, hours of the morning and of
# the afternoon. The month comes first where both may.
_DAYS = (
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d"),
    *(f"%d{mark}%b{mark}{year}" for mark in ("-", " ") for year in ("%Y", "%y")),
    *("%b %d, %Y", "%b %d %Y", "%B %d, %Y", "%d %B %Y", "%a, %d %b %Y"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_MONTHS = ("%b %Y", "%b-%Y", "%B %Y", "%m/%Y", "%a %b %d %H:%M:%S %Y")
FORMATS = (*map("".join, product(_DAYS, _TIMES)), *_MONTHS)


def date_parser(texts: list[str]) -> Any:
    """Return what turns different texts into dates, None where they are none.

    Parameters
    ----------
    texts : list of str
        The different values of a column, nothing missing.

    Returns
    -------
    object or None
        Its ``transform`` takes a Series of texts, and gives a missing date for one of another form.
    """
    sample = texts[:: max(1, len(texts) // 20)]
    if not sample or not all(len(t) >= 6 and sum(map(str.isdigit, t)) >= 3 for t in sample):
        return None
    import pandas as pd

    skrub = import_skrub("a date written as text")
    parser = skrub.ToDatetime()
    try:
        parser.fit_transform(pd.Series(texts, name="date"))
    except skrub.core.RejectColumn:
        parsers = map(_Parser, FORMATS)
        likely = (p for p in parsers if p.reads_one(sample[0]))
        fitting = (p for p in likely if p.reads(sample) and p.reads(texts))
        return next(fitting, None)
    return parser


class _Parser:
    """Reads dates of one form."""

    def __init__(self, form: str) -> None:
        self.form = form

    def transform(self, texts: Any) -> Any:
        import pandas as pd

        return pd.to_datetime(texts.str.strip(), format=self.form, errors="coerce")

    def reads_one(self, text: str) -> bool:
        """Tell in microseconds what `reads` takes milliseconds for, since there are many forms."""
        try:
            datetime.strptime(text.strip(), self.form)
        except ValueError:
            return False
        return True

    def reads(self, texts: list[str]) -> bool:
        import pandas as pd

        return bool(self.transform(pd.Series(texts)).notna().all())


def are_times(texts: list[str]) -> bool:
    """Tell whether all texts are times of day or lengths of time: "9:05", "17:30:15", "9:05 PM"."""
    return bool(texts) and all(_CLOCK.fullmatch(text.strip()) for text in texts)


def days_of_times(texts: Iterable[str]) -> np.ndarray:
    """Turn times into shares of a day, NaN where a text is none.

    Examples
    --------
    >>> days_of_times(["6:00", "06:00 PM", "36:00:00", "noon"]).tolist()
    [0.25, 0.75, 1.5, nan]
    """
    return np.array([_days(_CLOCK.fullmatch(text.strip())) for text in texts], dtype=np.float64)


def _days(found: re.Match | None) -> float:
    if found is None:
        return np.nan
    hours, minutes, seconds, half = found.groups()
    hour = int(hours) if half is None else int(hours) % 12 + 12 * (half in "pP")
    return (hour + int(minutes) / 60 + float(seconds or 0) / 3600) / 24


def import_skrub(purpose: str) -> Any:
    """Return skrub, or say how to get it."""
    try:
        import skrub
        import skrub.core
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs skrub to become features: pip install "skdistill[tables]"'
        ) from error
    return skrub
