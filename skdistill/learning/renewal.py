"""The random pool of a stream, renewed by reading on while rows are learnt.

Rows of the pool are exchanged for others of the same stretch of the stream and the same class, in
as many places. Whatever the order of the stream (by class, by time, by a feature), the pool stays a
random one, and its weights stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import _torch as torch
from .._input.frames import take_rows
from ..batches.stored_rows import write_rows
from ..batches.training_set import TrainingSet
from ..streaming.merge_reduce import seed
from ..streaming.sources import Chunk, SliceSource, Source
from .coordinates import Coordinates

READ_ROWS = 2**16  # at each renewal; a chunk is read as a whole
LARGEST_PART = 1 / 8  # of the pool, exchanged at once
EQUAL = 1 + 1e-9

# Rows and target -> features (k, d), codes (k,) of classes or None, numbers (k, q) or None.
Encode = Callable[[Any, Any], tuple[Any, Any]]


class Reader:
    """Chunks of a source by their number, beginning again after the last one.

    Parameters
    ----------
    source : Source
        That can be read again. Slices of arrays come in random order.
    entropy : int
        Of the order.
    """

    opaque = True  # to snapshots: it has nothing that the number of the chunk does not tell

    def __init__(self, source: Source, entropy: int) -> None:
        self._source, self._entropy = source, entropy
        self._chunks: Iterator[Chunk] = iter(())
        self._next, self._row = 0, 0

    def chunk(self, number: int) -> tuple[int, Any, Any, Any] | None:
        """Position of the first row, rows, target and weights; None where nothing is left."""
        if isinstance(self._source, SliceSource):
            n = len(self._source.X)
            n_blocks = -(-n // READ_ROWS)
            order = np.random.RandomState(seed(self._entropy, number // n_blocks))
            start = READ_ROWS * int(order.permutation(n_blocks)[number % n_blocks])
            return start, *self._source.rows(slice(start, min(n, start + READ_ROWS)))
        if number < self._next:
            self._chunks, self._next, self._row = iter(()), 0, 0
        while (found := self._read_on()) is not None:
            if self._next > number:
                return found
        return None

    def forget(self) -> None:
        """Let go of what was read of a mapped file."""
        if isinstance(self._source, SliceSource):
            self._source.forget()

    def _read_on(self) -> tuple[int, Any, Any, Any] | None:
        item = next(self._chunks, None)
        if item is None:
            self._chunks, self._row = iter(self._source), 0
            item = next(self._chunks, None)
        if item is None:
            return None
        start, self._row = self._row, self._row + np.shape(item[0])[0]
        self._next += 1
        return start, *item


class Renewal:
    """Finds rows to exchange rows of a pool for.

    Parameters
    ----------
    reader : Reader
    positions : int ndarray of shape (n,)
        Of the rows of the pool in the stream.
    codes : int ndarray of shape (n,) or None
        Their classes.
    weight : float64 ndarray of shape (n,)
        Their weights. Heavy rows, which stand for themselves alone, stay where they are.
    encode : callable
        Rows and target -> features (k, d) and targets: codes (k,), numbers (k, q) or None.
    entropy : int
        Of the choice.
    """

    def __init__(
        self,
        reader: Reader,
        positions: np.ndarray,
        codes: np.ndarray | None,
        weight: np.ndarray,
        encode: Encode,
        entropy: int,
    ) -> None:
        self._reader, self._encode, self._entropy = reader, encode, entropy
        self._codes = np.zeros(len(positions), dtype=np.intp) if codes is None else codes
        self._by_class = codes is not None
        least = np.full(int(self._codes.max()) + 1, np.inf)
        np.minimum.at(least, self._codes, weight)
        self._limit = least * EQUAL
        light = np.flatnonzero(weight <= self._limit[self._codes])
        self._order = light[np.argsort(positions[light], kind="stable")]
        self._sorted = positions[self._order]
        self._largest = max(1, round(LARGEST_PART * len(positions)))
        self._n_read = 0  # chunks

    def exchanges(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Read on; yield rows (k,) of the pool, new features (k, d) and numbers (k, q) or None."""
        n_read = n_found = 0
        while n_read < READ_ROWS and n_found < self._largest:
            chunk = self._reader.chunk(self._n_read)
            if chunk is None:
                return
            self._n_read += 1
            start, X, y, weight = chunk
            n = np.shape(X)[0]
            n_read += n
            rng = np.random.RandomState(seed(self._entropy, self._n_read))
            old = self._order[slice(*np.searchsorted(self._sorted, [start, start + n]))]
            if len(old) > self._largest - n_found:
                old = rng.choice(old, self._largest - n_found, replace=False)
            if not len(old):
                continue
            n_found += len(old)
            old, new = self._pairs(old, n, y, weight, rng)
            features, targets = self._encode(
                take_rows(X, new), None if y is None else take_rows(y, new)
            )
            self._reader.forget()
            yield old, features, None if self._by_class else targets

    def _pairs(
        self, old: np.ndarray, n: int, y: Any, weight: Any, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the pool, and as many of a chunk of n, class by class."""
        codes = self._encode(None, y)[1] if self._by_class else np.zeros(n, dtype=np.intp)
        # The least of exponential times whose rates are the weights belong to rows drawn by weight.
        times = rng.exponential(size=n)
        if weight is not None:
            weight = np.asarray(weight, dtype=np.float64)
            usable = (weight > 0) & (weight < self._limit[codes]) & (codes >= 0)
            times = np.divide(times, weight, out=np.full(n, np.inf), where=usable)
        pairs = []
        for code in np.unique(self._codes[old]):
            places = rng.permutation(old[self._codes[old] == code])
            members = np.flatnonzero((codes == code) & np.isfinite(times))
            k = min(len(places), len(members))
            if k:
                first = np.argpartition(times[members], k - 1)[:k]
                pairs.append((places[:k], members[first]))
        if not pairs:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        return tuple(map(np.concatenate, zip(*pairs, strict=True)))  # type: ignore[return-value]


class Exchange:
    """Writes what a renewal finds into the rows that are trained on.

    Parameters
    ----------
    renewal : Renewal
    data : TrainingSet
    place : int64 ndarray of shape (n,)
        Where each row of the pool stands in `data`; -1 for those that are held out.
    coordinates : Coordinates
        Of the rows of `data`.
    """

    def __init__(
        self, renewal: Renewal, data: TrainingSet, place: np.ndarray, coordinates: Coordinates
    ) -> None:
        self.renewal, self.data, self.place = renewal, data, place
        self.coordinates = coordinates

    def __call__(self) -> None:
        """Read on, and exchange rows."""
        for old, features, numbers in self.renewal.exchanges():
            place = self.place[old]
            trained = place >= 0
            index = torch.from_numpy(place[trained]).to(self.data.rows.device)
            write_rows(self.data.rows, index, features[trained], self.coordinates)
            if numbers is not None:
                self.data.targets[index] = torch.from_numpy(numbers[trained]).to(self.data.targets)
