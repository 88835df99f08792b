"""Time and memory of SensitivityCoreset, as ratios to its floor and to its peers in one run.

Of DatasetDistiller the memory at two numbers of rows: it should grow by its coordinates, X, alone.

Floors. k-means, n x d float32 rows, k centres: the assignment is one product of n x d by d x k,
2 n d k flops (6.4 GFLOP here) and one read of X (4 n d bytes, 256 MB here). Kernel ridge with s
landmarks: three products of n x s by s x s, 6 n s^2 flops (450 GFLOP here), the kernel twice.

Peers. k-means: scikit-learn's kmeans_plusplus and pairwise_distances_argmin_min, which give the
same distances. Kernel ridge: scikit-learn's Nystroem features of n_components = m.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from _report import dot_chart, parser, save
from sklearn.cluster import kmeans_plusplus
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import pairwise_distances_argmin_min

from skdistill import DatasetDistiller, SensitivityCoreset
from skdistill._input.rows import merge_equal_rows


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of `work`."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def kmeans(repeats: int) -> list[list]:
    n, d, k, m = 1_000_000, 64, 50, 2000
    X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    coreset = SensitivityCoreset(
        m, loss="kmeans", n_clusters=k, sampling="systematic", random_state=0
    )
    coreset.fit(X[:50_000])  # loads the libraries
    before = peak_mb()
    coreset.fit(X)
    extra = peak_mb() - before
    ours = seconds(lambda: coreset.fit(X), repeats)
    medoids = SensitivityCoreset(m, n_clusters=k, sampling="medoids", random_state=0)
    nearest = seconds(lambda: medoids.fit(X), repeats)
    merging = seconds(lambda: merge_equal_rows(X, None, None), repeats)
    centres = X[:k].copy()
    out = np.empty((n, k), dtype=np.float32)  # fresh pages would cost as much as the product
    product = seconds(lambda: np.matmul(X, centres.T, out=out), repeats)

    def peer() -> None:
        chosen, _ = kmeans_plusplus(X, k, random_state=0)
        pairwise_distances_argmin_min(X, chosen)

    theirs = seconds(peer, repeats)
    name = f"k-means, n = {n:,}, d = {d}, k = {k}, m = {m:,}"
    return [
        [name, "SensitivityCoreset.fit", ours, "1", f"{extra:.0f} MB = {extra / 256:.2f} X"],
        [name, "  of it: merging equal rows", merging, f"{merging / ours:.2f}", ""],
        [name, "medoids", nearest, f"{nearest / ours:.1f}", ""],
        [name, "floor: float32 product", product, f"fit is {ours / product:.1f} x", ""],
        [name, "kmeans_plusplus + argmin_min", theirs, f"fit is 1 / {theirs / ours:.1f}", ""],
    ]


def kernel_ridge(repeats: int) -> list[list]:
    n, d, m = 300_000, 16, 500
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(n)
    coreset = SensitivityCoreset(m, loss="kernel_ridge", random_state=0)
    coreset.fit(X[:5000], y[:5000])
    before = peak_mb()
    coreset.fit(X, y)
    extra = peak_mb() - before
    ours = seconds(lambda: coreset.fit(X, y), repeats)
    peer = Nystroem(gamma=1 / d, n_components=m, random_state=0)
    theirs = seconds(lambda: peer.fit_transform(X), repeats)
    features = seconds(lambda: coreset.transform(X), repeats)
    name = f"kernel ridge, n = {n:,}, d = {d}, m = {m}"
    return [
        [name, "SensitivityCoreset.fit", ours, "1", f"{extra:.0f} MB"],
        [name, "Nystroem.fit_transform", theirs, f"fit is {ours / theirs:.2f} x", ""],
        [name, "SensitivityCoreset.transform", features, f"{features / theirs:.2f} x", ""],
    ]


def learnt_rows(n: int, repeats: int) -> list[list]:
    """Peak beyond X of a fit; few steps, as their memory does not grow with n."""
    d, m = 32, 50
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = np.sin(X[:, 0]) + X[:, 1] ** 2
    distiller = DatasetDistiller(m, max_iter=20, random_state=0)
    distiller.fit(X[:20_000], y[:20_000])
    before = peak_mb()
    distiller.fit(X, y)
    extra = peak_mb() - before
    ours = seconds(lambda: distiller.fit(X, y), repeats)
    memory = f"{extra:.0f} MB = {extra / (X.nbytes / 2**20):.2f} X"
    name = f"learnt rows, n = {n:,}, d = {d}, m = {m}, 20 steps"
    return [[name, f"DatasetDistiller.fit, n = {n:,}", ours, "1", memory]]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    args = options.parse_args()
    rows = []
    distilled = [partial(learnt_rows, n) for n in (200_000, 400_000)]
    for case in (kmeans, kernel_ridge, *distilled):
        # Each in a process of its own: the peak of one would hide the memory of the other.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows += pool.submit(case, args.repeats).result()
    header = ["case", "what", "seconds", "ratio", "memory beyond the input"]
    values: dict = {}
    for case, what, taken, _, _ in rows:
        values.setdefault(case.split(",")[0], {})[what.strip()] = (taken, 0.0)
    save(
        "speed", args.out, header, rows, vars(args), dot_chart(values, "seconds", "Time", log=True)
    )


if __name__ == "__main__":
    main()
