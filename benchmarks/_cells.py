"""Scores of a long run, appended to a file one by one, so that a broken-off run goes on from there.

A line of the file is ``[key, values]`` in JSON. Its first line may be an object: the settings that
all scores of the file were made with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any


class Cells(dict[tuple[Hashable, ...], list[Any]]):
    """Lists of values by key, read from a file that `keep` appends to.

    Parameters
    ----------
    path : Path or None
        The file, which need not exist; None keeps nothing beyond the process.

    settings : mapping, default=None
        What the values depend on and the keys do not tell. Values made with others are refused.

    Raises
    ------
    SystemExit
        If the file holds values made with other settings.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.path = path
        if path is None:
            return
        lines = _whole_lines(path)
        found = lines.pop(0) if lines and isinstance(lines[0], dict) else None
        wanted = None if settings is None else json.loads(json.dumps(settings))
        if found is None and not lines and wanted is not None:
            _append(path, wanted)
        elif found != wanted:
            raise SystemExit(f"{path} holds values made with {found}, not {wanted}.")
        self.update((tuple(key), values) for key, values in lines)

    def keep(self, key: tuple[Hashable, ...], *values: Any) -> None:
        """Store the values of a key, in place of earlier ones, and append them to the file."""
        self[key] = list(values)
        if self.path is not None:
            _append(self.path, [key, values])


def add_option(options: argparse.ArgumentParser) -> None:
    """Add the option that names the file."""
    options.add_argument("--cells", type=Path, help="file of scores to append to and go on from")


def _whole_lines(path: Path) -> list[Any]:
    """Parse a file of JSON lines; a last line that was broken off is cut from the file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    return [json.loads(line) for line in content[:whole].splitlines()]


def _append(path: Path, line: Any) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=float) + "\n")
