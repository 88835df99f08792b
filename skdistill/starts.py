"""The start that `DatasetDistiller` is asked for: by name, from a distiller or from given rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from . import _torch as torch
from .base import Input
from .coordinates import Coordinates
from .coreset import SensitivityCoreset
from .data import DistilledData
from .initialise import Start, drawn_start, kmeans_start
from .objectives import TrainingSet

CORESET_ROWS = (2000, 20)  # of the coreset that k-means is solved on: at least, and for each row


class Starts:
    """Makes the rows that training starts from, as `init` says."""

    def __init__(
        self,
        distiller: Any,
        before: DistilledData | None,
        data: Input,
        budget: int,
        rng: np.random.RandomState,
        *,
        balance: bool,
    ) -> None:
        self.rng = rng
        self.budget = budget
        self.balance = balance
        self.target = data.target
        self.unit = getattr(distiller, "_unit", 1.0), getattr(distiller, "_center", 0.0)
        init = distiller.init
        self.name = init if isinstance(init, str) else "given"
        self.given: DistilledData | None = None
        if before is not None:
            self.name, self.given = "given", before
        elif isinstance(init, DistilledData):
            self.given = init
        elif not isinstance(init, str):
            fitted = clone(init).fit(data.X, data.y, sample_weight=data.sample_weight)
            self.given = fitted.distilled_
        if self.given is not None:
            self._check_given(data)
        self.by_ridge = distiller.objective == "kernel_ridge" or hasattr(distiller.objective, "reg")

    def make(self, data: TrainingSet, coordinates: Coordinates, gamma: float) -> Start:
        """Start from a training set in coordinates."""
        if self.given is not None:
            return self._from_given(data, coordinates)
        budget, rng = self.budget, self.rng
        if self.name in ("auto", "kmeans"):
            return kmeans_start(data, budget, rng, balance=self.balance)
        if self.name == "uniform":
            weight = data.weight.cpu().numpy()
            return drawn_start(data, weight, budget, rng, balance=self.balance)
        loss = "kernel_ridge" if self.by_ridge else "kmeans"
        if self.name == "sensitivity":
            drawn, _ = self._coreset(data, budget, loss, gamma)
            if len(drawn) == budget:
                index = torch.from_numpy(drawn).to(data.rows.device)
                targets = None if data.targets is None else data.targets[index]
                return Start(data.rows[index], targets, index)
            weight = data.weight.cpu().numpy()
            return drawn_start(data, weight, budget, rng, balance=self.balance)
        size = min(len(data), max(CORESET_ROWS[0], CORESET_ROWS[1] * budget))
        drawn, weight = self._coreset(data, size, loss, gamma)
        small = data.subset(torch.from_numpy(drawn).to(data.rows.device))
        weight = torch.from_numpy(weight).to(small.weight)
        small = TrainingSet(small.rows, small.targets, weight, small.codes)
        return kmeans_start(small, budget, rng, balance=self.balance)

    def _coreset(
        self, data: TrainingSet, size: int, loss: str, gamma: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Index and weight of rows that a `SensitivityCoreset` in coordinates chooses."""
        y = None if data.targets is None else data.targets.cpu().numpy()
        kind = "regression"
        if data.codes is not None:
            y, kind = data.codes.cpu().numpy(), "classification"
        coreset = SensitivityCoreset(
            size, loss=loss, gamma=gamma, target_type=kind, random_state=self.rng
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a size above the distinct rows
            coreset.fit(data.rows.cpu().numpy(), y, sample_weight=data.weight.cpu().numpy())
        return coreset.indices_, coreset.distilled_.sample_weight

    def _check_given(self, data: Input) -> None:
        given = self.given
        assert given is not None
        if given.X.shape[1] != data.features.shape[1] or sp.issparse(given.X):
            raise ValueError(
                f"init={given!r} must hold dense rows of {data.features.shape[1]} features, as X."
            )
        if len(given) != self.budget:
            raise ValueError(
                f"init={given!r} has {len(given)} rows, but n_samples asks for {self.budget}; use "
                f"n_samples={len(given)}, or another init."
            )
        if given.y is None and data.y is not None:
            raise ValueError(f"init={given!r} has no y, but y was passed to fit.")

    def _from_given(self, data: TrainingSet, coordinates: Coordinates) -> Start:
        given = self.given
        assert given is not None
        X = np.asarray(given.X, dtype=np.float64)
        rows = coordinates.load(X, torch.float64, data.rows.device)
        if data.targets is None:
            return Start(rows, None)
        if self.target.classes is None:
            y = np.asarray(given.y, dtype=np.float64).reshape(len(X), -1)
            values = (y - self.unit[1]) / self.unit[0]
        elif given.targets is not None and given.targets.shape[1] == len(self.target.classes):
            values = np.asarray(given.targets)
        else:
            unknown = np.setdiff1d(np.asarray(given.y), self.target.classes)
            if len(unknown):
                raise ValueError(f"init={given!r} holds classes {unknown} that y does not.")
            values = (np.asarray(given.y)[:, None] == self.target.classes).astype(float)
        return Start(rows, torch.from_numpy(values).to(data.targets))
