"""Test scores of models trained on m chosen rows: which loss, how much uniform mixing.

For each table, way of choosing rows and seed: kernel ridge regression whose ridge is tuned by
leave-one-out on the chosen rows, a linear model and a random forest, all trained on the weighted
rows and scored on the untouched test part. "unequal" tables have classes of geometric sizes or
heavy-tailed features; for classes of unequal size the score is balanced accuracy.
"""

from __future__ import annotations

import numpy as np
from _report import dot_chart, load_table, mean_and_error, parser, save
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import DistilledData, SensitivityCoreset
from skdistill.kernels.ridge import fit_weighted_ridge

TABLES = (
    "california_housing",
    "friedman",
    "letter",
    "digits",
    "letter, geometric classes",
)


def read(table: str, folder) -> tuple[np.ndarray, ...]:
    """Standardised training and test part."""
    X, y = load_table(table.split(",")[0], folder)
    if table.endswith("geometric classes"):
        rng = np.random.default_rng(0)
        labels, codes = np.unique(y, return_inverse=True)
        keep = rng.random(len(y)) < 0.85 ** np.arange(len(labels))[codes]
        X, y = X[keep], y[keep]
        labels, codes = np.unique(y, return_inverse=True)
        keep = np.bincount(codes)[codes] >= 4  # the split needs some of each class
        X, y = X[keep], y[keep]
    stratify = None if y.dtype.kind == "f" else y
    parts = train_test_split(X, y, test_size=0.25, random_state=0, stratify=stratify)
    scaler = StandardScaler().fit(parts[0])
    return scaler.transform(parts[0]), scaler.transform(parts[1]), parts[2], parts[3]


def uniform(X, y, m, seed) -> DistilledData:
    chosen = np.random.default_rng(seed).choice(len(X), m, replace=False)
    return DistilledData(X[chosen], y[chosen], np.full(m, len(X) / m))


def coreset(**options):
    def choose(X, y, m, seed) -> DistilledData:
        return SensitivityCoreset(m, random_state=seed, **options).fit_distill(X, y)

    return choose


CHOOSERS = {
    "uniform": uniform,
    "uniform, stratified and systematic": coreset(loss="kernel_ridge", uniform_mixing=1.0),
    **{
        f"{loss}, uniform_mixing={mixing}": coreset(loss=loss, uniform_mixing=mixing)
        for loss in ("kmeans", "kernel_ridge")
        for mixing in (0.0, 0.2, 0.5)
    },
    "cross_entropy, uniform_mixing=0.5": coreset(loss="cross_entropy", uniform_mixing=0.5),
    "squared_error, uniform_mixing=0.5": coreset(loss="squared_error", uniform_mixing=0.5),
}


def krr(small, X_test, n_features) -> np.ndarray:
    """Predictions of weighted kernel ridge regression with the ridge of least LOO error."""
    gamma = 1 / n_features
    if small.y.dtype.kind == "f":
        Y, classes = small.y[:, None], None
    else:
        classes = np.unique(small.y)
        Y = (small.y[:, None] == classes).astype(float)
    fit = fit_weighted_ridge(rbf_kernel(small.X, gamma=gamma), Y, small.sample_weight)
    out = rbf_kernel(X_test, small.X, gamma=gamma) @ fit.dual_coef + fit.intercept
    return out.ravel() if classes is None else classes[out.argmax(1)]


def scores(small, X_test, y_test, seed) -> tuple[float, float, float]:
    regression = y_test.dtype.kind == "f"
    metric = r2_score if regression else balanced_accuracy_score
    linear = RidgeCV(np.logspace(-3, 4, 15)) if regression else LogisticRegression(max_iter=500)
    forest = (RandomForestRegressor if regression else RandomForestClassifier)(
        100, random_state=seed
    )
    linear = make_pipeline(StandardScaler(), linear)
    name = linear.steps[-1][0]
    linear.fit(small.X, small.y, **{f"{name}__sample_weight": small.sample_weight})
    forest.fit(**small)
    predictions = (
        krr(small, X_test, X_test.shape[1]),
        linear.predict(X_test),
        forest.predict(X_test),
    )
    return tuple(metric(y_test, p) for p in predictions)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("-m", type=int, default=200)
    options.add_argument("--only", help="run choosers whose name contains this text")
    args = options.parse_args()
    rows = []
    for table in TABLES:
        X, X_test, y, y_test = read(table, args.data)
        for name, choose in CHOOSERS.items():
            if args.only is not None and args.only not in name:
                continue
            if y.dtype.kind == "f" and name.startswith("cross_entropy"):
                continue
            found = np.array(
                [scores(choose(X, y, args.m, s), X_test, y_test, s) for s in range(args.seeds)]
            )
            rows.append([table, name, *(mean_and_error(column) for column in found.T)])
            print(rows[-1], flush=True)
    header = ["table", "rows chosen by", "kernel ridge", "linear", "forest"]
    values: dict = {}
    for table, name, score, _, _ in rows:
        values.setdefault(table, {})[name] = score
    title = f"Kernel ridge regression on {args.m} weighted rows"
    save("coreset_scores", args.out, header, rows, vars(args), dot_chart(values, "score", title))


if __name__ == "__main__":
    main()
