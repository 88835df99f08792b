"""The methods that the command line makes a small set with."""

from __future__ import annotations

from typing import Any

from ..coreset import SensitivityCoreset


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


METHODS = {"coreset": make_coreset}
