"""Data larger than memory: quality of streamed coresets, memory and time of one pass.

Files: the command line on a csv and a parquet file of the same table, with its own reader alone as
the floor.

Quality: a mixture of 50 Gaussians of geometric sizes for the k-means loss, and a heavy-tailed
regression for the kernel ridge loss, are read in chunks, in several orders, and as a whole. Memory
and time: rows in a file mapped into memory, each measurement in a process of its own. Seconds are
those of the processor, so that other work on the machine counts less.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import mean_and_error, parser, save
from kmeans_quality import K, cost, mixture, query_centres
from scipy.linalg import cho_factor, cho_solve
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import rbf_kernel

from skdistill import DistilledData, SensitivityCoreset
from skdistill.streaming import coreset as streams
from skdistill.streaming import merge_reduce

ORDERS = {
    "whole": None,
    "as it comes": lambda X, seed: np.arange(len(X)),
    "sorted by a feature": lambda X, seed: np.argsort(X[:, 0]),
    "sorted by distance": lambda X, seed: np.argsort(((X - X.mean(0)) ** 2).sum(1)),
}


def chunks_of(order: np.ndarray, seed: int) -> list[np.ndarray]:
    """Twenty chunks of unequal sizes, the largest some hundred times the smallest."""
    rng = np.random.default_rng(seed)
    share = np.exp(rng.normal(scale=1.2, size=20))
    ends = np.floor(np.cumsum(share / share.sum()) * len(order)).astype(int)
    return [part for part in np.split(order, ends[:-1]) if len(part)]


def streamed(
    estimator: SensitivityCoreset, X: np.ndarray, y: np.ndarray | None, order, seed: int
) -> DistilledData:
    if order is None:
        return estimator.fit_distill(X, y)
    for part in chunks_of(order(X, seed), seed):
        estimator.partial_fit(X[part], None if y is None else y[part])
    return estimator.distilled_


def uniform(X: np.ndarray, y: np.ndarray | None, m: int, seed: int) -> DistilledData:
    chosen = np.random.default_rng(seed).choice(len(X), m, replace=False)
    return DistilledData(X[chosen], None if y is None else y[chosen], np.full(m, len(X) / m))


def kmeans_figures(n: int, m: int, seed: int) -> dict[str, tuple[float, float]]:
    """Cost of centres solved on the small set over the best cost; worst cost error."""
    X = mixture(n, 16, 0.82, seed)
    full = KMeans(K, n_init=3, random_state=seed).fit(X).inertia_
    queries = query_centres(X, np.random.default_rng(seed))
    exact = [cost(X, c) for c in queries]
    found = {}
    for name in ("uniform", *ORDERS):
        if name == "uniform":
            small = uniform(X, None, m, seed)
        else:
            small = streamed(SensitivityCoreset(m, random_state=seed), X, None, ORDERS[name], seed)
        solver = KMeans(K, n_init=3, random_state=seed)
        centres = solver.fit(small.X, sample_weight=small.sample_weight).cluster_centers_
        worst = max(
            abs(cost(small.X, c, small.sample_weight) / e - 1)
            for c, e in zip(queries, exact, strict=True)
        )
        found[name] = cost(X, centres) / full, worst
    return found


def ridge_figures(n: int, m: int, seed: int) -> dict[str, tuple[float]]:
    """Worst relative error of the kernel ridge loss over single-row maximisers and subsets."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(2.5, size=(n, 6))
    X /= np.median(np.abs(X))
    y = np.sin(X[:, 0]) + 0.1 * X[:, 1] + 0.1 * rng.standard_t(2.5, size=n)
    gamma = 1 / (X.shape[1] * X.var())
    kernel = rbf_kernel(X, gamma=gamma)
    pool = rng.choice(n, 1000, replace=False)
    alpha = _ridge_of(kernel[np.ix_(pool, pool)] * (n / 1000), m / 2)
    target = y - y.mean()
    factor = cho_factor(kernel + alpha * np.eye(n))
    best = cho_solve(factor, target)
    hardest = rng.choice(n, 60, replace=False)
    queries = [
        best + sign * cho_solve(factor, np.eye(n)[i]) * np.abs(target[i])
        for i in hardest
        for sign in (30, -30)
    ]
    for _ in range(10):
        part = rng.choice(n, n // 20, replace=False)
        a = np.zeros(n)
        a[part] = np.linalg.solve(
            kernel[np.ix_(part, part)] + alpha * np.eye(len(part)), target[part]
        )
        queries.append(a)
    found = {}
    for name in ("uniform", *ORDERS):
        if name == "uniform":
            small = uniform(np.arange(n)[:, None], y, m, seed)
            rows, weight = small.X[:, 0], small.sample_weight
        else:
            # A fixed gamma: each order must be scored in the same kernel.
            estimator = SensitivityCoreset(
                m, loss="kernel_ridge", alpha=alpha, gamma=gamma, random_state=seed
            )
            order = ORDERS[name]
            if order is None:
                estimator.fit(X, y)
            else:
                streamed(estimator, X, y, order, seed)
            small = estimator.distilled_
            places = np.arange(n) if order is None else order(X, seed)
            rows, weight = places[small.indices], small.sample_weight
        errors = []
        for a in queries:
            f = kernel @ a
            penalty = alpha * float(a @ f)
            loss = float(((f - target) ** 2).sum()) + penalty
            estimate = float(weight @ (f[rows] - target[rows]) ** 2) + penalty
            errors.append(abs(estimate / loss - 1))
        found[name] = (max(errors),)
    return found


def _ridge_of(kernel: np.ndarray, dimension: float) -> float:
    values = np.clip(np.linalg.eigvalsh(kernel), 0, None)
    low, high = 1e-8, 1e8
    for _ in range(200):
        middle = np.sqrt(low * high)
        low, high = (
            (middle, high) if (values / (values + middle)).sum() > dimension else (low, middle)
        )
    return middle


def quality(figures, seeds: int) -> list[list]:
    """Means and standard errors over seeds of what `figures` finds."""
    found: dict = {}
    for seed in range(seeds):
        for name, values in figures(seed).items():
            found.setdefault(name, []).append(values)
    return [
        [name, *(mean_and_error(column) for column in zip(*values, strict=True))]
        for name, values in found.items()
    ]


# Memory and time ----------------------------------------------------------------------------------

# The floor of a fit: each byte is read once, and each row compared with the 50 centres that a small
# set of 1,000 rows is chosen by. For n rows of d float32 that is 4 n d bytes from the file and
# 2 n d 50 flops of products: 0.64 GB and 16 GFLOP for 10,000,000 rows of 16 numbers.
N_CENTRES = 50
READ = """
for start in range(0, len(X), 2**20):
    np.asarray(X[start:start + 2**20]).sum()
    X._mmap.madvise(mmap.MADV_DONTNEED)
"""
ASSIGN = f"""
units = Units(np.zeros(X.shape[1]))
centres = np.array(X[:: len(X) // {N_CENTRES}][:{N_CENTRES}], dtype=float)
for start in range(0, len(X), 2**20):
    block = np.array(X[start:start + 2**20])
    rows = Rows(block, np.arange(len(block)), np.ones(len(block)), None, None)
    assign(rows, centres, units, torch.device("cpu"))
    X._mmap.madvise(mmap.MADV_DONTNEED)
"""
FIT = "print(SensitivityCoreset(1000, random_state=0).fit(X).distilled_, file=sys.stderr)"
PROGRAM = """
import json, mmap, sys, time
import numpy as np, torch, sklearn.cluster
from skdistill import SensitivityCoreset
from skdistill._input.rows import Rows, Units
from skdistill.sensitivity.kmeans import assign
SensitivityCoreset(5, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 3)))
def peak():
    # Not ru_maxrss, which a process inherits from the one that started it.
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
X = np.load(sys.argv[1], mmap_mode="r")
before, began, clock = peak(), time.process_time(), time.perf_counter()
{work}
print(json.dumps([time.process_time() - began, time.perf_counter() - clock, peak() - before]))
"""


def write_rows(path: Path, n: int, d: int) -> None:
    """File of n rows of a mixture in float32, written block by block."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for number, start in enumerate(range(0, n, 10**6)):
        size = min(10**6, n - start)
        out[start : start + size] = mixture(size, d, 0.82, number)
    out.flush()


def one_pass(args) -> list[list]:
    """Medians over repetitions, in turn, so that other work on the machine meets all alike."""
    rows = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        for n in args.rows:
            path = Path(folder) / "rows.npy"
            write_rows(path, n, 16)
            figures: dict[str, list] = {"read": [], "read and assign": [], "fit": []}
            for _ in range(args.seeds):
                for name, work in zip(figures, (READ, ASSIGN, FIT), strict=True):
                    command = [sys.executable, "-c", PROGRAM.format(work=work), str(path)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    figures[name].append(json.loads(done.stdout))
            floor = np.array(figures["read and assign"])[:, 0]
            n_bytes, flops = 4 * n * 16, 2 * n * 16 * N_CENTRES
            for name, values in figures.items():
                cpu, wall, memory = np.array(values).T
                ratio = mean_and_error(cpu / floor)
                size = f"{n:.0e} x 16"
                work = ["-" if name == "read" else f"{flops / np.median(cpu) / 1e9:.1f}"]
                speed = [f"{n_bytes / np.median(cpu) / 1e9:.2f}", *work]
                peak = round(memory.max())
                rows.append([size, name, np.median(cpu), np.median(wall), ratio, *speed, peak])
    return rows


# Files on the command line ------------------------------------------------------------------------

START = """
import json, sys, time
from pathlib import Path
import numpy as np, torch, sklearn.linear_model
from skdistill import SensitivityCoreset
from skdistill.cli import main
from skdistill._input.rows import Rows, Units
from skdistill.cli.stream import _Parts
from skdistill.sensitivity.kmeans import assign
from skdistill.tables import TableEncoder
SensitivityCoreset(5, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 3)))
path = Path(sys.argv[1])
began, clock = time.process_time(), time.perf_counter()
{work}
cpu, wall = time.process_time() - began, time.perf_counter() - clock
lines = open("/proc/self/status").read().splitlines()
peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps([cpu, wall, peak]))
"""
PASS = "for frame in _Parts(path, path.suffix, 'auto').frames(): pass"
PASS_AND_ASSIGN = f"""
encoder = TableEncoder()
for frame in _Parts(path, path.suffix, "auto").frames():
    X = frame.drop(columns="target")
    if not hasattr(encoder, "n_features_in_"):
        encoder.fit(X)
        centres = np.asarray(encoder.transform(X[:{N_CENTRES}]), float)
    Z = np.asarray(encoder.transform(X), np.float32)
    rows = Rows(Z, np.arange(len(Z)), np.ones(len(Z)), None, None)
    assign(rows, centres, Units(np.zeros(Z.shape[1])), torch.device("cpu"))
