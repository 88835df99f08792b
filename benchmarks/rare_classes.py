"""A rare class in many rows: boosting on 5,000 of 375,000 rows, of which 2 % are positive.

The problem is made here: twelve numbers (some with heavy tails) and eight columns of levels, which
are one-hot encoded, rare levels merged. Most positives follow from a smooth risk, the others come
from small groups that only a conjunction of columns tells. The table is drawn anew for each seed.
Models are scored on other rows by the area under the ROC curve and by average precision. Weights
are handed over with mean one. "a quarter positive" takes a quarter of its rows from the rare class,
at random and without weights, as one would by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from _cells import Cells, add_option
from _report import dot_chart, mean_and_error, parser, save
from _tables import encode, plain_columns
from scipy.optimize import brentq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from skdistill import DistilledClassifier, DistilledData, SensitivityCoreset

TRAIN_ROWS, TEST_ROWS = 375_000, 125_000
SHARE = 0.02
NUMBERS, LEVELS = 12, (3, 4, 5, 8, 12, 20, 40, 80)
INTERACTIONS = 20
GROUPS = 15  # small groups of positives


def problem(n: int, rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Make a DataFrame of 20 mixed columns and a target with 2 % positives."""
    import pandas as pd

    fixed = np.random.default_rng(0)
    Z = rng.normal(size=(n, NUMBERS)) @ (np.eye(NUMBERS) + 0.3 * fixed.normal(size=(NUMBERS,) * 2))
    columns: dict[str, Any] = {f"number_{i}": Z[:, i] for i in range(NUMBERS)}
    for i in range(4):  # amounts, counts
        columns[f"number_{i}"] = np.exp(Z[:, i])
    codes = []
    for i, k in enumerate(LEVELS):
        p = fixed.permutation(1 / (1 + np.arange(k)))
        codes.append(rng.choice(k, n, p=p / p.sum()))
        columns[f"level_{i}"] = pd.Categorical.from_codes(codes[i], [f"{i}.{j}" for j in range(k)])
    risk = 0.25 * Z[:, :6] @ fixed.normal(size=6)
    for _ in range(INTERACTIONS):
        i, j = fixed.choice(NUMBERS, 2, replace=False)
        risk += 0.4 * fixed.normal() * np.tanh(Z[:, i]) * np.tanh(Z[:, j])
    for code, k in zip(codes, LEVELS, strict=True):
        risk += 0.25 * fixed.normal(size=k)[code]
    for _ in range(GROUPS):
        i, j = fixed.choice(NUMBERS, 2, replace=False)
        c = fixed.integers(len(LEVELS) - 3)
        inside = (Z[:, i] > 0.8) & (Z[:, j] < -0.5)
        risk += 1.5 * (inside & (codes[c] == fixed.integers(LEVELS[c])))
    few = risk[:50_000]
    shift = brentq(lambda b: scipy.special.expit(few + b).mean() - SHARE, -30, 10)
    return pd.DataFrame(columns), (rng.random(n) < scipy.special.expit(risk + shift)).astype(int)


