"""Write the small set: the rows as they came, and their weights.

From text to text the cells are copied letter by letter, so that 007 stays 007; npz files are those
of :meth:`skdistill.DistilledData.save`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from .._files import replacing
from ..data import DistilledData
from .table import (
    FORMATS,
    TEXT_SEPARATORS,
    InputError,
    Table,
    import_pandas,
    suffix_of,
)


def check_output(path: str | None, what: str, source: str) -> None:
    """Refuse a path that nothing can be written to, before any work is done.

    Parameters
    ----------
    path : str or None
        The file; None is no file.

    what : str
        The option that named it.

    source : str
        The file that is read, which must not be lost.

    Raises
    ------
    InputError
        If it is a folder, in no folder, write-protected or the source.
    """
    if path is None:
        return
    file = Path(path)
    try:
        mode = _mode(file)
        if mode and os.path.exists(source) and file.samefile(source):
            raise InputError(f"{what} {path!r} is the table itself; give another file")
        if stat.S_ISDIR(mode):
            raise InputError(f"{what} {path!r} is a folder; give a file")
        if not file.parent.is_dir():
            raise InputError(f"{what} {path!r} cannot be written: there is no folder {file.parent}")
        # A file is written beside its place and then renamed, which the folder must allow too.
        places = [file, file.resolve().parent] if mode else [file.parent]
        if mode and not stat.S_ISREG(mode):  # such as /dev/stdout
            places = [file]
        if not all(os.access(place, os.W_OK) for place in places):
            raise InputError(f"{what} {path!r} cannot be written: permission denied")
    except OSError as error:  # a folder that may not be looked into, a name that is too long
        raise InputError(f"{what} {path!r} cannot be written: {error.strerror}") from error


def _mode(file: Path) -> int:
    """Mode of a file, 0 where there is none; `Path.exists` hides other errors on some Pythons."""
    try:
        return file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def output_format(path: str, table: Table, option: str = "-o") -> str:
    """Return the format to write: by the suffix of `path`, else as the table came.

    Parameters
    ----------
    path : str
        File to write.

    table : Table
        What was read.

    option : str, default="-o"
        Which option named it.

    Returns
    -------
    str
        One of `FORMATS`.

    Raises
    ------
    InputError
        If the suffix is another, or pandas is needed and missing.
    """
    suffix = suffix_of(path) or table.suffix
    if suffix not in FORMATS:
        raise InputError(f"{option} {path!r} must end in one of {', '.join(FORMATS)}")
    if suffix != ".npz":
        import_pandas(f"writing {suffix} files")
    return suffix


def write_rows(
    table: Table,
    rows: np.ndarray,
    weights: np.ndarray | None,
    path: str,
    labels: np.ndarray | None = None,
    *,
    option: str = "-o",
) -> str:
    """Write rows of the table with their weights, and return the name of the weight column.

    Parameters
    ----------
    table : Table
        Where the rows come from.

    rows : ndarray of shape (m,)
        Positions of the rows in the table.

    weights : ndarray of shape (m,) or None
        One weight for each, in place of those of the table; None leaves these.

    path : str
        File to write. From text to text the cells are copied letter by letter.

    labels : ndarray of shape (n_classes,), default=None
        All classes of the target, kept in npz files.

    option : str, default="-o"
        Which option named the file.

    Returns
    -------
    str
        Name of the weight column (npz: array): that of the table, or one that it does not have.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    suffix = output_format(path, table)
    try:
        if suffix == ".npz":
            return _write_npz(table, rows, weights, labels, path)
        return _write_frame(table, rows, weights, path, suffix)
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{option} {path!r} cannot be written: {reason}") from error


