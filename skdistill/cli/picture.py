"""Draw the small set and the scores into a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._files import replacing
from ..data import DistilledData
from ..inspection import DistilledDataDisplay
from .compare import Contender
from .table import InputError, Table


def draw(
    path: str,
    table: Table,
    small: Any,
    X: Any,
    y: np.ndarray,
    labels: np.ndarray | None,
    contenders: list[Contender],
    score: str,
    score_name: str,
) -> None:
    """Draw the small set and the scores into a file, without any window.

    Parameters
    ----------
    path : str
        File to write.

    table : Table
        What was read.

    small : DistilledData
        The small set.

    X : ndarray of shape (n_train, n_features)
        The rows it was made from, encoded.

    y : ndarray of shape (n_train,)
        Their target, numbers or positions in `labels`.

    labels : ndarray of shape (n_classes,) or None
        The classes.

    contenders : list of Contender
        What was scored.

    score : str
        Name of the score to draw.

    score_name : str
        What to call it.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    height = 4.4 if table.is_images else 5.5
    figure = Figure(figsize=(12, height), layout="constrained")
    shape: tuple[int, ...] | None = table.row_shape if table.is_images else None
    rows = small.X
    if shape is not None and len(shape) == 3:  # colours come last in files, and here first
        places = np.moveaxis(np.arange(X.shape[1]).reshape(shape), 2, 0).ravel()
        X, rows, shape = X[:, places], rows[:, places], (shape[2], *shape[:2])
    if labels is not None:
        y = labels[y]
        small = DistilledData(rows, labels[small.y], small.sample_weight)
        labels = np.sort(labels)
    else:
        small = DistilledData(rows, small.y, small.sample_weight)
    DistilledDataDisplay.from_distilled(
        small,
        X,
        y,
        image_shape=shape,
        classes=labels,
        scores={entry.name: entry.values(score).tolist() for entry in contenders},
        score_name=score_name,
        target_name=table.target,
        ax=figure.subplots(1, 2, width_ratios=(1.7, 1)),
    )
    try:
        with replacing(path) as beside:
            figure.savefig(beside, dpi=150)
    except OSError as error:
        raise InputError(f"--picture {path!r} cannot be written: {error.strerror}") from error
