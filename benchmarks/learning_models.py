"""Other models trained on learnt rows, on uniform rows and on a coreset of the same size.

Learnt rows serve the kernel ridge predictor they were made for ("own predictor"). What do they do
for nearest neighbours, a forest and a linear model? R² or accuracy on the test part; features are
standardised by the training part.
"""

from __future__ import annotations

import numpy as np
from _report import dot_chart, mean_and_error, parser, save
from learning import read, split
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from skdistill import (
    DatasetDistiller,
    DistilledClassifier,
    DistilledRegressor,
    SensitivityCoreset,
)

TABLES = ("california_housing", "friedman", "letter", "digits")


def models(numbers: bool) -> dict:
    """Fresh models by name."""
    if numbers:
        return {
            "3-NN": KNeighborsRegressor(3),
            "forest": RandomForestRegressor(n_jobs=1, random_state=0),
            "linear": Ridge(),
        }
    return {
        "3-NN": KNeighborsClassifier(3),
        "forest": RandomForestClassifier(n_jobs=1, random_state=0),
        "linear": LogisticRegression(max_iter=2000),
    }


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=2)
    options.add_argument("-m", type=int, default=200)
    args = options.parse_args()
    scores: dict[tuple, list[float]] = {}
    for name in TABLES:
        table = split(*read(name, args.data))
        scaler = StandardScaler().fit(table.X)
        X, X_test, y = scaler.transform(table.X), scaler.transform(table.X_test), table.y
        numbers = table.classes is None
        made = DistilledRegressor if numbers else DistilledClassifier
        for seed in range(args.seeds):
            own = made(distiller=DatasetDistiller(args.m, random_state=seed)).fit(X, y)
            scores.setdefault((name, "learnt", "own predictor"), []).append(
                own.score(X_test, table.y_test)
            )
            chosen = SensitivityCoreset(args.m, sampling="systematic", random_state=seed)
            chosen = chosen.fit_distill(X, y)
            some = np.random.default_rng(seed).choice(len(X), args.m, replace=False)
            sets = {
                "learnt": (own.distilled_.X, own.distilled_.y, None),
                "uniform": (X[some], y[some], None),
                "coreset": (chosen.X, chosen.y, chosen.sample_weight),
            }
            for how, (rows, labels, weight) in sets.items():
                for label, model in models(numbers).items():
                    given = {} if weight is None or label == "3-NN" else {"sample_weight": weight}
                    fitted = clone(model).fit(rows, labels, **given)
                    value = fitted.score(X_test, table.y_test)
                    scores.setdefault((name, how, label), []).append(value)
        # After every table: an interrupted run keeps what it has.
        records = [[*key, mean_and_error(found)] for key, found in scores.items()]
        values: dict = {}
        for name, how, label, found in records:
            values.setdefault(f"{name}\n{label}", {})[how] = (max(found[0], -0.5), found[1])
        figure = dot_chart(
            values, "R² or accuracy (cut at -0.5)", f"Models trained on {args.m} rows"
        )
        header = ["table", "rows", "model", "score"]
        save("learning_models", args.out, header, records, vars(args), figure)


if __name__ == "__main__":
    main()
