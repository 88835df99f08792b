"""The start that `DatasetDistiller` is asked for: by name, from a distiller or from given rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .. import _torch as torch
from ..base import Input
from ..batches.one_hot import OneHot
from ..batches.stored_rows import as_array
from ..coreset import SensitivityCoreset
from ..data import DistilledData
from ..objectives import TrainingSet
from .coordinates import Coordinates
from .starts import Start, drawn_start, kmeans_start, kmeans_starts

ROW_STARTS, UNIFORM_STARTS = 2, 2  # that a start of k-means centres is compared with
CORESET_ROWS = (2000, 20)  # of the coreset that k-means is solved on: at least, and for each row


# Features (k, d), codes of classes (k,) or numbers in learning units (k, q) or None, weights (k,).
Coded = tuple[np.ndarray, np.ndarray | None, np.ndarray]


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
        coreset: Coded | None = None,
    ) -> None:
        self.coreset = coreset  # of the stream that the data are a random pool of
        self.rng = rng
        self.budget = budget
        self.balance = balance
        self.target = data.target
        self.units = distiller._units
        init = distiller.init
        self.name = init
        self.given: tuple[np.ndarray, np.ndarray | None] | None = None
        if before is not None:
            self.given = check_given(before, "warm_start=True: the set before", data, budget)
        elif isinstance(init, DistilledData):
            self.given = check_given(init, f"init={init!r}", data, budget)
        elif not isinstance(init, str):
            found = _distilled_by(init, data)
            self.given = check_given(found, f"init={init!r}: its {found!r}", data, budget)
        technique = distiller._technique()
        self.by_ridge = hasattr(technique, "reg")
        self.several = technique.compares_starts and self.target.kind == "classes"

    def make_all(self, data: TrainingSet, coordinates: Coordinates, gamma: float) -> list[Start]:
        """Make the starts to choose from: several where the technique can tell which is better."""
        if self.given is not None or self.name != "auto" or not self.several:
            return [self.make(data, coordinates, gamma)]
        budget, rng, balance = self.budget, self.rng, self.balance
        rows = self._clustered(data, coordinates)
        starts = kmeans_starts(rows, budget, rng, ROW_STARTS, balance=balance)
        weight = data.weight.cpu().numpy()
        for _ in range(UNIFORM_STARTS):
            starts.append(drawn_start(data, weight, budget, rng, balance=balance))
        return starts

    def make(self, data: TrainingSet, coordinates: Coordinates, gamma: float) -> Start:
        """Start from a training set in coordinates."""
        if self.given is not None:
            return self._from_given(*self.given, data, coordinates)
        budget, rng = self.budget, self.rng
        if self.name in ("auto", "kmeans", "kmeans_rows"):
            rows = self.name == "kmeans_rows"
            data = self._clustered(data, coordinates)
            return kmeans_start(data, budget, rng, balance=self.balance, rows_of_clusters=rows)
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

    def _clustered(self, data: TrainingSet, coordinates: Coordinates) -> TrainingSet:
        """Rows that k-means is solved on: the coreset of a stream, where there is one."""
        if self.coreset is None or len(self.coreset[0]) < self.budget:
            return data
        features, values, weight = self.coreset
        device = data.rows.device
        rows = coordinates.load(features, torch.float32, device)
        targets: Any = None if values is None else torch.from_numpy(values).to(device)
        codes = None
        if data.codes is not None:
            codes, targets = targets, OneHot(targets, data.targets.shape[1])
        return TrainingSet(rows, targets, torch.from_numpy(weight).to(data.weight), codes)

    def _coreset(
        self, data: TrainingSet, size: int, loss: str, gamma: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Index and weight of rows that a `SensitivityCoreset` in coordinates chooses."""
        y, kind = None, "regression"
        if data.codes is not None:
            y, kind = data.codes.cpu().numpy(), "classification"
        elif data.targets is not None:
            y = data.targets.cpu().numpy()
        coreset = SensitivityCoreset(
            size,
            loss=loss,
            sampling="systematic",
            gamma=gamma,
            target_type=kind,
            device=str(data.rows.device),
            random_state=self.rng,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a size above the distinct rows
            coreset.fit(as_array(data.rows), y, sample_weight=data.weight.cpu().numpy())
        return coreset.indices_, coreset.distilled_.sample_weight

    def _from_given(
        self,
        rows: np.ndarray,
        values: np.ndarray | None,
        data: TrainingSet,
        coordinates: Coordinates,
    ) -> Start:
        support = coordinates.load(rows, torch.float64, data.rows.device)
        if values is None:
            return Start(support, None)
        if self.target.classes is None:
            values = (values - self.units.center) / self.units.unit
        return Start(support, torch.from_numpy(values).to(support))


def _distilled_by(init: Any, data: Input) -> DistilledData:
    """Rows that a distiller makes of the data."""
    fitted = clone(init).fit(data.X, data.y, sample_weight=data.sample_weight)
    found = getattr(fitted, "distilled_", None)
    if not isinstance(found, DistilledData):
        raise TypeError(
            f"init={init!r} has no distilled_ after fit, so it is no distiller; use a "
            "SensitivityCoreset, a DatasetDistiller, or DistilledData(rows, y) for rows of your "
            "own."
        )
    return found


def check_given(
    given: DistilledData, source: str, data: Input, budget: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Check rows that training is to start from.

    Parameters
    ----------
    given : DistilledData
    source : str
        Where they are from, for messages.
    data : Input
    budget : int
        Rows that are asked for.

    Returns
    -------
    rows : float64 ndarray of shape (budget, d)
    values : float64 ndarray of shape (budget, q) or None
        Soft or one-hot labels for classes, else numbers in the user's units; None without a target.

    Raises
    ------
    TypeError
        If the rows are sparse or hold anything but numbers.
    ValueError
        If their number, width or labels do not fit, or they are not finite.
    """
    if sp.issparse(given.X):
        raise TypeError(
            f"{source} holds sparse rows, but rows are learnt densely; pass "
            "DistilledData(init.X.toarray(), init.y)."
        )
    n_features = data.features.shape[1]
    if given.X.shape[1] != n_features:
        raise ValueError(
            f"{source} has rows of {given.X.shape[1]} features, but X has {n_features} features; "
            "make the rows from the same features."
        )
    if len(given) != budget:
        raise ValueError(
            f"{source} has {len(given)} rows, but n_samples asks for {budget}; use "
            f"n_samples={len(given)}, or another init."
        )
    rows = _finite_floats(given.X, f"{source}: its X")
    if data.y is None:
        return rows, None
    if given.y is None:
        raise ValueError(f"{source} has no y, but y was passed to fit; give the rows a y too.")
    if data.target.classes is not None:
        return rows, _class_values(given, source, data.target.classes)
    values = _finite_floats(given.y, f"{source}: its y").reshape(len(rows), -1)
    if values.shape[1] != data.target.n_outputs:
        raise ValueError(
            f"{source} has a y of {values.shape[1]} columns, but the y of fit has "
            f"{data.target.n_outputs}; "
            "give the rows the same outputs."
        )
    return rows, values


def _class_values(given: DistilledData, source: str, classes: np.ndarray) -> np.ndarray:
    """Soft labels (m, n_classes) of given rows where they have such, else one-hot classes."""
    labels = np.asarray(given.y)
    if labels.ndim != 1:
        raise ValueError(
            f"{source} has a y of shape {labels.shape}, but the y of fit is one column of classes; "
            "give the rows a y of one column."
        )
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        shown = ", ".join(repr(label) for label in unknown[:3].tolist())
        shown += ", ..." if len(unknown) > 3 else ""
        raise ValueError(
            f"{source} holds classes that y does not: {shown}; "
            "use rows of the classes in y, or target_type='regression' for numbers."
        )
    same = given.classes is None or np.array_equal(given.classes, classes)
    if same and given.targets is not None and given.targets.shape[1] == len(classes):
        return _finite_floats(given.targets, f"{source}: its targets")
    return (labels[:, None] == classes).astype(np.float64)


def _finite_floats(values: Any, source: str) -> np.ndarray:
    """Values as float64, checked."""
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"{source} must hold real numbers, but is of dtype {array.dtype}.")
    try:
        floats = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{source} must hold real numbers: {error}.") from error
    if not np.isfinite(floats).all():
        raise ValueError(f"{source} must be finite; leave out the rows with NaN or infinity.")
    return floats
