"""Real rows as techniques see them: sets, batches, and scores on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import _torch as torch
from ..support import all_finite
from .one_hot import targets_at
from .stored_rows import rows_at, take_rows

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
        """Return rows and targets by index.

        Parameters
        ----------
        index : int64 Tensor of shape (k,)
            Rows to take.
        dtype : torch.dtype, default=None
            Float type of both; None leaves it.
        out : Tensor of shape (k, width), default=None
            Memory that the rows go through.

        Returns
        -------
        Batch
            The rows and their targets.
        """
        rows = take_rows(self.rows, index, out)
        targets = None if self.targets is None else self.targets[index]
        if dtype is not None:
            rows = rows.to(dtype)
            targets = None if targets is None else targets.to(dtype)
        return Batch(rows, targets)

    def subset(self, index: Any) -> TrainingSet:
        """Return the set of some rows.

        Parameters
        ----------
        index : int64 Tensor of shape (k,) or slice
            Rows to take: copies for a Tensor, views for a slice.

        Returns
        -------
        TrainingSet
            Those rows with their targets, weights and classes.
        """
        return TrainingSet(
            rows_at(self.rows, index),
            targets_at(self.targets, index),
            self.weight[index],
            None if self.codes is None else self.codes[index],
        )


class Sample(NamedTuple):
    """Rows of a training set by index (k,), with weights (k,) that sum to about 1.

    During training `feed` draws batches of the set as the loop does; see `Feed`.
    """

    data: TrainingSet
    index: Any
    weight: Any
    feed: Any = None

    def blocks(self, dtype: Any) -> Iterator[tuple[Batch, Any]]:
        """Yield batches and their weights, block by block.

        Parameters
        ----------
        dtype : torch.dtype
            Float type of both.

        Yields
        ------
        batch : Batch
            At most `BLOCK_ROWS` rows.
        weight : Tensor of shape (k,)
            Their weights.
        """
        for i in range(0, len(self.index), BLOCK_ROWS):
            index = self.index[i : i + BLOCK_ROWS]
            yield self.data.take(index, dtype), self.weight[i : i + BLOCK_ROWS].to(dtype)


def blockwise(function: Callable[[Any], Any], rows: Any) -> Any:
    """Compute outputs of a function of rows block by block.

    Parameters
    ----------
    function : callable
        Rows (k, width) -> outputs (k, ...), both Tensors.
    rows : Tensor of shape (n, width)
        Any number of rows.

    Returns
    -------
    Tensor of shape (n, ...)
        The outputs, without gradients.
    """
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
        Of the predictor.
    data : TrainingSet
        With targets.
    kind : {"classes", "multilabel", "numbers"}

    Returns
    -------
    float
        Not larger than 1; minus infinity where outputs are not finite.
    """
    if not all_finite(outputs):
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
