"""How well a small set trains a model: fitted on its rows, scored on rows that it has not seen."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import check_scoring
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from .._device import SmallFits
from .._input.fit_weights import fit_weighted, weight_keyword
from .part import Part, SmallSet


class Judge:
    """Scores of one model.

    Parameters
    ----------
    estimator : estimator
        Clones of it are trained.
    scoring : str, callable or None
        As in scikit-learn; None is the estimator's own score.
    seed : int
        Of the clones, where the estimator leaves theirs open.
    encoded : bool
        Train on encoded rows, not on the user's.
    """

    def __init__(self, estimator: Any, scoring: Any, seed: int, *, encoded: bool = False) -> None:
        self.estimator = estimator
        self.scorer = check_scoring(estimator, scoring)
        self.seed = seed
        self.encoded = encoded
        self.takes_weights = weight_keyword(estimator) is not None
        self.small_fits = SmallFits()
        self.weighs = _weighs(estimator.score if scoring is None else self.scorer)

    def fit(self, small: SmallSet, use_weights: bool) -> Any:
        """Train a clone on a small set, with weights of mean one if asked."""
        model = seeded(clone(self.estimator), self.seed)
        X = small.features if self.encoded else small.X
        with self.small_fits(X):
            if use_weights and self.takes_weights:
                return fit_weighted(model, X, small.y, small.weight / small.weight.mean(), True)
            return model.fit(X, small.y)

    def score_of(self, model: Any, held: Part) -> float:
        """Score a trained model on held-out rows."""
        equal = np.ptp(held.weight) <= 1e-9 * held.weight.max()
        if not (equal or self.weighs):
            return self.score_of(model, repeated(held, self.seed))
        X = self._seen(held)
        with self.small_fits(X):
            if equal:
                return float(self.scorer(model, X, held.labels))
            return float(self.scorer(model, X, held.labels, sample_weight=held.weight))

    def score(self, small: SmallSet, use_weights: bool, held: Part) -> float:
        """Train on a small set, and score on held-out rows."""
        return self.score_of(self.fit(small, use_weights), held)

    def predict(self, model: Any, held: Part) -> np.ndarray:
        """Numbers that a trained model predicts, in the shape of the target."""
        return np.asarray(model.predict(self._seen(held))).reshape(held.labels.shape)

    def _seen(self, part: Part) -> Any:
        """Rows as the model sees them."""
        return part.features if self.encoded else part.rows


def panel(scoring: Any, seed: int, budget: int, *, classes: bool, n_outputs: int) -> list[Judge]:
    """Models of different kinds: rows that serve all of them serve most others."""
    models: list[Any]
    n_neighbors = min(3, budget)
    if classes:
        models = [
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
            make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors)),
            RandomForestClassifier(50),
            HistGradientBoostingClassifier(max_iter=50),
        ]
    else:
        models = [
            make_pipeline(StandardScaler(), Ridge()),
            make_pipeline(StandardScaler(), KNeighborsRegressor(n_neighbors)),
            RandomForestRegressor(50),
        ]
        if n_outputs == 1:
            models.append(HistGradientBoostingRegressor(max_iter=50))
    return [Judge(model, scoring, seed, encoded=True) for model in models]


def _weighs(score: Any) -> bool:
    """Tell whether a score takes weights: a scorer, a function, or a model's own method."""
    model = getattr(score, "__self__", None)
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
        score = getattr(model, "score", None)
    try:
        return "sample_weight" in inspect.signature(score).parameters
    except (TypeError, ValueError):  # no score, or one that does not tell
        return False


def repeated(part: Part, seed: int) -> Part:
    """Rows of a part, each about as often as its weight says, all of weight one."""
    share = np.cumsum(part.weight / part.weight.sum()) * len(part)
    place = np.floor(share + np.random.RandomState(seed).uniform())
    times = np.diff(place, prepend=0).astype(np.int64)
    which = np.repeat(np.arange(len(part)), times)
    return replace(part.take(which, part.seed), weight=np.ones(len(which)))


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is left open, so that equal seeds give equal scores."""
    is_open = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    return estimator.set_params(**is_open) if is_open else estimator
