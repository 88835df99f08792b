"""Distilled rows as plain NumPy arrays, and back, with no pickle on the way.

A pickle runs code when it is opened, so a file from someone else cannot be trusted. Here each value
becomes arrays of NumPy's own types plus a *spec*: a small tree of JSON that says how to put it
together again. A pandas column keeps its dtype: numbers, dates and category codes are stored as
arrays, text and nullable types as a JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any, TypeVar

import numpy as np
from scipy import sparse

from .._files import replacing
from .._input.frames import from_pandas, is_frame, library, to_pandas
from .archive import NATIVE_KINDS, Archive, RefusedError, damage, open_regular

Arrays = dict[str, Any]
Spec = dict[str, Any] | None

Built = TypeVar("Built")

_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Format:
    """A kind of npz file: its name in the file, the latest version, and who writes it."""

    name: str
    version: int
    writer: str
    way_out: str


SMALL_SET = Format(
    "skdistill.DistilledData",
    4,  # 2 added parameters of the predictor, 3 names of the target, 4 its index
    "DistilledData.save",
    "build the set from its arrays: DistilledData(X, y, sample_weight)",
)


def write_npz(
    file: str | PathLike[str] | IO[bytes],
    parts: Mapping[str, Any],
    form: Format = SMALL_SET,
    *,
    compress: bool = True,
) -> None:
    """Write named values to an npz file of exactly the given name, whole or not at all."""
    arrays: Arrays = {}
    specs = {name: encode(name, value, arrays) for name, value in parts.items()}
    arrays["format"] = np.array(form.name)
    arrays["version"] = np.array(form.version)
    arrays["specs"] = np.array(json.dumps(specs))
    write = np.savez_compressed if compress else np.savez
    if not isinstance(file, str | PathLike):
        write(file, **arrays)
        return
    # Given a name, savez adds ".npz" to it, and reading that name would fail.
    with replacing(file) as beside, open(beside, "wb") as stream:
        write(stream, **arrays)


def read_npz(
    file: str | PathLike[str] | IO[bytes],
    build: Callable[..., Built],
    max_bytes: float,
    form: Format = SMALL_SET,
) -> Built:
    """Call `build` with the values that :func:`write_npz` wrote; ValueError for any other file.

    The spec is read first, and then the arrays that it names: what else is in the file costs
    nothing. Whatever is wrong, also what `build` says against the values, becomes a ValueError that
    names the file.

    Parameters
    ----------
    file : str, path or binary file
    build : callable
        Takes the values as keywords.
    max_bytes : float
        Most bytes of arrays to unpack.
    form : Format
        The kind of file.

    Returns
    -------
    object
        What `build` returned.
    """
    title = str(getattr(file, "name", file))
    with ExitStack() as stack:
        try:
            if isinstance(file, str | PathLike):
                file = stack.enter_context(open_regular(file))
            archive = Archive(file)
        except ValueError as error:
            raise ValueError(
                f"{title} is not a file of {form.writer}, or is damaged: {error}"
            ) from error
        with damage(f"{title} is damaged: its parts do not fit together"):
            members = _Members(archive, title, max_bytes)
            _check_format(members, title, form)
            specs = json.loads(_text(members["specs"]))
            values = {name: decode(name, spec, members) for name, spec in specs.items()}
            return build(**values)


class _Members:
    """Arrays of a file by name, as long as they are within a limit."""

    def __init__(self, archive: Archive, title: str, max_bytes: float) -> None:
        self._archive, self._title = archive, title
        self._max_bytes, self._n_bytes = max_bytes, 0

    def __contains__(self, name: str) -> bool:
        return name in self._archive

    def __getitem__(self, name: str) -> np.ndarray:
        self._n_bytes += self._archive.header(name).nbytes
        if self._n_bytes > self._max_bytes:
            raise RefusedError(
                f"{self._title} holds more than max_bytes={self._max_bytes:,}: with {name!r} its "
                f"arrays take {self._n_bytes:,} bytes; pass a larger max_bytes if you trust it."
            )
        return self._archive.read(name)


def _check_format(members: _Members, title: str, form: Format) -> None:
    if "format" not in members or str(members["format"]) != form.name:
        raise RefusedError(
            f"{title} is an npz file, but not one of {form.writer} (no format {form.name!r}); "
            f"{form.way_out}."
        )
    version = members["version"] if "version" in members else None
    found = version.item() if version is not None and version.shape == () else None
    known = version is not None and version.dtype.kind in "iu"
    if found is None or not (known and 1 <= found <= form.version):
        raise RefusedError(
            f"{title} has the format version {version}; this release of skdistill reads versions "
            f"1 to {form.version}: update skdistill."
        )


def encode(name: str, value: Any, arrays: Arrays) -> Spec:
    """Put `value` into `arrays` under keys that begin with `name`.

    Parameters
    ----------
    name : str
        What errors call the value, and the first part of its keys.
    value : None, ndarray, sparse CSR, DataFrame, list of these, or dict of numbers, text and arrays
        The value to store.
    arrays : dict of str to ndarray
        Filled in place.

    Returns
    -------
    spec : dict or None
        What :func:`decode` needs besides the arrays; JSON holds it.

    Raises
    ------
    TypeError
        If the value has a type that arrays and JSON cannot hold.
    """
    if value is None:
        return None
    if isinstance(value, list):
        items = [encode(f"{name}.{i}", item, arrays) for i, item in enumerate(value)]
        return {"kind": "list", "items": items}
    if isinstance(value, dict):
        fields = {key: encode(f"{name}.{key}", np.asarray(v), arrays) for key, v in value.items()}
        return {"kind": "mapping", "fields": fields}
    if sparse.issparse(value):
        for part in ("data", "indices", "indptr"):
            arrays[f"{name}.{part}"] = getattr(value, part)
        kind = "csr_array" if isinstance(value, sparse.sparray) else "csr_matrix"
        return {"kind": kind, "shape": list(value.shape)}
    if is_frame(value):
        return _encode_frame(name, value, arrays)
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} is a {type(value).__name__}, which cannot be stored without pickle; "
            "an array, a CSR matrix or a DataFrame can."
        )
    if value.dtype.kind in NATIVE_KINDS:
        arrays[name] = value
        return {"kind": "array"}
    if value.dtype.kind != "O":
        raise TypeError(
            f"{name} has dtype {value.dtype}, which cannot be stored without pickle; "
            "convert it to numbers or text first."
        )
    arrays[name] = _to_text(name, value.ravel().tolist())
    return {"kind": "objects", "shape": list(value.shape)}


def decode(name: str, spec: Spec, arrays: Any) -> Any:
    """Put together again what :func:`encode` stored under `name`."""
    if spec is None:
        return None
    kind = spec["kind"]
    if kind == "list":
        return [decode(f"{name}.{i}", item, arrays) for i, item in enumerate(spec["items"])]
    if kind == "mapping":
        return {key: decode(f"{name}.{key}", s, arrays) for key, s in spec["fields"].items()}
    if kind in ("csr_array", "csr_matrix"):
        return _decode_sparse(name, spec, arrays)
    if kind == "frame":
        return _decode_frame(name, spec, arrays)
    if kind == "array":
        return arrays[name]
    if kind == "objects":
        return _objects(_from_text(arrays[name])).reshape(spec["shape"])
    raise ValueError(f"{name} is stored in the unknown form {kind!r}.")


def _decode_sparse(name: str, spec: dict[str, Any], arrays: Any) -> Any:
    """Build a CSR matrix; compiled code that meets a wrong position writes over other memory."""
    data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    n_rows, n_columns = shape = tuple(spec["shape"])
    whole = all(isinstance(length, int) and length >= 0 for length in shape)
    if not (whole and data.dtype.kind in "biufc"):
        raise ValueError(f"{name} is no CSR matrix of shape {shape} and dtype {data.dtype}")
    if indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        raise ValueError(f"{name} has positions that are no whole numbers")
    if not (data.ndim == indices.ndim == 1 and data.shape == indices.shape):
        raise ValueError(f"{name} has {data.shape} values at {indices.shape} positions")
    ends = indptr[[0, -1]].tolist() if indptr.shape == (n_rows + 1,) else []
    if ends != [0, len(data)] or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name} has row ends that do not lead from 0 to {len(data)}")
    if len(indices) and not 0 <= indices.min() <= indices.max() < n_columns:
        raise ValueError(f"{name} has positions beyond its {n_columns} columns")
    matrix = getattr(sparse, spec["kind"])((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def _encode_frame(name: str, frame: Any, arrays: Arrays) -> Spec:
    """Store a DataFrame column by column, with its index, column labels and library."""
    origin, frame = library(frame), to_pandas(frame)
    fields = [
        _encode_field(f"{name}.{j}", f"column {label!r} of {name}", frame.iloc[:, j], arrays)
        for j, label in enumerate(frame.columns)
    ]
    return {
        "kind": "frame",
        "library": origin,
        "fields": fields,
        "index": _encode_index(f"{name}.index", frame.index, arrays),
        "columns": _encode_index(f"{name}.columns", frame.columns, arrays),
    }


def _decode_frame(name: str, spec: dict[str, Any], arrays: Any) -> Any:
    """Build the DataFrame of :func:`_encode_frame`."""
    import pandas as pd

    index = _decode_index(f"{name}.index", spec["index"], arrays)
    fields = {
        j: _decode_field(f"{name}.{j}", field, arrays) for j, field in enumerate(spec["fields"])
    }
    if any(len(field) != len(index) for field in fields.values()):
        raise ValueError(f"{name} has columns of other lengths than its {len(index)} rows")
    # Labels may repeat, so the columns are numbered until the frame stands.
    frame = pd.DataFrame(fields, index=pd.RangeIndex(len(index))).set_axis(index, axis=0)
    frame = frame.set_axis(_decode_index(f"{name}.columns", spec["columns"], arrays), axis=1)
    return from_pandas(frame, spec.get("library", "pandas"))


def _encode_index(name: str, index: Any, arrays: Arrays) -> Spec:
    """Store an Index or a MultiIndex, one field per level."""
    levels = [index.get_level_values(i).to_series() for i in range(index.nlevels)]
    names = _to_text(f"names of {name}", list(index.names)).item()
    fields = [_encode_field(f"{name}.{i}", name, level, arrays) for i, level in enumerate(levels)]
    return {"names": names, "fields": fields}


def _decode_index(name: str, spec: dict[str, Any], arrays: Any) -> Any:
    """Build the Index of :func:`_encode_index`."""
    import pandas as pd

    names = _scalars(json.loads(spec["names"]))
    levels = [_decode_field(f"{name}.{i}", field, arrays) for i, field in enumerate(spec["fields"])]
    if len(levels) != len(names):
        raise ValueError(f"{name} has {len(levels)} levels and {len(names)} names")
    if len(levels) == 1:
        return pd.Index(levels[0], name=names[0])
    return pd.MultiIndex.from_arrays(levels, names=names)


def _encode_field(name: str, title: str, series: Any, arrays: Arrays) -> Spec:
    """Store one pandas column under its dtype; `title` is what an error calls it."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories.to_series()
        arrays[name] = series.cat.codes.to_numpy()
        return {
            "kind": "categorical",
            "ordered": bool(dtype.ordered),
            "categories": _encode_field(f"{name}.categories", title, categories, arrays),
        }
    if isinstance(dtype, np.dtype) and dtype.kind in NATIVE_KINDS:
        arrays[name] = series.to_numpy()
        return {"kind": "native"}
    spec = {"dtype": _dtype_name(dtype)}
    if isinstance(dtype, pd.DatetimeTZDtype):
        arrays[name] = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return {"kind": "zoned", **spec}
    values = series.astype(object)
    if spec["dtype"] != "object":
        # The dtype has one missing value of its own; None stands for it in the file.
        values = values.where(series.notna(), None)
    try:
        # Some dtypes have a name that pandas itself cannot read.
        pd.api.types.pandas_dtype(spec["dtype"])
        arrays[name] = _to_text(title, values.tolist())
    except (TypeError, NotImplementedError) as error:
        raise TypeError(
            f"{title} has dtype {dtype}, whose values cannot be stored without pickle ({error}); "
            "convert the column first, e.g. with astype(str), or write the rows with "
            "to_pandas() to a format that knows the type, such as parquet."
        ) from error
    return {"kind": "text", **spec}


