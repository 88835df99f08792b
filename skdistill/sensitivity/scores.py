"""What a loss says about each distinct row, in the form the draw needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Scores of u distinct rows.

    Attributes
    ----------
    sensitivity : float64 ndarray of shape (u,)
        Reported to the user: a bound on the row's share in the loss, or its relative loss.
    importance : float64 ndarray of shape (u,)
        What the draw is proportional to (before uniform mixing).
    cell : int ndarray of shape (u,)
        Rows of one cell are neighbours; the systematic draw walks cell by cell.
    rank : float32 ndarray of shape (u,), non-negative
        Order within a cell.
    calibrated : bool
        Whether ``calibrate="auto"`` scales the weights of each cell to its mass.
    """

    sensitivity: np.ndarray
    importance: np.ndarray
    cell: np.ndarray
    rank: np.ndarray
    calibrated: bool = False
