"""How well a small set trains a model: fitted on its rows, scored on rows that it has not seen."""

from __future__ import annotations

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
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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

    def fit(self, small: SmallSet, use_weights: bool) -> Any:
        """Train a clone on a small set, with weights of mean one if asked."""
        model = seeded(clone(self.estimator), self.seed)
        X = small.features if self.encoded else small.X
        if use_weights and self.takes_weights:
            return fit_weighted(model, X, small.y, small.weight / small.weight.mean(), True)
        return model.fit(X, small.y)

    def score_of(self, model: Any, held: Part) -> float:
        """Score a trained model on held-out rows."""
        X, weight = self._seen(held), held.weight
        if np.ptp(weight) > 1e-9 * weight.max():
            return float(self.scorer(model, X, held.labels, sample_weight=weight))
        return float(self.scorer(model, X, held.labels))

    def score(self, small: SmallSet, use_weights: bool, held: Part) -> float:
        """Train on a small set, and score on held-out rows."""
        return self.score_of(self.fit(small, use_weights), held)

    def predict(self, model: Any, held: Part) -> np.ndarray:
        """Numbers that a trained model predicts, in the shape of the target."""
        return np.asarray(model.predict(self._seen(held))).reshape(held.labels.shape)

    def _seen(self, part: Part) -> Any:
        """Rows as the model sees them."""
        return part.features if self.encoded else part.rows


def panel(scoring: Any, seed: int, *, classes: bool, n_outputs: int) -> list[Judge]:
    """Models of different kinds: rows that serve all of them serve most others."""
    models: list[Any]
    if classes:
        models = [
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
            make_pipeline(StandardScaler(), KNeighborsClassifier(3)),
            RandomForestClassifier(50),
            HistGradientBoostingClassifier(max_iter=50),
        ]
    else:
        models = [
            make_pipeline(StandardScaler(), Ridge()),
            make_pipeline(StandardScaler(), KNeighborsRegressor(3)),
            RandomForestRegressor(50),
        ]
        if n_outputs == 1:
            models.append(HistGradientBoostingRegressor(max_iter=50))
    return [Judge(model, scoring, seed, encoded=True) for model in models]


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is left open, so that equal seeds give equal scores."""
    is_open = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    return estimator.set_params(**is_open) if is_open else estimator
