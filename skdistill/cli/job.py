"""One run of the command line: read, split, reduce, compare, write, draw."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.utils import _safe_indexing

from .compare import MAX_ROWS_KERNEL_RIDGE, Contender, compare, make_estimator
from .learnt import learn_rows
from .methods import METHODS
from .preprocess import make_preprocessor
from .reading import read_table
from .report import describe_small_set, describe_table, draw, footnote, format_table, say
from .table import InputError
from .task import check_target, guess_task, split_rows
from .writing import check_output, encoding_note, output_format, write_learnt, write_rows

DEFAULT_ROWS = 200


def run(options: argparse.Namespace) -> None:
    """Do what the options say; everything is checked before the work begins.

    Parameters
    ----------
    options : Namespace
        From the parser of `make_parser`.

    Raises
    ------
    InputError
        If the input, the options or the output cannot be worked with.
    """
    check_output(options.output, "-o", options.source)
    _check_picture(options.picture, options.source)
    table = read_table(options.source, options.target, tuple(options.drop))
    if options.output:
        output_format(options.output, table)
    task = guess_task(table.y) if options.task == "auto" else options.task
    y, labels = check_target(table, task)
    train, test = split_rows(y, task, options.test_size, options.seed)
    X_train, X_test = _safe_indexing(table.X, train), _safe_indexing(table.X, test)
    m = _check_budget(options.n_samples, len(train), labels, table.target)
    estimator_name = _check_names(options, task)
    method = METHODS[options.method]
    preprocessor, encoded = make_preprocessor(
        X_train, share_scale=table.is_images, scaled=not method.learns
    )
    say(describe_table(table, task, labels))
    say(f"features: {encoded}")

    import_module("torch")  # now, so that the seconds below are those of the method
    distiller = method.make(m, options.loss, preprocessor, task, options.seed)
    start = perf_counter()
    names = None
    with warnings.catch_warnings():  # what follows says the same in the output
        warnings.filterwarnings("ignore", ".*distinct rows of positive weight", UserWarning)
        if method.learns:
            model, X_train, X_test, preprocessor, names = learn_rows(
                distiller, preprocessor, table, task, (X_train, y[train]), X_test
            )
            distiller = model.distiller_
            small = distiller.distilled_
        else:
            small = distiller.fit_distill(X_train, y[train])
    seconds = perf_counter() - start
    say(describe_small_set(small, distiller, len(train), seconds))
    wrote = ""
    if options.output:  # first of all: whatever comes after it, this work is done
        if names is None:
            chosen = train[small.indices]
            column = write_rows(table, chosen, small.sample_weight, options.output, classes=labels)
            what = f"{len(chosen):,} rows"
        else:
            column = write_learnt(table, small, names, options.output)
            what = f"{len(small):,} learnt rows, {encoding_note(table, names)}"
        wrote = f"{options.output} is written"
        say(f"wrote {options.output}: {what}, weights in {column!r}")
    say("")
    with _keeping(wrote):
        weights = None if estimator_name == "knn" else small.sample_weight
        own = method.learns and estimator_name == "krr"
        contender: tuple | Contender = (small.X, small.y, weights)
        if own:
            score = model.score(X_test, y[test])
            contender = Contender("small set", len(small), [score], [seconds])
        contenders = compare(
            make_estimator(estimator_name, task, len(small), options.seed),
            preprocessor,
            task,
            (X_train, y[train]),
            contender,
            (X_test, y[test]),
            max_rows=MAX_ROWS_KERNEL_RIDGE if estimator_name == "krr" else None,
            seed=options.seed,
        )
        score_name = "accuracy" if task == "classification" else "R2"
        say(format_table(contenders, estimator_name, score_name))
        say(footnote(estimator_name, len(test), len(train), own=own))
        if options.picture:
            what = f"{score_name} of {estimator_name} on {len(test):,} test rows"
            data = (X_train, y[train])
            draw(options.picture, table, small, *data, labels, preprocessor, contenders, what)
            say(f"drew {options.picture}")


@contextmanager
def _keeping(wrote: str) -> Iterator[None]:
    """Say what is written already, in the one line of whatever ends the work after it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(*([wrote] if wrote else [])) from stop
    except Exception as error:
        if not wrote:
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{wrote}, but what came after it failed: {type(error).__name__}: {reason}"
        ) from error


def _check_budget(
    n: int | float | None, n_train: int, labels: np.ndarray | None, target: str
) -> int:
    """Return the rows of the small set: by default 200, or half of at most 200 rows."""
    least = 2 if labels is None else len(labels)
    if n is None:
        n = DEFAULT_ROWS if n_train > DEFAULT_ROWS else max(least, n_train // 2)
    if isinstance(n, float):
        n = max(1, round(n * n_train))
    if n > n_train:
        raise InputError(f"-n {n:,} is more than the {n_train:,} training rows")
    if n < least:
        what = "the 2 rows that any model needs" if labels is None else f"the {least:,} classes of"
        raise InputError(
            f"-n {n:,} is less than {what}" + (f" {target!r}" if labels is not None else "")
        )
    return n


def _check_names(options: argparse.Namespace, task: str) -> str:
    """Return the name of the estimator; refuse names that do not go with the task."""
    method = METHODS[options.method]
    if options.loss is not None and options.loss not in method.losses:
        raise InputError(
            f"--loss {options.loss} is not for --method {options.method}; take"
            f" {' or '.join(method.losses)}"
        )
    default = "logistic" if task == "classification" else "ridge"
    name = options.estimator or ("krr" if method.learns else default)
    if task == "regression" and name == "logistic":
        raise InputError(
            "--estimator logistic is for classes; take ridge, or --task classification"
        )
    if task == "regression" and options.loss == "cross_entropy":
        raise InputError("--loss cross_entropy is for classes; take squared_error")
    return name


def _check_picture(path: str | None, source: str) -> None:
    """Refuse a picture that cannot be drawn or written."""
    if path is None:
        return
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise InputError('--picture needs matplotlib: pip install "skdistill[plot]"') from error
    suffixes = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in suffixes:
        raise InputError(f"--picture {path!r} must end in one of {', '.join(sorted(suffixes))}")
    check_output(path, "--picture", source)
