"""MNIST, raw pixels: 10, 100 and 500 learnt rows against chosen rows with solved labels.

Everything by default: the public classifier with a `DatasetDistiller` and no other parameter than
the number of rows. Seconds are process CPU seconds. The data folder must hold mnist.npz, with
X_train, y_train, X_test, y_test; no choice is made on the test part.
"""

from __future__ import annotations

import numpy as np
from _report import dot_chart, mean_and_error, parser, save
from _rivals import Outcome, Table, solved_labels, timed
from sklearn.metrics import accuracy_score

from skdistill import DatasetDistiller, DistilledClassifier

BUDGETS = (10, 100, 500)
RIVALS = ("uniform", "k-means")


def learnt(table: Table, m: int, seed: int) -> Outcome:
    """Learnt rows with their own predictor."""

    def fit():
        model = DistilledClassifier(distiller=DatasetDistiller(m, random_state=seed))
        model.fit(table.X, table.y)
        return lambda: model.predict(table.X_test)

    return timed(fit, lambda predicted: float(accuracy_score(table.y_test, predicted)))


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    args = options.parse_args()
    stored = np.load(args.data / "mnist.npz")
    X, X_test = (stored[k].reshape(-1, 784).astype(np.float32) for k in ("X_train", "X_test"))
    table = Table(X, X_test, stored["y_train"], stored["y_test"], by_pixels=True)
    rows = []
    values: dict = {}
    for m in BUDGETS:
        found = {"learnt": [learnt(table, m, seed) for seed in range(args.seeds)]}
        print(m, found, flush=True)
        for name in RIVALS:
            chosen = [solved_labels(table, m, name, seed) for seed in range(args.seeds)]
            found[f"{name}, solved labels"] = chosen
        for name, outcomes in found.items():
            columns = [[getattr(o, k) for o in outcomes] for k in ("score", "fit", "predict")]
            rows.append([m, name, len(outcomes), *(mean_and_error(c) for c in columns)])
            values.setdefault(f"m = {m}", {})[name] = rows[-1][3]
    figure = dot_chart(values, "accuracy", "MNIST, raw pixels, RBF kernel ridge on m rows")
    header = ["rows m", "how", "seeds", "accuracy", "fit CPU s", "predict CPU s"]
    save("learning_mnist", args.out, header, rows, vars(args), figure)


if __name__ == "__main__":
    main()
