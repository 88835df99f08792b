"""Read a text file of cells: what separates them, what is the header, what each column holds.

All cells are read as text, once, by the strict reader of pyarrow. So what a column is can be told
from the whole of it, 007 stays 007, and cells are written as they came. Files that could be read in
two ways are refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from ..tables.number_text import MISSING_MARKS, find_convention
from .table import TEXT_SEPARATORS, import_pyarrow

SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2**18  # bytes that the form of a file is told from
HEADERS = ("auto", "first", "none")
_FIRST_CELLS = 64  # that tell most columns of floats from integers
_LEADING_ZERO = r"^\s*[-+]?0\d"
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

    notes : list of str
        What is to be told of it.
    """

    separator: str
    encoding: str = "utf-8"
    n_skipped: int = 0
    names: list[str] = field(default_factory=list)
    has_header: bool = True
    row_names: bool = False
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
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
        widths = Counter(map(len, rows[1:] or rows))
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        share = count / max(1, sum(widths.values()))
        exact = bool(rows) and len(rows[0]) == width
        found = (width > 1, share > 0.9, exact, width, -place, separator, rows)
        best = max(best, found, key=lambda entry: entry[:5]) if best else found
    return best[5], best[6]


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


@dataclass
class TextTable:
    """A text file as read.

    Attributes
    ----------
    cells : pyarrow Table
        Texts.

    frame : DataFrame
        The same with numbers as numbers.

    form : Form
        How it was read.
    """

    cells: Any
    frame: Any
    form: Form


def read_text(path: Path, suffix: str = ".csv", header: str = "auto") -> TextTable:
    """Read a text file.

    Parameters
    ----------
    path : Path
        The file.

    suffix : str, default=".csv"
        One of `TEXT_SEPARATORS`.

    header : {"auto", "first", "none"}, default="auto"
        Whether the first row holds names.

    Returns
    -------
    TextTable

    Raises
    ------
    ValueError
        If the file is no table, or could be read in two ways.
    """
    pa = import_pyarrow(f"reading {suffix} files")
    form = find_form(path, suffix, header)
    for encoding in dict.fromkeys([form.encoding, "cp1252", "latin-1"]):
        form = replace(form, encoding=encoding)
        try:
            schema = pa.schema([(name, pa.string()) for name in form.names])
            cells = pa.Table.from_batches(batches(path, form), schema)
            break
        except (UnicodeDecodeError, pa.ArrowInvalid) as error:
            undecoded = isinstance(error, UnicodeDecodeError) or "UTF8" in str(error)
            if not undecoded or encoding == "latin-1":
                raise
    _check_quotes(path, cells)
    if form.encoding != "utf-8":
        form.notes.append(f"its letters are {form.encoding}, not UTF-8, which is what is written")
    cells = _without_empty_names(cells)
    frame = typed(cells)
    if form.row_names:
        frame = frame.set_index(frame.columns[0]).rename_axis(None)
    return TextTable(cells, frame, form)


def batches(path: Path, form: Form) -> Iterator[Any]:
    """Yield the cells of a text file in record batches of texts.

    Parameters
    ----------
    path : Path
        The file.

    form : Form
        How to read it.

    Yields
    ------
    pyarrow RecordBatch

    Raises
    ------
    ValueError
        Names the first row that has other cells than the header.
    """
    with open(path, "rb") as file, unpacked(file, path) as stream:
        yield from batches_of(stream, form)


def batches_of(stream: Any, form: Form) -> Iterator[Any]:
    """Yield the cells of an open text file; see `batches`.

    Parameters
    ----------
    stream : binary file
        At its beginning.

    form : Form
        How to read it.

    Yields
    ------
    pyarrow RecordBatch
    """
    import pyarrow as pa
    from pyarrow import csv as pc

    wrong: list[str] = []

    def look(row: Any) -> str:
        if row.text.lstrip().startswith("#"):
            return "skip"
        if not wrong:
            start = row.text if len(row.text) <= 40 else f"{row.text[:40]}..."
            names = len(form.names) - form.names[-1].startswith("Unnamed: ")
            wrong.append(
                f"the row {start!r} has {row.actual_columns} cells and its header names"
                f" {names} columns"
            )
        return "error"

    reader = None
    try:
        reader = pc.open_csv(
            stream,
            pc.ReadOptions(
                use_threads=False,
                column_names=form.names,
                skip_rows=form.n_skipped,
                skip_rows_after_names=int(form.has_header),
                encoding=form.encoding,
            ),
            pc.ParseOptions(
                delimiter=form.separator, newlines_in_values=True, invalid_row_handler=look
            ),
            pc.ConvertOptions(
                column_types=dict.fromkeys(form.names, pa.string()), strings_can_be_null=False
            ),
        )
        yield from reader
    except pa.ArrowInvalid as error:
        if wrong:
            raise ValueError(wrong[0]) from error
        raise
    finally:
        if reader is not None:
            reader.close()


def _check_quotes(path: Path, cells: Any) -> None:
    """Refuse a quote that is never closed, which takes all that follows into one cell."""
    last = cells.slice(max(0, cells.num_rows - 1)).to_pylist()
    if not last or not any("\n" in cell for cell in last[0].values()):
        return
    with open(path, "rb") as file, unpacked(file, path) as stream:
        n_quotes = sum(block.count(b'"') for block in iter(lambda: stream.read(SAMPLE), b""))
    if n_quotes % 2:
        raise ValueError("a quote is opened and never closed, so that cells cannot be told apart")


def _without_empty_names(cells: Any) -> Any:
    """Leave out a last column without a name that is empty, as rows that end in a comma make it."""
    import pyarrow.compute as pc

    last = cells.column_names[-1]
    if last.startswith("Unnamed: ") and not pc.any(pc.not_equal(cells[last], "")).as_py():
        return cells.drop_columns([last])
    return cells


def typed(cells: Any, texts: Set[str] = frozenset()) -> Any:
    """Return cells as a DataFrame in which numbers are numbers.

    Parameters
    ----------
    cells : pyarrow Table of texts
        As read.

    texts : set of str, default=()
        Columns that stay texts.

    Returns
    -------
    DataFrame
        An empty cell is missing, and so is a mark such as NA among numbers. A column with a code
        such as 007 holds texts.
    """
    import pandas as pd

    columns = {}
    for name, column in zip(cells.column_names, cells.columns, strict=True):
        values = None if name in texts else _numbers(column)
        columns[name] = _texts(column) if values is None else values.to_pandas()
    return pd.DataFrame(columns)


def _numbers(column: Any) -> Any:
    """Return texts as integers, numbers or booleans, None where they are not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(column)
    marks = pa.array(sorted(MISSING_MARKS), pa.string())
    missing = pc.is_in(pc.utf8_lower(trimmed), value_set=marks)
    values = pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
    if values.null_count == len(values) and pc.any(pc.not_equal(trimmed, "")).as_py():
        return None  # nothing but NA and None: these are names
    if pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        return None
    for kind in (pa.int64(), pa.float64()):
        try:
            pc.cast(values.slice(0, _FIRST_CELLS), kind)  # a whole column that fails takes long
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            pass
    flags = pc.is_in(pc.utf8_lower(values), value_set=pa.array(["true", "false"]))
    if pc.all(flags, min_count=0).as_py() and not values.null_count:
        return pc.equal(pc.utf8_lower(values), "true")
    return None


def _texts(column: Any) -> Any:
    """Return texts, None where a cell is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pc.equal(pc.utf8_trim_whitespace(column), "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column).to_pandas()
