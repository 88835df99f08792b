"""Tell the form of a text file: what separates cells, what is the header, how letters are written.

Files that could be read in two ways are refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from ..tables.number_text import find_convention, is_missing_mark
from .table import TEXT_SEPARATORS

SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2**18  # bytes that the form of a file is told from
HEADERS = ("auto", "first", "none")
PACKED = {
    b"\x1f\x8b": "packed by gzip; let its name end in .gz",
    b"PK": "a zip archive or a workbook; unpack it, or save it as csv",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*")  # which Excel writes and reads


@dataclass
class Form:
    """How a text file is to be read.

    Attributes
    ----------
    separator : str
        Between cells.

    encoding : str
        Of the letters.

    n_skipped : int
        Lines before the header, or before the rows.

    names : list of str
        Of all columns that rows have.

    has_header : bool
        Whether a line of names is to be left out.

    row_names : bool
        Whether the first cell of each row names it, and has no name itself.

    has_rows : bool
        Whether there is more than the header.

    notes : list of str
        What is to be told of it.
    """

    separator: str
    encoding: str = "utf-8"
    n_skipped: int = 0
    names: list[str] = field(default_factory=list)
    has_header: bool = True
    row_names: bool = False
    has_rows: bool = True
    notes: list[str] = field(default_factory=list)


def find_form(path: Path, suffix: str, header: str = "auto") -> Form:
    """Tell the form of a text file from its first rows.

    Parameters
    ----------
    path : Path
        The file.

    suffix : str
        One of `TEXT_SEPARATORS`.

    header : {"auto", "first", "none"}, default="auto"
        Whether the first row holds names; "auto" takes it for that, and refuses one that looks like
        data.

    Returns
    -------
    Form

    Raises
    ------
    ValueError
        If the file is no text, names a column twice, or seems to have no header.
    """
    with open(path, "rb") as file, unpacked(file, path) as stream:
        sample = stream.read(SAMPLE)
    if not sample.strip():
        raise ValueError("it is empty")
    for start, what in PACKED.items():
        if sample.startswith(start):
            raise ValueError(f"it is {what}")
    form = Form(TEXT_SEPARATORS[suffix], _encoding(sample))
    text = sample.decode(form.encoding, errors="replace").removeprefix("\ufeff")
    if "\0" in text:
        raise ValueError("it holds zero bytes, as text does not")
    lines = text.splitlines()
    lines = lines[: max(1, len(lines) - (len(sample) == SAMPLE))]  # the last one may be cut off
    told = _SEPARATOR_LINE.fullmatch(lines[0])
    if told:
        form.n_skipped = 1
    comments = []
    while form.n_skipped < len(lines) and _is_aside(lines[form.n_skipped]):
        comments.append(lines[form.n_skipped])
        form.n_skipped += 1
    body = lines[form.n_skipped :]
    separators = [told[1]] if told else [form.separator, *SEPARATORS]
    form.separator, rows = _split("\n".join(body), separators)
    _read_header(form, rows, header, [line for line in comments if line.strip()])
    form.has_rows = len(body) > 1 or not form.has_header
    return form


def _encoding(sample: bytes) -> str:
    """Return the encoding of the first bytes; a later byte may still disprove UTF-8."""
    if sample.startswith(_UTF_16):
        return "utf-16"
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:  # and no letter that the sample cuts in two
            return "cp1252"
    return "utf-8"


def _is_aside(line: str) -> bool:
    """Whether a line before the table is empty or a comment."""
    return not line.strip() or line.lstrip().startswith("#")


def _split(text: str, separators: list[str]) -> tuple[str, list[list[str]]]:
    """Return the mark that splits all rows into equally many cells, and the rows.

    The header should have as many. Among marks that do, more cells are better, then the first mark.
    """
    best: tuple[Any, ...] = ()
    for place, separator in enumerate(separators):
        rows = list(_rows(text, separator))
        widths = Counter(map(len, rows[1:] or rows))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        share = count / max(1, sum(widths.values()))
        exact = bool(rows) and len(rows[0]) == width
        found = (width > 1, share > 0.9, exact, width, -place, separator, rows)
        best = max(best, found, key=lambda entry: entry[:5]) if best else found
    return best[5], best[6]


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """Yield the rows of a text that hold anything, up to a cell of more than 128 KiB."""
    try:
        yield from filter(None, csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error:
        return


def _read_header(form: Form, rows: list[list[str]], header: str, comments: list[str]) -> None:
    """Fill in the names of the columns."""
    if not rows:
        raise ValueError("it has no rows")
    names, data = rows[0], rows[1:]
    width = Counter(map(len, data)).most_common(1)[0][0] if data else len(names)
    if header == "none" or (header == "auto" and len(names) == width and _is_data(names, data)):
        last = comments[-1].lstrip("# ") if comments else ""
        above = next(csv.reader([last], delimiter=form.separator), [])
        if len(above) == len(names) and header == "auto":  # "#a,b,c"
            names, comments = above, comments[:-1]
        elif header == "none":
            names = [f"x{j}" for j in range(len(names))]
        else:
            shown = form.separator.join(names[:4]) + (form.separator + "..." if names[4:] else "")
            raise ValueError(
                f"its first row, {shown}, looks like data; say --header none if it has no names, or"
                " --header first if these are names"
            )
        form.has_header = False
    names = [name.strip() for name in names]
    if header == "auto":
        _refuse_titles(form, names, data)
    if width == len(names) + 1:
        cells = [row for row in data if len(row) == width]
        if all(not row[-1].strip() for row in cells):
            names = [*names, ""]  # rows that end in a separator
        elif len({row[0] for row in cells}) == len(cells):  # names of rows, as R writes them
            names, form.row_names = ["", *names], True
    twice = sorted(name for name, count in Counter(filter(None, names)).items() if count > 1)
    if twice:
        raise ValueError(
            f"its header names {', '.join(map(repr, twice))} twice; rename one of them"
        )
    form.names = [name or f"Unnamed: {j}" for j, name in enumerate(names)]
    if comments:
        form.notes.append(f"comment lines before the table: {len(comments)}, left out")


def _refuse_titles(form: Form, names: list[str], data: list[list[str]]) -> None:
    """Refuse a title above the names of the columns, and units below them."""
    cells = [column for column in zip(*data, strict=False) if any(map(str.strip, column))]
    unnamed = [name for name in names[1 : len(cells)] if not name]
    if len(unnamed) > 1 and len(unnamed) >= len(names) / 2:
        raise ValueError(
            f"its first row leaves {len(unnamed)} columns without a name; remove a title above the"
            " names, or say --header first if there is none"
        )
    numeric = [c for c in cells if find_convention({cell.strip() for cell in c[1:]}) is not None]
    told = [column[0] for column in numeric if not is_missing_mark(column[0])]
    if len(told) > 1 and all(find_convention([cell]) is None for cell in told):
        raise ValueError(
            f"the row below its names, {form.separator.join(data[0][:4])}, holds no numbers where"
            " all others do; remove a title above the names, or units and second names below them,"
            " or say --header first"
        )


def _is_data(names: list[str], data: list[list[str]]) -> bool:
    """Whether the first row looks like the others: a number above numbers, a value of its column.

    Counted names, 0, 1, 2, ... or years, are names.
    """
    if len(data) < 2:
        return False
    whole = [int(name) for name in names if name.strip().isdecimal()]
    if len(whole) == len(names) > 1 and all(b - a == 1 for a, b in pairwise(whole)):
        return False
    evidence = 0
    for j, name in enumerate(names):
        column = [row[j].strip() for row in data if len(row) == len(names)]
        if find_convention(set(column)) is not None:
            if find_convention([name]) is None:
                return False
            evidence += 1
        elif name.strip() in column:
            evidence += 1
        elif len(set(column)) <= len(column) / 2:  # categories, and this is none of them
            return False
    return evidence > 0


def unpacked(file: IO[bytes], path: Path) -> Any:
    """Return the bytes of an open file, unpacked where its name ends in ``.gz``.

    Parameters
    ----------
    file : binary file
        Stays open.

    path : Path
        Its name.

    Returns
    -------
    binary file
    """
    return gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else nullcontext(file)
