"""Distilled rows as plain NumPy arrays, and back, with no pickle on the way.

A pickle runs code when it is opened, so a file from someone else cannot be trusted. Here each value
becomes arrays of NumPy's own types plus a *spec*: a small tree of JSON that says how to put it
together again. A pandas column keeps its dtype: numbers, dates and category codes are stored as
arrays, text and nullable types as a JSON list.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from typing import IO, Any

import numpy as np
from scipy import sparse

from .._input.frames import is_frame

FORMAT = "skdistill.DistilledData"
VERSION = 2  # 2 added parameters of the predictor

Arrays = dict[str, Any]
Spec = dict[str, Any] | None

_NATIVE_KINDS = frozenset("biufcmMSU")
_SCALARS = (str, int, float, bool, type(None))


def write_npz(file: str | PathLike[str] | IO[bytes], parts: Mapping[str, Any]) -> None:
    """Write named values to an npz file of exactly the given name."""
    arrays: Arrays = {}
    specs = {name: encode(name, value, arrays) for name, value in parts.items()}
    arrays["format"] = np.array(FORMAT)
    arrays["version"] = np.array(VERSION)
    arrays["specs"] = np.array(json.dumps(specs))
    if not isinstance(file, str | PathLike):
        np.savez_compressed(file, **arrays)
        return
    # Given a name, savez adds ".npz" to it, and reading that name would fail.
    with open(file, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_npz(file: str | PathLike[str] | IO[bytes]) -> dict[str, Any]:
    """Read the values that :func:`write_npz` wrote; ValueError for any other file."""
    title = str(getattr(file, "name", file))
    try:
        arrays = _read_arrays(file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{title} is not a file of DistilledData.save, or is damaged: {error}"
        ) from error
    if str(arrays.get("format")) != FORMAT:
        raise ValueError(
            f"{title} is an npz file, but not one of DistilledData.save (no format {FORMAT!r}); "
            "build the set from its arrays: DistilledData(X, y, sample_weight)."
        )
    version = arrays.get("version")
    if version is None or version.dtype.kind not in "iu" or version.item() > VERSION:
        raise ValueError(
            f"{title} has the format version {version}; this release of skdistill reads versions "
            f"up to {VERSION}: update skdistill."
        )
    try:
        specs = json.loads(arrays["specs"].item())
        return {name: decode(name, spec, arrays) for name, spec in specs.items()}
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{title} is damaged: its parts do not fit together ({error!r})."
        ) from error


def _read_arrays(file: str | PathLike[str] | IO[bytes]) -> Arrays:
    """Read all arrays of an npz file without running anything in it."""
    if isinstance(file, str | PathLike):
        # np.load would leave the file open where it is no zip archive.
        with open(file, "rb") as stream:
            return _read_arrays(stream)
    content = np.load(file, allow_pickle=False)
    if isinstance(content, np.ndarray):
        raise ValueError("it holds a single array (npy)")
    with content:
        return {name: content[name] for name in content.files}


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
            "an array, a CSR matrix or a pandas DataFrame can."
        )
    if value.dtype.kind in _NATIVE_KINDS:
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
        parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        return getattr(sparse, kind)(parts, shape=tuple(spec["shape"]))
    if kind == "frame":
        return _decode_frame(name, spec, arrays)
    if kind == "array":
        return arrays[name]
    if kind == "objects":
        return _objects(_from_text(arrays[name])).reshape(spec["shape"])
    raise ValueError(f"{name} is stored in the unknown form {kind!r}.")


def _encode_frame(name: str, frame: Any, arrays: Arrays) -> Spec:
    """Store a DataFrame column by column, with its index and its column labels."""
    fields = [
        _encode_field(f"{name}.{j}", f"column {label!r} of {name}", frame.iloc[:, j], arrays)
        for j, label in enumerate(frame.columns)
    ]
    return {
        "kind": "frame",
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
    # Labels may repeat, so the columns are numbered until the frame stands.
    frame = pd.DataFrame(fields, index=pd.RangeIndex(len(index))).set_axis(index, axis=0)
    return frame.set_axis(_decode_index(f"{name}.columns", spec["columns"], arrays), axis=1)


def _encode_index(name: str, index: Any, arrays: Arrays) -> Spec:
    """Store an Index or a MultiIndex, one field per level."""
    levels = [index.get_level_values(i).to_series() for i in range(index.nlevels)]
    names = _to_text(f"names of {name}", list(index.names)).item()
    fields = [_encode_field(f"{name}.{i}", name, level, arrays) for i, level in enumerate(levels)]
    return {"names": names, "fields": fields}


def _decode_index(name: str, spec: dict[str, Any], arrays: Any) -> Any:
    """Build the Index of :func:`_encode_index`."""
    import pandas as pd

    names = json.loads(spec["names"])
    levels = [_decode_field(f"{name}.{i}", field, arrays) for i, field in enumerate(spec["fields"])]
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
    if isinstance(dtype, np.dtype) and dtype.kind in _NATIVE_KINDS:
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
        return pd.Series(pd.array(items, dtype=spec["dtype"]))
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
    return json.loads(text.item())


def _objects(values: list[Any]) -> np.ndarray:
    """Make a flat object array; `np.array` would guess a type."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
