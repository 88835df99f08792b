"""Files that are whole at every moment: written beside their place, then renamed.

Whoever reads the path finds the old file or the new one, whatever ends the process in between: a
signal, a full disk, an error half-way.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, in the same folder and with the same suffix; then rename it.

    Parameters
    ----------
    path : str or path
        The file to write, new or not. What is there and is no file, such as ``/dev/stdout``, is
        written to directly. The target of a link is replaced, not the link.

    Yields
    ------
    Path
        To be written inside the ``with`` block. After an exception it is removed, and what stood
        at `path` is as it was.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        yield Path(path)
        return
    beside = place.with_name(f".{place.stem[:40]}.{secrets.token_hex(6)}{place.suffix}")
    try:
        yield beside
        with open(beside, "rb+") as stream:
            os.fsync(stream.fileno())
        if place.exists():
            shutil.copymode(place, beside)
        os.replace(beside, place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
