"""The state of a stream in a file: small sets, counters, and the parameters they belong to."""

from __future__ import annotations

import json
import math
from os import PathLike
from typing import IO, Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from ..data import DistilledData
from ..data.archive import damage
from ..data.storage import Format, read_npz, write_npz
from .merge_reduce import REFERENCE_LOSSES, Sizes, Stream, Window

FORMAT = Format(
    "skdistill.stream",
    1,
    "SensitivityCoreset.save_state",
    "a small set is read by DistilledData.load",
)
_FREE = ("device", "verbose", "random_state")  # these may differ when a stream goes on


def save(file: str | PathLike[str] | IO[bytes], estimator: Any) -> None:
    """Write the stream of an estimator; see `StreamingMixin.save_state`."""
    check_is_fitted(estimator, "_stream", msg="Call partial_fit first: there is no stream to save.")
    stream = estimator._stream
    if stream.reference is not None and not isinstance(estimator.estimator, FrozenEstimator):
        raise TypeError(
            f"loss={estimator.loss!r} scores rows by a model that was fitted on the first chunk, "
            "which cannot be stored without pickle; pass a fitted one, "
            "estimator=FrozenEstimator(model), here and where the state is loaded."
        )
    parts = {f"part{number}": _fields(part) for number, part in enumerate(stream.parts())}
    about = {
        "parameters": parameters(estimator),
        "block": stream.sizes.block,
        "summary": stream.sizes.summary,
        "entropy": stream.entropy,
        "n_seen": stream.n_seen,
        "kind": stream.kind,
        "parts": {name: len(fields) for name, fields in parts.items()},
    }
    if isinstance(stream, Window):
        about["window"] = [stream.length, stream.n_chunks, stream.numbers]
    else:
        about["stream"] = [[len(level) for level in stream.levels], stream.done, len(stream.rest)]
    names = getattr(estimator, "feature_names_in_", None)
    values: dict[str, Any] = {"about": np.array(json.dumps(about)), "names": names}
    values["table"] = stream.table
    for name, fields in parts.items():
        values |= {f"{name}.{key}": value for key, value in fields.items()}
    write_npz(file, values, FORMAT)


def load(
    file: str | PathLike[str] | IO[bytes], estimator: Any
) -> tuple[Stream | Window, np.ndarray | None]:
    """Read a stream, and the names of its features; see `StreamingMixin.load_state`."""
    values: dict[str, Any] = read_npz(file, dict, math.inf, FORMAT)
    title = str(getattr(file, "name", file))
    with damage(f"{title} is damaged: its parts do not fit together"):
        about = json.loads(values["about"].item())
        parts = [
            DistilledData(
                values[f"{name}.X"],
                values[f"{name}.y"],
                values[f"{name}.sample_weight"],
                indices=values[f"{name}.indices"],
                feature_names=values["names"],
            )
            for name in about["parts"]
        ]
        stream, was = _stream(about, parts), dict(about["parameters"])
    own = parameters(estimator)
    others = {name: (value, own.get(name)) for name, value in was.items() if own.get(name) != value}
    if others:
        told = ", ".join(
            f"{name}={was} there and {is_} here" for name, (was, is_) in others.items()
        )
        raise ValueError(
            f"{title} was written by a stream with other parameters: {told}; set the same ones "
            "before load_state."
        )
    if estimator.loss in REFERENCE_LOSSES:
        stream.reference = estimator.estimator
    if (table := values.get("table")) is not None:
        with damage(f"{title} is damaged: its table cannot be encoded"):
            stream.table, stream.encoder = table, estimator._fitted_encoder(table)
    return stream, values["names"]


def parameters(estimator: Any) -> dict[str, str]:
    """Parameters that the stream depends on, as text."""
    told = estimator.get_params(deep=False)
    return {name: _text(value) for name, value in told.items() if name not in _FREE}


def _text(value: Any) -> str:
    # The address in the text of a function differs from one process to the next.
    name = getattr(value, "__qualname__", None)
    return repr(value) if name is None else f"{value.__module__}.{name}"


def _fields(part: DistilledData) -> dict[str, Any]:
    return {"X": part.X, "y": part.y, "sample_weight": part.sample_weight, "indices": part.indices}


def _stream(about: dict[str, Any], parts: list[DistilledData]) -> Stream | Window:
    known = {
        "sizes": Sizes(_count(about["block"]), _count(about["summary"])),
        "entropy": _count(about["entropy"]),
        "n_seen": _count(about["n_seen"]),
        "kind": about["kind"],
    }
    if "window" in about:
        length, n_chunks, numbers = about["window"]
        numbers = [_count(number) for number in numbers]
        length, n_chunks = _count(length), _count(n_chunks)
        return Window(**known, length=length, n_chunks=n_chunks, chunks=parts, numbers=numbers)
    lengths, done, n_rest = about["stream"]
    queue = list(parts)
    levels: list[list[DistilledData]] = []
    for length in reversed(lengths):  # parts stand from the oldest, on the highest level, on
        levels.insert(0, [queue.pop(0) for _ in range(length)])
    if len(queue) != n_rest:
        raise KeyError(f"{len(queue)} parts after the levels instead of {n_rest}")
    done = [_count(number) for number in done]
    return Stream(**known, levels=levels, done=done, rest=queue)


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
