"""Replace a training set of n rows by m << n rows that train nearly the same model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auto import AutoDistiller
    from .coreset import SensitivityCoreset
    from .data import DistilledData
    from .distiller import DatasetDistiller
    from .meta import DistilledClassifier, DistilledRegressor

__all__ = [
    "AutoDistiller",
    "DatasetDistiller",
    "DistilledClassifier",
    "DistilledData",
    "DistilledRegressor",
    "SensitivityCoreset",
]
__version__ = "0.1.0"

# Loaded when they are asked for: scikit-learn takes seconds, in which Ctrl-C must find the command
# line at work already.
_PLACES = {
    "AutoDistiller": "auto",
    "DatasetDistiller": "distiller",
    "DistilledClassifier": "meta",
    "DistilledData": "data",
    "DistilledRegressor": "meta",
    "SensitivityCoreset": "coreset",
}
_MODULES = ("data", "evaluation", "features", "inspection", "networks", "objectives", "support")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
