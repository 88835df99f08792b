"""Coresets of Dask collections: each partition where it lies, their union, one reduction.

A partition goes nowhere: a worker makes its small set, and only that travels. Its seed depends on
its position alone, so that neither the number of workers nor one that died changes the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from .._input.lazy import is_lazy, is_lazy_frame, whole_rows
from ..data import DistilledData
from .merge_reduce import FAN_IN, REFERENCE_LOSSES, Stream, replace_indices
from .sources import CHUNK_ELEMENTS, CHUNK_ROWS, naming

NOTHING = (None, None)
UNION = 32  # small sets that are put together at once; more are merged on the workers first


class Summary:
    """What a worker tells of some partitions.

    Attributes
    ----------
    small : DistilledData or None
        None where no row has a weight. Its `indices` count from the first of the partitions.
    n_seen : int
        Rows of the partitions.
    kind : str or None
        Of the target.
    scored_by : tuple
        Reference and encoder, see `Reading`.
    """

    def __init__(
        self, small: DistilledData | None, n_seen: int, kind: str | None, scored_by: tuple
    ) -> None:
        self.small, self.n_seen, self.kind, self.scored_by = small, n_seen, kind, scored_by


def fit_dask(estimator: Any, X: Any, y: Any, sample_weight: Any, entropy: int) -> Stream:
    """Read a Dask array or DataFrame; the stream that its small sets make.

    Parameters
    ----------
    estimator : SensitivityCoreset
    X : dask array or DataFrame of shape (n, d)
    y : dask array, Series or DataFrame with as many partitions, or None
    sample_weight : dask array or Series, or None
    entropy : int
        Of all seeds.

    Returns
    -------
    Stream
        With the small sets as its parts.
    """
    import dask

    blocks = partitions(X, y, sample_weight)
    # The workers get the parameters and nothing of an earlier fit.
    plain = dask.delayed(clone(estimator))
    summarise, merge = dask.delayed(_summarise), dask.delayed(_merge)
    summaries, scored_by = [], None
    for number, block in enumerate(blocks):
        summaries.append(summarise(plain, *block, number, entropy, scored_by))
        if number == 0 and (estimator.loss in REFERENCE_LOSSES or estimator._columns_are_learnt):
            scored_by = dask.delayed(_scored_by)(summaries[0])
    level = 0
    while len(summaries) > UNION:
        level += 1
        groups = [summaries[i : i + FAN_IN] for i in range(0, len(summaries), FAN_IN)]
        summaries = [merge(plain, group, level, i, entropy) for i, group in enumerate(groups)]
    return _stream(estimator, dask.compute(*summaries), entropy)


def partitions(X: Any, y: Any, sample_weight: Any) -> list[tuple[Any, Any, Any]]:
    """Delayed rows, target and weights of each partition; ValueError where they do not match."""
    rows = _delayed(X)
    columns = []
    for name, values in (("y", y), ("sample_weight", sample_weight)):
        if values is None:
            columns.append([None] * len(rows))
            continue
        if not is_lazy(values):
            raise TypeError(
                f"X is a Dask collection, and {name} a {type(values).__name__}; pass a Dask "
                f"collection with the same partitions, e.g. dask.array.from_array({name}, "
                "chunks=X.chunks[0])."
            )
        same_kind = not is_lazy_frame(X) and hasattr(values, "rechunk")
        if same_kind and values.chunks[0] != X.chunks[0] and values.shape[0] == X.shape[0]:
            values = values.rechunk({0: X.chunks[0]})
        delayed = _delayed(values)
        if len(delayed) != len(rows):
            raise ValueError(
                f"{name} has {len(delayed)} partitions and X has {len(rows)}; give both the same "
                "ones, with repartition or rechunk."
            )
        columns.append(delayed)
    return list(zip(rows, *columns, strict=True))


def _delayed(values: Any) -> list[Any]:
    if hasattr(values, "rechunk"):
        values = whole_rows(values)
    return list(np.ravel(values.to_delayed()))


def _summarise(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    number: int,
    entropy: int,
    scored_by: tuple | None,
) -> Summary:
    """Make the small set of a partition, on its worker."""
    if not len(X):
        return Summary(None, 0, None, NOTHING)
    with naming(f"partition {number}"):
        estimator = clone(estimator)  # threads share the object that the graph holds
        chunk, kind = estimator._chunk(X, y, sample_weight, None)
        stream = estimator._new_stream(chunk.X.shape[1], kind, CHUNK_ROWS, CHUNK_ELEMENTS, None)
        stream.entropy, stream.place = entropy, (0, number)
        stream.reference, stream.encoder = scored_by or NOTHING
        small = estimator._summary(stream, chunk)
    return Summary(small, stream.n_seen, kind, (stream.reference, stream.encoder))


def _scored_by(summary: Summary) -> tuple:
    return summary.scored_by


def _merge(
    estimator: Any, summaries: list[Summary], level: int, number: int, entropy: int
) -> Summary:
    """Make one small set of several, on a worker."""
    stream = _stream(clone(estimator), summaries, entropy)
    stream.place = (level, number)
    small = clone(estimator)._summary(stream, None)
    return Summary(small, stream.n_seen, stream.kind, (stream.reference, stream.encoder))


def _stream(estimator: Any, summaries: Any, entropy: int) -> Stream:
    """Stream of the small sets, in the order of the partitions."""
    kinds = {summary.kind for summary in summaries if summary.kind is not None}
    if len(kinds) > 1:
        raise ValueError(
            f"y holds different kinds of targets in different partitions, {sorted(kinds)}; "
            "set target_type, or give y one dtype."
        )
    smalls = [summary.small for summary in summaries if summary.small is not None]
    width = smalls[0].X.shape[1] if smalls else 1
    stream = estimator._new_stream(width, "none", CHUNK_ROWS, CHUNK_ELEMENTS, None)
    stream.entropy = entropy
    stream.kind = next(iter(kinds), None)
    stream.reference, stream.encoder = next((s.scored_by for s in summaries if s.small), NOTHING)
    for summary in summaries:
        if summary.small is not None:
            indices = summary.small.indices + stream.n_seen
            stream.rest.append(replace_indices(summary.small, indices))
        stream.n_seen += summary.n_seen
    return stream
