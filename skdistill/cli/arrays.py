"""Read npz files: arrays X and y, or a small set of columns of any kind."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..data import DistilledData
from ..data.archive import Archive, open_regular
from .columns import NO_WEIGHT, TARGET_NAMES, table_of_frame, weights_told
from .table import InputError, Table, import_pandas, reading

# A small file that calls for a lot of memory was made for that.
MAX_UNPACKED = 2**30  # bytes that an npz file may always take,
MAX_RATIO = 100  # and more only up to so many times its size


def read_npz(path: Path, target: str | None, drop: tuple[str, ...], weight: str | None) -> Table:
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
        notes=[] if weight_name is None or weight else [weights_told(weight_name)],
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
    y_name = "y" if small.target_names is None else str(small.target_names[0])
    weight_name = "sample_weight"
    while y_name in small.X.columns:
        y_name = f"{y_name}_"
    while weight_name in small.X.columns:
        weight_name = f"{weight_name}_"
    frame = small.to_pandas(y_name=y_name, weight_name=weight_name)
    if weight is None and weight_name != "sample_weight":
        weight = weight_name
    return table_of_frame(path, frame, ".npz", target or y_name, drop, weight)
