"""Replace a training set of n rows by m << n rows that train nearly the same model."""

from __future__ import annotations

from .coreset import SensitivityCoreset
from .data import DistilledData

__all__ = ["DistilledData", "SensitivityCoreset"]
__version__ = "0.1.0"
