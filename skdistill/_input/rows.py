"""Rows as the scores see them: distinct, weighted, in an order that depends on their content only.

Equal (x, y) rows are merged and their weights added before anything is scored or drawn, and rows
of zero weight are dropped. A row of weight 2 and a row that stands twice are then the same thing,
exactly, and shuffling the input changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite

from .. import _torch as torch
from .._device import CPU_TILE_ELEMENTS, for_each_block
from .frames import WAY_OUT, check_is_table
from .order import one_of_each_stretch, order_by, order_of_hashes

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: an odd number with well spread bits
_HASH_ELEMENTS = 2**17  # hashed at a time: the words and their mixture stay in a core's cache
_COMPARE_ROWS = 2**14  # rows compared at a time when hashes agree
LARGEST = 1e140  # of X: sums of squared differences stay finite
_SUM_ROWS = 2**12  # rows summed up in single precision before double precision takes over
_PROBE_ROWS = 2**13  # rows of a long block that tell whether others repeat, and its units
_LARGEST_RATIO = 1e36  # of a sum of squares to the variance: distances then fit single precision


@dataclass(frozen=True)
class Rows:
    """Distinct rows of positive weight. `X` is the caller's memory; nothing of it is copied.

    Attributes
    ----------
    X : ndarray or csr_matrix of shape (n, d)
        All rows, as given.
    index : int64 ndarray of shape (u,)
        Where each distinct row stands first in `X`.
    weight : float64 ndarray of shape (u,)
        Its weight, summed over its copies.
    key : uint64 ndarray of shape (u,)
        Hash of its content: a canonical order.
    inverse : int64 ndarray of shape (n,) or None
        Distinct row of each input row, -1 for zero weight; None where ``index`` is ``arange(n)``.
    order : int64 ndarray of shape (u,) or None
        Order of the keys, where it is known already.
    as_read : bool
        Whether rows were neither merged nor hashed, so that `key` is their position.
    """

    X: Any
    index: np.ndarray
    weight: np.ndarray
    key: np.ndarray
    inverse: np.ndarray | None
    order: np.ndarray | None = None
    as_read: bool = False

    def __len__(self) -> int:
        return len(self.index)

    @property
    def dtype(self) -> np.dtype:
        """Float type that features are computed in."""
        return float_type(self.X.dtype)

    @property
    def canonical(self) -> bool:
        """Whether content alone settles the order of the rows: where they fit one tile."""
        return len(self) * self.X.shape[1] <= CPU_TILE_ELEMENTS

    def take(self, which: np.ndarray) -> Any:
        """Features (k, d) of some distinct rows, in the float type of `X`; a copy."""
        return self.X[self.index[which]].astype(self.dtype, copy=False)

    def block(self, start: int, stop: int) -> Any:
        """Raw features of distinct rows `start` to `stop`; a view where memory order allows."""
        if self.as_read:
            return self.X[start:stop]
        index = self.index[start:stop]
        if len(index) and index[-1] - index[0] == len(index) - 1 and (np.diff(index) == 1).all():
            return self.X[index[0] : index[-1] + 1]
        return self.X[index]

    def subset(self, which: np.ndarray) -> Rows:
        """Take some distinct rows; they do not know the way back to the input rows."""
        return Rows(self.X, self.index[which], self.weight[which], self.key[which], None)

    def walk(
        self,
        strata: np.ndarray | None = None,
        cell: np.ndarray | None = None,
        rank: np.ndarray | None = None,
    ) -> np.ndarray:
        """Rows in the order of stratum, cell, rank and content, as far as given.

        Cell (below 2^16) and rank share one word, because one sort of integers is several times
        faster than a lexicographic sort of columns.
        """
        if cell is None:
            order = order_of_hashes(self.key) if self.order is None else self.order
        else:
            # The bits of non-negative floats order like the floats.
            bits = np.ascontiguousarray(rank, dtype=np.float32).view(np.uint32)
            word = cell.astype(np.uint64)
            word <<= np.uint64(32)
            word |= bits
            n_bits = 32 + int(cell.max(initial=0)).bit_length()
            order = order_by(word, n_bits, None if self.as_read else self.key)
        if strata is not None:
            # Few bits are sorted by counting.
            codes = strata.astype(np.uint16) if strata.max(initial=0) < 2**16 else strata
            order = order[np.argsort(codes[order], kind="stable")]
        return order

    def split(self, scores: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
        """Scores (u,) of distinct rows -> scores (n,) of input rows, shared out by weight."""
        if self.inverse is None:
            return scores
        per_weight = np.append(scores / self.weight, 0.0)  # the last one serves index -1
        split = per_weight[self.inverse]
        return split if sample_weight is None else split * sample_weight

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (n,) of input rows -> (u,) of distinct rows."""
        return values if self.inverse is None else values[self.index]


