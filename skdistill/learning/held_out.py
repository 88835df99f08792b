"""Which rows are held out of training: one part of many rows, several parts of few in turn."""

from __future__ import annotations

from typing import Any

from .. import _torch as torch
from .problem import Settings

FEW_ROWS = 2000  # up to so many rows the stop is found on several held-out parts
PARTS = 5
MIN_ROWS = 25  # with fewer there is nothing to hold out
MAX_HELD_OUT = 2000


def held_out_parts(
    n_rows: int, n_support: int, settings: Settings, generator: Any, *, several: bool
) -> list[tuple[Any, Any]]:
    """Index of training and of held-out rows: one pair, for few rows `several`, or none."""
    device = generator.device
    order = torch.randperm(n_rows, generator=generator, device=device)
    part = n_rows // PARTS
    enough = n_rows >= MIN_ROWS and n_rows - part >= n_support
    if not (settings.early_stopping and enough):
        return []
    if n_rows <= FEW_ROWS and several:
        parts = list(order.chunk(PARTS))
        return [
            (torch.cat([p for j, p in enumerate(parts) if j != k]), parts[k]) for k in range(PARTS)
        ]
    n_held = max(1, min(round(settings.validation_fraction * n_rows), MAX_HELD_OUT))
    return [(order[n_held:], order[:n_held])]
