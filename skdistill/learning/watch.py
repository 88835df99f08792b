"""Whether training made useless what it began with, where no rows are held out to tell.

Batch losses do not say so: importance draws harder rows as training goes on, and each stage has a
loss of its own. The score of the induced predictor on a fixed part of the training rows does. It is
taken twice, at the start and at the end, and no random number of training is used up by it.
"""

from __future__ import annotations

import math
from typing import Any

from .. import _torch as torch
from ..batches.training_set import Sample, TrainingSet, blockwise, score
from ..objectives.base import Objective, checked_predictor
from ..support import Support

SEEN_ROWS = 4096
LEAST_R2 = 0.1  # of a start from which anything can be lost
STANDARD_ERRORS = 4


class Watch:
    """Scores on some of the rows that are trained on.

    Parameters
    ----------
    data : TrainingSet
        With targets.
    kind : {"classes", "multilabel", "numbers"}
    generator : torch.Generator
        Of training; left as it is.
    """

    def __init__(self, data: TrainingSet, kind: str, generator: Any) -> None:
        self._data, self._kind, self._generator = data, kind, generator
        self._before: float | None = None

    def start(self, objective: Objective, support: Support) -> None:
        """Take the score of the start, after `begin` of its stage."""
        self._before = self._score(objective, support)

    def collapsed(self, objective: Objective, support: Support) -> bool:
        """Whether more than half of what the start knew is lost at the end, beyond chance.

        For classes what is known is the accuracy beyond the share of the most frequent class.
        """
        if self._before is None:
            return False
        before, after = self._before, self._score(objective, support)
        blind, least = 0.0, LEAST_R2
        if self._kind == "classes":
            seen = self._seen()
            weight = seen.weight.double()
            share = torch.bincount(seen.codes, weights=weight) / weight.sum()
            blind = float(share.max())
            n_equal = float(weight.sum().square() / weight.square().sum())
            least = STANDARD_ERRORS * math.sqrt(max(before * (1 - before), 1 / n_equal) / n_equal)
        # Outputs that are not finite score minus infinity.
        return before - blind > least and after - blind < 0.5 * (before - blind)

    def _index(self) -> Any:
        n, device = len(self._data), self._data.rows.device
        if n <= SEEN_ROWS:
            return torch.arange(n, device=device)
        return torch.linspace(0, n - 1, SEEN_ROWS, device=device, dtype=torch.float64).long()

    def _seen(self) -> TrainingSet:
        return self._data.subset(self._index())

    def _score(self, objective: Objective, support: Support) -> float:
        drawn = self._generator.get_state()
        index, solved = self._index(), support.clone()
        weight = self._data.weight[index]
        objective.solve(solved, Sample(self._data, index, weight / weight.sum()))
        objective.choose(solved, None)
        seen = self._seen()
        predict = checked_predictor(objective, solved, seen.targets.shape[1])
        found = score(blockwise(predict, seen.rows), seen, self._kind)
        self._generator.set_state(drawn)
        return found
