"""Rows learnt in the space of frozen convolutional features: score, time and size.

The features are fitted on training images without labels; `DatasetDistiller`, as it is, learns rows
of features. CPU seconds are those of the process, over all its threads. The size of the
feature map stands beside that of the rows, since the rows are of no use without it. CIFAR-10 is
read from a file of JPEG copies, which lose some quality: compare only with runs on that file.
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

SHAPES = {"mnist": (1, 28, 28), "cifar10_jpeg": (3, 32, 32)}
# Mirror images of photographs show the same; those of digits do not.
OPTIONS = {"mnist": {}, "cifar10_jpeg": {"mirror": True}}
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


def clocks() -> np.ndarray:
    """CPU and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tables", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    options.add_argument("--sizes", nargs="+", type=int, default=[10, 100, 500])
    options.add_argument("--part", type=int, help="use so many training images only")
    options.add_argument("--validation", action="store_true", help="score on 5,000 training images")
    args = options.parse_args()
    found: dict = {}
    for name in args.tables:
        X, y, X_test, y_test = read(name, args.data)
        if args.validation:
            order = np.random.default_rng(0).permutation(len(X))
            X_test, y_test = X[order[:5000]], y[order[:5000]]
            X, y = X[order[5000:]], y[order[5000:]]
        X, y = X[: args.part], y[: args.part]
        for seed in range(args.seeds):
            begin = clocks()
            features = ConvFeatures(SHAPES[name], random_state=seed, **OPTIONS[name])
            F, F_test = features.fit_transform(X), features.transform(X_test)
            spent = clocks() - begin
            for m in args.sizes:
                begin = clocks()
                model = DistilledClassifier(distiller=DatasetDistiller(m, random_state=seed))
                score = model.fit(F, y).score(F_test, y_test)
                took = clocks() - begin
                wall = spent[1] + took[1]
                sizes = features.n_parameters_, m * F.shape[1]
                line = (100 * score, spent[0], took[0], wall, *sizes)
                found.setdefault((name, m), []).append(line)
                print(name, m, seed, line, flush=True)
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
