"""Kill fits and a stream at random moments: a program, which prints a JSON line.

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

from skdistill import DatasetDistiller, SensitivityCoreset
from skdistill.networks import MLP
from skdistill.objectives import DistributionMatching

CHUNK = 50


def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of five numbers and three classes."""
    X = np.random.default_rng(0).normal(size=(n, 5))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def learn(path: Path | None, n: int, objective: object = "kernel_ridge") -> dict:
    """Learn rows, with a checkpoint if there is a path."""
    distiller = DatasetDistiller(
        9, objective=objective, max_iter=8, refresh_every=2, random_state=0, checkpoint=path
    ).fit(*rows(n))
    small = distiller.distilled_
    targets = small.y if small.targets is None else small.targets
    return {"X": small.X, "targets": targets, "curve": distiller.loss_curve_}


def match(path: Path | None, n: int) -> dict:
    """Learn rows by a technique over networks."""
    return learn(path, n, DistributionMatching(MLP(8), augment=None))


def stream(path: Path | None, n: int) -> dict:
    """Choose rows of a stream, with its state in a file if there is a path."""
    X, y = rows(4 * n)
    coreset = SensitivityCoreset(20, random_state=0)
    if path is not None and path.exists():
        coreset.load_state(path)
    for start in range(getattr(coreset, "n_samples_seen_", 0), len(X), CHUNK):
        coreset.partial_fit(X[start : start + CHUNK], y[start : start + CHUNK])
        if path is not None:
            coreset.save_state(path)
    small = coreset.distilled_
    if path is not None:
        path.unlink()
    return {"X": small.X, "weight": small.sample_weight, "indices": small.indices}


WORK = {"kernel": learn, "network": match, "stream": stream}


def do(work: str, folder: Path, name: str, n: int, file: bool) -> None:
    """Do the work, and store what it comes to."""
    warnings.simplefilter("ignore")
    found = WORK[work](folder / "state.npz" if file else None, n)
    with open(folder / f"{name}.part", "wb") as out:
        np.savez(out, **found)
    os.replace(folder / f"{name}.part", folder / f"{name}.npz")


def child(*args) -> int:
    """Process that works."""
    pid = os.fork()
    if pid:
        return pid
    try:
        do(*args)
    finally:
        os._exit(0)


def kill(work: str, folder: Path, n: int, n_kills: int) -> dict:
    """Kill the work a number of times, and let it end; what became of it."""
    folder.mkdir()
    do(work, folder, "warm", 60, False)
    began = time.monotonic()
    os.waitpid(child(work, folder, "reference", n, False), 0)
    duration = time.monotonic() - began
    rng = np.random.default_rng(1)
    killed = resumed = 0
    whole: list[str] = []
    for _ in range(10 * n_kills):
        if killed >= n_kills and resumed >= 2 and whole:
            break
        resumed += (state := folder / "state.npz").exists()
        name = f"piece{len(whole)}"
        pid = child(work, folder, name, n, True)
        if killed < n_kills or resumed < 2:
            time.sleep(rng.uniform(0.1, 0.6) * duration)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)  # and not done before
        if (folder / f"{name}.npz").exists():
            whole.append(name)
        elif not state.exists():
            duration *= 1.2  # slower than the reference was: the machine has more to do
    reference = np.load(folder / "reference.npz")
    same = all(
        np.array_equal(np.load(folder / f"{name}.npz")[key], reference[key])
        for name in whole
        for key in reference
    )
    return {"same": same, "killed": killed, "resumed": resumed, "whole": len(whole)}


def main(folder: Path, n: int, kills: dict[str, int]) -> None:
    torch.set_num_threads(1)
    print(json.dumps({work: kill(work, folder / work, n, kills[work]) for work in kills}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
