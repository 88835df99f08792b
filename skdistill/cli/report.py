"""Tell what the command line did: one line on the table, one aligned table."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compare import MAX_ROWS_KERNEL_RIDGE, Contender
from .table import Table

CANDIDATES_SHOWN = 5
CLASSES_SHOWN = 12


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
    first = (
        f"{table.name}: {len(table.y):,} rows, {n_columns:,} column{'s' * (n_columns > 1)}; target"
        f" {table.target}{note}: {len(values):,} {kind}, {task}"
    )
    return "\n".join([first, *(f"note: {told}" for told in table.notes)])


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
    kind = type(distiller).__name__
    rows = f"{len(small):,} of {n_train:,} training rows"
    if small.indices is None:
        method = f"{kind}(objective={distiller.objective!r}), learnt in {distiller.n_iter_:,} steps"
        rows = f"{len(small):,} rows for {n_train:,} training rows"
    elif hasattr(distiller, "best_candidate_"):
        method = f"{kind}: {distiller.best_candidate_}"
    else:
        method = f"{kind}(loss={distiller.loss!r})"
    if len(small) < distiller.n_samples:
        rows += " (no more are distinct)"
    return f"small set: {rows}, {method}, {seconds:.2f} s"


def describe_classes(labels: np.ndarray, small: np.ndarray, train: np.ndarray) -> str:
    """Tell how many rows of each class there are.

    Parameters
    ----------
    labels : ndarray of shape (n_classes,)
        The classes.

    small, train : ndarray of int
        Positions in `labels`, for each row of the small set and of all training rows.

    Returns
    -------
    str
        The most frequent classes and, of many, the rarest one.
    """
    counts, all_counts = (np.bincount(y, minlength=len(labels)) for y in (small, train))
    order = np.argsort(labels)
    shown = order
    if len(order) > CLASSES_SHOWN:
        order = np.argsort(-all_counts, kind="stable")
        shown = np.append(order[: CLASSES_SHOWN - 2], order[-1])
    said = [f"{labels[k]}: {counts[k]:,} of {all_counts[k]:,}" for k in shown]
    if len(shown) < len(order):
        said.insert(-1, "...")
    return f"classes: {', '.join(said)}"


def describe_candidates(distiller: Any, estimator: str, score_name: str) -> str:
    """Show the kinds of rows that were tried, the chosen one first.

    Parameters
    ----------
    distiller : distiller
        Fitted.

    estimator : str
        Name of what judged them.

    score_name : str
        Name of what it was scored by.

    Returns
    -------
    str
        Several lines to print; none for a distiller that tried only one kind.
    """
    found = getattr(distiller, "candidate_scores_", None)
    if found is None or not found["n_rounds"].any():
        return ""
    gain = np.where(np.isnan(found["gain"]), -np.inf, found["gain"])
    order = sorted(range(len(gain)), key=lambda i: (-found["n_rounds"][i], -gain[i]))
    best = [i for i in order if found["candidate"][i] == distiller.best_candidate_][:1]
    order = best + [i for i in order if i not in best]
    shown = [i for i in order if i in order[:CANDIDATES_SHOWN] or i == 0]
    lines: list[tuple[str, ...]] = [("rows tried", "weights", score_name, "over uniform", "rounds")]
    for i in shown:
        lines.append(
            (
                str(found["candidate"][i]),
                "used" if found["use_weights"][i] else "not",
                f"{found['mean_score'][i]:.3f}",
                f"{found['gain'][i]:+.3f}",
                str(found["n_rounds"][i]),
            )
        )
    tried = f"{len(gain)} kinds of rows, each scored by {estimator} on held-out training rows:\n"
    return tried + aligned(lines) + "\n"


def format_table(contenders: list[Contender], estimator: str) -> str:
    """Align what was trained on, its rows, scores and seconds.

    Parameters
    ----------
    contenders : list of Contender
        One line each.

    estimator : str
        Name of what was trained.

    Returns
    -------
    str
        Several lines to print.
    """
    names = list(contenders[0].scores[0])
    names = [n for n in names if not all(np.isnan(entry.values(n)).all() for entry in contenders)]
    lines = [(f"{estimator} on", "rows", *names, "fit seconds")]
    for entry in contenders:
        said = []
        for name in names:
            values = entry.values(name)
            spread = f" +/- {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            said.append(f"{np.mean(values):.3f}{spread}")
        lines.append((entry.name, f"{entry.n_rows:,}", *said, f"{np.mean(entry.seconds):.3f}"))
    return aligned(lines)


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Put cells below each other, numbers to the right.

    Parameters
    ----------
    lines : list of tuple of str
        The cells of each line, the header first.

    Returns
    -------
    str
        Several lines to print.
    """
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    last = len(widths) - 1
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if column in (1, last) else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
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
        f"Scores on {n_test:,} test rows, seconds on one thread.",
        "Uniform rows: mean and standard deviation of 5 draws.",
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
