"""From what training has found to what the user gets: labels, weights, complaints."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._input.targets import Target
from ..batches.sampler import Scarce
from .trainer import TrainingResult

SCARCE_SHOWN = 3  # classes that a warning names


def labels_in_users_type(targets: np.ndarray, target: Target, y: np.ndarray) -> np.ndarray:
    """Labels like `y`: the class of the largest of the targets (m, q), or the numbers."""
    if target.classes is not None:
        return target.classes[targets.argmax(1)]
    if target.kind == "multilabel":
        return (targets > 0.5).astype(y.dtype)
    dtype = y.dtype if y.dtype.kind == "f" else np.dtype(np.float64)
    return targets.reshape((len(targets), *y.shape[1:])).astype(dtype)


def complaints(
    result: TrainingResult, scores: list[float], learning_rate: float, classes: Any
) -> list[tuple[str, type[Warning]]]:
    """Messages for the user, each with its category, where training did not go as it should.

    Parameters
    ----------
    result : TrainingResult
    scores : list of float
        Best score at each look at held-out rows.
    learning_rate : float
    classes : ndarray of shape (n_classes,) or None

    Returns
    -------
    list of (str, type)
    """
    found: list[tuple[str, type[Warning]]] = []
    if result.scarce:
        found.append((_scarce_classes(result.scarce, classes), UserWarning))
    if result.status == "diverged":
        message = (
            "Training diverged: the best rows on the way are kept. Use a smaller "
            f"learning_rate than {learning_rate!r}."
        )
        found.append((message, ConvergenceWarning))
    elif result.status == "collapsed" or _only_fell(scores):
        message = (
            "Training lost more than half of the start's score, and the start is kept. Use "
            f"more steps than the {result.n_iter} made, or a smaller learning_rate than "
            f"{learning_rate!r}."
        )
        found.append((message, ConvergenceWarning))
    elif result.status == "out_of_memory":
        message = (
            f"Out of memory after {result.n_iter} steps: the best rows so far are kept. Use a "
            "smaller batch_size or n_samples."
        )
        found.append((message, RuntimeWarning))
    elif result.status == "interrupted":
        message = f"Interrupted after {result.n_iter} steps: the best rows so far are kept."
        found.append((message, UserWarning))
    return found


def _only_fell(scores: list[float]) -> bool:
    """Whether no look at held-out rows beat the start and half of its score was lost.

    A start that stays the best is no failure where rows are few and noisy; steps that are too large
    lose nearly everything at once, and the first look after the start shows it.
    """
    fell = len(scores) > 1 and scores[1] < scores[0] and scores[-1] < 0.5 * scores[0]
    return fell and max(scores) == scores[0] > 0


def _scarce_classes(scarce: dict[int, Scarce], classes: Any) -> str:
    """Say which classes repeat themselves in class-balanced batches."""
    codes = sorted(scarce)
    told = []
    for code, label in list(zip(codes, classes[codes].tolist(), strict=True))[:SCARCE_SHOWN]:
        n_rows, share, size = scarce[code]
        rows = f"{n_rows} row{'s' if n_rows > 1 else ''}"
        told.append(f"class {label!r} has {rows} and a share of {share:.0f} in a batch of {size}")
    if len(codes) > SCARCE_SHOWN:
        told.append(f"{len(codes) - SCARCE_SHOWN} more are in the same case")
    least = min(c.n_rows * c.batch_size / c.share for c in scarce.values())
    return (
        "Rows of classes with fewer of them than their share of a batch are drawn with "
        f"replacement: {'; '.join(told)}. batch_size={int(least + 1e-6)} or less repeats none, and "
        "class_balance=False draws classes by their weight."
    )


def class_weights(
    small: np.ndarray, codes: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Weight W_c / m_c of each learnt row; classes without a row leave theirs to the others."""
    mass = np.bincount(codes, weights=sample_weight)
    count = np.bincount(small, minlength=len(mass))
    weight = (mass / np.maximum(count, 1))[small]
    return weight * (mass.sum() / weight.sum())


def rows_in_users_form(rows: np.ndarray, X: Any) -> Any:
    """Rows as a DataFrame where `X` is a pandas one, else as they are."""
    if hasattr(X, "iloc"):
        return type(X)(rows, columns=X.columns)
    return rows
