"""One run of the command line: read, split, reduce, write, compare, draw."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..meta import DistilledClassifier, DistilledRegressor
from .compare import MAX_ROWS_KERNEL_RIDGE, Contender, Rows, compare
from .estimators import make_estimator
from .features import Features, encode
from .methods import METHODS, Wish
from .picture import draw
from .reading import read_table
from .report import (
    describe_candidates,
    describe_classes,
    describe_small_set,
    describe_table,
    footnote,
    format_table,
    say,
)
from .scores import check_scores, make_scores, score_all
from .table import InputError, Table
from .task import check_target, guess_task, split_rows
from .writing import check_output, encoding_note, output_format, write_learnt, write_rows

DEFAULT_ROWS = 200
TEST_SIZE = 0.25


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
    for path, option in ((options.output, "-o"), (options.test_out, "--test-out")):
        check_output(path, option, options.source)
    test_size = _check_test_size(options)
    _check_picture(options.picture, options.source)
    table = read_table(
        options.source, options.target, tuple(options.drop), options.weight, options.header
    )
    for path, option in ((options.output, "-o"), (options.test_out, "--test-out")):
        if path:
            output_format(path, table, option)
    task = guess_task(table.y) if options.task == "auto" else options.task
    y, labels = check_target(table, task)
    train, test = split_rows(y, task, test_size, options.seed)
    m = _check_budget(options.n_samples, len(train), labels, table.target)
    method_name, estimator_name = _check_names(options, task)
    method = METHODS[method_name]
    estimator = make_estimator(estimator_name, task, m, options.seed)
    scores = make_scores(task, 0 if labels is None else len(labels), options.scoring)
    check_scores(scores, options.scoring, y)
    say(describe_table(table, task, labels))
    features = encode(table, train, test)
    say(f"features: {features.description}")

    import_module("torch")  # now, so that the seconds below are those of the method
    wish = Wish(
        m,
        task,
        options.seed,
        options.loss,
        estimator,
        options.scoring or _plain(task),
        verbose=int(sys.stderr.isatty()),  # whoever waits sees how far the work is
    )
    weights = None if table.weight is None else table.weight[train]
    start = perf_counter()
    fitted = _fit(method.make(wish), method.learns, task, (features.train, y[train], weights))
    distiller = fitted.distiller_ if method.learns else fitted
    small = distiller.distilled_
    seconds = perf_counter() - start
    say(describe_small_set(small, distiller, len(train), seconds))
    if labels is not None:
        say(describe_classes(labels, small.y, y[train]))
    say(describe_candidates(distiller, estimator_name, next(iter(scores))), end="")
    wrote = _write(options, table, small, train, test, labels, features)
    if options.no_compare or not len(test):
        return
    say("")
    with _keeping(wrote):
        score_name = next(iter(scores))
        takes_weights = estimator_name != "knn"
        held_out = (features.test, y[test], None if table.weight is None else table.weight[test])
        own = method.learns and estimator_name == "krr"
        contender: Rows | Contender = (
            small.X,
            small.y,
            small.sample_weight if takes_weights else None,
        )
        if own:
            found = score_all(scores, fitted, held_out)
            contender = Contender("small set", len(small), [found], [seconds])
        contenders = compare(
            estimator,
            scores,
            (features.train, y[train], weights if takes_weights else None),
            contender,
            held_out,
            max_rows=MAX_ROWS_KERNEL_RIDGE if estimator_name == "krr" else None,
            seed=options.seed,
        )
        say(format_table(contenders, estimator_name))
        say(footnote(estimator_name, len(test), len(train), own=own))
        if options.picture:
            what = f"{score_name} of {estimator_name} on {len(test):,} test rows"
            data = (features.train, y[train])
            draw(options.picture, table, small, *data, labels, contenders, score_name, what)
            say(f"drew {options.picture}")


def _fit(distiller: Any, learns: bool, task: str, rows: Rows) -> Any:
    """Return the fitted distiller, or of learnt rows the predictor that they are for."""
    if learns:
        meta = DistilledClassifier if task == "classification" else DistilledRegressor
        distiller = meta(distiller=distiller)
    X, y, weights = rows
    # What is told on the way is no result.
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        # What follows says the same in the output.
        warnings.filterwarnings("ignore", ".*distinct rows of positive weight", UserWarning)
        try:
            return distiller.fit(X, y, sample_weight=weights)
        except ValueError as error:
            if "Every candidate failed" not in str(error):
                raise
            raise InputError(str(error)) from error


def _write(
    options: argparse.Namespace,
    table: Table,
    small: Any,
    train: np.ndarray,
    test: np.ndarray,
    labels: np.ndarray | None,
    features: Features,
) -> str:
    """Write the files that were asked for, and return what to say of them later."""
    wrote = []
    if options.output:  # first of all: whatever comes after it, this work is done
        if small.indices is not None:
            chosen = train[small.indices]
            column = write_rows(table, chosen, small.sample_weight, options.output, labels)
            what = f"{len(chosen):,} rows"
        else:
            y = small.y if labels is None else labels[small.y]
            X = features.in_units(small.X)
            column = write_learnt(table, small, X, y, labels, features.names, options.output)
            what = f"{len(small):,} learnt rows, {encoding_note(table, features.names)}"
        say(f"wrote {options.output}: {what}, weights in {column!r}")
        wrote.append(options.output)
    if options.test_out:
        write_rows(table, test, None, options.test_out, labels, option="--test-out")
        say(f"wrote {options.test_out}: the {len(test):,} test rows")
        wrote.append(options.test_out)
    return f"{' and '.join(wrote)} is written" if wrote else ""


def _plain(task: str) -> str:
    return "accuracy" if task == "classification" else "r2"


def _check_test_size(options: argparse.Namespace) -> float:
    """Return the share of the rows to test on; 0 where nothing is done with them."""
    size = options.test_size
    if size is None:
        size = 0.0 if options.no_compare and not options.test_out else TEST_SIZE
    if not size and options.test_out:
        raise InputError("--test-out has no rows to write with --test-size 0; give a share")
    if options.picture and (options.no_compare or not size):
        raise InputError("--picture shows a comparison; leave out --no-compare and --test-size 0")
    return size


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


def _check_names(options: argparse.Namespace, task: str) -> tuple[str, str]:
    """Return the names of method and estimator; refuse those that do not go with the task."""
    name = options.method or ("coreset" if options.loss else "auto")
    method = METHODS[name]
    if options.loss is not None and options.loss not in method.losses:
        losses = " or ".join(method.losses)
        raise InputError(
            f"--loss {options.loss} is not for --method {name}; take {losses or '--method coreset'}"
        )
    default = "logistic" if task == "classification" else "ridge"
    estimator = options.estimator or ("krr" if method.learns else default)
    if task == "regression" and estimator == "logistic":
        raise InputError(
            "--estimator logistic is for classes; take ridge, or --task classification"
        )
    if task == "regression" and options.loss == "cross_entropy":
        raise InputError("--loss cross_entropy is for classes; take squared_error")
    return name, estimator


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
