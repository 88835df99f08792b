"""Read the table that the command line reduces.

A csv, tsv or parquet file goes through pandas, which is imported when such a file is met; the
embedded tables and npz files need NumPy alone. Whatever cannot be read ends in an `InputError`,
whose message is meant for the person at the keyboard.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from ..data import DistilledData
from ..data.archive import Archive, open_regular
from .table import (
    EMBEDDED,
    FORMATS,
    TEXT_SEPARATORS,
    InputError,
    Table,
    import_pandas,
    import_pyarrow,
    suffix_of,
)
from .text_files import read_text

NO_WEIGHT = "none"
LARGEST_WEIGHT = 1e30  # sums of more leave the range of single precision
STANDARD_INPUT = "-"
MAGIC = {b"PAR1": ".parquet", b"PK": ".npz", b"\x1f\x8b": ".csv.gz"}
_NAME_OF_ROW_NUMBERS = re.compile(r"index|idx|row|(.*[ _])?(id|no|nr|row_?(number|id))")
TARGET_NAMES = ("target", "label", "class", "y")
# A small file that calls for a lot of memory was made for that.
MAX_UNPACKED = 2**30  # bytes that an npz file may always take,
MAX_RATIO = 100  # and more only up to so many times its size


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
        table = _read_npz(path, target, drop, weight)
    else:
        table = _read_frame(path, suffix, target, drop, weight, header)
    if table.X.shape[0] == 0:
        raise InputError(f"{source!r} is empty: it has no rows")
    if table.X.shape[1] == 0:
        raise InputError(f"{source!r} has no column besides the target {table.target!r}")
    check_target_values(table)
    if table.weight is not None:
        check_weights(table)
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


def check_weights(table: Table, *, whole: bool = True) -> None:
    """Refuse weights that are no numbers, negative or, in a whole table, all zero."""
    values = np.asarray(table.weight)
    right = values.dtype.kind in "fiub" and values.shape == table.y.shape
    if right:
        values = values.astype(np.float64)
        right = bool(np.isfinite(values).all() and values.min() >= 0)
        right = right and (values.max() > 0 or not whole)
    if not right:
        raise InputError(
            f"the weights in {table.weight_name!r} must be a number of at least 0 in each row;"
            " leave them out with --weight none"
        )
    if values.max() > LARGEST_WEIGHT:
        raise InputError(
            f"the weights in {table.weight_name!r} go up to {values.max():.3g}; divide them by"
            " their mean, or leave them out with --weight none"
        )
    table.weight = values


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


def _read_npz(path: Path, target: str | None, drop: tuple[str, ...], weight: str | None) -> Table:
    """Read the arrays X and y (or the array named by `target`) of an npz file."""
    keys, name, arrays = reading(path, lambda: _load_arrays(path, target, weight))
    if "specs" in keys and "X" not in keys:
        return _read_small_set(path, target, drop, weight)
    if drop:
        raise InputError("--drop is for files of named columns; X of an npz file has none")
    if "X" not in arrays:
        raise InputError(f"{str(path)!r} has no array X; it holds {', '.join(keys) or 'nothing'}")
    if name not in arrays or name == "X":
        raise InputError(f"{str(path)!r} has no target array {name!r}; it holds {', '.join(keys)}")
    X, y = arrays["X"], arrays[name]
    if X.ndim < 2:
        raise InputError(f"X in {str(path)!r} must be 2-D, rows and columns; it is {X.ndim}-D")
    if X.dtype.kind not in "fiub":
        raise InputError(f"X in {str(path)!r} must hold real numbers; its dtype is {X.dtype}")
    if y.shape != X.shape[:1]:
        raise InputError(
            f"{name!r} in {str(path)!r} must hold one value a row; it has shape {y.shape} and X"
            f" {X.shape}"
        )
    if np.isinf(X).any():
        raise InputError(f"X in {str(path)!r} holds infinity; replace it by NaN or a number")
    names = arrays.get("feature_names")
    known = names is not None and names.shape == X.shape[1:]
    weight_name = _weight_array(keys, weight)
    if weight_name is not None and weight_name not in arrays:
        raise InputError(f"{str(path)!r} has no array {weight_name!r}; it holds {', '.join(keys)}")
    return Table(
        str(path),
        X.reshape(len(X), math.prod(X.shape[1:])),
        y,
        name,
        target_note="" if target else f"the array {name}",
        row_shape=X.shape[1:],
        path=path,
        feature_names=[str(column) for column in names] if known else None,
        weight=None if weight_name is None else arrays[weight_name],
        weight_name=weight_name,
        notes=[] if weight_name is None or weight else [_weights_told(weight_name)],
    )


def _weight_array(keys: list[str], weight: str | None) -> str | None:
    """Return the name of the array of weights, if there is one."""
    if weight is not None:
        return None if weight == NO_WEIGHT else weight
    return "sample_weight" if "sample_weight" in keys else None


def _load_arrays(
    path: Path, target: str | None, weight: str | None
) -> tuple[list[str], str, dict[str, np.ndarray]]:
    """Load the arrays of an npz file that make a table, and name the others; no pickles."""
    with open_regular(path) as stream:
        archive = Archive(stream)
        keys = archive.names
        candidates = [key for key in keys if key.lower() in TARGET_NAMES]
        name = target or ("y" if "y" in keys else next(iter(candidates), "y"))
        used = ("X", name, "feature_names", _weight_array(keys, weight))
        wanted = [key for key in used if key in keys]
        size, packed = sum(archive.header(key).nbytes for key in wanted), path.stat().st_size
        if size > max(MAX_UNPACKED, MAX_RATIO * packed):
            raise ValueError(f"{packed:,} bytes would become {size:,}; save it without compression")
        return keys, name, {key: archive.read(key) for key in wanted}


def _read_small_set(
    path: Path, target: str | None, drop: tuple[str, ...], weight: str | None
) -> Table:
    """Read a small set of columns of any kind, as `DistilledData.save` writes it."""
    import_pandas("reading tables")
    small = reading(path, lambda: DistilledData.load(path))
    if not hasattr(small.X, "columns") or small.y is None or np.ndim(small.y) != 1:
        raise InputError(f"{str(path)!r} holds no table with one target")
    y_name, weight_name = "y", "sample_weight"
    while y_name in small.X.columns or weight_name in small.X.columns:
        y_name, weight_name = f"{y_name}_", f"{weight_name}_"
    frame = small.to_pandas(y_name=y_name, weight_name=weight_name)
    if weight is None and weight_name != "sample_weight":
        weight = weight_name
    return _table_of_frame(path, frame, ".npz", target or y_name, drop, weight)


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
        return _table_of_frame(path, frame, suffix, target, drop, weight)
    import_pyarrow(f"reading {suffix} files")
    text = reading(path, lambda: read_text(path, suffix, header))
    table = _table_of_frame(path, text.frame, suffix, target, drop, weight)
    table.separator, table.cells = text.form.separator, text.cells
    table.notes = text.form.notes + table.notes
    return table


def _read_json(path: Path, suffix: str) -> Any:
    """Read one object a row: a list of them, one a line, or columns of values."""
    pd = import_pandas("reading JSON")
    with open(path, encoding="utf-8-sig") as file:
        if suffix == ".jsonl":
            found = [json.loads(line) for line in file if line.strip()]
        else:
            found = json.load(file)
    rows = found.values() if isinstance(found, dict) else found
    kinds = (dict, list) if isinstance(found, dict) else dict
    if not isinstance(found, list | dict) or not all(isinstance(row, kinds) for row in rows):
        raise ValueError("it must hold one object for each row")
    return pd.DataFrame(found).reset_index(drop=True)


def _table_of_frame(
    path: Path,
    frame: Any,
    suffix: str,
    target: str | None,
    drop: tuple[str, ...],
    weight: str | None,
) -> Table:
    """Tell target, weights and features of a DataFrame."""
    frame.columns = [str(column) for column in frame.columns]
    columns = list(frame.columns)
    drop = listed_columns(drop, columns)
    weight, notes = choose_weight(path, columns, target, drop, weight)
    apart = [] if weight is None else [weight]
    target, note = choose_target(path, columns, target, drop, apart)
    numbers = [name for name in columns if name not in (target, weight, *drop)]
    numbers = [name for name in numbers if are_row_numbers(frame[name])]
    notes += [row_numbers_told(name) for name in numbers]
    X = frame.drop(columns=[target, *apart, *drop, *numbers])
    return Table(
        str(path),
        X,
        column_values(frame[target]),
        target,
        target_note=note,
        suffix=suffix,
        row_shape=X.shape[1:],
        frame=frame,
        path=path,
        weight=None if weight is None else column_values(frame[weight]),
        weight_name=weight,
        notes=notes,
    )


def row_numbers_told(name: str) -> str:
    """Say that a column is no feature."""
    return f"the column {name!r} names the rows and is no feature"


def are_row_numbers(column: Any) -> bool:
    """Whether a column names or counts the rows, by its name and its values.

    A first column without a name is the index that `DataFrame.to_csv` and R write; one called "id"
    must count 1, 2, 3, ... to be no feature.
    """
    name, values = str(column.name).strip().lower(), column.to_numpy()
    if name == "unnamed: 0":
        return values.dtype.kind != "f" and len(values) > 1 and column.is_unique
    if not _NAME_OF_ROW_NUMBERS.fullmatch(name) or values.dtype.kind not in "iu":
        return False
    return len(values) > 1 and bool((np.diff(values) == 1).all())


def listed_columns(drop: Sequence[str], columns: list[str]) -> tuple[str, ...]:
    """Return the columns that ``--drop`` lists: names, or several with commas between."""
    listed: list[str] = []
    for given in drop:
        listed += [given] if given in columns else [name.strip() for name in given.split(",")]
    return tuple(listed)


def choose_weight(
    path: Path,
    columns: list[str],
    target: str | None,
    drop: tuple[str, ...],
    weight: str | None,
) -> tuple[str | None, list[str]]:
    """Return the column of weights, if there is one, and why it is that one if nobody said so."""
    if weight == NO_WEIGHT and weight not in columns:
        return None, []
    if weight is not None:
        _check_known(path, columns, weight)
        return weight, []
    last = columns[-1:] if len(columns) > 2 and columns[-1] == "weight" else []
    found = [name for name in ["sample_weight", *last] if name in columns]
    found = [name for name in found if name != target and name not in drop]
    if not found:
        return None, []
    return found[0], [_weights_told(found[0])]


def _weights_told(name: str) -> str:
    return f"weights are in {name!r}, by its name (--weight none takes none)"


def _check_known(path: Path, columns: list[str], *names: str | None) -> None:
    """Refuse columns that are not there."""
    unknown = [name for name in names if name is not None and name not in columns]
    if unknown:
        shown = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
        told = ", ".join(map(repr, unknown))
        raise InputError(f"{str(path)!r} has no column {told}; its columns are {shown}")


def choose_target(
    path: Path,
    columns: list[str],
    target: str | None,
    drop: tuple[str, ...],
    apart: Sequence[str] = (),
) -> tuple[str, str]:
    """Return the column to predict, and why it is that one if nobody has said so."""
    if not columns:
        raise InputError(f"{str(path)!r} is empty: it has no columns")
    _check_known(path, columns, target, *drop)
    note = ""
    if target is None:
        columns = [column for column in columns if column not in (*apart, *drop)] or columns
        lower = [column.lower() for column in columns]
        named = [name for name in TARGET_NAMES if name in lower]
        target = columns[lower.index(named[0])] if named else columns[-1]
        note = f"the column named {target}" if named else "the last column"
    if target in drop:
        raise InputError(f"the target {target!r} cannot be dropped")
    if target in apart:
        raise InputError(f"the target {target!r} cannot be the column of weights too")
    return target, note


def column_values(column: Any) -> np.ndarray:
    """Return a pandas column as numbers or, where it holds anything else, as objects."""
    values = column.to_numpy()
    if values.dtype.kind in "fiubM":
        return values
    if column.dtype.kind in "fiub" and not column.isna().any():  # nullable numbers of pandas
        return column.to_numpy(dtype=f"{column.dtype.kind}8" if column.dtype.kind != "b" else bool)
    return column.to_numpy(dtype=object)


def check_target_values(table: Table) -> None:
    """Refuse a target with missing or infinite values, and one that is a date."""
    y = table.y
    if y.dtype.kind in "Mm":
        raise InputError(f"the target {table.target!r} holds dates; choose another with --target")
    if y.dtype.kind not in "fiubUO":
        raise InputError(f"the target {table.target!r} must hold numbers or texts, not {y.dtype}")
    if y.dtype.kind == "f":
        n_missing = int(np.sum(~np.isfinite(y)))
    elif y.dtype.kind == "O":
        n_missing = sum(value is None or value != value or str(value) == "<NA>" for value in y)
    else:
        n_missing = 0
    if n_missing:
        raise InputError(
            f"the target {table.target!r} is missing or infinite in {n_missing:,} of {len(y):,}"
            " rows; remove them or choose another with --target"
        )
    if y.dtype.kind == "O":  # texts and numbers mixed have no order, texts have
        table.y = y.astype(str)


def reading(path: Path, read: Any) -> Any:
    """Call `read`; what is wrong with the file becomes one line."""
    try:
        return read()
    except ImportError as error:  # parquet without an engine
        raise InputError(
            f'reading {path.suffix} files needs pyarrow: pip install "skdistill[io]"'
        ) from error
    except (OSError, ValueError, EOFError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{str(path)!r} cannot be read: {reason}") from error
