"""The protocol between the training loop and a distillation technique.

The loop draws batches, asks for a loss, steps along its gradient, and keeps the best support by the
technique's own scores on held-out rows. All else is the technique's: what is learnt beside the
rows, in which stages and at what rates, and which predictor the support induces.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from sklearn.base import BaseEstimator

from .. import _torch as torch
from ..support import Support
from ._one_hot import targets_at
from ._stored_rows import rows_at, take_rows

BLOCK_ROWS = 8192  # rows whose outputs are computed at a time


class Batch(NamedTuple):
    """Rows (b, width) in coordinates and their targets (b, q); targets None without a target."""

    rows: Any
    targets: Any


@dataclass(frozen=True)
class TrainingSet:
    """Real rows in memory: coordinates, targets and weights.

    Attributes
    ----------
    rows : Tensor or StoredRows of shape (n, width)
        Bytes and numbers of half precision may be held as such. ``rows[index]`` is a Tensor.
    targets : Tensor or OneHot of shape (n, q), or None
        One-hot classes, 0/1 labels, or numbers of unit variance. ``targets[index]`` is a Tensor.
    weight : Tensor of shape (n,), positive
    codes : int64 Tensor of shape (n,) or None
        Class of each row.
    """

    rows: Any
    targets: Any
    weight: Any
    codes: Any = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Any, dtype: Any = None, out: Any = None) -> Batch:
        """Rows and targets by index, in a float type; rows go through `out` where that is given."""
        rows = take_rows(self.rows, index, out)
        targets = None if self.targets is None else self.targets[index]
        if dtype is not None:
            rows = rows.to(dtype)
            targets = None if targets is None else targets.to(dtype)
        return Batch(rows, targets)

    def subset(self, index: Any) -> TrainingSet:
        """Set of the rows at `index`: copies for a Tensor, views for a slice."""
        return TrainingSet(
            rows_at(self.rows, index),
            targets_at(self.targets, index),
            self.weight[index],
            None if self.codes is None else self.codes[index],
        )


@dataclass(frozen=True)
class Context:
    """What a technique needs to know before training.

    Attributes
    ----------
    kind : {"none", "classes", "multilabel", "numbers"}
        Kind of target.
    n_support, n_features, n_outputs : int
        Learnt rows, their coordinates, outputs of the predictor.
    kernel : Kernel
        On coordinates.
    learn_labels : "auto", "solve" or bool
    learn_kernel : bool
    learning_rate : float
        Distance that a learnt row moves in a step at first, in units of the technique.
    batch_size : int or None
        None leaves it to the technique.
    ridges : tuple of float
        Candidates for the ridge, the first one preferred until held-out rows say otherwise.
    image_shape : tuple of int or None
        Channels, height and width of rows that are images, of product `n_features`.
    generator : torch.Generator
    device : torch.device
    """

    kind: str
    n_support: int
    n_features: int
    n_outputs: int
    kernel: Any
    generator: Any
    device: Any
    learn_labels: str | bool = "auto"
    learn_kernel: bool = True
    learning_rate: float = 0.12
    batch_size: int | None = None
    ridges: tuple[float, ...] = (1e-7,)
    image_shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Stage:
    """A part of training with its own learnables.

    Attributes
    ----------
    name : str
    n_steps : int
    batch_size : int or None
        None: no batches. Each step, like everything else in the stage, sees all rows: `gradients`
        gets a `Sample`, the same object at every step, in place of a batch, and no weights.
    dtype : torch.dtype
        That rows, batch and learnables are in.
    check_every : int
        Steps between two looks at the held-out rows.
    """

    name: str
    n_steps: int
    batch_size: int | None
    dtype: Any
    check_every: int = 100


class Sample(NamedTuple):
    """Rows of a training set by index (k,), with weights (k,) that sum to about 1.

    During training `feed` draws batches of the set as the loop does; see `Feed`.
    """

    data: TrainingSet
    index: Any
    weight: Any
    feed: Any = None

    def blocks(self, dtype: Any) -> Iterator[tuple[Batch, Any]]:
        """Batches and their weights, block by block, in a float type."""
        for i in range(0, len(self.index), BLOCK_ROWS):
            index = self.index[i : i + BLOCK_ROWS]
            yield self.data.take(index, dtype), self.weight[i : i + BLOCK_ROWS].to(dtype)


class Objective(BaseEstimator):
    """Base of the techniques.

    A technique implements `batch_loss` and `predictor`, and what else differs from here. The
    constructor only stores parameters. `setup` is called once, on a clone, before training.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})  # of target that it can work with
    needs_steps: ClassVar[bool] = True  # False: `solve` alone makes the result
    learns_labels: ClassVar[bool] = False  # whether it heeds learn_labels=True and "solve"
    unit_features: ClassVar[bool] = False  # coordinates: features of size 1 instead of rows
    balances_classes: ClassVar[bool] = False  # what class_balance="auto" means
    keeps_best: ClassVar[bool] = True  # False: nothing is held out, the last rows are kept
    folds: ClassVar[bool] = True  # whether the stop for few rows is found on several parts

    def setup(self, context: Context) -> None:
        """Take the circumstances; raise a ValueError where they do not fit."""
        if context.kind not in self.kinds:
            found = "y is missing; pass y, or use"
            if context.kind != "none":
                found = f"y is of kind {context.kind!r}; use"
            raise ValueError(
                f"objective={self!r} works with a target of kind {sorted(self.kinds)}, but "
                f"{found} objective='kernel_ridge', which takes all of them."
            )
        if context.learn_labels in (True, "solve") and not self.learns_labels:
            raise ValueError(
                f"learn_labels={context.learn_labels!r} does not work with objective={self!r}, "
                "which learns no labels; use learn_labels='auto'."
            )
        self._context = context

    def stages(self, max_iter: int | None) -> list[Stage]:
        """Stages of training, of `max_iter` steps together; None asks for a default."""
        n_steps = 1000 if max_iter is None else max_iter
        size = self._context.batch_size or 256
        return [Stage("train", n_steps, size, torch.float32)]

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """Support at the start, from rows (m, width) in coordinates and their targets (m, q).

        `scale` (width,) or (1,) is that of the RBF kernel at the start, for who learns it.
        """
        return Support(rows.clone(), labels)

    def rows(self, support: Support) -> Any:
        """Rows (m, width) of a support in coordinates: the way back from `start`."""
        return support.rows

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """Support that a stage starts from, with all its learnables, in the stage's float type."""
        return support.to(stage.dtype)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """Names of what a stage learns, each with its step size."""
        return {"rows": self._context.learning_rate}

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Loss of the support on a batch, a scalar tensor that can be differentiated.

        Parameters
        ----------
        support : Support
        batch : Batch
        weights : Tensor of shape (b,)
            Sums with them estimate means over all rows.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement batch_loss.")

    def gradients(
        self, support: Support, batch: Any, weights: Any, names: list[str]
    ) -> tuple[Any, list[Any]]:
        """Loss and its gradients in the named learnables, by autograd from `batch_loss`.

        A technique that knows its derivatives overrides this one instead, as one must whose stages
        have no batches.
        """
        learnables = [support[name].requires_grad_() for name in names]
        try:
            loss = self.batch_loss(support, batch, weights)
            return loss.detach(), list(torch.autograd.grad(loss, learnables, allow_unused=True))
        finally:
            for tensor in learnables:
                tensor.requires_grad_(False)

    def after_step(self, support: Support) -> None:
        """Whatever must follow a step, in place; nothing by default."""

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """Model induced by the support: coordinates (k, width) -> outputs (k, q)."""
        raise NotImplementedError(f"{type(self).__name__} must implement predictor.")

    def make_estimator(
        self, kind: str, image_shape: tuple[int, int, int] | None, device: str, seed: int
    ) -> Any:
        """Estimator that the learnt rows are meant for, to be trained on them once at the end.

        It sees rows in coordinates, and must not need `setup`. None, the default, is kernel ridge
        regression with the kernel and the dual coefficients of the support.
        """
        return None

    def learnt_parameters(self, support: Support) -> dict[str, Any]:
        """Parameters of the constructor that training has replaced, plain values; none by default.

        A copy with these is what `make_estimator` is called on.
        """
        return {}

    def stored_predictor(self, support: Support) -> Any:
        """Predictor to keep on the fitted distiller, of NumPy arrays alone; None keeps none.

        Called once, after the last solve. Its ``predict(rows, device)`` takes an ndarray
        (k, width) of coordinates and returns outputs (k, q), as those of `predictor`.
        """
        return None

    def temperature(self, support: Support) -> float:
        """Divisor of the outputs before the softmax that makes them probabilities."""
        return 1.0

    def solve(self, support: Support, sample: Sample) -> None:
        """Prepare in closed form what the technique has a closed form for; nothing by default.

        Called before scores are taken, with some rows, and at the end, with all. `choose` follows.
        """

    def scores(self, support: Support, held_out: TrainingSet) -> dict[Hashable, float]:
        """Score on held-out rows for each choice that is open at this step; larger is better."""
        outputs = blockwise(self.predictor(support), held_out.rows)
        return {None: score(outputs, held_out, self._context.kind)}

    def expect(self, score: float) -> None:
        """Learn which score to expect where training has no held-out rows; nothing by default."""

    def choose(self, support: Support, choice: Hashable) -> None:
        """Settle the choice with the best score, in place; nothing by default."""