def write_learnt(
    table: Table,
    small: DistilledData,
    X: np.ndarray,
    y: np.ndarray,
    labels: np.ndarray | None,
    names: list[str],
    path: str,
) -> str:
    """Write learnt rows with their targets and weights, and return the name of the weight column.

    Learnt rows are no rows of the table. Their columns are the encoded ones: numbers in their own
    units, dates in days since 1970-01-01, a column for each value of a category.

    Parameters
    ----------
    table : Table
        What the rows were learnt from.

    small : DistilledData
        The rows.

    X : ndarray of shape (m, n_features)
        The same in the units of the table.

    y : ndarray of shape (m,)
        Numbers or classes.

    labels : ndarray of shape (n_classes,) or None
        The classes, in the order of the columns of ``small.targets``.

    names : list of str
        Names of the columns.

    path : str
        File to write. Only npz files hold the learnt labels (`targets`) as well.

    Returns
    -------
    str
        Name of the weight column (npz: array).

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    suffix = output_format(path, table)
    try:
        if suffix == ".npz":
            targets, classes = small.targets, None
            if labels is not None:
                order = np.argsort(labels)
                targets, classes = targets if targets is None else targets[:, order], labels[order]
            learnt = DistilledData(
                X,
                y,
                small.sample_weight,
                targets=targets,
                classes=classes,
                feature_names=names,
                target_names=[table.target],
            )
            learnt.save(path)
            return "sample_weight"
        pd = import_pandas(f"writing {suffix} files")
        frame = pd.DataFrame(X, columns=names)
        frame = frame.assign(**{_free_name(table.target, frame.columns): y})
        weight_name = _free_name("weight", frame.columns)
        frame = frame.assign(**{weight_name: small.sample_weight})
        _write_whole(frame, table, path, suffix, index=False)
        return weight_name
    except OSError as error:
        raise InputError(f"-o {path!r} cannot be written: {error.strerror or error}") from error


def encoding_note(table: Table, names: list[str]) -> str:
    """Tell what the columns of learnt rows are.

    Parameters
    ----------
    table : Table
        What the rows were learnt from.

    names : list of str
        Names of the encoded columns.

    Returns
    -------
    str
        Part of a line to print.
    """
    n_columns = table.X.shape[1]
    if table.frame is None or names == list(table.X.columns):
        return "in the units of the table"
    return f"{n_columns:,} columns encoded as {len(names):,} numbers (texts one-hot, dates in days)"


def _write_frame(
    table: Table, rows: np.ndarray, weights: np.ndarray | None, path: str, suffix: str
) -> str:
    """Write a csv, tsv or parquet file with all original columns and the weights."""
    is_text = suffix in TEXT_SEPARATORS
    if table.frame is None:
        frame = _array_frame(table, rows)
    elif is_text and table.cells is not None:
        frame = _original_cells(table, rows)
    else:
        frame = table.frame.iloc[rows]
    name = table.weight_name or _free_name("weight", frame.columns)
    if weights is not None:
        frame = frame.drop(columns=name, errors="ignore").assign(**{name: weights})
    _write_whole(frame, table, path, suffix, index=table.has_index)
    return name


def _write_whole(frame: Any, table: Table, path: str, suffix: str, *, index: bool) -> None:
    """Write a DataFrame; what was there is lost only to a whole file."""
    with replacing(path) as beside:
        if suffix in TEXT_SEPARATORS:
            same = suffix.split(".")[1] == table.suffix.split(".")[1]  # packed or not
            separator = table.separator if same else TEXT_SEPARATORS[suffix]
            packed = "gzip" if suffix.endswith(".gz") else None
            frame.to_csv(beside, sep=separator, index=index, compression=packed)
        elif suffix in (".json", ".jsonl"):
            lines = suffix == ".jsonl"
            frame.to_json(
                beside, orient="records", lines=lines, force_ascii=False, date_format="iso"
            )
        else:
            frame.to_parquet(beside, index=index)


def _write_npz(
    table: Table,
    rows: np.ndarray,
    weights: np.ndarray | None,
    labels: np.ndarray | None,
    path: str,
) -> str:
    """Write an npz file of DistilledData: X, y, sample_weight and the positions of the rows."""
    if table.frame is None:
        X = table.X[rows]
    else:
        apart = [name for name in (table.target, table.weight_name) if name is not None]
        X = table.frame.drop(columns=apart).iloc[rows]
    if weights is None and table.weight is not None:
        weights = table.weight[rows]
    DistilledData(
        X,
        table.y[rows],
        weights,
        classes=None if labels is None else np.sort(labels),
        indices=rows,
        feature_names=table.feature_names,
        target_names=[table.target],
    ).save(path)
    return "sample_weight"


def _array_frame(table: Table, rows: np.ndarray) -> Any:
    """Return rows of a table that is an array as a DataFrame, the target last."""
    pd = import_pandas("writing tables")
    names = table.feature_names or [f"x{column}" for column in range(table.X.shape[1])]
    frame = pd.DataFrame(table.X[rows], columns=names)
    frame = frame.assign(**{_free_name(table.target, names): table.y[rows]})
    if table.weight is not None:
        frame = frame.assign(**{_free_name("weight", frame.columns): table.weight[rows]})
    return frame


def _original_cells(table: Table, rows: np.ndarray) -> Any:
    """Return rows of a text file without interpreting them: 007 stays 007, NA stays NA."""
    frame = table.cells.take(rows).to_pandas()
    if table.has_index:
        frame = frame.set_index(frame.columns[0]).rename_axis(None)
    return frame


def _free_name(name: str, taken: Any) -> str:
    """Return `name`, with underscores appended until no column has it."""
    while name in list(taken):
        name += "_"
    return name
