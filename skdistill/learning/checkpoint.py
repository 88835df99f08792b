"""A fit that goes on where it was killed, and ends as if it never had been.

A fit is repeated from its start, with the same data and seeds, but the training that was done is
left out: each run of a stage before the one under way is answered from the file with the scores
that it had found, and the run under way begins with everything as it was at its last writing.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data.archive import damage
from ..data.storage import Format, read_npz, write_npz
from .snapshot import Registry

FORMAT = Format(
    "skdistill.checkpoint",
    1,
    "DatasetDistiller(checkpoint=...)",
    "delete it, or name another file",
)


@dataclass
class Checkpoint:
    """The file of a fit, and how far the fit has come.

    Parameters
    ----------
    path : path
    fingerprint : dict of str to str
        What the fit depends on; a file with another one is refused.
    """

    path: str | PathLike[str]
    fingerprint: dict[str, str]
    opaque: ClassVar[bool] = True  # to snapshots: it belongs to the file and not to the fit
    _registry: Registry | None = None
    _found: list[list[Any]] = field(default_factory=list)  # checks of each run that is done
    _calls: int = 0
    _stored: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not Path(self.path).exists():
            return
        values: dict[str, Any] = read_npz(self.path, dict, math.inf, FORMAT)
        with self._damage():
            stored = json.loads(values["about"].item())
            was = dict(stored["fingerprint"])
            self._stored = {**stored, "arrays": values}
        others = [k for k, v in self.fingerprint.items() if was.get(k) != v]
        if others:
            raise ValueError(
                f"checkpoint={str(self.path)!r} belongs to a fit with other values of "
                f"{', '.join(others)}; delete it to begin anew, or name another file."
            )

    def _damage(self) -> AbstractContextManager[None]:
        what = f"checkpoint={str(self.path)!r} is damaged, its parts do not fit together; delete it"
        return damage(what)

    def attach(self, roots: list[Any]) -> None:
        """Take the objects that training changes, as they are before the first run."""
        self._registry = Registry(roots)

    @property
    def skipping(self) -> bool:
        """Whether what is asked for was done before the file was written."""
        return self._stored is not None

    def enter(self) -> list[tuple[int, int, dict]] | None:
        """Begin a run; what it has found, if it was done before: stages, steps and scores."""
        self._calls += 1
        if self._stored is None:
            return None
        with self._damage():
            found = list(self._stored["found"])
            if self._calls > len(found):
                return None
            self._found.append(found[self._calls - 1])
            return [(stage, step, dict(scores)) for stage, step, scores in self._found[-1]]

    def resume(self) -> bool:
        """Bring all objects into the state of the file, in the run under way there."""
        if self._stored is None:
            return False
        assert self._registry is not None
        with self._damage():
            self._registry.thaw(self._stored["tree"], self._stored["arrays"])
        self._stored = None
        return True

    def leave(self, checks: list[Any]) -> None:
        """End a run that has added `checks`."""
        self._found.append([[c.stage, c.step, list(c.scores.items())] for c in checks])

    def write(self) -> None:
        """Write the state of all objects; the file under the name is always a whole one."""
        assert self._registry is not None
        tree, arrays = self._registry.freeze()
        about = {"fingerprint": self.fingerprint, "found": self._found, "tree": tree}
        parts = {"about": np.array(json.dumps(about)), **arrays}
        write_npz(self.path, parts, FORMAT, compress=False)

    def end(self) -> None:
        """Take the file away: the fit is complete."""
        Path(self.path).unlink(missing_ok=True)


def fingerprint(parameters: dict[str, Any], arrays: dict[str, Any]) -> dict[str, str]:
    """Text that tells fits apart: each parameter, and a digest of each array."""
    told = {name: _text(value) for name, value in parameters.items()}
    return told | {name: _digest(value) for name, value in arrays.items()}


def _text(value: Any) -> str:
    # The address in the text of a function differs from one process to the next.
    name = getattr(value, "__qualname__", None)
    return repr(value) if name is None else f"{value.__module__}.{name}"


def _digest(values: Any) -> str:
    if values is None:
        return "None"
    array = np.asarray(values)
    if array.dtype == object:
        array = array.astype(str)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    for start in range(0, len(array), 2**14):
        digest.update(np.ascontiguousarray(array[start : start + 2**14]).data)
    return digest.hexdigest()
