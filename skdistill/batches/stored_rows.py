"""Real rows in the type they were given in, brought to unit size where they are looked at.

Images come as bytes, or in half precision: their coordinates in float32 would take four times, or
twice, the memory. Rows that a device has no room for stay where the user has them, in whatever
type, and go to the device batch by batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _torch as torch
from .._device import fits, for_each_block, tile_rows
from .._input.rows import as_tensor

KEPT: tuple[Any, ...] = (np.uint8, np.float16)  # types smaller than float32 that torch has too
BLOCK_ROWS = 8192  # looked at together where all rows are


class StoredRows:
    """Coordinates of rows that are held as they were given.

    ``rows[index]`` is a float32 Tensor on the device, for an index Tensor or a slice.

    Parameters
    ----------
    held : ndarray or Tensor of shape (N, d)
        An ndarray is the user's own memory; a Tensor is on the device.
    where : int64 ndarray of shape (n,) or None
        Of an ndarray: where the rows stand in it; None for all in their order.
    shift, factor : Tensor of shape (d,)
        On the device, of the float type that the work is to be done in: coordinates are
        ``(held - shift) * factor``.
    """

    def __init__(self, held: Any, where: np.ndarray | None, shift: Any, factor: Any) -> None:
        self._held, self._where = held, where
        self._shift, self._factor = shift, factor
        self.shape = (len(held) if where is None else len(where), held.shape[1])
        self.device = shift.device
        self.dtype = torch.float32

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return self.take(index)

    @property
    def away(self) -> bool:
        """Whether each look at rows moves them from the host to another device."""
        return isinstance(self._held, np.ndarray) and self.device.type != "cpu"

    def take(self, index: Any, out: Any = None) -> Any:
        """Coordinates (k, d) of the rows at an index or a slice, in the memory of `out` if given.

        Rows away from the device are copied without waiting for it.
        """
        rows = torch.sub(self._raw(index), self._shift, out=out).mul_(self._factor)
        return rows.to(self.dtype)

    def subset(self, index: Any) -> StoredRows:
        """Rows at `index`, in the same form: no copy on the host, nor of a slice."""
        held, where = self._held, self._where
        if isinstance(held, np.ndarray):
            if not isinstance(index, slice):
                index = index.cpu().numpy()
                where = index if where is None else where[index]
            elif where is None:
                held = held[index]
            else:
                where = where[index]
        else:
            held = held[index]
        return StoredRows(held, where, self._shift, self._factor)

    def write(self, index: Any, X: np.ndarray) -> None:
        """Put other rows (k, d), as they are given, in the places of those at an index Tensor."""
        if isinstance(self._held, np.ndarray):
            at = index.cpu().numpy()
            self._held[at if self._where is None else self._where[at]] = X
        else:
            self._held[index] = as_tensor(X).to(self._held)

    def numpy(self) -> np.ndarray:
        """All coordinates, a float32 ndarray of shape (n, d), block by block."""
        found = np.empty(self.shape, dtype=np.float32)
        for block in self._blocks():
            found[block] = self[block].cpu().numpy()
        return found

    def digest(self) -> str:
        """Text that tells rows apart, wherever they are held."""
        found = hashlib.sha256(f"{self.shape}".encode())
        for block in self._blocks():
            held = self._held[block if self._where is None else self._where[block]]
            held = held if isinstance(held, np.ndarray) else held.cpu().numpy()
            found.update(f"{held.dtype}".encode())
            found.update(np.ascontiguousarray(held).data)
        for unit in (self._shift, self._factor):
            found.update(unit.cpu().numpy().data)
        return found.hexdigest()

    def _blocks(self) -> Iterator[slice]:
        return (slice(i, i + BLOCK_ROWS) for i in range(0, len(self), BLOCK_ROWS))

    def _raw(self, index: Any) -> Any:
        """Rows as they are held, a Tensor on the device."""
        held, where = self._held, self._where
        if not isinstance(held, np.ndarray):
            return held[index] if isinstance(index, slice) else held.index_select(0, index)
        if not isinstance(index, slice):
            index = index.cpu().numpy()
        found = as_tensor(held[index if where is None else where[index]])
        if not self.away:
            return found
        # Memory that was pinned and let go is used again only when the copy from it is over.
        return found.pin_memory().to(self.device, non_blocking=True)


def load_rows(X: np.ndarray, index: np.ndarray | None, coordinates: Any, device: Any) -> Any:
    """Coordinates of rows as a float32 Tensor on a device, or what stands for it in less memory.

    Parameters
    ----------
    X : ndarray of shape (N, d)
    index : int64 ndarray of shape (n,) or None
        Where the rows stand in `X`; None for all in their order.
    coordinates : Coordinates
        Without directions.
    device : torch.device

    Returns
    -------
    Tensor or StoredRows of shape (n, d)
    """
    n, d = len(X) if index is None else len(index), X.shape[1]
    small = X.dtype in KEPT
    roomy = fits(n * d * (X.itemsize if small else 4), device)
    if roomy and not small:
        return coordinates.load(X, torch.float32, device, index)
    # Bytes and numbers of half and single precision lose nothing in single precision.
    single = small or X.dtype == np.float32
    dtype = torch.float32 if single else torch.float64
    shift = torch.from_numpy(coordinates.center).to(device, dtype)
    factor = torch.from_numpy(1 / coordinates.scale).to(device, dtype)
    if device.type == "cpu" or not roomy:
        return StoredRows(X, index, shift, factor)
    held = torch.empty((n, d), dtype=getattr(torch, str(X.dtype)), device=device)

    def work(start: int, stop: int) -> None:
        held[start:stop] = as_tensor(X[start:stop] if index is None else X[index[start:stop]])

    for_each_block(work, n, tile_rows(d, device))
    return StoredRows(held, None, shift, factor)


def rows_at(rows: Any, index: Any) -> Any:
    """Rows at `index`, in the form of all of them: copies for a Tensor, views for a slice."""
    return rows.subset(index) if isinstance(rows, StoredRows) else rows[index]


def write_rows(rows: Any, index: Any, X: np.ndarray, coordinates: Any) -> None:
    """Put rows (k, d) in the user's units in the places of those at an index Tensor."""
    if isinstance(rows, StoredRows):
        rows.write(index, X)
    else:
        rows[index] = coordinates.load(X, rows.dtype, rows.device)


def take_rows(rows: Any, index: Any, out: Any = None) -> Any:
    """Tensor (k, width) of the rows at an index Tensor, in the memory of `out` if given."""
    if isinstance(rows, StoredRows):
        return rows.take(index, out)
    return torch.index_select(rows, 0, index, out=out)


def as_array(rows: Any) -> np.ndarray:
    """All rows as an ndarray (n, width) on the host."""
    return rows.numpy() if isinstance(rows, StoredRows) else rows.cpu().numpy()