def _decode_field(name: str, spec: dict[str, Any], arrays: Any) -> Any:
    """Build the pandas column of :func:`_encode_field`, with a range for its index."""
    import pandas as pd

    kind, values = spec["kind"], arrays[name]
    if kind == "native":
        return pd.Series(values)
    if kind == "zoned":
        dtype = pd.api.types.pandas_dtype(spec["dtype"])
        if not isinstance(dtype, pd.DatetimeTZDtype):
            raise ValueError(f"{name} has dtype {dtype}, which has no time zone")
        return pd.Series(values).dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
    if kind == "categorical":
        categories = _decode_field(f"{name}.categories", spec["categories"], arrays)
        return pd.Series(
            pd.Categorical.from_codes(values, pd.Index(categories), ordered=spec["ordered"])
        )
    if kind == "text":
        items = _from_text(values)
        if spec["dtype"] == "object":
            return pd.Series(_objects(items), dtype=object)
        dtype = pd.api.types.pandas_dtype(spec["dtype"])
        plain = getattr(dtype, "subtype", dtype) if isinstance(dtype, pd.SparseDtype) else None
        if isinstance(dtype, np.dtype) or (plain is not None and plain.kind not in "biuf"):
            raise ValueError(f"{name} has dtype {dtype}, which is not stored as text")
        return pd.Series(pd.array(items, dtype=dtype))
    raise ValueError(f"{name} is stored in the unknown form {kind!r}.")


