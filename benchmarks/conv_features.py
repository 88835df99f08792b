"""Rows learnt in the space of frozen convolutional features: score, time and size.

The features are fitted on training images without labels; `DatasetDistiller` learns rows of
features; those of photographs also from a shifted copy of each image. What differs from the
defaults was chosen on training images held out (`--validation`). CPU seconds are those of the
process, over all its threads. The size of the feature map stands beside that of the rows, since the
rows are of no use without it. CIFAR-10 is read from a file of JPEG copies, which lose some quality:
compare only with runs on that file.
"""

from __future__ import annotations

import io
import lzma
import time
from pathlib import Path

import numpy as np
from _report import bar_chart, mean_and_error, parser, save
from PIL import Image

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import ConvFeatures
from skdistill.objectives import KernelRidge

SHAPES = {"mnist": (1, 28, 28), "cifar10_jpeg": (3, 32, 32)}
# 500 rows of CIFAR-10 take several times as long as all else here.
SIZES = [10, 100, 500]
# Mirror images of photographs show the same; those of digits do not.
OPTIONS = {
    "mnist": {"n_filters": 64, "patch_size": 5, "n_cells": 5, "n_components": 256},
    "cifar10_jpeg": {"mirror": True, "n_components": 1024},
}
SHIFT = {"mnist": 0, "cifar10_jpeg": 2}  # most pixels that a copy is shifted by; 0 makes no copy
DROPOUT = {"mnist": 0.0, "cifar10_jpeg": 0.3}  # from FEW rows on
FEW = 100
# Features come in units that suit them, and rows of length 1 fit a kernel of this width.
PLAIN = {"standardize": False, "gamma": 5.0, "learn_kernel": False, "learning_rate": 0.22}
PLAIN |= {"max_iter": 4000}
HEADER = ["data", "rows", "seeds", "test score", "features: CPU s", "distil: CPU s", "wall s"]
HEADER += ["numbers in map", "numbers in rows"]


def read(name: str, folder: Path):
    """Training images, their labels, test images, their labels; images are rows of uint8."""
    stored = np.load(folder / f"{name}.npz")
    if name == "mnist":
        parts = [stored["X_train"], stored["y_train"], stored["X_test"], stored["y_test"]]
        return [part.reshape(len(part), -1) if part.ndim > 1 else part for part in parts]
    raw = lzma.decompress(stored["jpeg"].tobytes())
    ends = np.cumsum(stored["length"].astype(int))
    starts = np.r_[0, ends[:-1]]
    X = np.stack(
        [np.asarray(Image.open(io.BytesIO(raw[a:b]))) for a, b in zip(starts, ends, strict=True)]
    )
    X = np.ascontiguousarray(X.transpose(0, 3, 1, 2)).reshape(len(X), -1)
    train = stored["is_train"].astype(bool)
    return [X[train], stored["y"][train], X[~train], stored["y"][~train]]


def shifted(X: np.ndarray, shape: tuple[int, int, int], pixels: int, seed: int) -> np.ndarray:
    """Copy of each image, moved by up to so many pixels either way; its border is repeated."""
    images = X.reshape(-1, *shape)
    around = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(around, shape[1:], axis=(2, 3))
    place = np.random.default_rng(seed).integers(0, 2 * pixels + 1, (2, len(X)))
    return views[np.arange(len(X)), :, place[0], place[1]].reshape(X.shape)


def make_distiller(name: str, m: int, seed: int) -> DatasetDistiller:
    """Distiller with what was chosen on held-out training images."""
    if name == "mnist" and m < FEW:
        return DatasetDistiller(m, random_state=seed)
    objective = KernelRidge(dropout=DROPOUT[name] if m >= FEW else 0.0)
    batch = 512 if m <= FEW else "auto"  # many rows need large batches while labels are solved
    return DatasetDistiller(m, objective=objective, batch_size=batch, random_state=seed, **PLAIN)


def clocks() -> np.ndarray:
    """CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tables", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    options.add_argument("--sizes", nargs="+", type=int, help="numbers of rows")
    options.add_argument("--part", type=int, help="use so many training images only")
    options.add_argument("--validation", action="store_true", help="score on 5,000 training images")
    args = options.parse_args()
    found: dict = {}
    data = {}
    for name in args.tables:
        X, y, X_test, y_test = read(name, args.data)
        if args.validation:
            order = np.random.default_rng(0).permutation(len(X))
            X_test, y_test = X[order[:5000]], y[order[:5000]]
            X, y = X[order[5000:]], y[order[5000:]]
        data[name] = X[: args.part], y[: args.part], X_test, y_test
    for seed in range(args.seeds):
        for name, (X, y, X_test, y_test) in data.items():
            begin = clocks()
            features = ConvFeatures(SHAPES[name], random_state=seed, **OPTIONS[name])
            F, F_test = features.fit_transform(X), features.transform(X_test)
            if SHIFT[name]:
                copy = shifted(X, SHAPES[name], SHIFT[name], seed)
                F, y = np.concatenate([F, features.transform(copy)]), np.concatenate([y, y])
            spent = clocks() - begin
            for m in args.sizes or SIZES:
                begin = clocks()
                model = DistilledClassifier(distiller=make_distiller(name, m, seed))
                score = model.fit(F, y).score(F_test, y_test)
                took = clocks() - begin
                wall = spent[1] + took[1]
                sizes = features.n_parameters_, m * F.shape[1]
                line = (100 * score, spent[0], took[0], wall, *sizes)
                found.setdefault((name, m), []).append(line)
                print(name, m, seed, line, flush=True)
            record(found, args)  # after each table: a run that is cut short leaves what it found


def record(found: dict, args) -> None:
    """Summarise over seeds and write the files."""
    rows = []
    chart: dict = {}
    for (name, m), lines in found.items():
        score, feature_cpu, distil_cpu, wall, map_size, row_size = map(
            mean_and_error, zip(*lines, strict=True)
        )
        times = [feature_cpu[0], distil_cpu[0], wall[0]]
        sizes = [int(map_size[0]), int(row_size[0])]
        rows.append([name, m, len(lines), score, *times, *sizes])
        chart.setdefault(name, {})[f"{m} rows"] = score
    figure = bar_chart(chart, "test score (%)", "Rows of frozen convolutional features")
    save("conv_features", args.out, HEADER, rows, vars(args), figure)


if __name__ == "__main__":
    main()
