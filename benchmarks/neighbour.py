"""What a fit costs beside one busy process, and a search in two processes: ratios to alone.

Work that is shared out in pieces of a millisecond waits at the end of each for the thread that the
neighbour held up, and waiting threads burn a processor. The fits use as many threads as the
libraries choose. The two take turns, each in a process that has imported all; run the script on a
machine that does nothing else, with no limit of threads in its environment. On two cores a fair
share is at most twice the time, and the goal 2.5 times. A search in two processes takes as many
seconds of processors as in one, and less time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from _report import mean_and_error, parser, save
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skdistill import AutoDistiller, DatasetDistiller, DistilledClassifier, SensitivityCoreset

LEAST = 1.0  # second that a measurement takes alone at least
FITS = {
    "SensitivityCoreset(100)": SensitivityCoreset(100, random_state=0),
    "SensitivityCoreset(100, loss='kernel_ridge')": SensitivityCoreset(
        100, loss="kernel_ridge", random_state=0
    ),
    "DatasetDistiller(20, max_iter=30)": DatasetDistiller(
        20, max_iter=30, early_stopping=False, random_state=0
    ),
    "AutoDistiller(100, n_rounds=1) for boosting": AutoDistiller(
        100,
        n_rounds=1,
        n_exchanges=0,
        estimator=HistGradientBoostingClassifier(max_iter=5, random_state=0),
        random_state=0,
    ),
}
SEARCH = GridSearchCV(
    DistilledClassifier(LogisticRegression(max_iter=200), DatasetDistiller(10, random_state=0)),
    {"distiller__max_iter": [5, 10]},
    cv=2,
    refit=False,
)


@contextmanager
def busy() -> Iterator[None]:
    """One process that never waits."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def processor() -> float:
    """Seconds that processors have worked for this process and for those it has ended."""
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(part.ru_utime + part.ru_stime for part in map(resource.getrusage, of))


def seconds(work: Callable[[], object], times: int) -> np.ndarray:
    """Seconds of doing something so often, and of all its threads."""
    began, used = time.perf_counter(), processor()
    for _ in range(times):
        work()
    return np.array([time.perf_counter() - began, processor() - used]) / times


def turns(
    first: Callable[[], object],
    second: Callable[[], object],
    n_turns: int,
    beside: Callable[[], object] = nullcontext,
) -> list[object]:
    """Seconds of the first, and what the second takes of them `beside` something, in pairs."""
    first(), second()  # imports, and threads that start once
    times = max(1, round(LEAST / seconds(first, 1)[0]))
    alone, ratios = [], []
    for _ in range(n_turns):
        alone.append(seconds(first, times))
        with beside():
            ratios.append(seconds(second, times) / alone[-1])
    return [float(np.median(alone, axis=0)[0]), *map(mean_and_error, np.transpose(ratios))]


def searched(n_jobs: int, X: np.ndarray, y: np.ndarray) -> None:
    """Search with processes that end with it, so that their seconds are counted."""
    with parallel_config(backend="multiprocessing"):
        SEARCH.set_params(n_jobs=n_jobs).fit(X, y)


def main() -> None:
    options = parser(__doc__).parse_args()
    X, y = load_digits(return_X_y=True)
    settings = {
        "turns": options.seeds,
        "threads": torch.get_num_threads(),
        "load before": os.getloadavg()[0],
    }
    rows: list[list[object]] = []
    for name, model in FITS.items():

        def fit(model: object = model) -> object:
            return model.fit(X, y)

        rows.append([f"{name}, beside a busy process", *turns(fit, fit, options.seeds, busy)])
        print(*rows[-1], flush=True)
    X, y = X[:600], y[:600]
    found = turns(lambda: searched(1, X, y), lambda: searched(2, X, y), options.seeds)
    rows.append(["search of two candidates, n_jobs=2", *found])
    header = ["what", "seconds alone", "time / alone", "processor time / alone"]
    save("neighbour", options.out, header, rows, settings)


if __name__ == "__main__":
    main()
