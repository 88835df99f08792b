"""Quality of k-means coresets: cost of the centres solved on them, and their worst cost error.

Rows are drawn from mixtures of 50 Gaussians, once of geometric and once of equal sizes. For each
way of choosing m weighted rows: (1) the cost over all rows of 50 centres that k-means finds on the
chosen rows, relative to k-means on all rows; (2) the largest relative error of the weighted cost
over 24 fixed sets of 50 centres.
"""

from __future__ import annotations

import time

import numpy as np
from _report import dot_chart, mean_and_error, parser, save
from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin_min

from skdistill import DistilledData, SensitivityCoreset

K = 50
N_INIT = 5  # seedings of each k-means solution


def mixture(n: int, d: int, ratio: float, seed: int, n_far: int = 0) -> np.ndarray:
    """Rows (n, d) of 50 Gaussians whose sizes fall by `ratio`; `n_far` rows lie far out."""
    rng = np.random.default_rng(seed)
    sizes = ratio ** np.arange(K)
    component = rng.choice(K, n, p=sizes / sizes.sum())
    component[:K] = np.arange(K)  # even the smallest has a row
    centres = rng.normal(scale=10, size=(K, d))
    X = centres[component] + rng.normal(size=(n, d))
    X[:n_far] += 300 * rng.normal(size=(n_far, d))
    return X.astype(np.float32)


def cost(X: np.ndarray, centres: np.ndarray, weight: np.ndarray | None = None) -> float:
    """K-means cost of weighted rows."""
    d2 = pairwise_distances_argmin_min(X, centres)[1].astype(np.float64) ** 2
    return float(d2.sum() if weight is None else d2 @ weight)


def query_centres(X: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """24 sets of centres: random rows, k-means++ seeds, and noise of the data's spread."""
    sets = [X[rng.choice(len(X), K, replace=False)] for _ in range(8)]
    pool = X[rng.choice(len(X), 20_000, replace=False)]
    sets += [kmeans_plusplus(pool, K, random_state=s)[0] for s in range(8)]
    sets += [
        rng.normal(X.mean(0), X.std(0), size=(K, X.shape[1])).astype(X.dtype) for _ in range(8)
    ]
    return sets


def uniform(X: np.ndarray, m: int, seed: int) -> DistilledData:
    chosen = np.random.default_rng(seed).choice(len(X), m, replace=False)
    return DistilledData(X[chosen], sample_weight=np.full(m, len(X) / m))


def lightweight(X: np.ndarray, m: int, seed: int) -> DistilledData:
    """Lightweight coreset: half uniform, half by distance to the mean, with replacement."""
    d2 = ((X - X.mean(0)) ** 2).sum(1).astype(np.float64)
    p = 0.5 / len(X) + 0.5 * d2 / d2.sum()
    chosen = np.random.default_rng(seed).choice(len(X), m, p=p / p.sum())
    return DistilledData(X[chosen], sample_weight=1 / (m * p[chosen]))


def coreset(**options):
    """Chooser with the given options of SensitivityCoreset."""

    def choose(X: np.ndarray, m: int, seed: int) -> DistilledData:
        return SensitivityCoreset(m, loss="kmeans", random_state=seed, **options).fit_distill(X)

    return choose


def minibatch_centres(X: np.ndarray, m: int, seed: int) -> DistilledData:
    """Centres of MiniBatchKMeans with their counts: rows that are no data rows."""
    solver = MiniBatchKMeans(m, n_init=1, batch_size=4096, random_state=seed).fit(X)
    counts = np.bincount(pairwise_distances_argmin_min(X, solver.cluster_centers_)[0], minlength=m)
    kept = counts > 0
    return DistilledData(solver.cluster_centers_[kept], sample_weight=counts[kept].astype(float))


CHOOSERS = {
    "uniform": uniform,
    "lightweight": lightweight,
    "MiniBatchKMeans centres": minibatch_centres,
    "SensitivityCoreset": coreset(),
    "  iid": coreset(sampling="iid"),
    "  calibrate=False": coreset(calibrate=False),
    "  uniform_mixing=0": coreset(uniform_mixing=0.0),
    "  uniform_mixing=0.5": coreset(uniform_mixing=0.5),
    "  approx_factor=0.03": coreset(approx_factor=0.03),
    "  approx_factor=0.1": coreset(approx_factor=0.1),
    "  approx_factor=1": coreset(approx_factor=1.0),
    "  n_clusters=20": coreset(n_clusters=20),
    "  n_clusters=50": coreset(n_clusters=50),
    "  n_clusters=200": coreset(n_clusters=200),
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("-n", type=int, default=100_000)
    options.add_argument("-m", type=int, default=2000)
    options.add_argument("--only", help="run choosers whose name contains this text")
    args = options.parse_args()
    rows = []
    cases = (
        ("geometric sizes", 0.82, 0),
        ("equal sizes", 1.0, 0),
        ("equal sizes, 5 far out", 1.0, 5),
    )
    for name, ratio, n_far in cases:
        results = {key: [] for key in CHOOSERS if args.only is None or args.only in key}
        for seed in range(args.seeds):
            X = mixture(args.n, 16, ratio, seed, n_far)
            full = KMeans(K, n_init=N_INIT, random_state=seed).fit(X).inertia_
            queries = query_centres(X, np.random.default_rng(seed))
            exact = [cost(X, c) for c in queries]
            for key in results:
                began = time.perf_counter()
                small = CHOOSERS[key](X, args.m, seed)
                seconds = time.perf_counter() - began
                solver = KMeans(K, n_init=N_INIT, random_state=seed)
                centres = solver.fit(small.X, sample_weight=small.sample_weight).cluster_centers_
                errors = [
                    abs(cost(small.X, c, small.sample_weight) / e - 1)
                    for c, e in zip(queries, exact, strict=True)
                ]
                results[key].append((cost(X, centres) / full, max(errors), seconds))
        for key, values in results.items():
            ratios, worst, seconds = zip(*values, strict=True)
            rows.append(
                [
                    name,
                    key,
                    mean_and_error(ratios),
                    mean_and_error(worst),
                    float(np.median(seconds)),
                ]
            )
    header = ["mixture", "rows chosen by", "cost / k-means on all", "worst cost error", "seconds"]
    values: dict = {}
    for name, key, _, worst, _ in rows:
        values.setdefault(name, {})[key.strip()] = worst
    title = f"K-means cost on {args.m} weighted rows of {args.n}, over 24 sets of centres"
    figure = dot_chart(values, "worst relative error", title, log=True)
    save("kmeans_quality", args.out, header, rows, vars(args), figure)


if __name__ == "__main__":
    main()