def blockwise(function: Callable[[Any], Any], rows: Any) -> Any:
    """Compute outputs of a function of rows block by block."""
    with torch.no_grad():
        parts = [
            function(rows[i : i + BLOCK_ROWS]) for i in range(0, max(1, len(rows)), BLOCK_ROWS)
        ]
    return torch.cat(parts)


def score(outputs: Any, data: TrainingSet, kind: str) -> float:
    """Weighted accuracy for classes, else R2 averaged over outputs.

    Parameters
    ----------
    outputs : Tensor of shape (n, q)
    data : TrainingSet
        With targets.
    kind : {"classes", "multilabel", "numbers"}

    Returns
    -------
    float, not larger than 1; minus infinity where outputs are not finite
    """
    if not bool(torch.isfinite(outputs).all()):
        return -float("inf")
    share = (data.weight / data.weight.sum()).double()
    outputs, targets = outputs.double(), data.targets[:].double()
    if kind == "classes":
        return float(share @ (outputs.argmax(1) == targets.argmax(1)).double())
    residual = share @ (outputs - targets).square()
    spread = share @ (targets - share @ targets).square()
    # Outputs that do not vary on the held-out rows say nothing about the fit.
    usable = spread > 1e-12
    if not bool(usable.any()):
        return -float(residual.mean())
    return float((1 - residual[usable] / spread[usable]).mean())
