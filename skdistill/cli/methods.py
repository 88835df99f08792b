"""The methods that the command line makes a small set with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.preprocessing import FunctionTransformer

from ..auto import AutoDistiller
from ..coreset import LOSSES, SensitivityCoreset
from ..distiller import DatasetDistiller


@dataclass(frozen=True)
class Wish:
    """What a small set is to be like.

    Attributes
    ----------
    n_samples : int
        Rows of it.

    task : {"classification", "regression"}
        What the target is.

    seed : int
        Decides every random choice.

    loss : str or None
        As given by ``--loss``; None takes the default of the class.

    estimator : estimator or None
        What is to be trained on it.

    scoring : str or None
        What the estimator is judged by.

    preprocessor : "auto" or None
        Makes numbers of the rows, where they are not encoded yet.

    verbose : int
        Whether to tell how far the work is.
    """

    n_samples: int
    task: str
    seed: int
    loss: str | None = None
    estimator: Any = None
    scoring: str | None = None
    preprocessor: Any = None
    verbose: int = 0


@dataclass(frozen=True)
class Method:
    """One way to make a small set, and which options go with it.

    Attributes
    ----------
    make : callable
        Wish -> a distiller that is not fitted.

    losses : tuple of str
        What ``--loss`` may be.

    learns : bool
        Whether rows are learnt, in the encoded columns, rather than chosen from the table.
    """

    make: Callable[[Wish], Any]
    losses: tuple[str, ...] = ()
    learns: bool = False


def make_auto(wish: Wish) -> AutoDistiller:
    """Return a distiller that tries several kinds of rows on the estimator, not fitted.

    Parameters
    ----------
    wish : Wish
        What the set is to be like.

    Returns
    -------
    AutoDistiller
        Hands out rows of the table, as they are.
    """
    return AutoDistiller(
        wish.n_samples,
        candidates="rows",
        estimator=wish.estimator,
        scoring=wish.scoring,
        target_type=wish.task,
        random_state=wish.seed,
        verbose=wish.verbose,
    )


def make_coreset(wish: Wish) -> SensitivityCoreset:
    """Return a coreset that is not fitted.

    Parameters
    ----------
    wish : Wish
        What the set is to be like.

    Returns
    -------
    SensitivityCoreset
        Not fitted.
    """
    coreset = SensitivityCoreset(
        wish.n_samples,
        preprocessor=wish.preprocessor or FunctionTransformer(),  # rows have their units already
        target_type=wish.task,
        random_state=wish.seed,
    )
    return coreset if wish.loss is None else coreset.set_params(loss=wish.loss)


def make_distiller(wish: Wish) -> DatasetDistiller:
    """Return a distiller of learnt rows, not fitted.

    Parameters
    ----------
    wish : Wish
        What the set is to be like; the loss is that by which rows are drawn into the batches.

    Returns
    -------
    DatasetDistiller
        Not fitted.
    """
    return DatasetDistiller(
        wish.n_samples,
        batch_loss="auto" if wish.loss is None else wish.loss,
        target_type=wish.task,
        random_state=wish.seed,
        verbose=wish.verbose,
    )


METHODS = {
    "auto": Method(make_auto),
    "coreset": Method(make_coreset, LOSSES),
    "distill": Method(make_distiller, ("cross_entropy", "squared_error"), learns=True),
}
