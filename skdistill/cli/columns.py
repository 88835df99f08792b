"""Tell the columns of a table: target, weights, names of rows, features; refuse what is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from .._input.rows import LARGEST
from .._input.targets import plain_target
from ..tables.columns import text_of
from ..tables.number_text import find_convention, numbers_of_texts
from .table import InputError, Table, import_pandas, import_pyarrow

NO_WEIGHT = "none"
LARGEST_WEIGHT = 1e30  # sums of more leave the range of single precision
TARGET_NAMES = ("target", "label", "class", "y")
_NAME_OF_ROW_NUMBERS = re.compile(r"index|idx|row|(.*[ _])?(id|no|nr|row_?(number|id))")


def table_of_frame(
    path: Path,
    frame: Any,
    suffix: str,
    target: str | None,
    drop: tuple[str, ...],
    weight: str | None,
) -> Table:
    """Tell target, weights and features of a DataFrame."""
    columns = name_columns(path, frame)
    drop = listed_columns(drop, columns)
    weight, notes = choose_weight(path, columns, target, drop, weight)
    apart = [] if weight is None else [weight]
    target, note = choose_target(path, columns, target, drop, apart)
    numbers = [name for name in columns if name not in (target, weight, *drop)]
    numbers = [name for name in numbers if are_row_numbers(frame[name])]
    notes += [row_numbers_told(name) for name in numbers]
    X = frame.drop(columns=[target, *apart, *drop, *numbers])
    y = column_values(frame[target])
    decimal = target_convention(y)
    if decimal is not None:
        numbers_told = target_numbers(y, decimal)
        notes.append(f"the target is written as text: {y[0]} is read as {numbers_told[0]:.12g}")
        y = numbers_told
    return Table(
        str(path),
        X,
        y,
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


def name_columns(path: Path, frame: Any) -> list[str]:
    """Make texts of the names of columns and return them; refuse names and texts that are none.

    The texts of a parquet file are not looked at by its reader, and would end what uses them.
    """
    names = [str(column) for column in frame.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{str(path)!r} names the column {twice[0]!r} twice; rename one of them")
    frame.columns = names
    levels = [frame.index.get_level_values(k) for k in range(frame.index.nlevels)]
    for values in (*(frame[name] for name in names), *levels):
        array = values.array.categories.array if values.dtype == "category" else values.array
        if getattr(array.dtype, "storage", None) == "pyarrow":
            try:
                import_pyarrow("reading texts").array(array).validate(full=True)
            except ValueError as error:
                raise InputError(
                    f"{str(path)!r} is damaged: column {values.name!r} holds what is no text"
                ) from error
    return names


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
    return found[0], [weights_told(found[0])]


def weights_told(name: str) -> str:
    """Say why a column holds the weights."""
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
    return values if values.dtype.kind == "O" else column.to_numpy(dtype=object)


def target_convention(y: np.ndarray) -> str | None:
    """Find how the numbers of a target are written as text; None where it holds no such.

    Whole numbers too long for double precision are codes.
    """
    if y.dtype.kind != "O":
        return None
    told = y[~import_pandas("reading tables").isna(y)]
    if not all(isinstance(value, str) for value in told):
        return None
    texts = set(told)
    decimal = find_convention(texts)
    if decimal is None or np.nanmax(np.abs(numbers_of_texts(texts, decimal))) >= 2**53:
        return None
    return decimal


def target_numbers(y: np.ndarray, decimal: str | None) -> np.ndarray:
    """Numbers of a target under the convention that was found; the target itself without one."""
    return y if decimal is None else numbers_of_texts(y, decimal)


def checked_target(y: np.ndarray, name: str) -> np.ndarray:
    """Refuse a target with missing or infinite values, and one that is a date; objects to texts."""
    if y.dtype.kind in "Mm":
        raise InputError(f"the target {name!r} holds dates; choose another with --target")
    if y.dtype.kind not in "fiubUO":
        raise InputError(f"the target {name!r} must hold numbers or texts, not {y.dtype}")
    if y.dtype.kind == "O" and (found := _different_texts(y)) is not None:
        texts, codes = found
        _refuse_missing(name, int(np.sum(np.append(texts == "<NA>", True)[codes])), len(y))
        return np.char.strip(texts.astype(str))[codes]
    kinds = {type(value) for value in y} if y.dtype.kind == "O" else set()
    if any(issubclass(kind, Collection) and not issubclass(kind, str | bytes) for kind in kinds):
        raise InputError(f"the target {name!r} holds lists; choose another with --target")
    if y.dtype.kind == "f":
        n_missing = int(np.sum(~np.isfinite(y)))
    elif y.dtype.kind == "O":
        n_missing = sum(value is None or value != value or str(value) == "<NA>" for value in y)
    else:
        n_missing = 0
    _refuse_missing(name, n_missing, len(y))
    if y.dtype.kind == "O":
        if all(issubclass(kind, Real | Decimal) for kind in kinds):  # as decimal128 comes
            y = plain_target(y)
        elif bytes in kinds:
            y = np.array([text_of(value) for value in y], dtype=object)
    if y.dtype.kind == "f" and np.abs(y).max(initial=0) > LARGEST:
        raise InputError(
            f"the target {name!r} goes up to {np.abs(y).max():.3g}, whose square leaves the range"
            " of numbers; divide it by a constant"
        )
    # Texts and numbers mixed have no order, texts have; a blank beside a label makes no other one.
    return np.char.strip(y.astype(str)) if y.dtype.kind == "O" else y


def _refuse_missing(name: str, n_missing: int, n_rows: int) -> None:
    if n_missing:
        raise InputError(
            f"the target {name!r} is missing or infinite in {n_missing:,} of {n_rows:,}"
            " rows; remove them or choose another with --target"
        )


def _different_texts(y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Different texts of an array of objects, and which of them stands in each row, -1 for none.

    None where there are other values than texts. A class stands in thousands of rows.
    """
    import pandas as pd

    if pd.api.types.infer_dtype(y, skipna=True) != "string":
        return None
    codes, texts = pd.factorize(y)
    return np.asarray(texts, dtype=object), codes


def checked_weights(
    weight: np.ndarray, name: str | None, n_rows: int, *, whole: bool = True
) -> np.ndarray:
    """Refuse weights that are no numbers, negative or, in a whole table, all zero; float64."""
    values = np.asarray(weight)
    right = values.dtype.kind in "fiub" and values.shape == (n_rows,)
    if right:
        values = values.astype(np.float64)
        right = bool(np.isfinite(values).all() and values.min() >= 0)
        right = right and (values.max() > 0 or not whole)
    if not right:
        raise InputError(
            f"the weights in {name!r} must be a number of at least 0 in each row;"
            " leave them out with --weight none"
        )
    if values.max() > LARGEST_WEIGHT:
        raise InputError(
            f"the weights in {name!r} go up to {values.max():.3g}; divide them by"
            " their mean, or leave them out with --weight none"
        )
    return values
