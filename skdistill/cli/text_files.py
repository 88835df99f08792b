"""Read a text file of cells: what each column holds.

All cells are read as text, once, by the strict reader of pyarrow. So what a column is can be told
from the whole of it, 007 stays 007, and cells are written as they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..tables.number_text import MISSING_MARKS
from .forms import SAMPLE, Form, find_form, unpacked
from .table import import_pyarrow

BLOCK = 2**20  # bytes that are read at once, and that a row may have
_FIRST_CELLS = 64  # that tell most columns of floats from integers
_TOO_LONG = r"^[-+]?\d{19,}$"
_LEADING_ZERO = r"^\s*[-+]?0\d"


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

    if not form.has_rows:
        return
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
                block_size=BLOCK,
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
        if "straddl" in str(error):
            raise ValueError(
                f"a row is longer than {BLOCK >> 20} MiB; is a quote opened and never closed?"
            ) from error
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
    if pc.any(pc.match_substring_regex(values, _TOO_LONG)).as_py():
        return None  # a code: as a number it would lose digits
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