"""
REDUCE = """
out = str(path.with_name("small" + path.suffix))
main([str(path), "--target", "target", "-n", "1000", "-o", out, "--stream"])
"""
FLOOR = f"read, encoded, and nearest of {N_CENTRES} rows"
FILE_WORK = {
    "reading alone": PASS,
    FLOOR: PASS_AND_ASSIGN,
    "reduced to 1,000 rows": REDUCE,
}


def write_table(folder: Path, n: int) -> list[Path]:
    """Write the same 20 columns, numbers, a category and two classes, as csv and as parquet."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    rng, written = np.random.default_rng(0), None
    paths = [folder / "table.csv", folder / "table.parquet"]
    with open(paths[0], "wb") as text:
        for start in range(0, n, 250_000):
            size = min(250_000, n - start)
            X = rng.normal(size=(size, 17)).round(4)
            columns = {f"x{j}": X[:, j] for j in range(17)}
            columns["shop"] = rng.choice(list("abcdefgh"), size)
            columns["count"] = rng.integers(0, 1000, size)
            columns["target"] = np.where(X[:, 0] + rng.normal(size=size) > 1, "yes", "no")
            table = pa.Table.from_pydict(columns)
            csv.write_csv(table, text, csv.WriteOptions(include_header=start == 0))
            written = written or pq.ParquetWriter(paths[1], table.schema)
            written.write_table(table)
    written.close()
    return paths


