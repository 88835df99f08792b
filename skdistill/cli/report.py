"""Tell what the command line did: one line on the table, one aligned table, one picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._files import replacing
from ..inspection import DistilledDataDisplay
from .compare import MAX_ROWS_KERNEL_RIDGE, Contender
from .table import InputError, Table


def say(text: str, end: str = "\n") -> None:
    r"""Print a text at once; names and labels of the user's file must not steer the terminal.

    Parameters
    ----------
    text : str
        To print.

    end : str, default="\n"
        What follows.
    """
    print(printable(text), end=end, flush=True)


def printable(text: str) -> str:
    """Write what is no letter, such as the escape of a terminal, as an escape of Python.

    Parameters
    ----------
    text : str
        Of any characters; line ends stay.

    Returns
    -------
    str
        To print.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )


def describe_table(table: Table, task: str, labels: np.ndarray | None) -> str:
    """Tell rows, columns, which target was taken and what it was taken for.

    Parameters
    ----------
    table : Table
        What was read.

    task : {"classification", "regression"}
        What is learnt.

    labels : ndarray of shape (n_classes,) or None
        The classes.

    Returns
    -------
    str
        To print.
    """
    n_columns = table.X.shape[1]
    values = labels if labels is not None else np.unique(table.y)
    kind = "classes" if labels is not None else "numbers"
    note = f" ({table.target_note})" if table.target_note else ""
    return (
        f"{table.name}: {len(table.y):,} rows, {n_columns:,} column{'s' * (n_columns > 1)}; target"
        f" {table.target}{note}: {len(values):,} {kind}, {task}"
    )


def describe_small_set(small: Any, distiller: Any, n_train: int, seconds: float) -> str:
    """Tell how many rows were made, by which method, and in what time.

    Parameters
    ----------
    small : DistilledData
        The small set.

    distiller : SensitivityCoreset or DatasetDistiller
        What made it.

    n_train : int
        Rows it was made from.

    seconds : float
        Time it took.

    Returns
    -------
    str
        To print.
    """
    if small.indices is None:
        method = f"{type(distiller).__name__}(objective={distiller.objective!r})"
        method += f", learnt in {distiller.n_iter_:,} steps"
        rows = f"{len(small):,} rows for {n_train:,} training rows"
    else:
        method = f"{type(distiller).__name__}(loss={distiller.loss!r})"
        rows = f"{len(small):,} of {n_train:,} training rows"
    if len(small) < distiller.n_samples:
        rows += " (no more are distinct)"
    return f"small set: {rows}, {method}, {seconds:.2f} s"


def format_table(contenders: list[Contender], estimator: str, score_name: str) -> str:
    """Align what was trained on, its rows, score and seconds.

    Parameters
    ----------
    contenders : list of Contender
        One line each.

    estimator : str
        Name of what was trained.

    score_name : str
        Name of the score.

    Returns
    -------
    str
        Several lines to print.
    """
    lines = [(f"{estimator} on", "rows", score_name, "fit seconds")]
    for entry in contenders:
        score = f"{np.mean(entry.scores):.3f}"
        if len(entry.scores) > 1:
            score += f" +/- {np.std(entry.scores, ddof=1):.3f}"
        lines.append((entry.name, f"{entry.n_rows:,}", score, f"{np.mean(entry.seconds):.3f}"))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {rows:>{widths[1]}}  {score:<{widths[2]}}  {seconds:>{widths[3]}}"
        for name, rows, score, seconds in lines
    )


def footnote(estimator: str, n_test: int, n_train: int, *, own: bool = False) -> str:
    """Tell what the numbers of the table are.

    Parameters
    ----------
    estimator : str
        Name of what was trained.

    n_test : int
        Rows that were scored on.

    n_train : int
        Rows that could be trained on.

    own : bool, default=False
        Whether the small set was scored by the predictor it was learnt for.

    Returns
    -------
    str
        One line or more to print.
    """
    lines = [
        f"Scores on {n_test:,} test rows, seconds on one thread; uniform rows: mean and standard"
        " deviation of 5 draws."
    ]
    if estimator == "knn":
        lines.append("knn takes no weights and was trained without them (use_weights=False).")
    if own:
        lines.append(
            "krr on the small set is the predictor that its rows were learnt for; its seconds are"
            " those of the learning."
        )
    if estimator == "krr" and n_train > MAX_ROWS_KERNEL_RIDGE:
        lines.append(
            f"krr needs time and memory for all pairs of rows: {MAX_ROWS_KERNEL_RIDGE:,} stand for"
            " all."
        )
    return "\n".join(lines)


def draw(
    path: str,
    table: Table,
    small: Any,
    X: Any,
    y: np.ndarray,
    labels: np.ndarray | None,
    preprocessor: Any,
    contenders: list[Contender],
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

    X : ndarray or DataFrame of shape (n_train, n_features)
        The rows it was made from.

    y : ndarray of shape (n_train,)
        Their target.

    labels : ndarray of shape (n_classes,) or None
        The classes.

    preprocessor : transformer
        Makes numbers of the rows.

    contenders : list of Contender
        What was scored.

    score_name : str
        Name of the score.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    height = 4.4 if table.is_images else 5.5
    figure = Figure(figsize=(12, height), layout="constrained")
    DistilledDataDisplay.from_distilled(
        small,
        X,
        y,
        preprocessor=preprocessor,
        image_shape=table.row_shape if table.is_images else None,
        classes=labels,
        scores={entry.name: entry.scores for entry in contenders},
        score_name=score_name,
        target_name=table.target,
        ax=figure.subplots(1, 2, width_ratios=(1.7, 1)),
    )
    try:
        with replacing(path) as beside:
            figure.savefig(beside, dpi=150)
    except OSError as error:
        raise InputError(f"--picture {path!r} cannot be written: {error.strerror}") from error
