"""Replace a training set of n rows by m << n rows that train nearly the same model."""

from __future__ import annotations

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
