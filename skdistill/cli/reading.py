"""Read the table that the command line reduces.

A csv, tsv or parquet file goes through pandas, which is imported when such a file is met; the
embedded tables and npz files need NumPy alone. Whatever cannot be read ends in an `InputError`,
whose message is meant for the person at the keyboard.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sklearn.datasets import load_diabetes, load_digits

from .arrays import read_npz
from .columns import checked_target, checked_weights, table_of_frame
from .table import (
    EMBEDDED,
    FORMATS,
    TEXT_SEPARATORS,
    InputError,
    Table,
    import_pandas,
    import_pyarrow,
    reading,
    suffix_of,
)
from .text_files import read_text

STANDARD_INPUT = "-"
MAGIC = {b"PAR1": ".parquet", b"PK": ".npz", b"\x1f\x8b": ".csv.gz"}


def read_table(
    source: str,
    target: str | None = None,
    drop: tuple[str, ...] = (),
    weight: str | None = None,
    header: str = "auto",
) -> Table:
    """Read an embedded table by its name, or a csv, tsv, parquet or npz file.

    Parameters
    ----------
    source : str
        One of `EMBEDDED`, the path of a file whose suffix is one of `FORMATS`, or "-", which reads
        a file of any format from the standard input.

    target : str, default=None
        Column (npz: array) to predict. None takes the first of `TARGET_NAMES` that exists,
        in upper or lower case, and else the last column.

    drop : tuple of str, default=()
        Columns that are no features. They are written with the others all the same.

    weight : str, default=None
        Column (npz: array) of weights. None takes one named sample_weight, or a last one named
        weight, as this package writes it; "none" takes no column.

    header : {"auto", "first", "none"}, default="auto"
        Whether the first row of a text file holds names; "auto" refuses one that looks like data.

    Returns
    -------
    Table
        At least one row, one feature and a target without missing values.

    Raises
    ------
    InputError
        If there is no such file, format or column, or the table cannot be learnt from.
    """
    if source in EMBEDDED and not os.path.exists(source):
        if target is not None or drop or weight:
            raise InputError(f"--target, --drop and --weight are for files; {source} is embedded")
        return _load_embedded(source)
    if source == STANDARD_INPUT:
        return _read_standard_input(target, drop, weight, header)
    path = Path(source)
    _check_file(path)
    suffix = suffix_of(path)
    if suffix not in FORMATS:
        raise InputError(f"{source!r} must end in one of {', '.join(FORMATS)}")
    if suffix == ".npz":
        table = read_npz(path, target, drop, weight)
    else:
        table = _read_frame(path, suffix, target, drop, weight, header)
    if table.X.shape[0] == 0:
        raise InputError(f"{source!r} is empty: it has no rows")
    if table.X.shape[1] == 0:
        marks = "; cells are separated by a comma, a semicolon, a tab or |"
        marks = marks if suffix in TEXT_SEPARATORS and not drop else ""
        raise InputError(f"{source!r} has no column besides the target {table.target!r}{marks}")
    table.y = checked_target(table.y, table.target)
    if table.weight is not None:
        table.weight = checked_weights(table.weight, table.weight_name, len(table.y))
    return table


def _read_standard_input(
    target: str | None, drop: tuple[str, ...], weight: str | None, header: str
) -> Table:
    """Read what is piped in, by way of a file; its first bytes tell the format."""
    with TemporaryDirectory() as folder:
        place = Path(folder, "input")
        with open(place, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with open(place, "rb") as file:
            begin = file.read(2**12)
        suffix = next((s for start, s in MAGIC.items() if begin.startswith(start)), ".csv")
        if suffix == ".csv" and begin.lstrip()[:1] in (b"[", b"{"):
            suffix = ".json" if begin.lstrip()[:1] == b"[" else ".jsonl"
        named = place.rename(place.with_suffix(suffix))
        try:
            table = read_table(str(named), target, drop, weight, header)
        except InputError as error:
            raise InputError(str(error).replace(repr(str(named)), "the standard input")) from error
    table.name, table.path = "standard input", None
    return table


def _check_file(path: Path) -> None:
    """Refuse what is not there, may not be looked at, or would be waited for."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(
            f"there is no file {str(path)!r}; SOURCE is {', '.join(EMBEDDED)} or a file ending in"
            f" {', '.join(FORMATS)}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r} cannot be read: {reason}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{str(path)!r} cannot be read: it is no regular file")


def _load_embedded(name: str) -> Table:
    """Load one of the tables that come with scikit-learn."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return Table(name, X, y, "digit", row_shape=(8, 8))
    data = load_diabetes(scaled=False)
    return Table(
        name, data.data, data.target, "progression", feature_names=list(data.feature_names)
    )


def _read_frame(
    path: Path,
    suffix: str,
    target: str | None,
    drop: tuple[str, ...],
    weight: str | None,
    header: str,
) -> Table:
    """Read a text, JSON or parquet file into a DataFrame."""
    pd = import_pandas(f"reading {suffix} files")
    if suffix not in TEXT_SEPARATORS:
        read = pd.read_parquet if suffix == ".parquet" else partial(_read_json, suffix=suffix)
        frame = reading(path, lambda: read(path))
        return table_of_frame(path, frame, suffix, target, drop, weight)
    import_pyarrow(f"reading {suffix} files")
    text = reading(path, lambda: read_text(path, suffix, header))
    table = table_of_frame(path, text.frame, suffix, target, drop, weight)
    table.separator, table.cells = text.form.separator, text.cells
    table.notes = text.form.notes + table.notes
    return table


def _read_json(path: Path, suffix: str) -> Any:
    """Read one object a row: a list of them, one a line, or columns of values."""
    pd = import_pandas("reading JSON")
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    try:
        found = None if suffix == ".jsonl" else json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        found = None  # one object a line
    if found is None:
        found = [json.loads(line) for line in text.split("\n") if line.strip()]
    rows = list(found.values()) if isinstance(found, dict) else found
    if isinstance(found, dict) and set(found) - {"index"} == {"columns", "data"}:
        return pd.DataFrame(found["data"], columns=found["columns"])
    if isinstance(found, dict) and all(map(str.isdecimal, found)):
        found = rows  # one object for each number of a row
    kind = list if isinstance(found, dict) and isinstance(rows[0], list) else dict
    if not (isinstance(found, list | dict) and rows and all(isinstance(r, kind) for r in rows)):
        raise ValueError("it must hold one object for each row")
    return pd.DataFrame(found).reset_index(drop=True)
