"""A random pool of rows that stands for data larger than memory, for techniques that learn rows."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import _num_samples

from .._input.targets import Target, encode_target, plain_target
from ..coreset import SensitivityCoreset
from ..data import DistilledData
from ..streaming.coreset import NO_SHARE, read_together
from ..streaming.sources import Source, is_stream, open_source
from .problem import TargetUnits
from .renewal import Encode, Reader, Renewal
from .starts import CLUSTER_ROWS

POOL_ROWS = 50_000  # more of them gain little: at a few thousand held-out rows scores are settled
BY_CLUSTERS = ("auto", "kmeans", "kmeans_rows")  # starts that are solved on a coreset of a stream


def row_numbers(X: Any) -> np.ndarray:
    """Numbers (n, 1) from 0: as the only feature they tell all rows apart, and nothing is read."""
    return np.arange(_num_samples(X), dtype=np.float64)[:, None]


def larger_than_memory(distiller: Any, X: Any, y: Any, sample_weight: Any) -> bool:
    """Whether `fit` of a distiller is to read a pool of `X` instead of all of it.

    Raises
    ------
    ValueError
        If the number of rows of the small set depends on that of a stream.
    """
    if not is_stream(X):
        if open_source(X, y, sample_weight) is None or X.shape[0] <= POOL_ROWS:
            return False
        if not isinstance(distiller.n_samples, Integral):
            return False  # a share of the rows needs all of them at once
    if not isinstance(distiller.n_samples, Integral):
        raise ValueError(NO_SHARE.format(distiller.n_samples))
    return True


def random_pool(distiller: Any) -> SensitivityCoreset:
    """Return what draws a random pool, with a row of each class at least, from data of any size.

    Rows are alike to it, but for their weights: which of them matter is for the distiller to find.

    Parameters
    ----------
    distiller : BaseDistiller
        Whose preprocessor is left for later: it sees the pool as a whole.
    """
    return SensitivityCoreset(
        POOL_ROWS,
        loss=_alike,
        uniform_mixing=1.0,
        preprocessor=None if distiller.preprocessor is None else FunctionTransformer(row_numbers),
        target_type=distiller.target_type,
        device=distiller.device,
        random_state=distiller.random_state,
    )


def rows_of_pool(pool: SensitivityCoreset) -> tuple[Any, Any, np.ndarray]:
    """Rows, target and weights of a fitted pool."""
    small = pool.distilled_
    return small.X, small.y, small.sample_weight


@dataclass(frozen=True)
class StreamRead:
    """What one pass over a stream leaves for learning rows.

    Attributes
    ----------
    pool : DistilledData
        Random rows, with their positions in the stream as `indices`.
    coreset : DistilledData or None
        Rows for the k-means that training starts from.
    source : Source or None
        The stream, where it can be read again and the pool is a part of it.
    """

    pool: DistilledData
    coreset: DistilledData | None
    source: Source | None


def read_stream(distiller: Any, X: Any, y: Any, sample_weight: Any, *, start: bool) -> StreamRead:
    """Read a stream once, for a random pool of it, and for a coreset of it if there is a `start`.

    A Dask collection stays where it is: its start is made from the pool, and it is not read again.
    """
    pool = random_pool(distiller)
    source = open_source(X, y, sample_weight)
    if source is None:
        return StreamRead(pool.fit_distill(X, y, sample_weight=sample_weight), None, None)
    readers, coreset = [pool], None
    if start:
        coreset = SensitivityCoreset(
            max(CLUSTER_ROWS, distiller.n_samples),
            sampling="systematic",
            preprocessor=distiller.preprocessor,
            target_type=distiller.target_type,
            device=distiller.device,
            random_state=distiller.random_state,
        )
        readers.append(coreset)
    read_together(source, readers)
    # A pool of all rows is random already; exchanges would leave some out and hold others twice.
    again = source if source.again and pool.n_samples_seen_ > len(pool.distilled_) else None
    return StreamRead(pool.distilled_, None if coreset is None else coreset.distilled_, again)


def encoder_of_stream(distiller: Any, target: Target, units: TargetUnits) -> Encode:
    """Make what brings rows and target of a stream into the form of those of its pool.

    Parameters
    ----------
    distiller : BaseDistiller
        Which has read the pool.
    target : Target
        Of the pool.
    units : TargetUnits
        That numbers are learnt in.
    """
    known = target.classes

    def encode(X: Any, y: Any) -> tuple[Any, np.ndarray | None]:
        features = None if X is None else distiller._features(X)
        found = encode_target(None if y is None else plain_target(y), distiller._target_type())
        if known is not None and found.classes is not None and found.codes is not None:
            number = {label: code for code, label in enumerate(known.tolist())}
            codes = [number.get(label, -1) for label in found.classes.tolist()]
            return features, np.array(codes, dtype=np.int64)[found.codes]
        if found.kind == "numbers" and found.numbers is not None:
            return features, (found.numbers - units.center) / units.unit
        return features, found.numbers

    return encode


def renewal_of(
    stream: StreamRead, codes: np.ndarray | None, encode: Encode, entropy: int
) -> Renewal:
    """Make what finds other rows for the pool of a stream that can be read again."""
    pool = stream.pool
    assert pool.indices is not None and stream.source is not None
    reader = Reader(stream.source, entropy)
    return Renewal(reader, pool.indices, codes, pool.sample_weight, encode, entropy)


def _alike(X: Any, y: Any) -> np.ndarray:
    return np.ones(X.shape[0])
