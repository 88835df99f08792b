"""Kill a fit with a checkpoint at random moments: run as a script, which prints a JSON line.

The process that forks uses one thread, and has imported all that a fit imports late.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from skdistill import DatasetDistiller

KILLS = 8


def fit(folder: Path, name: str, n: int, checkpoint: bool) -> None:
    """Fit, and store the rows."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5))
    y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
    path = folder / "checkpoint.npz" if checkpoint else None
    distiller = DatasetDistiller(
        9, max_iter=16, refresh_every=4, random_state=0, checkpoint=path
    ).fit(X, y)
    small = distiller.distilled_
    with open(folder / f"{name}.part", "wb") as file:
        np.savez(file, X=small.X, targets=small.targets, curve=distiller.loss_curve_)
    os.replace(folder / f"{name}.part", folder / f"{name}.npz")


def child(*args) -> int:
    """Process that fits."""
    pid = os.fork()
    if pid:
        return pid
    try:
        fit(*args)
    finally:
        os._exit(0)


def main(folder: Path, n: int) -> None:
    torch.set_num_threads(1)
    fit(folder, "warm", 60, False)
    began = time.monotonic()
    os.waitpid(child(folder, "reference", n, False), 0)
    duration = time.monotonic() - began
    rng = np.random.default_rng(1)
    killed = resumed = whole = 0
    pieces = []
    while killed < KILLS or not whole:
        resumed += (folder / "checkpoint.npz").exists()
        pid = child(folder, f"piece{len(pieces)}", n, True)
        if killed < KILLS:
            time.sleep(rng.uniform(0.1, 0.6) * duration)
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += killed < KILLS
        if (folder / f"piece{len(pieces)}.npz").exists():
            whole += 1
            pieces.append(f"piece{len(pieces)}")
    reference = np.load(folder / "reference.npz")
    same = all(
        np.array_equal(np.load(folder / f"{piece}.npz")[name], reference[name])
        for piece in pieces
        for name in reference
    )
    print(json.dumps({"same": same, "killed": killed, "resumed": resumed, "whole": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