def read(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make the encoded training and test rows."""
    X, y = problem(TRAIN_ROWS + TEST_ROWS, np.random.default_rng(seed))
    X = plain_columns(X)
    encoder = encode(X)
    train = encoder.fit_transform(X[:TRAIN_ROWS]).astype(np.float32)
    test = encoder.transform(X[TRAIN_ROWS:]).astype(np.float32)
    return train, test, y[:TRAIN_ROWS], y[TRAIN_ROWS:]


# Ways of choosing rows ----------------------------------------------------------------------------


def drawn(share: float | None) -> Callable[..., DistilledData]:
    """Rows at random, with a share of positives (None: their own)."""

    def choose(X: np.ndarray, y: np.ndarray, m: int, seed: int) -> DistilledData:
        rng = np.random.default_rng(seed)
        positive = round(m * (y.mean() if share is None else share))
        rows = [rng.permutation(np.flatnonzero(y == c))[:k] for c, k in enumerate((m, positive))]
        rows[0] = rows[0][: m - positive]
        chosen = np.concatenate(rows)
        return DistilledData(X[chosen], y[chosen])

    return choose


def coreset(**options: Any) -> Callable[..., DistilledData]:
    """Rows of `SensitivityCoreset`."""

    def choose(X: np.ndarray, y: np.ndarray, m: int, seed: int) -> DistilledData:
        return SensitivityCoreset(m, random_state=seed, **options).fit_distill(X, y)

    return choose


CHOOSERS: dict[str, Callable[..., DistilledData]] = {
    "stratified uniform rows": drawn(None),
    "a quarter positive": drawn(0.25),
    "coreset, loss kmeans": coreset(sampling="systematic"),
    "coreset, loss cross_entropy": coreset(loss="cross_entropy"),
    "coreset, loss kernel_ridge": coreset(loss="kernel_ridge"),
}
ALL, AUTO = "all rows", "AutoDistiller"


def models() -> dict[str, Any]:
    """Fresh models by name; LightGBM where it is installed."""
    found: dict[str, Any] = {"boosting": HistGradientBoostingClassifier(random_state=0)}
    try:
        from lightgbm import LGBMClassifier
    except ImportError:
        return found
    return found | {"LightGBM": LGBMClassifier(random_state=0, n_jobs=1, verbose=-1)}


def scores(model: Any, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and average precision."""
    p = model.predict_proba(X)[:, 1]
    return float(roc_auc_score(y, p)), float(average_precision_score(y, p))


def run_seed(seed: int, args, cells: Cells) -> None:
    """Score all ways and models of a seed that are not known."""
    wanted = [(way, model, seed) for way in args.ways for model in args.models]
    if all(key in cells for key in wanted):
        return
    X, X_test, y, y_test = read(seed)
    print(f"seed {seed}: {X.shape}, {100 * y.mean():.2f} % positive", flush=True)
    for way in args.ways:
        todo = {
            name: model
            for name, model in models().items()
            if name in args.models and (way, name, seed) not in cells
        }
        if not todo:
            continue
        began, small = time.process_time(), None
        if way in CHOOSERS:
            small = CHOOSERS[way](X, y, args.m, seed)
        seconds = time.process_time() - began
        for name, model in todo.items():
            if way == ALL:
                model.fit(X, y)
            elif small is not None:
                model.fit(small.X, small.y, small.sample_weight / small.sample_weight.mean())
            else:
                from skdistill import AutoDistiller

                began = time.process_time()
                auto = AutoDistiller(args.m, scoring="roc_auc", random_state=seed)
                model = DistilledClassifier(model, auto).fit(X, y)
                seconds = time.process_time() - began
            cells.keep((way, name, seed), *scores(model, X_test, y_test), round(seconds, 2))
            print(way, name, [round(v, 4) for v in cells[way, name, seed]], flush=True)


def main() -> None:
    ways = [ALL, *CHOOSERS, AUTO]
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    options.add_argument("-m", type=int, default=5000)
    options.add_argument("--ways", nargs="+", default=ways, choices=ways)
    options.add_argument("--models", nargs="+", default=list(models()), choices=models())
    add_option(options)
    args = options.parse_args()
    cells = Cells(args.cells)
    for seed in range(args.seeds):
        run_seed(seed, args, cells)
    rows, chart = [], {}
    for name in args.models:
        full = [cells.get((ALL, name, seed)) for seed in range(args.seeds)]
        for way in args.ways:
            found = [cells.get((way, name, seed)) for seed in range(args.seeds)]
            if None in found or None in full:
                continue
            auc, precision, seconds = np.array(found).T
            share = mean_and_error(100 * auc / np.array(full)[:, 0])
            values = [mean_and_error(auc), share, mean_and_error(precision)]
            rows.append([name, way, *values, float(seconds.mean())])
            chart.setdefault(name, {})[way] = share
    header = ["model", "rows", "AUC", "% of the AUC on all rows", "average precision", "CPU s"]
    settings = {"seeds": args.seeds, "m": args.m, "training rows": TRAIN_ROWS}
    figure = dot_chart(chart, "% of the AUC on all rows", f"{args.m} of {TRAIN_ROWS} rows")
    save("rare_classes", args.out, header, rows, settings, figure)


if __name__ == "__main__":
    main()
