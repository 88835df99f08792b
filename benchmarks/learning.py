"""Learnt rows on tables, against kernel ridge on all rows and on chosen rows with solved labels.

Everything by default: the public classifier or regressor with a `DatasetDistiller` and no other
parameter than the number of rows; "short" adds ``max_iter``. A quarter of each table is the test
part, stratified for classes; whatever is tuned is tuned inside the training part. The score is R²
or accuracy, its share that of kernel ridge regression on all rows (on the stated number of them,
where there are more). Seconds are process CPU seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _report import dot_chart, load_table, mean_and_error, parser, save
from _rivals import (
    LANDMARKS,
    Outcome,
    Table,
    kernel_ridge_on_all_rows,
    nystroem,
    solved_labels,
    timed,
)
from sklearn.datasets import load_diabetes
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor

CASES = (
    ("california_housing", 200),
    ("friedman", 200),
    ("letter", 50),
    ("letter", 200),
    ("digits", 200),
    ("diabetes", 200),
    ("noisy", 200),
    ("categories", 200),
)
SHORT = 100
MOST_ROWS = 16_000  # of the kernel ridge on all rows: its matrix takes 2 GB then


def read(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features and target of a table, real or made."""
    rng = np.random.default_rng(0)
    if name == "diabetes":
        return load_diabetes(return_X_y=True)
    if name == "noisy":  # three classes, a fifth of the labels at random
        X = rng.normal(size=(5000, 8))
        y = np.digitize(np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2], (-0.5, 0.5))
        return X, np.where(rng.random(5000) < 0.2, rng.integers(0, 3, 5000), y)
    if name == "categories":  # two columns of 20 and 8 categories, one-hot, and constant columns
        a, b = rng.integers(0, 20, 6000), rng.integers(0, 8, 6000)
        Z = rng.standard_t(3, size=(6000, 4))
        X = np.hstack([np.eye(20)[a], np.eye(8)[b], Z, np.full((6000, 3), 7.0)])
        y = rng.normal(size=20)[a] * Z[:, 0] + rng.normal(size=8)[b] + np.tanh(Z[:, 1] * Z[:, 2])
        return X, y + 0.3 * rng.normal(size=6000)
    return load_table(name, folder)


def split(X: np.ndarray, y: np.ndarray) -> Table:
    """Training and test part."""
    stratify = None if y.dtype.kind == "f" else y
    return Table(*train_test_split(X, y, test_size=0.25, random_state=0, stratify=stratify))


def learnt(table: Table, m: int, seed: int, max_iter: int | str = "auto") -> Outcome:
    """Learnt rows with their own predictor."""
    numbers = table.classes is None
    made = DistilledRegressor if numbers else DistilledClassifier
    score = r2_score if numbers else accuracy_score

    def fit():
        model = made(distiller=DatasetDistiller(m, max_iter=max_iter, random_state=seed))
        model.fit(table.X, table.y)
        return lambda: model.predict(table.X_test)

    return timed(fit, lambda predicted: float(score(table.y_test, predicted)))


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    args = options.parse_args()
    rows, values = [], {}
    everything: dict[str, Outcome] = {}
    for name, m in CASES:
        table = split(*read(name, args.data))
        n = len(table.X)
        if name not in everything:
            everything[name] = kernel_ridge_on_all_rows(table, 0, MOST_ROWS)
        base = everything[name]
        found = {f"kernel ridge on {min(n, MOST_ROWS)} rows": [base]}
        seeds = range(args.seeds)
        found["learnt"] = [learnt(table, m, seed) for seed in seeds]
        found[f"learnt, max_iter={SHORT}"] = [learnt(table, m, seed, SHORT) for seed in seeds]
        for how in LANDMARKS:
            found[f"{how}, solved labels"] = [solved_labels(table, m, how, seed) for seed in seeds]
        found["Nystroem and ridge"] = [nystroem(table, m, seed) for seed in seeds]
        case = f"{name}\nm = {m}"
        for how, outcomes in found.items():
            columns = [[getattr(o, k) for o in outcomes] for k in ("score", "fit", "predict")]
            share = mean_and_error([o.score / base.score for o in outcomes])
            cells = [mean_and_error(c) for c in columns]
            rows.append([name, m, how, len(outcomes), cells[0], share, *cells[1:]])
            series = "kernel ridge on all rows" if how.startswith("kernel") else how
            values.setdefault(case, {})[series] = cells[0]
            print(rows[-1], flush=True)
        # After every case: an interrupted run keeps what it has.
        figure = dot_chart(values, "R² or accuracy", "Learnt and chosen rows, and all rows")
        header = ["table", "m", "how", "seeds", "score", "share", "fit CPU s", "predict CPU s"]
        save("learning", args.out, header, rows, vars(args), figure)


if __name__ == "__main__":
    main()
