"""DataFrames, without importing the package that they come from."""

from __future__ import annotations

from typing import Any


def is_frame(value: Any) -> bool:
    """Tell whether `value` is a pandas DataFrame, without importing pandas."""
    return hasattr(value, "iloc") and hasattr(value, "columns")