def _dtype_name(dtype: Any) -> str:
    """Name a pandas dtype so that pandas reads it back; `str` of "string" hides its storage."""
    if str(dtype) == "string":
        return f"string[{dtype.storage}]"
    return str(dtype)


def _to_text(name: str, values: list[Any]) -> np.ndarray:
    """Write a flat list of scalars as JSON in a 0-d array of text."""
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    for value in values:
        if not isinstance(value, _SCALARS):
            raise TypeError(
                f"{name} holds a {type(value).__name__}, {value!r}; without pickle only text, "
                "numbers, booleans and None can be stored"
            )
    return np.array(json.dumps(values))


def _from_text(text: np.ndarray) -> list[Any]:
    """Read the list that :func:`_to_text` wrote."""
    return _scalars(json.loads(_text(text)))


def _text(array: np.ndarray) -> str:
    """Return the text of a 0-d array."""
    if array.dtype.kind != "U" or array.shape != ():
        raise ValueError(f"a text is stored as {array.dtype} of shape {array.shape}")
    return array.item()


def _scalars(values: Any) -> list[Any]:
    """Check that JSON gave a flat list."""
    if not isinstance(values, list) or not all(isinstance(value, _SCALARS) for value in values):
        raise ValueError("a list of texts and numbers is something else")
    return values


def _objects(values: list[Any]) -> np.ndarray:
    """Make a flat object array; `np.array` would guess a type."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
