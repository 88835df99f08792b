"""The small data set: what it holds, how it is read, converted and stored."""

from .distilled_data import DistilledData

__all__ = ["DistilledData"]
