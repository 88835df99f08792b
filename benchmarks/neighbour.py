"""What a fit costs beside one busy process: seconds, and seconds of processors, against alone.

Work that is shared out in pieces of a millisecond waits at the end of each for the thread that the
neighbour held up, and waiting threads burn a processor. The fits use as many threads as the
libraries choose. The two take turns, each fit in a process that has imported all; run the script on
a machine that does nothing else. On two cores a fair share is at most twice the time, and the goal
2.5 times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from _report import parser, save
from sklearn.datasets import load_digits

from skdistill import DatasetDistiller, SensitivityCoreset

FITS = {
    "SensitivityCoreset(100)": SensitivityCoreset(100, random_state=0),
    "SensitivityCoreset(100, loss='kernel_ridge')": SensitivityCoreset(
        100, loss="kernel_ridge", random_state=0
    ),
    "DatasetDistiller(20, max_iter=30)": DatasetDistiller(
        20, max_iter=30, early_stopping=False, random_state=0
    ),
}


@contextmanager
def busy() -> Iterator[None]:
    """One process that never waits."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds(model: object, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Seconds of one fit, and of all its threads."""
    began, used = time.perf_counter(), time.process_time()
    model.fit(X, y)
    return time.perf_counter() - began, time.process_time() - used


def main() -> None:
    options = parser(__doc__).parse_args()
    X, y = load_digits(return_X_y=True)
    rows = []
    for name, model in FITS.items():
        model.fit(X, y)  # imports, and threads that start once
        alone, beside = [], []
        for _ in range(options.seeds):
            alone.append(seconds(model, X, y))
            with busy():
                beside.append(seconds(model, X, y))
        here, there = (np.median(part, axis=0) for part in (alone, beside))
        rows.append([name, float(here[0]), *(float(ratio) for ratio in there / here)])
    settings = {"turns": options.seeds, "load before": os.getloadavg()[0]}
    header = ["fit", "seconds alone", "beside / alone", "processor beside / alone"]
    save("neighbour", options.out, header, rows, settings)


if __name__ == "__main__":
    main()
