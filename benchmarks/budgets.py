"""One model on ever more rows: the score of a small set against its number of rows.

Gradient boosting is trained on stratified uniform rows, on class-balanced uniform rows, on the rows
that `AutoDistiller` makes for it, and on all rows (at most 10,000), and scored on the test part of
the held-out tables of `any_model.py`: balanced accuracy for classes, R² for numbers. The picture of
the start page is drawn from this record by `figure_rows.py`. Scores are kept and a run is gone on
with as in `any_model.py`, whose files `--read` takes:

    python benchmarks/budgets.py --cells mine.jsonl --seeds 1 --minutes 20
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import _cells
import any_model
import numpy as np
from _report import mean_and_error, parser, save
from _tables import HELD_OUT, TABLES, is_there
from threadpoolctl import threadpool_limits

MODEL = "boosting"
BUDGETS = (50, 100, 200, 500, 1000)
WAYS = {
    "uniform": "uniform rows",
    "balanced": "class-balanced uniform rows",
    "auto:balanced": "AutoDistiller",
    "all": "all rows",
}
SCORES = {False: "balanced accuracy, classes", True: "R², numbers"}


def score(known: dict, table: str, m: int, way: str, seed: int) -> float | None:
    """Score of one fit; the size of all rows is "all"."""
    size = "all" if way == "all" else str(m)
    values = known.get((table, size, way, MODEL, seed))
    return None if values is None or isinstance(values[0], str) else values[0]


def means(known: dict, tables: list[str], m: int, seeds: int) -> dict[str, np.ndarray]:
    """Scores (tables, seeds) of each way; all of them have to be known."""
    found = {}
    for way in WAYS:
        values = [[score(known, t, m, way, seed) for seed in range(seeds)] for t in tables]
        if all(None not in row for row in values) and tables:
            found[way] = np.array(values, float)
    return found


def difference(gain: np.ndarray) -> Any:
    """Mean and error of gains (tables, seeds) over tables, or of one table over seeds."""
    parts = gain.mean(1) if len(gain) > 1 else gain[0]
    mean, error = mean_and_error(parts)
    return (mean, error) if len(parts) > 1 else mean


def rows_of(known: dict, tables: list[str], seeds: int) -> tuple[list[str], list[list]]:
    """Header and rows: means over the tables of classes and of numbers, then each table."""
    rivals = {way: f"difference to {WAYS[way]}" for way in ("uniform", "balanced")}
    header = ["tables", "rows", *WAYS.values(), *rivals.values()]
    groups = {SCORES[kind]: [t for t in tables if TABLES[t].numbers == kind] for kind in SCORES}
    groups = {name: members for name, members in groups.items() if members}
    rows = []
    for name, members in (*groups.items(), *((t, [t]) for t in tables)):
        for m in BUDGETS:
            found = means(known, members, m, seeds)
            if not {"uniform", "auto:balanced", "all"} <= set(found):
                continue
            shown = [float(found[way].mean()) if way in found else "" for way in WAYS]
            title = f"{len(members)} tables: {name}" if name in groups else name
            gains = [
                difference(found["auto:balanced"] - found[way]) if way in found else ""
                for way in rivals
            ]
            rows.append([title, m, *shown, *gains])
    return header, rows


def main() -> None:
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.set_defaults(seeds=1)
    _cells.add_option(options)
    options.add_argument("--read", type=Path, nargs="+", default=[], help="further files of scores")
    options.add_argument("--tables", nargs="+", default=list(HELD_OUT), choices=TABLES)
    options.add_argument("--minutes", type=float, default=np.inf, help="begin nothing after them")
    options.add_argument("--summary", action="store_true", help="what is known; no fits")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # as any_model.py does
    any_model.SIZES.update({str(m): lambda n, k, m=m: m for m in BUDGETS})
    args.models, args.sizes = [MODEL], [str(m) for m in BUDGETS]
    args.methods = [way for way in WAYS if way != "all"]
    cells, others = _cells.Cells(args.cells), [_cells.Cells(path) for path in args.read]
    tables = [name for name in args.tables if is_there(name, args.data)]
    if not args.summary:
        threadpool_limits(1)
        deadline = time.perf_counter() + 60 * args.minutes
        for seed in range(args.seeds):
            for name in tables:
                any_model.run_table(
                    name,
                    seed,
                    args,
                    lambda key: any(key in part for part in (cells, *others)),
                    cells.keep,
                    deadline,
                )
    known: dict = {}
    for part in (*others, cells):
        known.update(part)
    header, rows = rows_of(known, tables, args.seeds)
    settings = {"seeds": args.seeds, "tables": len(tables), "model": MODEL}
    save("budgets", args.out, header, rows, settings, None)


if __name__ == "__main__":
    main()
