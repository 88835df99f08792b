"""Real rows with a share of their coordinates at 0, others at random in each step.

Drawing a number for each coordinate takes longer than the rest of a step. Factors are drawn once,
more than a batch needs, and each batch is multiplied by a stretch of them that begins at random.
Batches have other rows each time, so that a row hardly ever meets the same factors twice.
"""

from __future__ import annotations

import math
from typing import Any

from ... import _torch as torch

SEED = 0  # of the factors, which thereby are no state that a checkpoint would have to hold


class Dropout:
    """One instance a fit: it owns the factors and the memory of the rows that it returns.

    Parameters
    ----------
    generator : torch.Generator
        Draws where a stretch begins.
    """

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._share = 0.0
        self._factors: Any = None
        self._rows: Any = None

    def __call__(self, rows: Any, share: float) -> Any:
        """Rows (b, d) of which `share` is 0; squared lengths stay what they were on average.

        The next call overwrites the result.
        """
        size, factors = rows.numel(), self._factors
        if self._rows is None or self._rows.shape != rows.shape or self._rows.dtype != rows.dtype:
            self._rows, factors = torch.empty_like(rows), None
        if factors is None or share != self._share:
            own = torch.Generator(device=rows.device).manual_seed(SEED)
            factors = torch.empty(2 * size, dtype=rows.dtype, device=rows.device)
            factors.bernoulli_(1 - share, generator=own).div_(math.sqrt(1 - share))
            self._share, self._factors = share, factors
        start = int(
            torch.randint(size, (), generator=self._generator, device=self._generator.device)
        )
        return torch.mul(rows, factors[start : start + size].view_as(rows), out=self._rows)
