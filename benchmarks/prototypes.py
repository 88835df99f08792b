"""Nearest neighbours on learnt prototypes, on k-means centres and on random rows, against all rows.

Each set has the same number of rows. The first score is that of scikit-learn's 1-NN on the rows, in
the units that all rows are compared in; "own predictor" is what `DistilledClassifier` or
`DistilledRegressor` makes of the learnt ones by itself. Tables are standardised, images are pixels
over 255. Nothing is chosen by the test part. For numbers 1-NN is replaced by 5-NN with all rows and
with random ones, by 1-NN on centres, whose targets are means already. One prototype a class makes
linear boundaries: what logistic regression learns from all rows shows how far they can go. Seconds
are process CPU seconds of a fit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _cells import Cells, add_option
from _report import load_table, mean_and_error, parser, save
from sklearn.datasets import fetch_openml
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor

PROBLEMS = {  # numbers of rows
    "letter": (52, 200),
    "digits": (10, 100),
    "mnist": (10, 100),
    "california_housing": (50, 200),
    "friedman": (50, 200),
}
NUMBERS = ("california_housing", "friedman")
TRAIN_ROWS = 60_000
LINEAR = "all rows, linear model"


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    options.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    add_option(options)
    args = options.parse_args()
    cells = Cells(args.cells)
    for name in args.problems:
        for seed in range(args.seeds):
            for kind, budget in kinds(name):
                key = (name, budget, kind, seed)
                if key not in cells:
                    cells.keep(key, *run(name, kind, budget, seed, args.data))
                    print(*key, *(f"{value:.4f}" for value in cells[key]), flush=True)
    header = ["data", "rows", "what", "1-NN", "of all rows", "own predictor", "seconds"]
    rows = [
        [name, budget or "all", kind, *summary(cells, name, budget, kind, args.seeds)]
        for name in args.problems
        for kind, budget in kinds(name)
    ]
    settings = {"seeds": args.seeds, "problems": ", ".join(args.problems)}
    save("prototypes", args.out, header, rows, settings)


def kinds(name: str) -> Iterator[tuple[str, int]]:
    """Yield what is compared on a problem, each with its number of rows; 0 stands for all."""
    yield "all rows", 0
    if name not in NUMBERS:
        yield LINEAR, 0
    for budget in PROBLEMS[name]:
        for kind in ("random rows", "k-means", "learnt"):
            yield kind, budget


def run(name: str, kind: str, budget: int, seed: int, folder: Path) -> tuple[float, float, float]:
    """Score of nearest neighbours, score of the set's own predictor, CPU seconds."""
    X, X_test, y, y_test = split(name, seed, folder)
    numbers = name in NUMBERS
    nearest: Any = KNeighborsRegressor if numbers else KNeighborsClassifier
    single = nearest(1)
    if kind == LINEAR:
        linear = LogisticRegression(max_iter=300).fit(X, y)
        return linear.score(X_test, y_test), float("nan"), 0.0
    began = time.process_time()
    if kind in ("all rows", "random rows"):
        some: Any = slice(None)
        if budget:
            some, _ = train_test_split(
                np.arange(len(X)),
                train_size=budget,
                random_state=seed,
                stratify=None if numbers else y,
            )
        single = nearest(5 if numbers else 1)
        return single.fit(X[some], y[some]).score(X_test, y_test), float("nan"), 0.0
    steps: Any = 0 if kind == "k-means" else "auto"
    distiller = DatasetDistiller(
        budget, objective="nearest_neighbors", max_iter=steps, random_state=seed
    )
    meta: Any = DistilledRegressor if numbers else DistilledClassifier
    model = meta(distiller=distiller).fit(X, y)
    seconds = time.process_time() - began
    small = model.distilled_
    score = single.fit(small.X, small.y).score(X_test, y_test)
    return score, model.score(X_test, y_test), seconds


def split(name: str, seed: int, folder: Path) -> tuple[Any, Any, Any, Any]:
    """Training and test rows, and the targets of both."""
    if name == "mnist":
        if (folder / "mnist.npz").exists():
            z = np.load(folder / "mnist.npz")
            X, X_test = (z[k].reshape(len(z[k]), -1) for k in ("X_train", "X_test"))
            y, y_test = z["y_train"], z["y_test"]
        else:
            images, labels = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
            X, X_test, y, y_test = (
                *np.split(images, [TRAIN_ROWS]),
                *np.split(labels, [TRAIN_ROWS]),
            )
        return X.astype(np.float32) / 255, X_test.astype(np.float32) / 255, y, y_test
    X, y = load_table(name, folder)
    stratify = None if name in NUMBERS else y
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed, stratify=stratify)
    if name == "digits":
        return X, X_test, y, y_test
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def summary(cells: Cells, name: str, budget: int, kind: str, seeds: int) -> list[str]:
    """Mean and standard error of the score, its share of that of all rows, own score, seconds."""
    found = np.array([cells[name, budget, kind, seed] for seed in range(seeds)])
    full = np.array([cells[name, 0, "all rows", seed][0] for seed in range(seeds)])
    own = (
        ""
        if np.isnan(found[:, 1]).any()
        else "{:.4f} ± {:.4f}".format(*mean_and_error(found[:, 1]))
    )
    return [
        "{:.4f} ± {:.4f}".format(*mean_and_error(found[:, 0])),
        f"{(found[:, 0] / full).mean():.3f}",
        own,
        f"{found[:, 2].mean():.1f}",
    ]


if __name__ == "__main__":
    main()
