"""Rows learnt with frozen convolutional features: score, time and size.

The features are fitted on training images without labels. With `--rows features`, `KernelRidge`
learns rows of features; those of photographs also from a shifted copy of each image. With `--rows
pixels`, `FeatureRegression` learns images through the same map. What differs from the defaults was
chosen on training images held out (`--validation`). With `--rows defaults`, every parameter of the
map and of the distiller has its default, and no image is shifted. CPU seconds are those of the
process, over all its threads. The size of the feature map stands beside that of the rows, since the
rows are of no use without it. CIFAR-10 is read from a file of JPEG copies, which lose some quality:
compare only with runs on that file.
"""

from __future__ import annotations

import io
import lzma
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _report import dot_chart, mean_and_error, parser, save
from PIL import Image

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import ConvFeatures
from skdistill.objectives import FeatureRegression, KernelRidge

SHAPES = {"mnist": (1, 28, 28), "cifar10_jpeg": (3, 32, 32)}
SIZES = {"features": [10, 100, 500], "pixels": [10, 100], "defaults": [10, 100, 500]}
TITLES = {
    "features": ("conv_features", "Rows of features, by frozen convolutional features"),
    "pixels": ("conv_features_pixels", "Rows of pixels, by frozen convolutional features"),
    "defaults": ("conv_features_defaults", "Rows of features, all parameters by default"),
}
# Mirror images of photographs show the same; those of digits do not.
OPTIONS = {
    "mnist": {"mirror": False, "n_filters": 64, "patch_size": 5, "n_cells": 5, "n_components": 256},
    "cifar10_jpeg": {"mirror": "signed", "n_filters": 512, "n_components": 1024},
}
PIXEL_OPTIONS = OPTIONS | {
    "cifar10_jpeg": {"mirror": "signed", "n_filters": 256, "n_components": 1024}
}
SHIFT = {"mnist": 0, "cifar10_jpeg": 2}  # most pixels that a copy is shifted by; 0 makes no copy
FEW = 100
# Features come in units that suit them, and rows of length 1 fit a kernel of this width.
GAMMA = {"mnist": 5.0, "cifar10_jpeg": 4.0}
PLAIN = {"standardize": False, "learn_kernel": False, "learning_rate": 0.22}
PIXELS = {"learning_rate": 0.3, "batch_size": 200, "batch_sampling": "uniform"}
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
    """Distiller of features, with what was chosen on held-out training images."""
    if name == "mnist" and m < FEW:
        return DatasetDistiller(m, random_state=seed)
    options: dict = {"kernel": "rbf", "gamma": GAMMA[name], "max_iter": 4000, "batch_size": 512}
    dropout = 0.0
    if name == "cifar10_jpeg":
        options |= {"kernel": "mirror_rbf", "batch_sampling": "uniform"}
        if m >= FEW:
            dropout, options["max_iter"] = 0.2, 6000
        if m > FEW:
            options |= {"max_iter": 3000, "batch_size": 1024}
    elif m > FEW:
        options |= {"max_iter": 2400, "batch_size": "auto"}
    objective = KernelRidge(dropout=dropout)
    return DatasetDistiller(m, objective=objective, random_state=seed, **PLAIN | options)


def make_pixel_distiller(name: str, m: int, seed: int) -> DatasetDistiller:
    """Distiller of images, with what was chosen on held-out training images."""
    network = ConvFeatures(SHAPES[name], **PIXEL_OPTIONS[name])
    objective = FeatureRegression(network, gamma=GAMMA[name])
    steps = 1500 if m < FEW else 800
    return DatasetDistiller(
        m,
        objective=objective,
        image_shape=SHAPES[name],
        max_iter=steps,
        random_state=seed,
        **PIXELS,
    )


def clocks() -> np.ndarray:
    """CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", default="features", choices=list(SIZES), help="what rows are")
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
        data[name] = [X[: args.part], y[: args.part], X_test, y_test]
    run = {"features": in_features, "pixels": in_pixels, "defaults": by_default}[args.rows]
    for seed in range(args.seeds):
        for name, parts in data.items():
            for m, line in run(name, parts, args.sizes or SIZES[args.rows], seed):
                found.setdefault((name, m), []).append(line)
                print(name, m, seed, line, flush=True)
                record(found, args)  # a run that is cut short leaves what it found


def in_features(name: str, parts: list, sizes: list[int], seed: int) -> Iterator[tuple[int, tuple]]:
    """Learn rows of features; yield the number of rows and a line of what was measured."""
    X, y, X_test, y_test = parts
    begin = clocks()
    features = ConvFeatures(SHAPES[name], random_state=seed, **OPTIONS[name])
    F, F_test = features.fit_transform(X), features.transform(X_test)
    if SHIFT[name]:
        copy = shifted(X, SHAPES[name], SHIFT[name], seed)
        F, y = np.concatenate([F, features.transform(copy)]), np.concatenate([y, y])
    spent = clocks() - begin
    for m in sizes:
        begin = clocks()
        model = DistilledClassifier(distiller=make_distiller(name, m, seed))
        score = model.fit(F, y).score(F_test, y_test)
        took = clocks() - begin
        numbers = features.n_parameters_, m * F.shape[1]
        yield m, (100 * score, spent[0], took[0], spent[1] + took[1], *numbers)


def by_default(name: str, parts: list, sizes: list[int], seed: int) -> Iterator[tuple[int, tuple]]:
    """Learn rows of features with nothing set but the shape; as above."""
    X, y, X_test, y_test = parts
    begin = clocks()
    features = ConvFeatures(SHAPES[name], random_state=seed)
    F = features.fit_transform(X)
    spent = clocks() - begin
    F_test = features.transform(X_test)
    for m in sizes:
        begin = clocks()
        model = DistilledClassifier(distiller=DatasetDistiller(m, random_state=seed)).fit(F, y)
        took = clocks() - begin
        numbers = features.n_parameters_, m * F.shape[1]
        score = 100 * model.score(F_test, y_test)
        yield m, (score, spent[0], took[0], spent[1] + took[1], *numbers)


def in_pixels(name: str, parts: list, sizes: list[int], seed: int) -> Iterator[tuple[int, tuple]]:
    """Learn images; as above. The map is fitted within each fit, and its time is part of that."""
    X, y, X_test, y_test = parts
    # The size of the map, which does not depend on how many images it is fitted on.
    features = ConvFeatures(SHAPES[name], random_state=seed, **PIXEL_OPTIONS[name])
    map_size = features.fit(X[:5000]).n_parameters_
    for m in sizes:
        begin = clocks()
        model = DistilledClassifier(distiller=make_pixel_distiller(name, m, seed))
        score = model.fit(X, y).score(X_test, y_test)
        took = clocks() - begin
        yield m, (100 * score, 0.0, took[0], took[1], map_size, m * X.shape[1])


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
    file, title = TITLES[args.rows]
    figure = dot_chart(chart, "test score (%)", title)
    save(file, args.out, HEADER, rows, vars(args), figure, script="conv_features")


if __name__ == "__main__":
    main()
