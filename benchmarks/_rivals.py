"""Rivals of learnt rows: kernel ridge on all rows, and on landmarks that are chosen, not learnt.

Everything is tuned inside the training part: a grid of kernel scales and ridges by held-out rows
(landmarks) or by cross-validation (all rows).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.cluster import KMeans
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold, train_test_split
from sklearn.preprocessing import StandardScaler

GAMMAS = tuple(2.0**e for e in range(-5, 5))  # for rows of typical length 1
LANDMARK_RIDGES = (1e-9, 1e-7, 1e-5, 1e-3)
RIDGES = (1e-3, 1e-2, 0.1, 1.0)
TUNING_ROWS = 5000
CV_ROWS = 4000
KMEANS_ROWS = 10_000
BLOCK = 4096


@dataclass(frozen=True)
class Table:
    """A table in its two parts, features as they are read."""

    X: np.ndarray
    X_test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray
    by_pixels: bool = False  # one unit for all features

    @property
    def classes(self) -> np.ndarray | None:
        """Sorted classes; None for regression."""
        return None if self.y.dtype.kind == "f" else np.unique(self.y)

    def target(self) -> np.ndarray:
        """Numbers to be fitted, of shape (n, q)."""
        if self.classes is None:
            return self.y[:, None]
        return (self.y[:, None] == self.classes).astype(float)

    def scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Both parts, centred, in units that give a typical row the length 1."""
        if self.by_pixels:
            X = self.X.astype(np.float64)
            center, unit = X.mean(0), np.sqrt(X.var(0).sum())
            return (X - center) / unit, (self.X_test - center) / unit
        scaler, width = StandardScaler().fit(self.X), np.sqrt(self.X.shape[1])
        return scaler.transform(self.X) / width, scaler.transform(self.X_test) / width

    def score(self, outputs: np.ndarray, y: np.ndarray) -> float:
        """Accuracy, or R² of outputs (k, q)."""
        if self.classes is None:
            return r2_score(y, outputs)
        return accuracy_score(y, self.classes[outputs.argmax(1)])


@dataclass(frozen=True)
class Outcome:
    """Test score, and process CPU seconds of fit and predict."""

    score: float
    fit: float
    predict: float


def timed(fit: Callable[[], Callable[[], Any]], score: Callable[[Any], float]) -> Outcome:
    """Outcome of a fit that returns its prediction on the test part."""
    start = time.process_time()
    predict = fit()
    middle = time.process_time()
    found = predict()
    end = time.process_time()
    return Outcome(score(found), middle - start, end - middle)


def kernel_ridge_on_all_rows(table: Table, seed: int, most: int) -> Outcome:
    """RBF kernel ridge; gamma and ridge by three-fold cross-validation on `CV_ROWS` rows.

    Above `most` rows a random part of them is fitted.
    """

    def fit() -> Callable[[], np.ndarray]:
        X, X_test = table.scaled()
        Y = table.target()
        mean, order = Y.mean(0), np.random.default_rng(seed).permutation(len(X))
        few = order[:CV_ROWS]
        found: dict[tuple[float, float], list[float]] = {}
        for gamma in GAMMAS:
            K = rbf_kernel(X[few], gamma=gamma)
            for train, test in KFold(3).split(few):
                for ridge in RIDGES:
                    a = _solve(K[np.ix_(train, train)], (Y - mean)[few[train]], ridge)
                    value = table.score(K[np.ix_(test, train)] @ a + mean, table.y[few[test]])
                    found.setdefault((gamma, ridge), []).append(value)
        gamma, ridge = max(found, key=lambda key: np.mean(found[key]))
        rows = order[:most]
        a = _solve(rbf_kernel(X[rows], gamma=gamma), (Y - mean)[rows], ridge)

        def predict() -> np.ndarray:
            blocks = range(0, len(X_test), BLOCK)
            kept = X[rows]
            return np.concatenate(
                [rbf_kernel(X_test[i : i + BLOCK], kept, gamma=gamma) @ a + mean for i in blocks]
            )

        return predict

    return timed(fit, lambda outputs: table.score(outputs, table.y_test))


def _solve(K: np.ndarray, Y: np.ndarray, ridge: float) -> np.ndarray:
    K[np.diag_indices(len(K))] += ridge
    # By rows in memory K is its own transpose: the factor goes into its place.
    factor = scipy.linalg.cho_factor(K.T, lower=True, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, Y, check_finite=False)


def uniform_rows(X: np.ndarray, m: int, gamma: float, rng: np.random.Generator) -> np.ndarray:
    """Draw m rows."""
    return X[rng.choice(len(X), m, replace=False)]


def kmeans_rows(X: np.ndarray, m: int, gamma: float, rng: np.random.Generator) -> np.ndarray:
    """Centres of k-means."""
    some = X[rng.permutation(len(X))[:KMEANS_ROWS]]
    seed = int(rng.integers(2**31))
    return KMeans(m, n_init=1, max_iter=50, random_state=seed).fit(some).cluster_centers_


