"""Replace a training set of n rows by m << n rows that train nearly the same model."""

from __future__ import annotations

__version__ = "0.1.0"
