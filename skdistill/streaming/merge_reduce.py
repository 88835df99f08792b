"""Merge and reduce: a small set of a stream from small sets of its blocks.

A coreset of a union is the union of coresets, and a coreset of a coreset is one of the data, with
errors that add up (Har-Peled & Mazumdar, STOC 2004; Feldman, Schmidt & Sohler, SODA 2013). Blocks
of fixed length are cut from the stream wherever its chunks end, and reduced; every `FAN_IN` small
sets of one level are merged and reduced into one of the next. Memory grows with the logarithm of
the stream, and a row passes through few reductions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._input.frames import is_frame, take_rows
from ..data import DistilledData
from ..data.merging import concatenate

FAN_IN = 8  # small sets of a level that are merged into one of the next
SUMMARY_FACTOR = 4  # rows of a small set on the way, per row asked for in the end
LEAST_SUMMARY, MOST_SUMMARY = 1000, 20_000  # the latter unless more are asked for
REST_PARTS = 64
REFERENCE_LOSSES = ("cross_entropy", "squared_error")  # rows are scored by one model's losses
FINAL = 2**31  # the level of the last reduction in its seed

Reduce = Callable[[list[DistilledData], int, int], DistilledData]


@dataclass(frozen=True)
class Sizes:
    """Rows of a block, and of what it is reduced to."""

    block: int
    summary: int


def sizes(n_samples: int, n_features: int, max_rows: int, max_elements: int) -> Sizes:
    """Sizes for a small set of `n_samples` rows, blocks within the given limits.

    A block holds several times the rows that it is reduced to, whatever the limits.
    """
    summary = max(LEAST_SUMMARY, n_samples, min(SUMMARY_FACTOR * n_samples, MOST_SUMMARY))
    block = min(max_rows, max_elements // max(1, n_features))
    return Sizes(max(block, 2 * summary), summary)


def seed(entropy: int, *place: int) -> int:
    """Seed that depends on the place of a reduction only, and not on who does it when."""
    return int(np.random.SeedSequence([entropy, *place]).generate_state(1)[0])


def union(parts: list[DistilledData]) -> DistilledData:
    """Put the parts together, with their positions in the stream."""
    if len(parts) == 1:
        return parts[0]
    return DistilledData(**concatenate(parts))


def take(part: DistilledData, which: Any) -> DistilledData:
    """Rows `which`, a slice or positions, of a part of a stream."""
    X = part.X
    if isinstance(which, slice) and which.indices(len(part)) == (0, len(part), 1):
        return part
    if is_frame(X):
        at = np.arange(*which.indices(len(part))) if isinstance(which, slice) else which
        rows = take_rows(X, at)
    else:
        rows = X[which]
    return DistilledData(
        rows,
        None if part.y is None else part.y[which],
        part.sample_weight[which],
        indices=None if part.indices is None else part.indices[which],
        feature_names=part.feature_names,
    )


def in_halves(parts: list[DistilledData]) -> list[list[DistilledData]]:
    """Parts of a stream in two groups of about as many rows, one of the parts cut in two."""
    first, second, left = [], [], sum(map(len, parts)) // 2
    for part in parts:
        n = min(left, len(part))
        left -= n
        first += [take(part, slice(n))] * (n > 0)
        second += [take(part, slice(n, None))] * (n < len(part))
    return [first, second]


def of_its_own(part: DistilledData) -> DistilledData:
    """Copy of the rows: the caller may write the next chunk into the same memory."""
    return take(part, np.arange(len(part)))


@dataclass
class Reading:
    """What is known of a stream so far.

    Attributes
    ----------
    sizes : Sizes
    entropy : int
        Of all seeds.
    n_seen : int
        Rows read, those of weight zero included.
    kind : str or None
        Of the target, see `Target`; None before the first chunk.
    reference : estimator or None
        Model that rows are scored by, fitted on the first block.
    table : DataFrame, array or None
        Rows of the first block that the encoder of all blocks is fitted to.
    encoder : TableEncoder or None
        The encoder.
    """

    sizes: Sizes
    entropy: int
    n_seen: int = 0
    kind: str | None = None
    reference: Any = None
    table: Any = None
    encoder: Any = None


@dataclass
class Stream(Reading):
    """Small sets of the blocks so far, and the rows that fill no block yet.

    Attributes
    ----------
    place : tuple of int
        Number of this stream where several are merged later: part of its seeds.
    levels : list of list of DistilledData
        Small sets that wait for others of their level.
    done : list of int
        Small sets made on each level so far.
    rest : list of DistilledData
        Rows since the last block.
    """

    place: tuple[int, ...] = ()
    levels: list[list[DistilledData]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    rest: list[DistilledData] = field(default_factory=list)

    def copy(self) -> Stream:
        """Stream that goes on without changing this one; rows are shared."""
        levels = [list(level) for level in self.levels]
        return replace(self, levels=levels, done=list(self.done), rest=list(self.rest))

    def add(self, chunk: DistilledData, reduce: Reduce, *, keeps: bool = False) -> None:
        """Read a chunk on.

        Parameters
        ----------
        chunk : DistilledData
            Any number of rows. `indices` are set here.
        reduce : callable
            Parts, rows and seed -> one small set of them, with `indices`.
        keeps : bool
            Whether the rows stay in the chunk's memory, so that none needs a copy.
        """
        positions = self.n_seen + np.arange(len(chunk))
        self.n_seen += len(chunk)
        chunk = replace_indices(chunk, positions)
        if not chunk.sample_weight.all():
            chunk = take(chunk, np.flatnonzero(chunk.sample_weight))
        start, waiting = 0, sum(map(len, self.rest))
        while waiting + len(chunk) - start >= self.sizes.block:
            stop = start + self.sizes.block - waiting
            block = [*self.rest, take(chunk, slice(start, stop))]
            self.rest, start, waiting = [], stop, 0
            self._carry(0, self._reduced(block, 0, reduce), reduce)
        if start < len(chunk):
            rest = take(chunk, slice(start, None))
            self.rest.append(rest if keeps else of_its_own(rest))
        if len(self.rest) > REST_PARTS:  # or each call would put thousands of them together
            self.rest = [union(self.rest)]

    def close(self, reduce: Reduce) -> None:
        """Reduce what is left after the last block, where it is long and not the whole stream."""
        n_rest = sum(map(len, self.rest))
        if self.levels and n_rest > FAN_IN * self.sizes.summary:
            block, self.rest = self.rest, []
            self._carry(0, self._reduced(block, 0, reduce), reduce)

    def parts(self) -> list[DistilledData]:
        """All that is held, in the order of the stream."""
        return [*(part for level in reversed(self.levels) for part in level), *self.rest]

    def summary(self, reduce: Reduce) -> DistilledData | None:
        """One small set of the whole stream; None if no row has a weight."""
        parts = self.parts()
        if not parts:
            return None
        if sum(map(len, parts)) <= self.sizes.summary:
            return union(parts)
        return reduce(parts, self.sizes.summary, seed(self.entropy, *self.place, FINAL))

    def _carry(self, level: int, part: DistilledData, reduce: Reduce) -> None:
        """Put a small set on its level; a full level becomes one set of the next."""
        if level == len(self.levels):
            self.levels.append([])
        self.levels[level].append(part)
        if len(self.levels[level]) == FAN_IN:
            merged = self._reduced(self.levels[level], level + 1, reduce)
            self.levels[level] = []
            self._carry(level + 1, merged, reduce)

    def forget_rest(self) -> None:
        """End after the last block, as if no more rows had been read."""
        if self.rest:
            assert self.rest[0].indices is not None
            self.n_seen = int(self.rest[0].indices[0])
            self.rest = []

    def _reduced(self, parts: list[DistilledData], level: int, reduce: Reduce) -> DistilledData:
        if level == len(self.done):
            self.done.append(0)
        number = self.done[level]
        self.done[level] += 1
        return reduce(parts, self.sizes.summary, seed(self.entropy, *self.place, level, number))


@dataclass
class Window(Reading):
    """Small sets of the last chunks, each on its own.

    Attributes
    ----------
    length : int
        Chunks that are kept.
    n_chunks : int
        Chunks read.
    chunks : list of DistilledData
        Small sets of the last of them; chunks without weight leave none.
    numbers : list of int
        Their numbers in the stream.
    """

    length: int = 1
    n_chunks: int = 0
    chunks: list[DistilledData] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def copy(self) -> Window:
        """Window that goes on without changing this one; rows are shared."""
        return replace(self, chunks=list(self.chunks), numbers=list(self.numbers))

    def add(self, chunk: DistilledData, reduce: Reduce) -> None:
        """Read a chunk on, and forget the oldest; see `Stream.add`."""
        alone = Stream(self.sizes, self.entropy, self.n_seen, place=(self.n_chunks,))
        alone.add(chunk, reduce, keeps=True)
        small = alone.summary(reduce)
        if small is not None:
            # Few rows come as they are, in the caller's memory.
            self.chunks.append(of_its_own(small))
            self.numbers.append(self.n_chunks)
        self.n_chunks += 1
        self.n_seen = alone.n_seen
        while self.numbers and self.numbers[0] < self.n_chunks - self.length:
            del self.chunks[0], self.numbers[0]

    def parts(self) -> list[DistilledData]:
        """Small sets of the chunks kept, the oldest first."""
        return list(self.chunks)


def replace_indices(part: DistilledData, indices: np.ndarray) -> DistilledData:
    """Part of a stream with the given positions; nothing else is copied."""
    return DistilledData(
        part.X, part.y, part.sample_weight, indices=indices, feature_names=part.feature_names
    )


def blocks(n_rows: int, length: int) -> Iterator[slice]:
    """Slices of `length` rows, the last one shorter."""
    for start in range(0, n_rows, length):
        yield slice(start, min(n_rows, start + length))