def rpcholesky_rows(X: np.ndarray, m: int, gamma: float, rng: np.random.Generator) -> np.ndarray:
    """Pivots of the randomly pivoted partial Cholesky factor (Chen et al., 2025), O(n m^2)."""
    F = np.zeros((len(X), m))
    rest = np.ones(len(X))  # diagonal of what the factor does not explain
    pivots = []
    for k in range(m):
        pivot = rng.choice(len(X), p=rest / rest.sum())
        pivots.append(pivot)
        column = rbf_kernel(X, X[pivot : pivot + 1], gamma=gamma)[:, 0] - F[:, :k] @ F[pivot, :k]
        F[:, k] = column / np.sqrt(column[pivot])
        rest = np.clip(rest - F[:, k] ** 2, 0, None)
        rest[pivots] = 0
    return X[pivots]


LANDMARKS = {"uniform": uniform_rows, "k-means": kmeans_rows, "RPCholesky": rpcholesky_rows}


def solved_labels(table: Table, m: int, chosen: str, seed: int) -> Outcome:
    """Chosen rows with the best labels for all rows; gamma and ridge by a fifth held out.

    RPCholesky takes its pivots at the gamma that is best for uniform rows.
    """
    stratify = None if table.classes is None else table.y

    def fit() -> Callable[[], np.ndarray]:
        X, X_test = table.scaled()
        Y = table.target()
        rng = np.random.default_rng(seed)
        train, held = train_test_split(
            np.arange(len(X)), test_size=0.2, random_state=seed, stratify=stratify
        )
        train, held = train[: 4 * TUNING_ROWS], held[:TUNING_ROWS]
        pool = X[train]
        gamma = 1.0
        if chosen == "RPCholesky":
            gamma, _ = _tune(table, X, Y, uniform_rows(pool, m, 1.0, rng), train, held)
        S = LANDMARKS[chosen](pool, m, gamma, rng)
        gamma, ridge = _tune(table, X, Y, S, train, held)
        a, b = _labels(X, Y, S, gamma, (ridge,))[0]
        return lambda: rbf_kernel(X_test, S, gamma=gamma) @ a + b

    return timed(fit, lambda outputs: table.score(outputs, table.y_test))


def _tune(table, X, Y, S, train, held) -> tuple[float, float]:
    """Gamma and ridge of the best score on held-out rows."""
    best = (-np.inf, 1.0, LANDMARK_RIDGES[-1])
    for gamma in GAMMAS:
        K = rbf_kernel(X[held], S, gamma=gamma)
        found = _labels(X[train], Y[train], S, gamma, LANDMARK_RIDGES)
        for ridge, (a, b) in zip(LANDMARK_RIDGES, found, strict=True):
            best = max(best, (table.score(K @ a + b, table.y[held]), gamma, ridge))
    return best[1:]


def _labels(X, Y, S, gamma, ridges) -> list[tuple[np.ndarray, np.ndarray]]:
    """Dual coefficients and intercept for each ridge."""
    m, n = len(S), len(X)
    A, B = np.zeros((m, m)), np.zeros((m, Y.shape[1]))
    k_mean, y_mean = np.zeros(m), Y.mean(0)
    for i in range(0, n, BLOCK):
        K = rbf_kernel(X[i : i + BLOCK], S, gamma=gamma)
        A += K.T @ K / n
        B += K.T @ Y[i : i + BLOCK] / n
        k_mean += K.sum(0) / n
    A -= np.outer(k_mean, k_mean)
    B -= np.outer(k_mean, y_mean)
    K_SS = rbf_kernel(S, gamma=gamma)
    found = []
    for ridge in ridges:
        C = A + ridge * K_SS + 1e-10 * np.eye(m)
        a = scipy.linalg.solve(C, B, assume_a="sym")
        found.append((a, y_mean - k_mean @ a))
    return found


def nystroem(table: Table, m: int, seed: int) -> Outcome:
    """Nystroem features of scikit-learn and a ridge; gamma and ridge by a fifth held out."""
    stratify = None if table.classes is None else table.y
    model: Any = Ridge if table.classes is None else RidgeClassifier

    def fit() -> Callable[[], np.ndarray]:
        X, X_test = table.scaled()
        train, held = train_test_split(
            np.arange(len(X)), test_size=0.2, random_state=seed, stratify=stratify
        )
        train, held = train[: 4 * TUNING_ROWS], held[:TUNING_ROWS]
        best: tuple = (-np.inf, 1.0, 1.0)
        for gamma in GAMMAS:
            features = Nystroem(gamma=gamma, n_components=m, random_state=seed).fit(X[train])
            F, F_held = features.transform(X[train]), features.transform(X[held])
            for alpha in (1e-5, 1e-3, 0.1):
                value = model(alpha=alpha).fit(F, table.y[train]).score(F_held, table.y[held])
                best = max(best, (value, gamma, alpha))
        _, gamma, alpha = best
        features = Nystroem(gamma=gamma, n_components=m, random_state=seed).fit(X)
        fitted = model(alpha=alpha).fit(features.transform(X), table.y)
        return lambda: fitted.predict(features.transform(X_test))

    score = r2_score if table.classes is None else accuracy_score
    return timed(fit, lambda predicted: float(score(table.y_test, predicted)))
