"""The arguments of ``python -m skdistill``."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from ..coreset import LOSSES
from .estimators import ESTIMATORS
from .forms import HEADERS
from .job import DEFAULT_ROWS, TEST_SIZE
from .methods import METHODS
from .table import EMBEDDED, FORMATS


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message alone and leave with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m skdistill``.

    Returns
    -------
    ArgumentParser
        Complains in one line and with status 2.
    """
    parser = _Parser(
        prog="python -m skdistill",
        description="Reduce a table to a few weighted rows, and show what they are worth: an"
        " estimator trained on all rows, on the small set, and on as many uniform rows.",
    )
    add = parser.add_argument
    package = sys.modules[__name__.partition(".")[0]]  # which is above all that it imports
    add("--version", action="version", version=f"skdistill {package.__version__}")
    add(
        "source",
        metavar="SOURCE",
        help=f"{', '.join(EMBEDDED)}, a file ({' '.join(FORMATS)}), or - for one that is piped in",
    )
    add(
        "--target",
        metavar="COLUMN",
        help="what to predict (default: the column named target,"
        " label, class or y, else the last; in npz files the array y)",
    )
    add(
        "--drop",
        metavar="COLUMN",
        action="append",
        default=[],
        help="columns that are no features, such as a name or number of the row: a,b; repeatable",
    )
    add(
        "--weight",
        metavar="COLUMN",
        help="what each row counts for (default: a column named sample_weight, or a last one named"
        " weight, as -o writes it; none: no column)",
    )
    add(
        "--header",
        choices=HEADERS,
        default="auto",
        help="whether the first row of a text file holds names (default: auto, which refuses one"
        " that looks like data)",
    )
    add(
        "--task",
        choices=("auto", "classification", "regression"),
        default="auto",
        help="auto guesses by the values of the target",
    )
    add(
        "-n",
        "--n-samples",
        type=_budget,
        metavar="N",
        help="rows of the small set, or a share of the training rows, 1%% or 0.01"
        f" (default: {DEFAULT_ROWS}, or half of so few rows)",
    )
    add(
        "--method",
        choices=tuple(METHODS),
        help="auto tries several kinds of rows and keeps the one that trains the estimator best,"
        " coreset chooses rows by one rule, distill learns them (default: auto, or coreset with"
        " --loss)",
    )
    add("--loss", choices=LOSSES, help="what rows are important for (default: the method's own)")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="write the small set, original columns (learnt rows: encoded ones) and weights, in the"
        " format of its suffix",
    )
    add(
        "--estimator",
        choices=ESTIMATORS,
        help="what the small set is to train (default: logistic for classes, ridge for numbers;"
        " for learnt rows krr, on the small set their own predictor)",
    )
    add(
        "--scoring",
        metavar="NAME",
        help="score of scikit-learn to judge by, such as roc_auc or neg_root_mean_squared_error"
        " (default: accuracy or R2)",
    )
    add(
        "--test-size",
        type=_share,
        metavar="SHARE",
        help=f"share of the rows to test on (default: {TEST_SIZE}); 0 keeps all rows to choose from"
        " and compares nothing",
    )
    add("--test-out", metavar="FILE", help="write the test rows too")
    add("--no-compare", action="store_true", help="make and write the small set, and stop there")
    add(
        "--stream",
        action="store_true",
        help="read a file larger than memory in parts, once: choose rows of all of it and write"
        " them, without a comparison",
    )
    add("--seed", type=_whole_number, default=0, help="decides every random choice (default: 0)")
    add("--picture", metavar="FILE", help="draw the small set and the scores (png, pdf, svg)")
    return parser


def _whole_number(text: str) -> int:
    """Parse a number of rows or a seed."""
    if not (text.isdecimal() and int(text) < 2**32):  # what NumPy takes as a seed
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number below 2^32")
    return int(text)


def _budget(text: str) -> int | float:
    """Parse a number of rows, or a share of them such as 1% or 0.01."""
    if text.isdecimal():
        return _whole_number(text)
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number, nor a share such as 1% or 0.01"
        )
    return share


def _share(text: str) -> float:
    """Parse a number between 0, which may be, and 1, which may not."""
    try:
        number = float(text)
    except ValueError:
        number = 1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return number
