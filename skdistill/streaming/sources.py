"""Where chunks come from: files mapped into memory, arrays on disk, Arrow data sets, iterables.

A source is recognised by what it can do, so that none of the packages has to be installed.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from .._input.frames import is_frame
from .._input.lazy import is_lazy
from .merge_reduce import blocks

# Read at a time. A fit works on a few more arrays of as many rows, about 100 bytes a row.
CHUNK_ROWS = 2**20
CHUNK_ELEMENTS = 2**24
ENCODED_ROWS = 2**17  # where a preprocessor makes features, often many more than there are columns
ARROW_ROWS = 2**17

Chunk = tuple[Any, Any, Any]


class Source(Protocol):
    """Gives chunks of rows, target and weights.

    Attributes
    ----------
    keeps_chunks : bool
        Whether the memory of a chunk stays as it is when the next one is read.
    again : bool
        Whether it can be read more than once.
    """

    keeps_chunks: ClassVar[bool]

    @property
    def again(self) -> bool:
        """Whether it can be read more than once."""

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks."""


@dataclass(frozen=True)
class SliceSource:
    """An array-like of which slices are read: a memory-mapped file, HDF5, Zarr.

    Attributes
    ----------
    X, y, sample_weight : array-like
        With slices along the first axis; the last two may be None.
    """

    X: Any
    y: Any
    sample_weight: Any
    keeps_chunks: ClassVar[bool] = True
    again: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Chunk]:
        n, d = self.X.shape
        for part in blocks(n, max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // max(1, d)))):
            yield self.rows(part)
            self.forget()

    def rows(self, part: slice) -> Chunk:
        """Rows of a slice; those of a mapped file are read when they are looked at."""
        X, y, sample_weight = (_slice(v, part) for v in (self.X, self.y, self.sample_weight))
        return X, y, sample_weight

    def forget(self) -> None:
        """Take what was read of mapped files out of the memory of this process."""
        for values in (self.X, self.y, self.sample_weight):
            _forget_pages(values)


def _slice(values: Any, part: slice) -> np.ndarray | None:
    return None if values is None else np.asarray(values[part])


def _forget_pages(values: Any) -> None:
    """Take the pages of a file that were read out of this process; the system may still hold them.

    Not those of a copy-on-write map, whose changes are nowhere else.
    """
    memory = getattr(values, "_mmap", None)
    if isinstance(memory, mmap.mmap) and getattr(values, "mode", "c") != "c":
        if hasattr(mmap, "MADV_DONTNEED"):
            memory.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class ArrowSource:
    """A `pyarrow.dataset.Dataset`; target and weights are columns of it.

    Attributes
    ----------
    dataset : pyarrow.dataset.Dataset
    y : str, list of str or None
    sample_weight : str or None
    """

    dataset: Any
    y: str | list[str] | None
    sample_weight: str | None
    keeps_chunks: ClassVar[bool] = True
    again: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Chunk]:
        # Few batches ahead: the default holds a hundred megabytes and more.
        for batch in self.dataset.to_batches(
            batch_size=ARROW_ROWS, batch_readahead=1, fragment_readahead=1
        ):
            if not batch.num_rows:
                continue
            frame = batch.to_pandas()
            y = None if self.y is None else frame[self.y].to_numpy()
            weight = None if self.sample_weight is None else frame[self.sample_weight].to_numpy()
            targets = [] if self.y is None else [self.y] if isinstance(self.y, str) else self.y
            others = [name for name in (*targets, self.sample_weight) if name is not None]
            yield frame.drop(columns=others), y, weight


@dataclass(frozen=True)
class IterableSource:
    """An iterable of chunks: X, (X, y), (X, y, sample_weight), or mappings with these keys."""

    chunks: Iterable[Any]
    keeps_chunks: ClassVar[bool] = False

    @property
    def again(self) -> bool:
        """Whether it can be read more than once, as a generator cannot."""
        return not isinstance(self.chunks, Iterator)

    def __iter__(self) -> Iterator[Chunk]:
        number = 0
        for item in self.chunks:  # enumerate would hold an item while the next is made
            chunk = as_chunk(item, number)
            del item
            yield chunk
            del chunk
            number += 1


