"""`SensitivityCoreset`: choose weighted rows by provable importance sampling."""

from __future__ import annotations

import time
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from . import sampling
from ._device import resolve_device
from ._rows import Moments, Rows, Units, merge_equal_rows, weighted_moments
from .base import BaseDistiller, Input
from .data import DistilledData
from .sensitivity import kernel_ridge, kmeans, relative_loss
from .sensitivity.scores import Scores

LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")


class SensitivityCoreset(BaseDistiller):
    """Choose weighted rows."""

    _parameter_constraints: ClassVar[dict] = {
        **BaseDistiller._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), callable],
        "n_clusters": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "alpha": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "approx_factor": [Interval(Real, 0, None, closed="neither")],
        "estimator": [HasMethods("fit"), None],
        "uniform_mixing": [Interval(Real, 0, 1, closed="both")],
        "sampling": [StrOptions(set(sampling.SAMPLINGS))],
        "calibrate": ["boolean", StrOptions({"auto"})],
        "stratify": ["boolean", StrOptions({"auto"})],
        "preprocessor": [HasMethods(["fit_transform", "transform"]), None],
    }
    _accept_sparse = "csr"

    def __init__(
        self,
        n_samples: int | float = 100,
        *,
        loss: str | Callable = "kmeans",
        n_clusters: int | str = "auto",
        alpha: float | str = "auto",
        approx_factor: float = 1.0,
        estimator: Any = None,
        uniform_mixing: float = 0.2,
        sampling: str = "systematic",
        calibrate: bool | str = "auto",
        stratify: bool | str = "auto",
        preprocessor: Any = None,
        kernel: str | Callable = "rbf",
        gamma: float | str | None = "scale",
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict | None = None,
        target_type: str = "auto",
        device: Any = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_samples = n_samples
        self.loss = loss
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.approx_factor = approx_factor
        self.estimator = estimator
        self.uniform_mixing = uniform_mixing
        self.sampling = sampling
        self.calibrate = calibrate
        self.stratify = stratify
        self.preprocessor = preprocessor
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.target_type = target_type
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SensitivityCoreset:
        """Choose the rows.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target. Losses ``"cross_entropy"`` and ``"squared_error"`` need it.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : SensitivityCoreset
            Fitted estimator.
        """
        began = time.perf_counter()
        device = resolve_device(self.device)
        self.device_ = str(device)
        rng = check_random_state(self.random_state)
        data = self._read(X, y, sample_weight)
        moments = weighted_moments(data.features, data.sample_weight)
        rows = merge_equal_rows(data.features, data.target.identity, data.sample_weight)
        self._set_kernel(moments)
        strata = self._strata(data, rows)
        budget = self._resolve_budget(len(rows), 0 if strata is None else strata.max() + 1)
        self._say(f"{len(rows)} distinct rows of {data.features.shape[0]}", began)

        scores = self._score(data, rows, strata, moments, budget, device, rng)
        self.sensitivities_ = rows.split(scores.sensitivity, data.sample_weight)
        self.total_sensitivity_ = float(scores.sensitivity.sum())
        self._say(f"sensitivities, total {self.total_sensitivity_:.4g}", began)

        drawn, weight = self._draw(rows, scores, strata, budget, rng)
        by_content = np.argsort(rows.key[drawn])  # an order that shuffling the input does not change
        drawn, weight = drawn[by_content], weight[by_content]
        self.indices_ = rows.index[drawn]
        self._small_targets = (
            None if data.target.values is None else data.target.values[self.indices_]
        )
        self.distilled_ = DistilledData(
            _safe_indexing(data.X, self.indices_),
            None if data.y is None else data.y[self.indices_],
            weight,
            classes=data.target.classes,
            indices=self.indices_,
            feature_names=getattr(self, "feature_names_in_", None),
        )
        self._set_landmarks(rows.take(drawn))
        self._say(f"{len(drawn)} rows drawn", began)
        return self

    def _target_type(self) -> str:
        # Only classes have a cross-entropy: floats like 0.0 and 1.0 are read as such.
        asks_for_classes = self.loss == "cross_entropy" and self.target_type == "auto"
        return "classification" if asks_for_classes else self.target_type

    def _strata(self, data: Input, rows: Rows) -> np.ndarray | None:
        """Class codes of the distinct rows, or None where no class needs a row of its own."""
        if self.stratify is True and data.target.codes is None:
            raise ValueError(
                "stratify=True needs a target of classes; use stratify='auto' or False."
            )
        if self.stratify is False or data.target.codes is None:
            return None
        return np.unique(rows.spread(data.target.codes), return_inverse=True)[1]

    def _score(
        self,
        data: Input,
        rows: Rows,
        strata: np.ndarray | None,
        moments: Moments,
        budget: int,
        device: Any,
        rng: np.random.RandomState,
    ) -> Scores:
        target = data.target
        if self.loss == "kmeans":
            n_clusters = self.n_clusters
            if n_clusters == "auto":
                n_clusters = kmeans.default_n_clusters(budget)
            units = Units(moments.mean, 1 / moments.scale)
            clustering = kmeans.rough_clustering(rows, n_clusters, units, device, rng)
            return kmeans.kmeans_scores(clustering, rows.weight, self.approx_factor)
        if self.loss == "kernel_ridge":
            values = None if target.values is None else rows.spread(target.values)
            fit = kernel_ridge.kernel_ridge_scores(
                rows, values, self.kernel_, self._map_units(), self.alpha, budget, device, rng
            )
            self.alpha_ = fit.alpha
            return fit.scores()
        if callable(self.loss):
            losses = relative_loss.callable_losses(self.loss, data.features, data.y)
        else:
            losses = relative_loss.model_losses(
                self.loss, self.estimator, data.features, data.y, target, rows, strata, rng
            )
        return relative_loss.relative_scores(rows.spread(losses), rows.weight)

    def _draw(
        self,
        rows: Rows,
        scores: Scores,
        strata: np.ndarray | None,
        budget: int,
        rng: np.random.RandomState,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows drawn, and their weights."""
        importance = sampling.mix_with_uniform(scores.importance, rows.weight, self.uniform_mixing)
        if self.sampling == "iid" and budget < len(rows):
            drawn, multiplier = sampling.iid_draw(importance, budget, rng, strata)
        else:
            p = sampling.inclusion_probabilities(importance, budget, strata)
            drawn = sampling.systematic_draw(p, rows.walk(strata, scores.cell, scores.rank), rng)
            multiplier = 1 / p[drawn]
        weight = rows.weight[drawn] * multiplier
        calibrate = scores.calibrated if self.calibrate == "auto" else self.calibrate
        if calibrate:
            mass = np.bincount(scores.cell, weights=rows.weight)
            weight = sampling.calibrate_to_mass(weight, scores.cell[drawn], mass)
        return drawn, weight
