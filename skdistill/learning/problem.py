"""What is to be learnt from, how, and what comes out: the three things that `learn` speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _torch as torch
from .._input.rows import Rows
from .._input.targets import Target
from ..batches.one_hot import OneHot
from ..batches.plan import BatchPlan
from ..batches.stored_rows import load_rows
from ..kernels.functions import Kernel
from .checkpoint import Checkpoint
from .coordinates import Coordinates
from .renewal import Renewal
from .trainer import TrainingOptions, TrainingResult


@dataclass(frozen=True)
class Problem:
    """What is to be learnt from.

    Attributes
    ----------
    X : ndarray of shape (N, d)
        All rows in the user's units.
    index : int64 ndarray of shape (n,) or None
        Where the distinct ones of positive weight stand in `X`; None for all in their order.
    targets : float64 Tensor or OneHot of shape (n, q), or None
    weight : float64 Tensor of shape (n,)
    codes : int64 Tensor of shape (n,) or None
    kind : {"none", "classes", "multilabel", "numbers"}
    kernel : Kernel
        Its `gamma`, for coordinates, is replaced where `search` is true.
    search : bool
        Choose on held-out rows what the kernel's parameters leave open: gamma of the RBF kernel,
        units and ridge of others where there are many features.
    n_support : int
    generator : torch.Generator
        On the device.
    device : torch.device
    image_shape : tuple of int or None
        Channels, height and width of rows that are images.
    mirror_search : bool
        Whether "mirror_rbf" may take the place of the RBF kernel: see `learning.unit_rows`.
    renewal : Renewal or None
        Of a random pool of a stream: finds other rows for it, by their numbers in `X`.
    """

    X: np.ndarray
    index: np.ndarray | None
    targets: Any
    weight: Any
    codes: Any
    kind: str
    kernel: Kernel
    search: bool
    n_support: int
    generator: Any
    device: Any
    image_shape: tuple[int, int, int] | None = None
    renewal: Renewal | None = None
    mirror_search: bool = False

    def __len__(self) -> int:
        return len(self.weight)

    def load(self, coordinates: Coordinates, order: Any = None) -> Any:
        """Coordinates of the distinct rows, or of those at `order`, as a float32 Tensor."""
        return coordinates.load(self.X, torch.float32, self.device, self._where(order))

    def hold(self, coordinates: Coordinates, order: Any = None) -> Any:
        """As `load`, but rows of a small type, or without room on the device, as they are."""
        return load_rows(self.X, self._where(order), coordinates, self.device)

    def sample(self, order: Any) -> np.ndarray:
        """Distinct rows (k, d) at `order`, a Tensor."""
        return self.X[self._where(order)]

    def _where(self, order: Any) -> np.ndarray | None:
        if order is None:
            return self.index
        order = order.cpu().numpy()
        return order if self.index is None else self.index[order]


@dataclass(frozen=True)
class Settings:
    """How to learn; see `DatasetDistiller` for what each means."""

    options: TrainingOptions
    standardize: bool
    early_stopping: bool
    validation_fraction: float
    learn_labels: str | bool
    learn_kernel: bool
    learning_rate: float
    batch_size: int | None
    batches: BatchPlan
    balance: bool
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Learnt:
    """The result, in the user's units.

    Attributes
    ----------
    rows : ndarray of shape (m, d)
    dual, intercept : float64 ndarray of shape (m, q) and (q,), or None
        Of the predictor, where the technique has such.
    labels : float64 ndarray of shape (m, q) or None
    kernel : Kernel
        On features shifted by `shift` and multiplied by `factor`.
    shift, factor : float64 ndarray of shape (d,)
    temperature : float or None
        Of the softmax that makes outputs probabilities, from held-out rows of classes.
    result : TrainingResult
    parameters : dict
        Of the technique's constructor: those that training has replaced.
    predictor : object or None
        See `Objective.stored_predictor`; it takes rows shifted and multiplied.
    limits : float64 ndarray of shape (2, d) or None
        Of the features, where outliers were left out.
    """

    rows: np.ndarray
    dual: np.ndarray | None
    intercept: np.ndarray | None
    labels: np.ndarray | None
    kernel: Kernel
    shift: np.ndarray
    factor: np.ndarray
    temperature: float | None
    result: TrainingResult
    parameters: dict[str, Any]
    predictor: Any = None
    limits: np.ndarray | None = None


@dataclass(frozen=True)
class TargetUnits:
    """Numbers are learnt as ``(y - center) / unit``, both of shape (q,)."""

    center: np.ndarray
    unit: np.ndarray

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Values (k, q) in the user's units."""
        return values * self.unit + self.center


def target_units(target: Target, rows: Rows) -> TargetUnits:
    """Weighted mean and standard deviation of numbers; 0 and 1 for all other targets."""
    center, unit = np.zeros(target.n_outputs), np.ones(target.n_outputs)
    if target.kind == "numbers" and target.numbers is not None:
        values = rows.spread(target.numbers)
        share = rows.weight / rows.weight.sum()
        center = share @ values
        spread = np.sqrt(share @ (values - center) ** 2)
        unit = np.where(spread > 1e-12 * np.abs(center), spread, 1.0)
    return TargetUnits(center, unit)


def make_problem(
    X: np.ndarray,
    rows: Rows,
    target: Target,
    units: TargetUnits,
    kernel: Kernel,
    *,
    search: bool,
    n_support: int,
    image_shape: tuple[int, int, int] | None,
    rng: np.random.RandomState,
    device: Any,
    renewal: Renewal | None = None,
    mirror_search: bool = False,
) -> Problem:
    """Put checked rows and targets onto the device.

    Parameters
    ----------
    X : ndarray of shape (N, d)
    rows : Rows
        The distinct ones of them, with weights.
    target : Target
    units : TargetUnits
    kernel : Kernel
    search : bool
        See `Problem`.
    n_support : int
    image_shape : tuple of int or None
    rng : RandomState
        Seeds the generator of all that follows.
    device : torch.device
    renewal : Renewal or None
        See `Problem`.
    mirror_search : bool
        See `Problem`.

    Returns
    -------
    Problem
    """
    generator = torch.Generator(device=device).manual_seed(int(rng.randint(2**31)))
    targets: Any = None
    codes = None
    if target.codes is not None:
        codes = torch.from_numpy(rows.spread(target.codes)).to(device)
        targets = OneHot(codes, target.n_outputs)
    elif target.numbers is not None:
        values = rows.spread(target.numbers)
        if target.kind == "numbers":
            values = (values - units.center) / units.unit
        targets = torch.from_numpy(np.ascontiguousarray(values)).to(device)
    return Problem(
        X,
        None if rows.inverse is None else rows.index,
        targets,
        torch.from_numpy(rows.weight / rows.weight.mean()).to(device),
        codes,
        target.kind,
        kernel,
        search,
        n_support,
        generator,
        device,
        image_shape,
        renewal,
        mirror_search,
    )