def as_chunk(item: Any, number: int) -> Chunk:
    """X, y and weights of what an iterable gives."""
    if hasattr(item, "keys") and not is_frame(item):
        found = dict(item)
        unknown = set(found) - {"X", "y", "sample_weight"}
        if unknown or "X" not in found:
            raise ValueError(
                f"Chunk {number} has the keys {sorted(map(str, found))}; a mapping needs 'X', and "
                "may have 'y' and 'sample_weight'."
            )
        return found["X"], found.get("y"), found.get("sample_weight")
    if isinstance(item, tuple | list):
        if not 1 <= len(item) <= 3:
            raise ValueError(
                f"Chunk {number} is a {type(item).__name__} of {len(item)}; a chunk is X, (X, y) "
                "or (X, y, sample_weight)."
            )
        X, y, sample_weight = [*item, None, None][:3]
        return X, y, sample_weight
    return item, None, None


def open_source(X: Any, y: Any, sample_weight: Any) -> Source | None:
    """Source of the chunks of `X`; None where `X` is in memory, or fits there as one chunk.

    Parameters
    ----------
    X : object
        As passed to `fit`.
    y, sample_weight : object
        Array-likes beside arrays, names of columns with an Arrow data set, None with an iterable.

    Returns
    -------
    iterable of (X, y, sample_weight) or None

    Raises
    ------
    ValueError, TypeError
        If the target and the weights do not come in the form that belongs to `X`.
    """
    if _is_arrow_dataset(X):
        return _arrow_source(X, y, sample_weight)
    if is_on_disk(X):
        n, d = X.shape
        for name, values in (("y", y), ("sample_weight", sample_weight)):
            _check_length(name, values, n)
        if n > CHUNK_ROWS or n * d > CHUNK_ELEMENTS:
            return SliceSource(X, _sliceable(y), _sliceable(sample_weight))
        return None
    if is_iterable_of_chunks(X):
        for name, values in (("y", y), ("sample_weight", sample_weight)):
            if values is not None:
                raise TypeError(
                    f"X is an iterable of chunks, and {name} was passed beside it; let each chunk "
                    "be (X, y) or (X, y, sample_weight)."
                )
        return IterableSource(X)
    return None


def is_stream(X: Any) -> bool:
    """Whether `X` holds rows that are read once, or elsewhere, and not in this process's hands."""
    return is_lazy(X) or is_iterable_of_chunks(X) or _is_arrow_dataset(X)


def in_memory(values: Any) -> Any:
    """Array on disk as an array in memory; anything else, a mapped file too, as it is."""
    return values[:] if _is_stored(values) else values


def is_on_disk(X: Any) -> bool:
    """Whether `X` is a matrix of which slices are read from a file."""
    return len(getattr(X, "shape", ())) == 2 and (isinstance(X, np.memmap) or _is_stored(X))


def _is_stored(values: Any) -> bool:
    # h5py and Zarr say how their data lie on disk. So does Dask, which is another thing.
    return hasattr(values, "chunks") and hasattr(values, "dtype") and not is_lazy(values)


def is_iterable_of_chunks(X: Any) -> bool:
    """Whether `X` gives chunks and is no array-like: a generator, a loader of batches."""
    if isinstance(X, Iterator):
        return True
    if isinstance(X, Sequence | Mapping | str | bytes | set | frozenset):
        return False
    is_array = any(
        hasattr(X, name) for name in ("shape", "__array__", "__array_interface__", "__dataframe__")
    )
    return hasattr(X, "__iter__") and not is_array and not hasattr(X, "keys")


def _is_arrow_dataset(X: Any) -> bool:
    module = type(X).__module__.partition(".")[0]
    return module == "pyarrow" and hasattr(X, "to_batches") and hasattr(X, "scanner")


def _arrow_source(X: Any, y: Any, sample_weight: Any) -> ArrowSource:
    names = list(X.schema.names)
    columns = list(y) if isinstance(y, list | tuple) else [] if y is None else [y]
    if sample_weight is not None:
        columns.append(sample_weight)
    for name in columns:
        if not isinstance(name, str):
            raise TypeError(
                "With a pyarrow data set y and sample_weight are names of its columns, got "
                f"{type(name).__name__}."
            )
        if name not in names:
            raise ValueError(f"The data set has no column {name!r}; it has {names}.")
    return ArrowSource(X, list(y) if isinstance(y, tuple) else y, sample_weight)


def _check_length(name: str, values: Any, n: int) -> None:
    if values is None:
        return
    shape = getattr(values, "shape", None)
    length = shape[0] if shape else len(values)
    if length != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n}, {name} has "
            f"{length}."
        )


def _sliceable(values: Any) -> Any:
    """Target or weights of which slices can be taken by position."""
    if values is None or hasattr(values, "iloc"):
        return None if values is None else values.to_numpy()
    return values if hasattr(values, "shape") else np.asarray(values)


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Say in errors about the data where they are."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In {place}: {error}") from error
