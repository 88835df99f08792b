"""Starts and batches of `DatasetDistiller` at fixed steps: what importance sampling buys.

For each table, number of rows and seed: rows start in four ways and are trained for a few steps on
batches that are uniform, by the cross-entropy (numbers: the squared error), or by it with weights
that undo the bias; `batches.py` has the margin and the defaults. The induced predictor is scored on
the untouched test part (R2, accuracy, or balanced accuracy where classes differ in size). All fits
of a seed share the split, the held-out rows and the kernel's first width, which is searched once; a
start is made once, and the runs from it differ in their batches alone. With `--cells` every score
is appended to a file, and a run that was broken off goes on from there; some cells may have more
seeds than others, and differences are paired over the seeds that both have. Arrows mark paired
differences whose 95 % interval, by Student's t for their number of seeds, leaves out zero.
"""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _cells import Cells, add_option
from _report import dot_chart, load_table, mean_and_error, parser, save
from scipy import stats
from sklearn.datasets import fetch_openml
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.objectives import KernelRidge

STARTS = ("uniform", "kmeans", "sensitivity", "sensitivity_kmeans")
BATCHES = {
    "uniform": {"batch_sampling": "uniform"},
    "importance": {"batch_sampling": "importance", "reweight": False},
    "reweighted": {"batch_sampling": "importance", "reweight": True},
}
TABLES = {  # learnt rows; the first group holds rows of unequal worth
    "rare_mode_classes": (20, 50, 200),
    "letter_geometric": (50,),
    "rare_mode_numbers": (20, 50),
    "heavy_tails": (20, 50),
    "california_housing": (20, 50, 200),
    "friedman": (20, 50),
    "letter": (50,),
    "digits": (20,),
    "mnist": (10, 50),
}
TITLES = {
    "rare_mode_classes": "rare modes, classes",
    "letter_geometric": "letter, geometric classes",
    "rare_mode_numbers": "rare modes, numbers",
    "heavy_tails": "heavy tails",
}
BALANCED = ("rare_mode_classes", "letter_geometric")
CLASSES = {  # their number; the other tables have numbers to predict
    "rare_mode_classes": 10,
    "letter_geometric": 26,
    "letter": 26,
    "digits": 10,
    "mnist": 10,
}
TRAIN_ROWS, TEST_ROWS = 6000, 5000
LEAST_SEEDS = 5  # of a cell that is shown, unless fewer are asked for
MODES = 6  # of each class


def rare_mode_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes, each 0.6 times as frequent as the one before, of modes that halve in size."""
    centres = np.random.default_rng(1).normal(scale=2.0, size=(10, MODES, 10))
    shares = np.outer(0.6 ** np.arange(10), 0.5 ** np.arange(MODES))
    mode = rng.choice(shares.size, n, p=shares.ravel() / shares.sum())
    return centres.reshape(-1, 10)[mode] + rng.normal(size=(n, 10)), mode // MODES


def rare_mode_numbers(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Thirty modes of geometric sizes, each with its own slope and the same share of the spread."""
    fixed = np.random.default_rng(2)
    centres, slopes = fixed.normal(scale=2.0, size=(30, 8)), fixed.normal(size=(30, 8))
    share = 0.85 ** np.arange(30)
    share /= share.sum()
    mode = rng.choice(30, n, p=share)
    noise = 0.5 * rng.normal(size=(n, 8))
    y = (1 + (noise * slopes[mode]).sum(1)) / np.sqrt(30 * share[mode])
    return centres[mode] + noise, y + 0.1 * rng.normal(size=n)


