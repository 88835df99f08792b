"""The smallest distiller there can be, to test what is built on distillers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_sample_weight, validate_data

from skdistill.data import DistilledData


class KernelScores:
    """Kernel ridge regression with scores of shape (n_samples, n_outputs)."""

    def __init__(self, model):
        self.model = model

    def predict(self, X):
        scores = self.model.predict(X)
        return scores if scores.ndim == 2 else scores[:, None]


class UniformDistiller(BaseEstimator):
    """Every k-th row of a random order; weights in proportion to those of the rows.

    `weighting` "unequal" adds 1, 2, 3, ... to them; `log` is a file that gets a line at each fit;
    `drop` names a class that no row may have.
    """

    def __init__(
        self,
        n_samples=20,
        *,
        weighting="equal",
        drop=None,
        target_type="auto",
        log=None,
        random_state=0,
    ):
        self.n_samples = n_samples
        self.weighting = weighting
        self.drop = drop
        self.target_type = target_type
        self.log = log
        self.random_state = random_state

    def fit(self, X, y=None, sample_weight=None):
        if self.log is not None:
            with Path(self.log).open("a") as log:
                log.write("fit\n")
        validate_data(self, X, skip_check_array=True)
        if isinstance(X, list):
            X = np.asarray(X)
        self.sample_weight_seen_ = sample_weight
        weights = _check_sample_weight(sample_weight, X)
        order = check_random_state(self.random_state).permutation(X.shape[0])
        if self.drop is not None:
            order = order[np.asarray(y)[order] != self.drop]
        order = np.sort(order[: self.n_samples])
        weights = weights[order] * X.shape[0] / len(order)
        if self.weighting == "unequal":
            weights = weights + np.arange(1, len(order) + 1)
        rows = X.iloc[order] if hasattr(X, "iloc") else X[order]
        self.discrete_ = self.target_type == "classification" or (
            self.target_type == "auto" and y is not None and type_of_target(y) != "continuous"
        )
        if self.discrete_ and np.ndim(y) == 1:
            self.classes_ = np.unique(y)
        labels = None if y is None else y[order]
        classes = getattr(self, "classes_", None)
        self.distilled_ = DistilledData(rows, labels, weights, classes=classes, indices=order)
        return self

    def make_predictor(self):
        small = self.distilled_
        y = small.y
        if self.discrete_ and y.ndim == 1:
            y = (y[:, None] == self.classes_).astype(float)
        X = small.X.toarray() if sparse.issparse(small.X) else small.X
        model = KernelRidge(alpha=1e-3, kernel="rbf")
        return KernelScores(model.fit(X, y, sample_weight=small.sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