@dataclass(frozen=True)
class Units:
    """Shift (d,) and factor (one, or (d,)) that bring features near the origin and to unit size.

    Values beyond `clip` (one, or (d,)), in these units, count as `clip`, and those beyond `limits`
    (2, d), in the user's, as the limits. CSR blocks are scaled only: a shift would fill them.
    """

    shift: np.ndarray
    factor: float | np.ndarray = 1.0
    clip: float | np.ndarray = np.inf
    limits: np.ndarray | None = None

    def load(self, block: Any, dtype: Any, device: Any) -> Any:
        """``(block - shift) * factor`` as a tensor of `dtype`; a scaled CSR matrix for CSR."""
        if sp.issparse(block):
            return block.astype(float_type(block.dtype), copy=False) * self.factor
        tensor = as_tensor(block).to(device)
        if not tensor.is_floating_point() or tensor.dtype == torch.float16:
            tensor = tensor.to(torch.float32 if block.dtype == np.float16 else torch.float64)
        if self.limits is not None:
            tensor = tensor.clamp(*as_tensor(self.limits).to(tensor))
        shift = as_tensor(self.shift).to(tensor)
        factor = as_tensor(np.asarray(self.factor, np.float64)).to(tensor)
        scaled = (tensor - shift).mul_(factor)
        if np.isfinite(self.clip).any():
            limit = as_tensor(np.asarray(self.clip, np.float64)).to(scaled)
            scaled = scaled.clamp_(-limit, limit)
        return scaled.to(dtype)

    def convert(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """``(X - shift) * factor`` as an array of `dtype`, computed in float64 block by block."""
        out = np.empty(X.shape, dtype=dtype)

        def work(start: int, stop: int) -> None:
            block = X[start:stop] if self.limits is None else np.clip(X[start:stop], *self.limits)
            out[start:stop] = (block - self.shift) * self.factor

        for_each_block(work, len(X), max(1, CPU_TILE_ELEMENTS // max(1, X.shape[1])))
        return out


_SHARED_TYPES = (np.float64, np.float32, np.float16, np.uint8)  # what crosses to torch as it is


def as_tensor(array: np.ndarray) -> Any:
    """CPU tensor on the memory of an array, or of a copy where torch cannot share it."""
    if array.dtype not in _SHARED_TYPES or not array.dtype.isnative:
        array = array.astype(float_type(array.dtype))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy(order="K")  # sums in another order would round differently
    return torch.from_numpy(array)


def check_two_dimensional(X: Any) -> None:
    """Raise an error that shows the way out where X is no table, or rows are arrays themselves."""
    check_is_table(X)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) > 2:
        reshape = f"X.reshape({shape[0]}, {int(np.prod(shape[1:]))})"
        if len(shape) == 4:
            reshape += (
                " and, where there is such a parameter, image_shape=(channels, height, width), "
                "after X.transpose(0, 3, 1, 2) if the channels are last"
            )
        raise ValueError(
            f"Found array with dim {len(shape)}: X of shape {tuple(shape)}, but rows must be "
            f"vectors; pass {reshape}."
        )


def check_finite(X: np.ndarray) -> None:
    """Raise a ValueError that says the way out where X holds NaN or infinity."""
    try:
        assert_all_finite(X, input_name="X")
    except ValueError as error:
        way_out = f" Fill the missing values in, or {WAY_OUT}." if "NaN" in str(error) else ""
        raise ValueError(f"{str(error).rstrip('.')}.{way_out}") from error


def float_type(dtype: np.dtype) -> np.dtype:
    """Float type of features: float32 for half and single precision, float64 for all others."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def merge_equal_rows(X: Any, y: np.ndarray | None, sample_weight: np.ndarray | None) -> Rows:
    """Merge equal (x, y) rows, add their weights, drop rows of zero weight.

    Rows are hashed (one pass over `X`) and only rows of equal hash are compared.

    Parameters
    ----------
    X : ndarray or canonical csr_matrix of shape (n, d)
    y : ndarray of shape (n,) or (n, q), numeric, or None
        Integers of shape (n,) are codes 0, 1, ... of classes.
    sample_weight : float64 ndarray of shape (n,), non-negative, or None

    Returns
    -------
    Rows
    """
    n = X.shape[0]
    key = row_hashes(X)
    if y is not None and y.dtype.kind == "i" and sample_weight is not None and y.ndim == 1:
        y = _codes_of_weight(y, sample_weight)
    if y is not None:
        key = key + row_hashes(y.reshape(n, -1).astype(np.float64), salt=1)
    order = order_of_hashes(key)
    ordered_key = key[order]
    same = np.zeros(n, dtype=bool)  # is row order[i] equal to row order[i - 1]?
    candidates = np.flatnonzero(ordered_key[1:] == ordered_key[:-1]) + 1
    for chunk in np.array_split(candidates, len(candidates) // _COMPARE_ROWS + 1):
        a, b = order[chunk - 1], order[chunk]
        equal = _rows_equal(X, a, b)
        same[chunk] = equal if y is None else equal & _rows_equal(y, a, b)

    if not same.any() and (sample_weight is None or sample_weight.all()):
        weight = np.ones(n) if sample_weight is None else sample_weight.astype(np.float64)
        return _ordered(X, np.arange(n), weight, key, None, order)

    group = np.empty(n, dtype=np.int64)
    group[order] = np.cumsum(~same) - 1
    weight = np.bincount(group, weights=sample_weight).astype(np.float64, copy=False)
    first = np.full(len(weight), n, dtype=np.int64)
    positive = np.arange(n) if sample_weight is None else np.flatnonzero(sample_weight)
    np.minimum.at(first, group[positive], positive)
    kept = np.flatnonzero(weight > 0)
    kept = kept[np.argsort(first[kept])]
    number = np.full(len(weight), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    return _ordered(X, first[kept], weight[kept], key[first[kept]], number[group])


def long_block(X: Any, sample_weight: np.ndarray | None) -> tuple[Rows, Moments] | None:
    """Rows of a long block of a stream as they stand, and moments of some of them.

    Merging equal rows and summing up all of them takes as long as the clustering that follows.
    Where none of the rows of a probe repeats another, few do in the block; and rough units are
    enough for distances.

    Parameters
    ----------
    X : ndarray or csr_matrix of shape (n, d)
    sample_weight : float64 ndarray of shape (n,), non-negative, or None

    Returns
    -------
    (Rows, Moments) or None
        None where that is not so, where rows are few, some have no weight, or they are not dense
        floats that are finite and within the range of single precision: then all of them have to
        be looked at.
    """
    n = X.shape[0]
    if sp.issparse(X) or X.dtype not in (np.float32, np.float64) or not X.flags.c_contiguous:
        return None
    if n < 2 * _PROBE_ROWS or n * X.shape[1] <= CPU_TILE_ELEMENTS:
        return None
    weight = np.ones(n) if sample_weight is None else sample_weight
    if not weight.all():
        return None
    probe = one_of_each_stretch(n, _PROBE_ROWS, np.random.RandomState(_PROBE_ROWS))
    some = X[probe]
    entries = X.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = float(np.dot(entries, entries))  # not finite where X is not
    if not np.isfinite(squares) or len(np.unique(row_hashes(some))) < len(some):
        return None
    moments = weighted_moments(some, weight[probe])
    if not squares <= _LARGEST_RATIO * moments.variance:
        return None
    return as_they_stand(X, weight), moments


def as_they_stand(X: Any, weight: Any) -> Rows:
    """Rows (n, d) of positive weight in the order in which they came, equal ones apart."""
    at = np.arange(X.shape[0])
    return Rows(X, at, weight, at.view(np.uint64), None, at, as_read=True)


def _codes_of_weight(codes: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
    """Codes of classes that have weight, numbered anew; others, which change no order, are -1."""
    present = np.unique(codes[sample_weight > 0])
    if len(present) == 0:
        return codes
    number = np.searchsorted(present, codes).clip(max=len(present) - 1)
    return np.where(present[number] == codes, number, -1)


def _ordered(
    X: Any,
    index: np.ndarray,
    weight: np.ndarray,
    key: np.ndarray,
    inverse: np.ndarray | None,
    order: np.ndarray | None = None,
) -> Rows:
    """Put few rows in canonical order; leave many in memory order, which reads faster.

    Where all rows fit one tile, the order of the input then has no influence at all, not even
    through rounding.
    """
    if len(index) * X.shape[1] > CPU_TILE_ELEMENTS:
        return Rows(X, index, weight, key, inverse, order)
    order = np.argsort(key, kind="stable")
    if inverse is None:
        inverse = np.arange(len(index))
    number = np.empty(len(order) + 1, dtype=np.int64)
    number[order] = np.arange(len(order))
    number[-1] = -1
    return Rows(X, index[order], weight[order], key[order], number[inverse])


def row_hashes(X: Any, salt: int = 0) -> np.ndarray:
    """64-bit hash of each row's values, in one pass.

    Parameters
    ----------
    X : ndarray or canonical csr_matrix of shape (n, d)
    salt : int
        Tells the hashes of features from those of targets.

    Returns
    -------
    uint64 ndarray of shape (n,)
    """
    n, d = X.shape
    dtype = float_type(X.dtype)
    rng = np.random.default_rng(salt)  # fixed: equal rows must hash alike in every process
    multiplier = rng.integers(0, 2**63, d, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    if sp.issparse(X):
        words = _mixed(_words(np.add(X.data, 0, dtype=dtype)))  # a zero mixes to zero
        return sp.csr_matrix((words, X.indices, X.indptr), shape=X.shape) @ multiplier
    hashes = np.empty(n, dtype=np.uint64)

    def work(start: int, stop: int) -> None:
        # Adding zero copies the block and turns -0.0 into 0.0, which compares equal to it.
        words = _words(np.add(X[start:stop], 0, dtype=dtype, order="C"))
        hashes[start:stop] = _mixed(words) @ multiplier[: words.shape[1]]

    for_each_block(work, n, max(1, _HASH_ELEMENTS // max(1, d)), parallel=True)
    return hashes


def _words(values: np.ndarray) -> np.ndarray:
    """Bits of floats as uint64; two neighbours of single precision share a word where they can."""
    if values.dtype == np.float64 or (values.ndim == 2 and values.shape[1] % 2 == 0):
        return values.view(np.uint64)
    return values.view(np.uint32).astype(np.uint64)


def _mixed(words: np.ndarray) -> np.ndarray:
    # The low bits of round numbers are all zero, and a product keeps them zero: bring the high
    # half of the product down, or the hash of small integers would use a few bits only.
    words = words * _MIX
    words ^= words >> np.uint64(32)
    return words


def _rows_equal(X: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether rows are equal as features: integers beyond 2^53 may be so that are not otherwise."""
    first, second = X[a], X[b]
    if X.dtype.kind in "iu" and X.dtype.itemsize == 8:
        first, second = first.astype(np.float64), second.astype(np.float64)
    if sp.issparse(X):
        return np.asarray((first != second).sum(axis=1)).ravel() == 0
    equal = first == second
    return equal if equal.ndim == 1 else equal.all(axis=1)


@dataclass(frozen=True)
class Moments:
    """Weighted mean and variance (d,) of each feature and the variance of all entries, float64."""

    mean: np.ndarray
    variance: float
    variances: np.ndarray

    @property
    def scale(self) -> float:
        """Root of the mean variance, 1 for constant data: the unit that float32 works in."""
        return float(np.sqrt(self.variance)) or 1.0


def weighted_moments(X: Any, sample_weight: np.ndarray | None) -> Moments:
    """Weighted mean of each feature and ``X.var()`` in one pass, float64, no copy of `X`.

    `variance` is that of all entries about their common mean, as ``gamma="scale"`` wants it.

    Raises
    ------
    ValueError
        If `X` holds NaN, infinity, or numbers whose squares are infinite.
    """
    n = X.shape[0]
    if sp.issparse(X):
        check_finite(X.data)
        _check_squares(X.data)
        if sample_weight is not None:
            sample_weight = sample_weight / sample_weight.max()
        weights = np.ones(n) if sample_weight is None else sample_weight
        total = weights.sum()
        mean = np.asarray(weights @ X).ravel() / total
        # In the user's own type the squares of integers would leave its range.
        squares = sp.csr_matrix((np.square(X.data, dtype=np.float64), X.indices, X.indptr), X.shape)
        square = np.asarray(weights @ squares).ravel() / total
        variances = np.maximum(square - mean**2, 0.0)
        return Moments(mean, max(0.0, float(square.mean()) - float(mean.mean()) ** 2), variances)
    first, second, origin = _sums_about_origin(X, sample_weight, float_type(X.dtype))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        check_finite(X)
    if not 1e-30 < second.max() < np.inf:  # the squares may have left the range of float32
        if not np.isfinite(second).all():
            _check_squares(X)
        first, second, origin = _sums_about_origin(X, sample_weight, np.dtype(np.float64))
    mean = origin + first
    variances = np.maximum(second - first**2, 0.0)
    return Moments(mean, float((variances + (mean - mean.mean()) ** 2).mean()), variances)


def _check_squares(X: np.ndarray) -> None:
    """Refuse numbers whose squared distances leave the range of float64."""
    if not X.size or X.dtype.kind in "iub":
        return
    largest = float(max(X.max(), -X.min()))
    if largest > LARGEST:
        raise ValueError(
            f"X holds values up to {largest:.1e}, whose squares leave the range of float64; divide "
            "it by a constant, or leave out the rows or columns that hold them."
        )


def _sums_about_origin(
    X: np.ndarray, sample_weight: np.ndarray | None, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted means (d,) of ``X - origin`` and its square, and the origin (d,), all float64."""
    n, d = X.shape
    # A shift near the data keeps squares accurate; one row alone might be an outlier.
    near = np.median(X[:: max(1, n // 32)].astype(np.float64), axis=0).astype(dtype)
    origin = torch.from_numpy(near)
    heaviest = 1.0 if sample_weight is None else sample_weight.max()
    step = max(1, min(_SUM_ROWS, CPU_TILE_ELEMENTS // max(1, d)))
    sums = np.empty((-(-n // step), 2, d))  # added up in this order, whoever computed them
    totals = np.empty(len(sums))

    def work(number: int, _: int) -> None:
        start = number * step
        block = as_tensor(X[start : start + step].astype(dtype, copy=False)) - origin
        if sample_weight is None:
            weight = torch.ones(len(block), dtype=block.dtype)
        else:
            relative = sample_weight[start : start + step] / heaviest
            weight = torch.from_numpy(relative.astype(dtype, copy=False))
        sums[number, 0] = (weight @ block).numpy()
        sums[number, 1] = (weight @ block.square_()).numpy()
        totals[number] = float(weight.sum(dtype=torch.float64))

    for_each_block(work, len(sums), 1, parallel=True)
    (first, second), total = sums.sum(0), totals.sum()
    return first / total, second / total, near.astype(np.float64)
