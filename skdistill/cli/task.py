"""What is to be learnt from a target: classes or numbers, and which rows to test on."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from .table import InputError, Table

MAX_CLASSES_OF_NUMBERS = 50


def guess_task(y: np.ndarray) -> str:
    """Return "classification" or "regression", whichever the target looks like.

    Texts and booleans are classes. Numbers are classes if there are but two of them, or if they are
    whole and take few distinct values: at most 50, and at most a tenth of the rows (though ten
    always pass).

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The target, nothing missing.

    Returns
    -------
    {"classification", "regression"}
        The guess.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.cli.task import guess_task
    >>> guess_task(np.array(["cat", "dog"])), guess_task(np.array([0.5, 1.25]))
    ('classification', 'regression')
    """
    if y.dtype.kind not in "fiu":
        return "classification"
    values = np.unique(y)
    if len(values) == 2 < len(y):
        return "classification"
    few = len(values) <= min(MAX_CLASSES_OF_NUMBERS, max(10, len(y) // 10))
    return "classification" if few and np.all(values == np.round(values)) else "regression"


def split_rows(
    y: np.ndarray, task: str, test_size: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the training rows and of the test rows.

    Classes are split in proportion; a class with a single row stays in the training part.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The target.

    task : {"classification", "regression"}
        What is learnt.

    test_size : float
        Share of the rows to test on, below 1; 0 keeps all to train on.

    seed : int
        Decides which.

    Returns
    -------
    train : ndarray of int
        Sorted positions of the rows to train on.

    test : ndarray of int
        The same of those to test on.

    Raises
    ------
    InputError
        If either part would be too small.
    """
    rows, strata = np.arange(len(y)), None
    if not test_size:
        return rows, rows[:0]
    alone = rows[:0]
    if task == "classification":
        _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        alone = rows[counts[codes] == 1]
        rows = rows[counts[codes] > 1]
        strata = codes[rows]
    n_strata = 1 if strata is None else len(np.unique(strata))
    n_test = int(np.ceil(test_size * len(rows)))
    if min(n_test, len(rows) - n_test) < max(2, n_strata):
        raise InputError(
            f"{len(y):,} rows are too few to test on a share of {test_size:g} of them"
            + (f" with {n_strata:,} classes in both parts" if n_strata > 1 else "")
            + "; change --test-size or give more rows"
        )
    train, test = train_test_split(rows, test_size=n_test, random_state=seed, stratify=strata)
    return np.sort(np.concatenate([train, alone])), np.sort(test)


def check_target(table: Table, task: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the target in the form that estimators take, and the classes if there are any.

    Parameters
    ----------
    table : Table
        What was read.

    task : {"classification", "regression"}
        What is to be learnt.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        Numbers as float64, or the positions of classes in `labels`.

    labels : ndarray of shape (n_classes,) or None
        The classes, sorted; but of two, the rarer one comes second, because scores look for it.

    Raises
    ------
    InputError
        If there is a single class, or a text is to be regressed on.
    """
    if task == "regression" and table.y.dtype.kind not in "fiub":
        raise InputError(
            f"the target {table.target!r} holds texts, which are classes; leave out"
            " --task regression"
        )
    labels, codes, counts = np.unique(table.y, return_inverse=True, return_counts=True)
    if len(labels) == 1:
        what = "class" if task == "classification" else "value"
        raise InputError(
            f"the target {table.target!r} has a single {what}, {labels[0]}; choose another with"
            " --target"
        )
    if task == "regression":
        return table.y.astype(np.float64), None
    if len(labels) > max(2, len(table.y) // 2) and labels.dtype.kind not in "fiub":
        raise InputError(
            f"the target {table.target!r} holds {len(labels):,} different texts in"
            f" {len(table.y):,} rows, such as {labels[0]}, which are no classes; choose another"
            " with --target"
        )
    if len(labels) == 2 and counts[0] < counts[1]:
        return 1 - codes, labels[::-1]
    return codes, labels