def files(args) -> list[list]:
    """Memory and time of the command line, imports left out of the time but not of the memory."""
    rows = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        for path in write_table(Path(folder), args.n_files):
            found: dict[str, list] = {name: [] for name in FILE_WORK}
            for _ in range(args.seeds):  # in turn, so that other work on the machine meets all
                for name, work in FILE_WORK.items():
                    command = [sys.executable, "-c", START.format(work=work), str(path)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    found[name].append(json.loads(done.stdout.splitlines()[-1]))
            floor = np.array(found[FLOOR])[:, 0]
            for name, values in found.items():
                cpu, wall, peak = np.array(values).T
                size = f"{path.suffix[1:]}, {path.stat().st_size / 2**20:.0f} MiB"
                ratio = mean_and_error(cpu / floor)
                rows.append([size, name, np.median(cpu), ratio, np.median(wall), round(peak.max())])
    return rows


# Dask ---------------------------------------------------------------------------------------------

PARTITION = 2**20


def rows_of_file(path: str, start: int, stop: int) -> np.ndarray:
    return np.load(path, mmap_mode="r")[start:stop]


def on_processes(path: Path, n: int, n_processes: int) -> tuple[list[float], float, float]:
    """Processor time of each worker and of the client, and seconds by the clock, of one fit."""
    import dask
    import dask.array as da
    from distributed import Client, LocalCluster

    parts = [
        da.from_delayed(
            dask.delayed(rows_of_file)(str(path), start, min(start + PARTITION, n)),
            (min(PARTITION, n - start), 16),
            np.float32,
        )
        for start in range(0, n, PARTITION)
    ]
    X = da.concatenate(parts)
    coreset = SensitivityCoreset(1000, random_state=0)
    options = {"n_workers": n_processes, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(silence_logs=50, **options) as cluster, Client(cluster) as client:
        # Each worker loads what it needs; its heartbeats and the like are in the time all the same.
        client.run(SensitivityCoreset(5, random_state=0).fit, np.eye(100, 3))
        before, own, clock = client.run(time.process_time), time.process_time(), time.perf_counter()
        small = coreset.fit_distill(X)
        assert round(small.sample_weight.sum()) == n
        after = client.run(time.process_time)
        busy = [after[worker] - before[worker] for worker in after]
        return busy, time.process_time() - own, time.perf_counter() - clock


def dask_figures(args) -> list[list]:
    """Speed-up by busy times: those of the busiest worker and the client, which wait for nobody."""
    rows = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        path, n = Path(folder) / "rows.npy", args.n_dask
        write_rows(path, n, 16)
        found: dict = {1: [], 2: []}
        for _ in range(args.seeds):
            for number, runs in found.items():
                busy, client, clock = on_processes(path, n, number)
                runs.append([sum(busy), max(busy), client, clock, max(busy) + client])
        alone = np.array(found[1])[:, 4]
        for number, runs in found.items():
            values = np.array(runs)
            figures = [float(f"{value:.3g}") for value in np.median(values, axis=0)[:4]]
            rows.append([number, *figures, mean_and_error(alone / values[:, 4])])
        block = np.load(path, mmap_mode="r")[:PARTITION]
        small = SensitivityCoreset(4000, random_state=0, sampling="systematic").fit_distill(block)
        print(f"a partition of {PARTITION} rows sends {len(pickle.dumps(small)) / 1e6:.2f} MB")
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("-n", type=int, default=100_000, help="rows for k-means")
    options.add_argument("--n-ridge", type=int, default=2000, help="rows for kernel ridge")
    options.add_argument("--rows", type=int, nargs="*", default=[10**6, 10**7])
    options.add_argument("--scratch", type=Path, help="folder for the file of rows")
    options.add_argument("--n-files", type=int, default=2 * 10**6, help="rows of the files")
    options.add_argument("--n-dask", type=int, default=8 * PARTITION, help="rows for Dask")
    options.add_argument("--only", choices=("kmeans", "ridge", "memory", "files", "dask"))
    args = options.parse_args()
    if args.only in (None, "kmeans"):
        rows = quality(lambda seed: kmeans_figures(args.n, 2000, seed), args.seeds)
        header = ["order", "cost / k-means on all", "worst error of the cost"]
        save("streams_kmeans", args.out, header, rows, vars(args))
    if args.only in (None, "memory"):
        header = ["rows", "work", "CPU s", "wall s", "of the floor", "GB / CPU s"]
        header += ["GFLOP / CPU s", "MiB above the start"]
        save("streams_memory", args.out, header, one_pass(args), vars(args))
    if args.only in (None, "dask"):
        header = ["processes", "CPU s of workers", "of the busiest", "CPU s of the client"]
        header += ["wall s", "speed-up by busy times"]
        save("streams_dask", args.out, header, dask_figures(args), vars(args))
    if args.only in (None, "files"):
        header = ["file", "work", "CPU s", "of the second", "wall s", "MiB in all"]
        save("streams_files", args.out, header, files(args), vars(args))
    if args.only in (None, "ridge"):
        # Small blocks, so that few rows pass through several reductions.
        streams.PARTIAL_ROWS, merge_reduce.LEAST_SUMMARY = 1, 1
        rows = quality(lambda seed: ridge_figures(args.n_ridge, 60, seed), args.seeds)
        save("streams_ridge", args.out, ["order", "worst error of the loss"], rows, vars(args))


if __name__ == "__main__":
    main()
