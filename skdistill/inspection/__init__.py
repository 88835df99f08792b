"""Pictures of small sets, drawn by matplotlib."""

from __future__ import annotations

from ._distilled import DistilledDataDisplay

__all__ = ["DistilledDataDisplay"]
