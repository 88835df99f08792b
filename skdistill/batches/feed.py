"""Batches of real rows with their importance, for the training loop and for a technique itself.

A technique that trains models of its own on real rows, before the loop begins, draws its batches in
the way that the user has asked of the loop. Where rows are away from the device, a batch is drawn
and copied while the device still works on the step before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .. import _torch as torch
from .._device import Beside
from .one_hot import OneHot
from .stored_rows import StoredRows
from .training_set import Batch, TrainingSet, blockwise

PROBED_ROWS = 8


class Feed:
    """Batches of real rows.

    Parameters
    ----------
    data : TrainingSet
    sampler : BatchSampler
        Over the rows of `data`.
    losses : callable or None
        Outputs (k, q), the temperature that makes them logits, and index (k,) of rows -> losses
        (k,) that make rows important. None never refreshes importances.
    together : callable or None
        Losses of all rows that are looked at -> those that count.
    """

    def __init__(
        self,
        data: TrainingSet,
        sampler: Any,
        losses: Callable[[Any, float, Any], Any] | None,
        together: Callable[[Any], Any] | None = None,
    ) -> None:
        self.data = data
        self._together = together
        self._sampler, self._losses = sampler, losses if sampler.importance else None
        self._rows: Any = None
        away = isinstance(data.rows, StoredRows) and data.rows.away
        self._beside = Beside(data.rows.device) if away else None

    @property
    def by_importance(self) -> bool:
        """Whether `refresh` has an effect."""
        return self._losses is not None

    def draw(self, size: int, dtype: Any, progress: float = 0.0) -> tuple[Batch, Any]:
        """Batch and the weights of its rows; see `BatchSampler.draw`.

        The rows may be overwritten by the next call.
        """
        if self._beside is None:
            rows, targets, weight = self._drawn(size, dtype, progress)
        else:
            rows, targets, weight = self._beside(lambda: self._drawn(size, dtype, progress))
        return Batch(rows, targets), weight

    def refresh(self, predict: Callable[[Any], Any], temperature: float) -> None:
        """Take the losses of the rows under a predictor, (k, d) -> (k, q), as importances."""
        losses = self._losses
        if losses is None:
            return

        def of_rows(index: Any) -> Any:
            # Loss by loss: outputs and targets of all rows would take memory for each class.
            found = blockwise(
                lambda block: losses(predict(self.data.rows[block]), temperature, block), index
            )
            return found if self._together is None else self._together(found)

        self._sampler.refresh(of_rows)
        if self._beside is not None:
            self._beside.catch_up()  # with the new importances

    def apart(self, generator: Any) -> Feed:
        """Return a feed with random numbers and importances of its own."""
        sampler = copy.copy(self._sampler)
        sampler.generator = generator
        return Feed(self.data, sampler, self._losses, self._together)

    def fingerprint(self) -> list[Any]:
        """Numbers and Tensors that tell apart feeds whose draws would differ by more than chance.

        Data, weights and the settings of the draws; of the losses their values under some outputs.
        """
        data, sampler = self.data, self._sampler
        targets = data.targets.codes if isinstance(data.targets, OneHot) else data.targets
        rows = data.rows.digest() if isinstance(data.rows, StoredRows) else data.rows
        found = [rows, targets, sampler.shares, self.by_importance]
        if self._losses is None:
            return found
        index = torch.arange(min(PROBED_ROWS, len(data)), device=data.rows.device)
        outputs = data.rows[: len(index)].double().sum(1, keepdim=True) * data.targets[: len(index)]
        probed = self._losses(outputs, 1.0, index)
        if self._together is not None:
            probed = self._together(probed)
        settings = [sampler.mixing, sampler.final_mixing, sampler.reweight, sampler.grouped]
        return [*found, *settings, probed]

    def _drawn(self, size: int, dtype: Any, progress: float) -> tuple[Any, Any, Any]:
        """Rows, targets and weights of a batch."""
        draw = self._sampler.draw(size, progress)
        batch = self.data.take(draw.index, dtype, self._memory(len(draw.index)))
        return batch.rows, batch.targets, draw.weight.to(dtype)

    def _memory(self, n_rows: int) -> Any:
        """Memory for the rows of a batch: fetching fresh pages would cost as much as the copy.

        None where the device may still read the last batch when the next one is drawn.
        """
        if self._beside is not None:
            return None
        rows = self.data.rows
        if self._rows is None or len(self._rows) != n_rows:
            self._rows = torch.empty((n_rows, rows.shape[1]), dtype=rows.dtype, device=rows.device)
        return self._rows