def heavy_tails(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of Student's t distribution with three degrees of freedom."""
    X = rng.standard_t(3, size=(n, 8))
    y = np.abs(X[:, 0]) + X[:, 1] * np.tanh(X[:, 2]) + np.hypot(X[:, 3], X[:, 4])
    return X, y + 0.3 * rng.normal(size=n)


MADE = {
    "rare_mode_classes": rare_mode_classes,
    "rare_mode_numbers": rare_mode_numbers,
    "heavy_tails": heavy_tails,
}


def title(table: str) -> str:
    """Name of a table for readers."""
    return TITLES.get(table, table)


def read(table: str, folder: Path, seed: int) -> list[np.ndarray]:
    """Training and test rows and targets; their split follows the seed."""
    rng = np.random.default_rng(seed)
    if table in MADE:
        X, y = MADE[table](TRAIN_ROWS + TEST_ROWS, rng)
    elif table == "mnist":
        X, y = mnist(folder)
    else:
        X, y = load_table(table.removesuffix("_geometric"), folder)
    if table == "letter_geometric":
        codes = np.unique(y, return_inverse=True)[1]
        keep = np.random.default_rng(0).random(len(y)) < 0.85**codes
        X, y = X[keep], y[keep]
    if len(X) > TRAIN_ROWS + TEST_ROWS:
        keep = rng.choice(len(X), TRAIN_ROWS + TEST_ROWS, replace=False)
        X, y = X[keep], y[keep]
    size = TEST_ROWS if len(X) == TRAIN_ROWS + TEST_ROWS else 0.25
    return train_test_split(X, y, test_size=size, random_state=seed)


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training images of MNIST as rows of pixels."""
    if (folder / "mnist.npz").exists():
        stored = np.load(folder / "mnist.npz")
        return stored["X_train"].reshape(-1, 784).astype(np.float32), stored["y_train"]
    bunch = fetch_openml("mnist_784", as_frame=False)
    return bunch.data[:60_000].astype(np.float32), bunch.target[:60_000].astype(int)


def test_score(distiller: DatasetDistiller, table: str, X: np.ndarray, y: np.ndarray) -> float:
    """R2, accuracy, or balanced accuracy where the classes differ in size."""
    outputs = distiller.make_predictor().predict(X)
    if not hasattr(distiller, "classes_"):
        return r2_score(y, outputs)
    metric = balanced_accuracy_score if table in BALANCED else accuracy_score
    return metric(y, distiller.classes_[outputs.argmax(1)])


def first_width(X: np.ndarray, y: np.ndarray, m: int, seed: int) -> float | str:
    """`gamma` that the search on held-out rows finds, for all fits of a seed.

    Length scales go with 1 / sqrt(gamma), so that the search is read off a fit without it. Beyond
    128 features the search also chooses the units, and is left to every fit.
    """
    if X.shape[1] > 128:
        return "scale"
    plain = DatasetDistiller(m, init="uniform", max_iter=0, random_state=seed)
    found = plain.fit(X, y).length_scale_
    unit = plain.set_params(gamma=1.0).fit(X, y).length_scale_
    varies = np.isfinite(unit)  # the length scale of constant features is infinite
    return float(np.median(unit[varies] / found[varies]) ** 2)


def run_seed(table: str, m: int, seed: int, args, cells: Cells) -> None:
    """Score all starts, batches and numbers of steps of one seed."""
    wanted = [
        (table, m, seed, start, batches, n)
        for start in args.starts
        for n in args.steps
        for batches in (BATCHES if n else ("none",))
    ]
    if all(key in cells for key in wanted):
        return
    X, X_test, y, y_test = read(table, args.data, seed)
    shared = {"gamma": first_width(X, y, m, seed), "random_state": seed}
    starts: dict[str, DatasetDistiller] = {}
    for key in wanted:
        *_, start, batches, n = key
        if key in cells:
            continue
        if start not in starts:
            model = DatasetDistiller(m, init=start, max_iter=0, **shared).fit(X, y)
            starts[start] = model
        model = starts[start]
        began = time.process_time()
        if n:
            loss = "cross_entropy" if table in CLASSES else "squared_error"
            options = BATCHES[batches] | {"batch_loss": loss} | shared
            model = DatasetDistiller(m, init=model.distilled_, max_iter=n, **options).fit(X, y)
        score = test_score(model, table, X_test, y_test)
        cells.keep(key, score, round(time.process_time() - began, 3))


def mean_and_reach(differences: np.ndarray) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval by Student's t; NaN of a single one."""
    mean, error = mean_and_error(differences)
    return mean, float(stats.t.ppf(0.975, len(differences) - 1) * error)


def arrow(differences: np.ndarray) -> str:
    """Mark of paired differences whose 95 % interval leaves out zero."""
    mean, reach = mean_and_reach(differences)
    return "" if not abs(mean) > reach else (" ▲" if mean > 0 else " ▼")


def paired(scores: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Differences over the seeds that both have."""
    both = min(len(scores), len(plain))
    return scores[:both] - plain[:both]


def cell(scores: np.ndarray, against: np.ndarray | None) -> str:
    """Mean and standard error, with the arrow of the differences."""
    mean, error = mean_and_error(scores)
    mark = "" if against is None else arrow(paired(scores, against))
    return f"{mean:.3f} ± {error:.3f}{mark}"


def gain(scores: np.ndarray | None, plain: np.ndarray | None) -> str:
    """Mean and standard error of paired differences, with their arrow."""
    if scores is None or plain is None:
        return ""
    differences = paired(scores, plain)
    mean, error = mean_and_error(differences)
    return f"{mean:+.4f} ± {error:.4f}{arrow(differences)}"


def default_batches(table: str, m: int) -> str:
    """Kind of batches that ``reweight="auto"`` means."""
    kind = "classes" if table in CLASSES else "numbers"
    weighted = KernelRidge().reweights(kind, m / CLASSES.get(table, 1))
    return "reweighted" if weighted else "importance"


def summary(done: dict, tables: list[str], steps: list[int], seeds: int) -> list[list]:
    """Rows of the table; starts are compared with "uniform", batches with those of their start.

    The last column is the gain of the defaults over the uniform start with uniform batches.
    """

    def scores(*key) -> np.ndarray | None:
        table, m, *rest = key
        found = [done.get((table, m, s, *rest)) for s in range(seeds)]
        known = found.index(None) if None in found else seeds
        return np.array(found[:known], float) if known >= min(seeds, LEAST_SEEDS) else None

    rows = []
    for table in tables:
        for m in TABLES[table]:
            for n in steps:
                row, counts = [title(table), m, n], set()
                for start in STARTS:
                    for batches in BATCHES:
                        plain = "uniform" if n else "none"
                        here = (start, batches) if n else (start, plain)
                        found = scores(table, m, *here, n)
                        if found is None or (n == 0 and batches != "uniform"):
                            row.append("")
                            continue
                        other = ("uniform" if batches == "uniform" else start, plain)
                        counts.add(len(found))
                        same = other == here
                        row.append(cell(found, None if same else scores(table, m, *other, n)))
                default = default_batches(table, m) if n else "none"
                found = scores(table, m, "kmeans", default, n)
                row.append(gain(found, scores(table, m, "uniform", "uniform" if n else "none", n)))
                if counts:
                    row.insert(3, " to ".join(map(str, sorted({min(counts), max(counts)}))))
                    rows.append(row)
    return rows


def picture(header: list[str], rows: list) -> Any:
    """Gain of the defaults over uniform start and batches, a panel for each number of steps."""
    panels: dict[str, dict] = {}
    for row in rows:
        cell = dict(zip(header, row, strict=True))
        gained = re.match(r"(\S+) ± (\S+)", cell["gain of the defaults"])
        if cell["steps"] and gained:
            panel = panels.setdefault(f"{cell['steps']} steps", {})
            panel[f"{cell['table']}, m = {cell['m']}"] = tuple(map(float, gained.groups()))
    label = "gain in score (± standard error)"
    return dot_chart(panels, label, "K-means start and importance batches against uniform ones")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    options.add_argument("--steps", nargs="+", type=int, default=[0, 30, 100, 300])
    options.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    options.add_argument("--rows", nargs="+", type=int, help="of the numbers of learnt rows")
    add_option(options)
    options.add_argument("--summarise", action="store_true", help="what --cells holds; no fits")
    args = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # short runs may not beat their start
    cells = Cells(args.cells)  # (table, m, seed, start, batches, steps) -> score, seconds
    for table in args.tables:
        for m in TABLES[table]:
            if args.summarise or (args.rows is not None and m not in args.rows):
                continue
            for seed in range(args.seeds):
                began = time.process_time()
                run_seed(table, m, seed, args, cells)
                used = time.process_time() - began
                print(f"{title(table)}, m = {m}, seed {seed}: {used:.1f} s of CPU time", flush=True)
    header = ["table", "m", "steps", "seeds", *(f"{s}: {b}" for s in STARTS for b in BATCHES)]
    header.append("gain of the defaults")
    done = {key: score for key, (score, _) in cells.items()}
    rows = summary(done, args.tables, args.steps, args.seeds)
    figure = picture(header, rows)
    found = list(dict.fromkeys(row[0] for row in rows))  # a broken-off run has not all tables
    defaults = [row[-1] for row in rows if row[-1]]
    settings = {
        "seeds": f"up to {args.seeds}",
        "tables": "; ".join(found),
        "training rows": TRAIN_ROWS,
        "cells of the defaults": len(defaults),
        "of them gains": sum("▲" in text for text in defaults),
        "losses": sum("▼" in text for text in defaults),
    }
    save("importance", args.out, header, rows, settings, figure)


if __name__ == "__main__":
    main()
