"""Time of a step of techniques over networks, by where real rows are held and by precision.

Random images as float32 on the device, as bytes on the device, and as bytes on the host, from where
each batch is copied; in mixed precision and without it. Milliseconds of a step are the difference
of two fits of different length over the difference of their steps, so that what is done once drops
out; of trajectory matching a step is one of its experts, trained side by side. Memory is the peak
of a fit, 0 on the CPU. Made for a CUDA device; elsewhere precision and host make no difference:
python benchmarks/gpu_steps.py --width 8 --images 2000 --side 16 --batch 100 --steps 2 --seeds 1
"""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import numpy as np
import torch
from _report import mean_and_error, parser, save

from skdistill import DatasetDistiller
from skdistill.batches import stored_rows
from skdistill.networks import ConvNet, _precision
from skdistill.objectives import (
    DistributionMatching,
    FeatureRegression,
    GradientMatching,
    TrajectoryMatching,
)

ROWS = {  # type of the rows, and whether the device has room
    "float32 on the device": (np.float32, True),
    "bytes on the device": (np.uint8, True),
    "bytes on the host": (np.uint8, False),
}
PRECISIONS = {"mixed": _precision.HALF, "float32": {}}
EXPERTS = 8
HEADER = ["technique", "rows", "precision", "ms a step", "peak MB"]


def techniques(width: int) -> dict[str, Any]:
    """Return techniques by name; their network has the width."""
    network = ConvNet(width)
    return {
        "DM": DistributionMatching(network),
        "RFAD": FeatureRegression(network, n_networks=2),
        "DSA": GradientMatching(network, outer_loop=10, inner_loop=10),
        "IDC": GradientMatching(
            network, distance="mse", augment="color_crop_cutout", train_on="real", factor=2
        ),
        "MTT": TrajectoryMatching(network, n_experts=EXPERTS, max_start_epoch=1, syn_steps=1),
    }


def fit(name: str, args, seed: int, X: np.ndarray, y: np.ndarray, length: int) -> float:
    """Seconds of a fit of some steps, or for MTT of experts of some epochs."""
    objective = techniques(args.width)[name]
    steps = length
    if name == "MTT":
        objective.set_params(expert_epochs=length)
        steps = 1
    distiller = DatasetDistiller(
        args.support,
        objective=objective,
        image_shape=(3, args.side, args.side),
        init="uniform",
        batch_sampling="uniform",
        batch_size=args.batch,
        max_iter=steps,
        early_stopping=False,
        random_state=seed,
    )
    synchronize()
    began = time.perf_counter()
    distiller.fit(X, y)
    synchronize()
    return time.perf_counter() - began


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(name: str, args, seed: int, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Milliseconds of a step and megabytes on the device at most."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    short, long = (1, 2) if name == "MTT" else (args.steps, 4 * args.steps)
    n_steps = long - short
    if name == "MTT":
        n_steps *= -(-len(X) // args.batch)
    fit(name, args, seed, X, y, short)  # libraries choose their algorithms in the first one
    spent = -fit(name, args, seed, X, y, short) + fit(name, args, seed, X, y, long)
    peak = torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0
    return 1000 * spent / n_steps, peak


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    options.add_argument("--techniques", nargs="+", default=list(techniques(1)))
    options.add_argument("--width", type=int, default=128, help="filters of each block")
    options.add_argument("--images", type=int, default=50_000)
    options.add_argument("--side", type=int, default=32, help="pixels")
    options.add_argument("--batch", type=int, default=2560, help="real rows of a step")
    options.add_argument("--support", type=int, default=100, help="learnt rows")
    options.add_argument("--steps", type=int, default=20, help="of the shorter fit")
    args = options.parse_args()
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (args.images, 3 * args.side**2), dtype=np.uint8)
    y = np.arange(args.images) % 10
    room = stored_rows.fits
    table = []
    for name, rows, precision in product(args.techniques, ROWS, PRECISIONS):
        dtype, fits = ROWS[rows]
        given = X.astype(dtype, copy=False)
        stored_rows.fits = room if fits else lambda n_bytes, device: False
        _precision.HALF = PRECISIONS[precision]
        found = [measure(name, args, seed, given, y) for seed in range(args.seeds)]
        times, peaks = zip(*found, strict=True)
        table.append([name, rows, precision, mean_and_error(times), float(max(peaks))])
        print(table[-1], flush=True)
    save("gpu_steps", args.out, HEADER, table, vars(args))


if __name__ == "__main__":
    main()
