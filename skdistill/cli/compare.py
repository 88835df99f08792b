"""Train one estimator on all rows, on the small set and on as many uniform rows.

The question behind the table that the command line prints: what does a small set cost in score,
what does it save in time, and is it better than rows drawn blindly?
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from .scores import Scores, Test, score_all

MAX_ROWS_KERNEL_RIDGE = 5_000

Rows = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass
class Contender:
    """One line of the comparison: rows to train on, and how that went.

    Attributes
    ----------
    name : str
        What the rows are.

    n_rows : int
        How many of them.

    scores : list of dict of str to float
        Scores on the test part by name, for each draw.

    seconds : list of float
        Seconds to fit, one for each draw.
    """

    name: str
    n_rows: int
    scores: list[dict[str, float]]
    seconds: list[float]

    def values(self, score: str) -> np.ndarray:
        """Return one score of each draw.

        Parameters
        ----------
        score : str
            Its name.

        Returns
        -------
        ndarray of shape (n_draws,)
        """
        return np.array([found[score] for found in self.scores])


def compare(
    estimator: Any,
    scores: Scores,
    train: Rows,
    small: Rows | Contender,
    test: Test,
    *,
    max_rows: int | None = None,
    n_draws: int = 5,
    seed: int = 0,
) -> list[Contender]:
    """Train and score clones of one estimator on all rows, the small set and uniform rows.

    Weights are scaled to a mean of one: their sum would act on the regularisation, and a small set
    would be regularised less than uniform rows.

    Parameters
    ----------
    estimator : estimator
        Not fitted.

    scores : dict of str to callable
        From `make_scores`.

    train : tuple (X, y, sample_weight)
        All rows to train on; None for weights leaves them out.

    small : tuple (X, y, sample_weight) or Contender
        The small set. A Contender was scored already.

    test : tuple (X, y, sample_weight)
        Rows to score on.

    max_rows : int, default=None
        Train on at most so many rows in place of all.

    n_draws : int, default=5
        Draws of uniform rows.

    seed : int, default=0
        Decides which.

    Returns
    -------
    list of Contender
        All rows, small set, uniform rows.
    """
    rng = check_random_state(seed)
    X, y, weights = train
    n, m = len(y), small.n_rows if isinstance(small, Contender) else len(small[1])

    def run(name: str, draws: list[Rows]) -> Contender:
        results = [_fit_and_score(estimator, scores, draw, test) for draw in draws]
        return Contender(name, len(draws[0][1]), [r[0] for r in results], [r[1] for r in results])

    def draw_uniform(n_rows: int) -> Rows:
        rows = rng.choice(n, n_rows, replace=False)
        return X[rows], y[rows], None if weights is None else weights[rows]

    everything = train
    name = "all rows"
    if max_rows is not None and n > max_rows:
        everything, name = draw_uniform(max_rows), "many rows"
    return [
        run(name, [everything]),
        small if isinstance(small, Contender) else run("small set", [small]),
        run("uniform rows", [draw_uniform(m) for _ in range(n_draws)]),
    ]


def _fit_and_score(
    estimator: Any, scores: Scores, rows: Rows, test: Test
) -> tuple[dict[str, float], float]:
    """Return the scores on the test rows and the seconds it took to fit."""
    X, y, weights = rows
    model = clone(estimator)
    if y.dtype.kind != "f" and np.all(y == y[0]):  # which not every classifier accepts
        model = DummyClassifier()
    params = {} if weights is None else {"sample_weight": weights / np.mean(weights)}
    # One thread, so that seconds can be compared: on small sets threads of a linear algebra library
    # may wait for each other far longer than they work.
    with threadpool_limits(1, user_api="blas"):
        start = perf_counter()
        model.fit(X, y, **params)
        seconds = perf_counter() - start
    return score_all(scores, model, test), seconds
