"""Warnings that point at the user's own line, however deep the call inside the package is."""

from __future__ import annotations

import sys
import warnings

INSIDE = {"skdistill", "sklearn", "joblib"}  # packages whose frames are between us and the user


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the innermost frame outside the packages that `fit` goes through."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and _package(frame.f_globals) in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _package(names: dict) -> str:
    return str(names.get("__name__", "")).split(".")[0]
