"""What the parts of the command line hand to each other: the table, and the error to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

EMBEDDED = ("digits", "diabetes")
TEXT_SEPARATORS = {".csv": ",", ".tsv": "\t", ".csv.gz": ",", ".tsv.gz": "\t"}
FORMATS = (*TEXT_SEPARATORS, ".json", ".jsonl", ".parquet", ".npz")


def suffix_of(path: str | Path) -> str:
    """Return the end of a file name that tells its format, ``.csv.gz`` whole.

    Parameters
    ----------
    path : str or Path
        The name.

    Returns
    -------
    str
        In lower case; empty where there is none.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


class InputError(ValueError):
    """Something the user gave cannot be worked with; the message says what and the way out."""


@dataclass
class Table:
    """Rows, target, and what is needed to write some of the rows back as they came.

    Attributes
    ----------
    name : str
        What to call the table in messages.

    X : ndarray of shape (n_samples, n_features) or DataFrame
        The features, a DataFrame when the table was read by pandas.

    y : ndarray of shape (n_samples,)
        The target.

    target : str
        Name of the target column.

    target_note : str
        Why this column, empty when there was no choice.

    suffix : str
        The format the table came in, one of `FORMATS`.

    row_shape : tuple of int
        Shape of one row before it was flattened, ``(8, 8)`` for images of that size.

    frame : DataFrame or None
        All columns as read, features and target, when the table was read by pandas.

    path : Path or None
        The file, None for an embedded table.

    cells : pyarrow Table or None
        All cells of a text file, as they came.

    separator : str
        What separates the cells of a text file.

    feature_names : list of str or None
        Names of the columns of an array, where they are known.

    weight : ndarray of shape (n_samples,) or None
        What each row counts for.

    weight_name : str or None
        Name of the column of weights.

    notes : list of str
        What else was found in the file and how it was taken.
    """

    name: str
    X: Any
    y: np.ndarray
    target: str
    target_note: str = ""
    suffix: str = ".npz"
    row_shape: tuple[int, ...] = ()
    frame: Any = None
    path: Path | None = None
    cells: Any = None
    separator: str = ","
    feature_names: list[str] | None = None
    weight: np.ndarray | None = None
    weight_name: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def has_index(self) -> bool:
        """Whether the rows have names of their own, as parquet files of a DataFrame may.

        Returns
        -------
        bool
            Never for an embedded table or an npz file.
        """
        if self.frame is None:
            return False
        index = self.frame.index
        counted = type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)
        return not counted or index.name is not None

    @property
    def is_images(self) -> bool:
        """Whether a row is a picture: gray of shape (H, W) or coloured of shape (H, W, 3).

        Returns
        -------
        bool
            Never for a table that was read by pandas.
        """
        shape = self.row_shape
        return len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)


def import_pandas(purpose: str) -> Any:
    """Return pandas, or tell how to get it; `purpose` is such as "reading .csv files"."""
    return _import("pandas", purpose)


def import_pyarrow(purpose: str) -> Any:
    """Return pyarrow with its reader of csv files, or tell how to get it."""
    _import("pyarrow.csv", purpose)
    return _import("pyarrow", purpose)


def _import(module: str, purpose: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(f'{purpose} needs {package}: pip install "skdistill[io]"') from error


def reading(path: Path, read: Any) -> Any:
    """Call `read`; what is wrong with the file becomes one line."""
    try:
        return read()
    except ImportError as error:  # parquet without an engine
        raise InputError(
            f'reading {path.suffix} files needs pyarrow: pip install "skdistill[io]"'
        ) from error
    except Exception as error:  # damage ends in whatever a reader of another library meets
        plain = isinstance(error, OSError | ValueError | EOFError | RecursionError)
        reason = str(error).strip() if plain else repr(error)
        reason = (reason.splitlines() or [type(error).__name__])[0]
        raise InputError(f"{str(path)!r} cannot be read: {reason}") from error
