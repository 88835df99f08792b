"""Rows of a record as text: digits, gains and losses, the best of a group, a csv file.

Nothing here needs Sphinx, so that the tests can import it anywhere.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

DIFFERENCE = re.compile(r"^(over |gain|difference)|: to |^mean gain")


def stack(header: list[str], rows: list[list], name: str) -> tuple[list[str], list[list]]:
    """Columns "A: b" under one another: a column for A, and one for each b."""
    parts = [column.partition(": ") for column in header]
    kinds = list(dict.fromkeys(a for a, _, b in parts if b))
    inner = list(dict.fromkeys(b for _, _, b in parts if b))
    first = next(k for k, (_, _, b) in enumerate(parts) if b)
    last = max(k for k, (_, _, b) in enumerate(parts) if b) + 1
    stacked = []
    for row in rows:
        at = dict(zip(header, row, strict=True))
        for number, kind in enumerate(kinds):
            values = [at.get(f"{kind}: {b}", "") for b in inner]
            if number == 0 or any(value != "" for value in values):
                tail = row[last:] if number == 0 else [""] * len(row[last:])
                stacked.append([*row[:first], kind.replace("_", " "), *values, *tail])
    return [*header[:first], name, *inner, *header[last:]], stacked


def split(header: list[str], rows: list[list]) -> list[tuple[str, list[str], list[list]]]:
    """Name, header and rows of each part: rows of one first cell, columns that are not empty."""
    parts = []
    for name, group in itertools.groupby(rows, key=lambda row: row[0]):
        members = list(group)
        kept = [k for k in range(1, len(header)) if any(row[k] != "" for row in members)]
        inner = [[row[k] for k in kept] for row in members]
        parts.append((str(name), [header[k] for k in kept], inner))
    return parts


def text(value) -> str:
    """Text of one cell; a pair is a mean and its standard error."""
    if isinstance(value, list):
        return with_error(*value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return significant(value)
    words = str(value)
    return f"… {words.strip()}" if words.startswith(" ") else words.replace("-0.0 ", "0.0 ")


def with_error(mean: float, error: float) -> str:
    """Mean and error to the first digit of the error (two if it is a 1), at most four places."""
    if not error or not math.isfinite(error):
        return significant(mean)
    size = math.floor(math.log10(error))
    leading = error / 10.0**size
    places = min(max(0, -size + (leading < 1.95)), 4)
    if round(error, places) == 0:
        return f"{mean:,.{places}f} ± <0.0001"
    return f"{mean:,.{places}f} ± {error:,.{places}f}"


def significant(value: float) -> str:
    """Three digits, never in powers of ten."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}" if places < 3 or abs(value) < 0.1 else f"{value:.{places}f}"


def is_number(value) -> bool:
    """Whether a cell reads as a number, with or without an error; empty cells do not tell."""
    return not isinstance(value, str) or not value or bool(re.match(r"^[+-]?\d[\d.,]*( |$)", value))


def verdict(column: str, value) -> list[str]:
    """Class of a difference: "gain", "loss" or none."""
    if isinstance(value, str):
        return ["gain"] if value.endswith("▲") else ["loss"] if value.endswith("▼") else []
    if isinstance(value, list) and DIFFERENCE.search(column) and abs(value[0]) > 2 * value[1] > 0:
        return ["gain"] if value[0] > 0 else ["loss"]
    return []


def best(header: list[str], rows: list[list], columns: str) -> set[tuple[int, int]]:
    """Cells that hold the best mean of their group of rows (those with the same first cell)."""
    found = set()
    for column in filter(None, (part.strip() for part in columns.split(","))):
        sign, name = (-1, column[1:]) if column.startswith("-") else (1, column)
        k = header.index(name)
        for _, members in itertools.groupby(enumerate(rows), key=lambda pair: pair[1][0]):
            means = {place: sign * mean(row[k]) for place, row in members}
            found |= {(place, k) for place, value in means.items() if value == max(means.values())}
    return found


def mean(value) -> float:
    """Return the number that a cell holds."""
    value = value[0] if isinstance(value, list) else value
    number = re.match(r"[+-]?[\d.]+", str(value))
    return float(number.group()) if number else -math.inf


def flat(header: list[str], rows: list[list]) -> list[list]:
    """Header and rows for a csv file, a pair in two columns."""
    pairs = [any(isinstance(row[k], list) for row in rows) for k in range(len(header))]
    lines = [
        [part for name, pair in zip(header, pairs, strict=True) for part in columns(name, pair)]
    ]
    for row in rows:
        line = []
        for value, pair in zip(row, pairs, strict=True):
            line += value if isinstance(value, list) else [value, ""] if pair else [value]
        lines.append(line)
    return lines


def columns(name: str, pair: bool) -> list[str]:
    """Names of the columns that one column of a record becomes."""
    return [name, f"{name}: standard error"] if pair else [name]


def figure(folder: Path, request: str) -> str:
    """One cell as text: "learning; letter, 200, learnt; score" of ``learning.json`` in `folder`."""
    name, cells, column = (part.strip() for part in request.split(";"))
    record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    wanted = re.sub(r"\s*,\s*", ", ", cells)  # a cell may hold commas of its own
    found = [
        row
        for row in record["rows"]
        if wanted in itertools.accumulate(map(_name, row), "{}, {}".format)
    ]
    if len(found) != 1 or column not in record["header"]:
        raise ValueError(
            f"{name}.json has {len(found)} rows of {wanted!r}, columns {record['header']}"
        )
    return text(found[0][record["header"].index(column)])


def _name(cell) -> str:
    return str(cell).strip()
