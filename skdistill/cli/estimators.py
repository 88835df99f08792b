"""The estimators that the command line compares with, each by a name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from .table import InputError

ESTIMATORS = ("logistic", "ridge", "forest", "boosting", "lightgbm", "xgboost", "knn", "krr")
RIDGES = np.logspace(-3, 3, 7)
KERNEL_RIDGES = np.logspace(-4, 1, 6)


def make_estimator(name: str, task: str, n_rows: int, seed: int) -> Any:
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

    Raises
    ------
    InputError
        If the package that it is from is not installed.
    """
    classes = task == "classification"
    if name == "logistic":
        return LogisticRegression(max_iter=1000)
    if name == "ridge":
        return RidgeClassifierCV(alphas=RIDGES) if classes else RidgeCV(alphas=RIDGES)
    if name == "forest":
        forest = RandomForestClassifier if classes else RandomForestRegressor
        return forest(random_state=seed)
    if name == "boosting":
        boosting = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return boosting(random_state=seed)
    if name == "knn":
        neighbours = KNeighborsClassifier if classes else KNeighborsRegressor
        return neighbours(n_neighbors=min(5, n_rows))
    if name == "lightgbm":
        kind = "LGBMClassifier" if classes else "LGBMRegressor"
        return _of_package(name, kind)(random_state=seed, n_jobs=1, verbose=-1)
    if name == "xgboost":
        model = _of_package(name, "XGBClassifier" if classes else "XGBRegressor")
        model = model(random_state=seed, n_jobs=1)
        return NumberedClasses(model) if classes else model
    ridge = GridSearchCV(
        KernelRidge(kernel="rbf"),
        {"alpha": KERNEL_RIDGES},
        cv=KFold(min(3, n_rows), shuffle=True, random_state=seed),
        scoring="neg_mean_squared_error",
    )
    if classes:
        return OneHotClasses(ridge)
    # Kernel ridge has no intercept, so numbers are centred.
    return TransformedTargetRegressor(ridge, transformer=StandardScaler(), check_inverse=False)


def _of_package(name: str, model: str) -> Any:
    try:
        return getattr(import_module(name), model)
    except ImportError as error:
        raise InputError(f"--estimator {name} needs {name}: pip install {name}") from error


class OneHotClasses(ClassifierMixin, BaseEstimator):
    """A regressor of one column for each class; the largest one is predicted.

    Far from all rows that it was trained on a kernel predictor gives zeros: the most frequent class
    is as good a guess as there is.

    Parameters
    ----------
    regressor : estimator
        Of several outputs.
    """

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> OneHotClasses:
        """Learn the classes."""
        self.classes_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        self.most_frequent_ = np.eye(len(counts))[counts.argmax()]
        one_hot = np.eye(len(counts))[codes]
        self.regressor_ = clone(self.regressor).fit(X, one_hot, sample_weight=sample_weight)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return a number for each class; of two classes, by how much the second is ahead."""
        found = self._columns(X)
        return found[:, 1] - found[:, 0] if found.shape[1] == 2 else found

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class of the largest number."""
        return self.classes_[self._columns(X).argmax(axis=1)]

    def _columns(self, X: np.ndarray) -> np.ndarray:
        found = self.regressor_.predict(X)
        return np.where(np.any(found != 0, axis=1)[:, None], found, self.most_frequent_)


class NumberedClasses(ClassifierMixin, BaseEstimator):
    """A classifier that gets its classes as 0, 1, ... without a gap, as XGBoost wants them.

    Parameters
    ----------
    estimator : estimator
        The classifier.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: Any = None) -> NumberedClasses:
        """Learn numbered classes."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.estimator_ = clone(self.estimator).fit(X, codes, sample_weight=sample_weight)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return classes."""
        return self.classes_[self.estimator_.predict(X)]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities."""
        return self.estimator_.predict_proba(X)
