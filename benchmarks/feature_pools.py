"""Pools and batches of `FeatureRegression`, compared at equal CPU time.

Networks drawn afresh in each step (``pool="random"``) are cheap; those of an online pool
(``pool="trained"``) are trained on the learnt rows as well. Each gets the steps that fit into the
same CPU seconds of one thread, found by two short fits of a seed that is not scored, and then the
same steps with each kind of batches. Scores are accuracies on a validation part of the training
rows, never on the test part: of the predictor that rows are learnt for, and of fresh networks
trained on them (`skdistill.evaluation.evaluate`). Nothing is held out: looks at held-out rows, few
in a fit of a thousand steps, would take most of the time of these short ones. What is not named is
the distiller's default; networks are narrow, so that the table fits a laptop. Run it with one
thread.

With `--cells` every score is appended to a file, and a run that was broken off goes on from there.
"""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from _cells import Cells, add_option
from _report import dot_chart, mean_and_error, parser, save
from sklearn.exceptions import ConvergenceWarning
from techniques import SHAPES, read, split
from techniques import Setting as Rows

from skdistill import DatasetDistiller
from skdistill.evaluation import evaluate
from skdistill.networks import ConvNet, NetworkClassifier
from skdistill.objectives import FeatureRegression

WIDTH = 16
PILOT_SEED = 1000
POOLS = ("random", "trained")
BATCHES: dict[str, dict[str, Any]] = {
    "uniform": {"batch_sampling": "uniform"},
    "importance": {"batch_loss": "cross_entropy", "reweight": False},
    "reweighted": {"batch_loss": "cross_entropy", "reweight": True},
}
SCORES = ("own predictor", "networks")


class Problem(NamedTuple):
    """Data, rows a class, CPU seconds of a fit, and the steps of the two pilot fits."""

    data: str
    per_class: int
    seconds: float
    pilots: tuple[int, int]
    rows: Rows

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"{self.data}, {self.per_class} a class"


PROBLEMS = (
    Problem("mnist", 1, 15.0, (6, 30), Rows(n_train=2000, n_test=1000)),
    Problem("digits", 1, 5.0, (20, 120), Rows()),
    Problem("digits", 10, 8.0, (20, 120), Rows()),
)


def fit(problem: Problem, pool: str, batches: str, steps: int, seed: int, X, y):
    """Learn rows; the fitted distiller and its CPU seconds."""
    distiller = DatasetDistiller(
        10 * problem.per_class,
        objective=FeatureRegression(ConvNet(width=WIDTH), pool=pool),
        image_shape=SHAPES[problem.data],
        max_iter=steps,
        early_stopping=False,
        random_state=seed,
        **BATCHES[batches],
    )
    began = time.process_time()
    distiller.fit(X, y)
    return distiller, time.process_time() - began


def steps_for(problem: Problem, pool: str, found: list[np.ndarray]) -> int:
    """Find the steps that take the seconds of a problem, by a line through two short fits."""
    X, y, *_ = split(found, problem.rows, PILOT_SEED, "validation")
    few, many = problem.pilots
    fit(problem, pool, "uniform", few, PILOT_SEED, X, y)  # the first fit of all loads libraries
    a, b = (fit(problem, pool, "uniform", n, PILOT_SEED, X, y)[1] for n in (few, many))
    steps = round(few + (problem.seconds - a) * (many - few) / (b - a))
    print(f"{problem.name}, {pool}: {few} steps {a:.1f} s, {many} steps {b:.1f} s", flush=True)
    if steps < many:
        raise ValueError(f"{problem.seconds} s are too few for {problem.name}, pool {pool!r}.")
    return steps


def scored(distiller, problem: Problem, seed: int, parts) -> list[float]:
    """Scores of the predictor and of fresh networks, in percent."""
    X, _, X_part, y_part = parts
    network = NetworkClassifier(
        ConvNet(width=WIDTH), image_shape=SHAPES[problem.data], n_networks=3, random_state=seed
    )
    own = evaluate(distiller, X_part, y_part, "kernel_ridge")[0]
    return [100 * own, 100 * evaluate(distiller, X_part, y_part, network, X_train=X).mean()]


def against(values: np.ndarray, base: np.ndarray) -> str:
    """Mean paired difference with its standard error, marked outside two of them."""
    mean, error = mean_and_error(values - base)
    mark = (" ▲" if mean > 0 else " ▼") if abs(mean) > 2 * error else ""
    return f"{mean:+.1f} ± {error:.1f}{mark}"


def collect(done: dict, seeds: int) -> dict:
    """Collect steps and scores (seeds, 3) of each problem, pool and kind of batches if complete."""
    cells = {}
    for problem in PROBLEMS:
        for pool in POOLS:
            for batches in BATCHES:
                found = [done.get((problem.name, pool, batches, seed)) for seed in range(seeds)]
                if None not in found:
                    steps = int(done[problem.name, pool][0])
                    cells[problem.name, pool, batches] = steps, np.array(found)
    return cells


def summary(cells: dict) -> list[list]:
    """Rows of the table: differences of batches to uniform ones, and of the trained pool."""
    rows = []
    for (name, pool, batches), (steps, found) in cells.items():
        row = [name, pool, batches, steps, float(found[:, 2].mean())]
        for k in range(len(SCORES)):
            row.append(mean_and_error(found[:, k]))
            plain = cells[name, pool, "uniform"][1]
            row.append("" if batches == "uniform" else against(found[:, k], plain[:, k]))
        for k in range(len(SCORES)):
            other = cells[name, "random", batches][1]
            row.append(against(found[:, k], other[:, k]) if pool == "trained" else "")
        rows.append(row)
    return rows


def picture(header: list[str], rows: list) -> Any:
    """Scores of both kinds by pool and batches."""
    panels: dict[str, dict] = {}
    for score in SCORES:
        for row in rows:
            cell = dict(zip(header, row, strict=True))
            panel = panels.setdefault(f"{cell['data']}: {score}", {})
            panel[f"{cell['pool']} pool, {cell['batches']}"] = cell[score]
    label = "percent (± standard error)"
    return dot_chart(panels, label, "Networks at random and trained ones")


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    add_option(options)
    args = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    # (problem, pool) -> steps; (problem, pool, batches, seed) -> scores, seconds
    done = Cells(args.cells)

    def keep(key: tuple, *values: float) -> None:
        print(key, [round(v, 2) for v in values], flush=True)
        done.keep(key, *values)

    for problem in PROBLEMS:
        found = read(problem.data, args.data)
        for pool in POOLS:
            if (problem.name, pool) not in done:
                keep((problem.name, pool), steps_for(problem, pool, found))
        for seed in range(args.seeds):
            parts = split(found, problem.rows, seed, "validation")
            for pool in POOLS:
                steps = int(done[problem.name, pool][0])
                for batches in BATCHES:
                    key = (problem.name, pool, batches, seed)
                    if key not in done:
                        distiller, seconds = fit(problem, pool, batches, steps, seed, *parts[:2])
                        keep(key, *scored(distiller, problem, seed, parts), seconds)
    header = ["data", "pool", "batches", "steps", "CPU s"]
    for score in SCORES:
        header += [score, f"{score}: to uniform"]
    header += [f"{score}: to random pool" for score in SCORES]
    settings = {"seeds": args.seeds, "width": WIDTH, "part": "validation"}
    rows = summary(collect(done, args.seeds))
    save("feature_pools", args.out, header, rows, settings, picture(header, rows))


if __name__ == "__main__":
    main()
