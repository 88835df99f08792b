"""The methods that the command line makes a small set with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..coreset import LOSSES, SensitivityCoreset
from ..distiller import DatasetDistiller


@dataclass(frozen=True)
class Method:
    """One way to make a small set, and which options go with it.

    Attributes
    ----------
    make : callable
        Rows, loss or None, preprocessor, task and seed -> a distiller that is not fitted.

    losses : tuple of str
        What ``--loss`` may be.

    learns : bool
        Whether rows are learnt, in the encoded columns, rather than chosen from the table.
    """

    make: Callable[[int, str | None, Any, str, int], Any]
    losses: tuple[str, ...]
    learns: bool = False


def make_coreset(
    n_samples: int, loss: str | None, preprocessor: Any, task: str, seed: int
) -> SensitivityCoreset:
    """Return a coreset that is not fitted.

    Parameters
    ----------
    n_samples : int
        Rows to choose.

    loss : str or None
        A loss by name; None takes the default of the class.

    preprocessor : transformer
        Makes the features that the rows are judged by.

    task : {"classification", "regression"}
        What the target is.

    seed : int
        Decides the draw.

    Returns
    -------
    SensitivityCoreset
        Not fitted.
    """
    coreset = SensitivityCoreset(
        n_samples, preprocessor=preprocessor, target_type=task, random_state=seed
    )
    return coreset if loss is None else coreset.set_params(loss=loss)


def make_distiller(
    n_samples: int, loss: str | None, preprocessor: Any, task: str, seed: int
) -> DatasetDistiller:
    """Return a distiller that is not fitted.

    Parameters
    ----------
    n_samples : int
        Rows to learn.

    loss : str or None
        What draws rows into the batches; None takes the default of the class.

    preprocessor : None
        Not used: the distiller is fitted to encoded rows, which it scales itself.

    task : {"classification", "regression"}
        What the target is.

    seed : int
        Decides the start, the held-out rows and the batches.

    Returns
    -------
    DatasetDistiller
        Not fitted.
    """
    return DatasetDistiller(
        n_samples,
        batch_loss="auto" if loss is None else loss,
        target_type=task,
        random_state=seed,
    )


METHODS = {
    "coreset": Method(make_coreset, LOSSES),
    "distill": Method(make_distiller, ("cross_entropy", "squared_error"), learns=True),
}
