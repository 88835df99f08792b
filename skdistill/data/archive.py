"""npz archives that nobody vouches for: array by array, each checked before it is unpacked.

`numpy.load` believes what a file says of itself: a few bytes can call for gigabytes, and damage
ends in whatever error the parser meets. Here an array is read only when it is asked for by name,
what its header declares must agree with the size of its member before any of it is unpacked, and
what is wrong is always a ValueError.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

NATIVE_KINDS = frozenset("biufcmMSU")  # dtypes of plain bytes
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_CHUNK = 2**20
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True)
class Header:
    """What a member says of its array, checked against its size."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """The arrays of an open npz file.

    Parameters
    ----------
    stream : binary file
        Must be seekable.

    Raises
    ------
    ValueError
        If it is no zip archive.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        with damage("it is no npz archive"):
            if stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise ValueError("it holds a single array (npy)")
            self._zip = zipfile.ZipFile(stream)
        self.names = [name.removesuffix(".npy") for name in self._zip.namelist()]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Shape and dtype of an array.

        Raises
        ------
        ValueError
            If there is none of the name, it has objects, or its header does not fit its size.
        """
        with self._member(name) as (stream, size):
            return _read_header(name, stream, size)

    def read(self, name: str) -> np.ndarray:
        """One array.

        Raises
        ------
        ValueError
            As of `header`, or if the content is damaged.
        """
        with self._member(name) as (stream, size):
            header = _read_header(name, stream, size)
            content = np.empty(header.nbytes, dtype=np.uint8)
            view, start = memoryview(content.data), 0
            with damage(f"array {name!r} is damaged"):
                while start < len(content):
                    count = stream.readinto(view[start : start + _CHUNK])
                    if not count:
                        raise ValueError("it ends early")
                    start += count
                stream.read(1)  # the checksum is compared at the end
                flat = content.view(header.dtype)
                order: Any = "F" if header.fortran_order else "C"
                array = flat.reshape(header.shape, order=order)
        _check_content(name, flat)
        return array

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[Any, int]]:
        """Open a member that plain tools could have written."""
        if name not in self.names:
            raise ValueError(f"it has no array {name!r}")
        file = f"{name}.npy" if f"{name}.npy" in self._zip.NameToInfo else name
        info = self._zip.getinfo(file)
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise ValueError(f"array {name!r} is encrypted or packed in an unusual way")
        with damage(f"array {name!r} is damaged"):
            stream = self._zip.open(info)
        with stream:
            yield stream, info.file_size


def _read_header(name: str, stream: Any, size: int) -> Header:
    try:
        with damage(f"the header of array {name!r} is damaged"):
            version = npy.read_magic(stream)
            if version not in _HEADERS:
                raise ValueError(f"unknown version {version}")
            shape, fortran_order, dtype = _HEADERS[version](stream)
            start = stream.tell()
    except MemoryError as error:  # of the parser: nothing large was asked for yet
        raise ValueError(f"the header of array {name!r} is damaged: {error!r}") from error
    if dtype.kind not in NATIVE_KINDS:
        raise ValueError(
            f"array {name!r} has dtype {dtype}, which needs a pickle or a type of its own; only "
            "numbers, dates and text are read"
        )
    header = Header(shape, fortran_order, dtype)
    if dtype.itemsize == 0:
        raise ValueError(f"array {name!r} has the dtype {dtype} of no size")
    if any(length < 0 for length in shape) or start + header.nbytes != size:
        raise ValueError(
            f"array {name!r} declares the shape {shape} of {dtype}, {header.nbytes:,} bytes, but "
            f"holds {size - start:,}"
        )
    return header


def _check_content(name: str, flat: np.ndarray) -> None:
    """Refuse bytes that are no value of the dtype, which NumPy believes and breaks upon."""
    if flat.dtype.kind == "U":
        if (flat.view(f"{flat.dtype.str[0]}u4") > _LAST_CHARACTER).any():
            raise ValueError(f"array {name!r} is damaged: it holds what is no text")
    elif flat.dtype.kind == "b" and (flat.view(np.uint8) > 1).any():
        raise ValueError(f"array {name!r} is damaged: it holds what is neither true nor false")


class RefusedError(ValueError):
    """What is no damage: a file of another kind, of a later version, or above a limit."""


@contextmanager
def damage(what: str) -> Iterator[None]:
    """Turn every error of a parser into a ValueError that says what is damaged.

    A MemoryError goes through: sizes are checked before memory is asked for.
    """
    try:
        yield
    except (MemoryError, RefusedError):
        raise
    except Exception as error:
        raise ValueError(f"{what}: {str(error) or repr(error)}") from error


def open_regular(file: str | PathLike[str]) -> IO[bytes]:
    """Open a file to read; a fifo would be waited for, a device never ends.

    Raises
    ------
    ValueError
        If it is no regular file.
    OSError
        If it cannot be opened.
    """
    mode = os.stat(file).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open says better what is wrong with those
        raise ValueError("it is no regular file")
    return open(file, "rb")
