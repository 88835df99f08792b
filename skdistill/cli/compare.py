"""Train one estimator on all rows, on the small set and on as many uniform rows.

The question behind the table that the command line prints: what does a small set cost in score,
what does it save in time, and is it better than rows drawn blindly?
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.utils import _safe_indexing, check_random_state
from threadpoolctl import threadpool_limits

ESTIMATORS = ("logistic", "ridge", "forest", "knn", "krr")
MAX_ROWS_KERNEL_RIDGE = 5_000
RIDGES = np.logspace(-3, 3, 7)
KERNEL_RIDGES = np.logspace(-4, 1, 6)


@dataclass
class Contender:
    """One line of the comparison: rows to train on, and how that went.

    Attributes
    ----------
    name : str
        What the rows are.

    n_rows : int
        How many of them.

    scores : list of float
        Score on the test part, one for each draw.

    seconds : list of float
        Seconds to fit, one for each draw.
    """

    name: str
    n_rows: int
    scores: list[float]
    seconds: list[float]


class OneHotClasses(OneHotEncoder):
    """One column for each class, and back to the class of the largest number.

    Far from all rows that it was trained on a kernel predictor gives zeros: the most frequent class
    is as good a guess as there is.
    """

    def fit(self, X: Any, y: Any = None) -> OneHotClasses:
        """Find the classes, and the most frequent one.

        Parameters
        ----------
        X : ndarray of shape (n_samples, 1)
            Classes.

        y : None
            Not used.

        Returns
        -------
        self
        """
        super().fit(X, y)
        labels, counts = np.unique(X, return_counts=True)
        self.most_frequent_ = labels[counts.argmax()]
        return self

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the class of the largest number.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_classes)
            Predictions.

        Returns
        -------
        ndarray of shape (n_samples, 1)
        """
        found = self.categories_[0][np.argmax(X, axis=1)]
        return np.where(np.any(X != 0, axis=1), found, self.most_frequent_)[:, None]


def make_estimator(name: str, task: str, n_rows: int, seed: int) -> BaseEstimator:
    """Return the estimator of that name, the same for every contender.

    Parameters
    ----------
    name : str
        One of `ESTIMATORS`.

    task : {"classification", "regression"}
        What is learnt.

    n_rows : int
        Rows of the small set, an upper bound of the neighbours that can be asked for.

    seed : int
        For what is random in it.

    Returns
    -------
    estimator
        Not fitted. Ridge parameters are chosen inside by cross-validation.
    """
    classes = task == "classification"
    if name == "logistic":
        return LogisticRegression(max_iter=1000)
    if name == "ridge":
        return RidgeClassifierCV(alphas=RIDGES) if classes else RidgeCV(alphas=RIDGES)
    if name == "forest":
        forest = RandomForestClassifier if classes else RandomForestRegressor
        return forest(random_state=seed)
    if name == "knn":
        neighbours = KNeighborsClassifier if classes else KNeighborsRegressor
        return neighbours(n_neighbors=min(5, n_rows))
    ridge = GridSearchCV(
        KernelRidge(kernel="rbf"),
        {"alpha": KERNEL_RIDGES},
        cv=KFold(min(3, n_rows), shuffle=True, random_state=seed),
        scoring="neg_mean_squared_error",
    )
    # Kernel ridge has no intercept, so numbers are centred. Classes are learnt as one-hot columns,
    # and the inverse transform takes the largest of those predicted.
    transformer = OneHotClasses(sparse_output=False) if classes else StandardScaler()
    return TransformedTargetRegressor(ridge, transformer=transformer, check_inverse=False)


def compare(
    estimator: BaseEstimator,
    preprocessor: BaseEstimator,
    task: str,
    train: tuple[Any, np.ndarray],
    small: tuple[Any, Any, np.ndarray | None] | Contender,
    test: tuple[Any, np.ndarray],
    *,
    max_rows: int | None = None,
    n_draws: int = 5,
    seed: int = 0,
) -> list[Contender]:
    """Train and score clones of one pipeline on all rows, the small set and uniform rows.

    The preprocessing is fitted anew on the rows of each contender, so that every score can be
    had from those rows alone. Weights are scaled to a mean of one: their sum would act on the
    regularisation, and a small set would be regularised less than uniform rows.

    Parameters
    ----------
    estimator : estimator
        Not fitted.

    preprocessor : transformer
        Not fitted, the first step of the pipeline.

    task : {"classification", "regression"}
        Decides the score: accuracy or R2.

    train : tuple (X, y)
        All rows to train on.

    small : tuple (X, y, sample_weight) or Contender
        The small set; None for weights leaves them out. A Contender was scored already.

    test : tuple (X, y)
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
    if task == "classification":  # class numbers, which a regressor of classes needs
        encoder = LabelEncoder().fit(train[1])
        train = train[0], encoder.transform(train[1])
        if not isinstance(small, Contender):
            small = small[0], encoder.transform(small[1]), small[2]
        test = test[0], encoder.transform(test[1])
    X, y = train
    n, m = len(y), small.n_rows if isinstance(small, Contender) else len(small[1])
    pipeline = Pipeline([("preprocessor", preprocessor), ("estimator", estimator)])

    def run(name: str, draws: list[tuple[Any, np.ndarray, np.ndarray | None]]) -> Contender:
        results = [_fit_and_score(pipeline, task, draw, test) for draw in draws]
        return Contender(name, len(draws[0][1]), [r[0] for r in results], [r[1] for r in results])

    def draw_uniform(n_rows: int) -> tuple[Any, np.ndarray, None]:
        rows = rng.choice(n, n_rows, replace=False)
        return _safe_indexing(X, rows), y[rows], None

    if max_rows is not None and n > max_rows:
        first = run("many rows", [draw_uniform(max_rows)])
    else:
        first = run("all rows", [(X, y, None)])
    return [
        first,
        small if isinstance(small, Contender) else run("small set", [small]),
        run("uniform rows", [draw_uniform(m) for _ in range(n_draws)]),
    ]


def _fit_and_score(
    pipeline: Pipeline,
    task: str,
    rows: tuple[Any, np.ndarray, np.ndarray | None],
    test: tuple[Any, np.ndarray],
) -> tuple[float, float]:
    """Return the score on the test rows and the seconds it took to fit."""
    X, y, weights = rows
    model = clone(pipeline)
    if task == "classification" and np.all(y == y[0]):  # which not every classifier accepts
        model.set_params(estimator=DummyClassifier())
    params = {} if weights is None else {"estimator__sample_weight": weights / np.mean(weights)}
    # One thread, so that seconds can be compared: on small sets threads of a linear algebra library
    # may wait for each other far longer than they work.
    with threadpool_limits(1, user_api="blas"):
        start = perf_counter()
        model.fit(X, y, **params)
        seconds = perf_counter() - start
    score = accuracy_score if task == "classification" else r2_score
    return float(score(test[1], model.predict(test[0]))), seconds
