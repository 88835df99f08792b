"""Who called: for warnings that point at the user's own line, and for Ctrl-C by hand."""

from __future__ import annotations

import sys
import warnings
from typing import Any

INSIDE = {"skdistill", "sklearn", "joblib"}  # packages whose frames are between us and the user


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the innermost frame outside the packages that `fit` goes through."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and _package(frame.f_globals) in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def called_by_hand(estimator: Any) -> bool:
    """Whether the method of `estimator` that runs was called from the prompt or a notebook's cell.

    Not so inside a search, a pipeline or a function of the user's: there an interruption must end
    the whole, and not go on with what is half done.
    """
    main = sys.modules.get("__main__")
    if not (hasattr(sys, "ps1") or sys.flags.interactive) or main is None:
        return False
    frame = sys._getframe().f_back
    while frame is not None and _package(frame.f_globals) in INSIDE:
        own = frame.f_locals.get("self", frame.f_locals.get("estimator"))
        if own is not estimator:
            return False
        frame = frame.f_back
    return frame is not None and frame.f_locals is frame.f_globals is vars(main)


def _package(names: dict) -> str:
    return str(names.get("__name__", "")).split(".")[0]
