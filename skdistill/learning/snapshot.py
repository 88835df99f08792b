"""What an object graph has changed since it was made, as arrays and JSON, and put back again.

A fit makes its objects in the same way each time. So they are numbered when they are made, and a
snapshot says of each only what has changed: tensors that were written to, attributes, objects that
are new. Data and everything else that stays as it was made is named by its number. Who shares an
object before shares it after. Nothing is executed but the construction of this package's classes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _torch as torch

_PLAIN = (bool, int, float, str, type(None))
_PACKAGE = __name__.partition(".")[0]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Known:
    """An object that was there at the start, and for a tensor how often it had been written to."""

    value: Any
    version: int


class Registry:
    """The objects that can be reached from some roots, numbered.

    Parameters
    ----------
    roots : list
        Made in the same way where the snapshot is taken and where it is put back.
    """

    def __init__(self, roots: list[Any]) -> None:
        self.roots = roots
        self.known: list[_Known] = []
        self.number: dict[int, int] = {}
        pending = list(reversed(roots))
        while pending:
            value = pending.pop()
            if isinstance(value, _PLAIN) or id(value) in self.number:
                continue
            self.number[id(value)] = len(self.known)
            self.known.append(_Known(value, _version(value)))
            pending.extend(reversed(_inside(value)))

    def freeze(self) -> tuple[Any, Arrays]:
        """Return what has changed: a tree for JSON, and the arrays that it names."""
        writer = _Writer(self)
        tree = [writer.write(root) for root in self.roots]
        return tree, writer.arrays

    def thaw(self, tree: Any, arrays: Any) -> None:
        """Bring the objects into the state that `freeze` found."""
        reader = _Reader(self, arrays)
        for spec in tree:
            reader.read(spec)


class _Writer:
    def __init__(self, registry: Registry) -> None:
        self.registry, self.arrays = registry, {}  # type: Registry, Arrays
        self.memo: dict[int, int] = {}
        self.alive: list[Any] = []  # or another object could get the id of one that is gone

    def write(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return float(value) if isinstance(value, float) else value
        if isinstance(value, torch.dtype):
            return ["dtype", str(value).partition(".")[2]]
        if isinstance(value, torch.device):
            return ["device", str(value)]
        if id(value) in self.memo:
            return ["memo", self.memo[id(value)]]
        label = self.memo[id(value)] = len(self.memo)
        self.alive.append(value)
        number = self.registry.number.get(id(value))
        return [label, number, *self._content(value, number)]

    def _content(self, value: Any, number: int | None) -> list[Any]:
        if isinstance(value, torch.Tensor):
            if number is not None and self.registry.known[number].version == value._version:
                return ["same"]
            return ["tensor", self._array(value.detach().cpu().numpy()), str(value.device)]
        if isinstance(value, torch.Generator):
            return ["generator", self._array(value.get_state().numpy())]
        if isinstance(value, dict):
            return ["dict", [[self.write(key), self.write(item)] for key, item in value.items()]]
        if isinstance(value, list):
            return ["list", [self.write(item) for item in value]]
        if isinstance(value, tuple):
            name = _class_name(value) if _is_ours(value, tuple) else None
            return ["tuple", name, [self.write(item) for item in value]]
        if _is_ours(value):
            # Not a copy of the mapping: its values keep their identity.
            attributes = [[name, self.write(item)] for name, item in vars(value).items()]
            return ["object", _class_name(value), attributes]
        if isinstance(value, np.ndarray) and number is None and value.dtype != object:
            return ["ndarray", self._array(value)]
        if isinstance(value, np.generic) and number is None:
            return ["scalar", self._array(np.asarray(value))]
        if number is not None:
            return ["same"]
        raise TypeError(f"{type(value).__module__}.{type(value).__name__} cannot be written down.")

    def _array(self, array: np.ndarray) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name


class _Reader:
    def __init__(self, registry: Registry, arrays: Any) -> None:
        self.registry, self.arrays = registry, arrays
        self.memo: dict[int, Any] = {}

    def read(self, spec: Any) -> Any:
        if not isinstance(spec, list):
            return spec
        if spec[0] == "dtype":
            return _dtype(spec[1])
        if spec[0] == "device":
            return torch.device(spec[1])
        if spec[0] == "memo":
            return self.memo[spec[1]]
        label, number, kind, *content = spec
        known = None if number is None else self.registry.known[number].value
        return getattr(self, f"_{kind}")(label, known, *content)

    def _same(self, label: int, known: Any) -> Any:
        self.memo[label] = known
        return known

    def _tensor(self, label: int, known: Any, name: str, device: str) -> Any:
        # A copy, in memory that is aligned as that of other tensors: sums round alike then.
        found = torch.from_numpy(self.arrays[name]).clone().to(device)
        if known is not None:
            with torch.no_grad():
                known.copy_(found)
            found = known
        self.memo[label] = found
        return found

    def _generator(self, label: int, known: Any, name: str) -> Any:
        known.set_state(torch.from_numpy(self.arrays[name]))
        return self._same(label, known)

    def _dict(self, label: int, known: Any, items: list[Any]) -> Any:
        found = self.memo[label] = {} if known is None else known
        values = [(self.read(key), self.read(item)) for key, item in items]
        found.clear()
        found.update(values)
        return found

    def _list(self, label: int, known: Any, items: list[Any]) -> Any:
        found = self.memo[label] = [] if known is None else known
        values = [self.read(item) for item in items]
        found[:] = values
        return found

    def _tuple(self, label: int, known: Any, name: str | None, items: list[Any]) -> Any:
        values = [self.read(item) for item in items]
        if known is None:
            known = tuple(values) if name is None else _class(name, tuple)(*values)
        self.memo[label] = known
        return known

    def _object(self, label: int, known: Any, name: str, items: list[Any]) -> Any:
        if known is None:
            cls = _class(name)
            known = object.__new__(cls)
        self.memo[label] = known
        values = {key: self.read(item) for key, item in items}
        vars(known).clear()
        vars(known).update(values)
        return known

    def _ndarray(self, label: int, known: Any, name: str) -> Any:
        return self._same(label, self.arrays[name])

    def _scalar(self, label: int, known: Any, name: str) -> Any:
        return self._same(label, self.arrays[name][()])


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return list(value)
    return list(vars(value).values()) if _is_ours(value) else []


def _is_ours(value: Any, form: type | None = None) -> bool:
    """Whether an object of this package is described by its attributes, or as a named tuple."""
    if type(value).__module__.partition(".")[0] != _PACKAGE or hasattr(value, "opaque"):
        return False
    return hasattr(value, "__dict__") if form is None else isinstance(value, form)


def _version(value: Any) -> int:
    return value._version if isinstance(value, torch.Tensor) else 0


def _class_name(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _dtype(name: str) -> Any:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{name} is no type of numbers.")
    return found


def _class(name: str, base: type = object) -> type:
    """Class of this package by its name; what its modules import from elsewhere is none."""
    module, _, path = name.partition(":")
    if module.partition(".")[0] != _PACKAGE:
        raise ValueError(f"{name} is no class of this package.")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    own = isinstance(found, type) and (found.__module__, found.__qualname__) == (module, path)
    if not (own and issubclass(found, base)):
        raise ValueError(f"{name} is no class of this package.")
    return found
