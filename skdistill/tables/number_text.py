"""Numbers that stand in a table as text: "1,163", "3,5", "$1.50", "3 %", "(20)".

A column follows one convention for its marks of thousands and decimals. The one that most of its
cells fit is taken for all of them, because "1,163" alone may be either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

# What files write in place of a value, in any case.
MISSING_MARKS = frozenset(
    ["", "?", "-", "--", "...", ".", "na", "n/a", "#n/a", "nan", "null", "none", "<na>", "nat"]
)
MIN_SHARE = 0.9  # of the cells that must be numbers; the others are marks of a missing value
MAX_OTHER_MARKS = 2  # so many different texts may stand among the numbers

_UNIT = r"(?:[A-Z]{0,2}\$|[€£¥₹%‰]|[A-Z]{3}|kr|zł|Rs\.?)"
_LAST_UNIT = re.compile(r"(?<=\d)\s*°?(?:[^\W\d_]|/){0,12}[²³]?$")
_LEADING_ZERO = re.compile(r"\s*0\d")  # "007" is a code, and so are the others of its column
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_WHOLE = r"(?:0|[1-9]\d*)"
_CONVENTIONS = {  # mark of decimals -> pattern, and marks of thousands that it may hold
    ".": (
        rf"(?:{_WHOLE}|[1-9]\d{{0,2}}(?:[,' \u00a0\u202f]\d{{3}})+)?(?:\.\d*)?{_EXPONENT}",
        ",' ",
    ),
    ",": (rf"(?:{_WHOLE}|[1-9]\d{{0,2}}(?:[.' \u00a0\u202f]\d{{3}})+)?(?:,\d*)?{_EXPONENT}", ".' "),
}
_PATTERNS = {
    decimal: re.compile(
        rf"(?P<sign>[-+\u2212]?)\s*(?:{_UNIT}\s*)?(?P<sign2>[-+\u2212]?)(?P<body>(?=[\d.,]*\d){body})"
        rf"(?P<sign3>-?)\s*(?:{_UNIT})?"
    )
    for decimal, (body, _) in _CONVENTIONS.items()
}


def is_missing_mark(text: str) -> bool:
    """Tell whether a cell says that it has no value."""
    return text.strip().lower() in MISSING_MARKS


def common_unit(texts: Iterable[str]) -> str:
    """Find the unit that all texts end with, such as " kg"; "" where there is none.

    Letters behind a number are a unit only if they are the same everywhere: "12A" beside "7B" is a
    code.

    Examples
    --------
    >>> common_unit(["5 kg", "7.5 kg"]), common_unit(["12A", "7B"]), common_unit(["5", "7 kg"])
    (' kg', '', '')
    """
    units = set()
    for text in texts:
        found = _LAST_UNIT.search(text)
        units.add(found[0] if found else "")
        if len(units) > 1:
            return ""
    return units.pop() if units else ""


def find_convention(texts: Iterable[str]) -> str | None:
    """Find the mark of decimals of a column of numbers written as text.

    Parameters
    ----------
    texts : iterable of str
        The different values of the column.

    Returns
    -------
    {".", ","} or None
        None for a column that is not one of numbers.
    """
    values = [text for text in texts if not is_missing_mark(text)]
    if not values or any(map(_LEADING_ZERO.match, values)):
        return None
    counts = {
        decimal: sum(parse_number(text, decimal) is not None for text in values)
        for decimal in _PATTERNS
    }
    best = max(counts, key=lambda decimal: counts[decimal])  # the point wins where both fit
    others = len(values) - counts[best]
    if others > MAX_OTHER_MARKS or counts[best] < MIN_SHARE * len(values):
        return None
    return best


def parse_number(text: str, decimal: str) -> float | None:
    """Return the number that a cell holds under a convention, or None.

    Parameters
    ----------
    text : str
    decimal : {".", ","}
        The mark of decimals.

    Returns
    -------
    float or None

    Examples
    --------
    >>> [parse_number(text, ".") for text in ("1,163", "$1.50", "3 %", "(20)", "007", "red")]
    [1163.0, 1.5, 3.0, -20.0, None, None]
    >>> parse_number("1.163,5", ",")
    1163.5
    """
    text = text.strip()
    negative = text.startswith("(") and text.endswith(")")
    found = _PATTERNS[decimal].fullmatch(text[1:-1] if negative else text)
    if found is None:
        return None
    body = found["body"]
    for mark in (*_CONVENTIONS[decimal][1], "\u00a0", "\u202f"):
        body = body.replace(mark, "")
    minus = sum(found[sign] in ("-", "\u2212") for sign in ("sign", "sign2", "sign3")) % 2 == 1
    number = float(body.replace(",", "."))
    return -number if minus != negative else number


def numbers_of_texts(texts: Iterable[object], decimal: str) -> np.ndarray:
    """Numbers of the different values of a column, NaN where a cell is none."""
    parsed = (parse_number(text, decimal) if isinstance(text, str) else None for text in texts)
    return np.array([np.nan if number is None else number for number in parsed], dtype=np.float64)
