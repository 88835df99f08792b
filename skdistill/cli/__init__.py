"""Reduce a table to a few weighted rows, from the command line.

``python -m skdistill SOURCE`` splits a table, finds the training rows that train an estimator best,
and shows what they are worth: the estimator trained on all rows, on the small set and on as many
uniform rows. ``-o`` writes the small set, ``--picture`` draws it. ``--stream`` reads a file larger
than memory.

    python -m skdistill digits
    python -m skdistill digits --method distill -n 20
    python -m skdistill houses.csv --target price -n 500 --estimator boosting -o small.csv
    python -m skdistill clicks.parquet --target bought -n 5000 -o small.parquet --stream

The same from Python:

>>> from skdistill.cli import main
>>> main(["diabetes", "-n", "100", "--method", "coreset"])  # doctest: +ELLIPSIS
diabetes: 442 rows, 10 columns; target progression: 214 numbers, regression
...
0
"""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import make_parser
from .job import run
from .report import printable
from .stream import run_stream
from .table import InputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments; None takes those of the process.

    Returns
    -------
    int
        0. Input that cannot be worked with ends the process with status 2 and one line on
        stderr, an interruption with status 130 and one line; an error of the program itself shows
        its traceback.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        run_stream(options) if options.stream else run(options)
    except InputError as error:
        parser.error(printable(" ".join(str(error).splitlines())))
    except KeyboardInterrupt as stop:
        parser.exit(130, f"{parser.prog}: interrupted; {str(stop) or 'nothing was written'}\n")
    return 0
