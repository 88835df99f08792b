"""From the winning kind to one set: the best of several draws, then better rows for single ones.

Two sets of one kind train a model to scores that differ by more than the noise, so that a choice
among them pays. It goes on row by row: some rows are exchanged for others, and the exchange is kept
if the model scores better. All rows judge, of which a small set holds a few percent at most: what
is rare decides, and a part held out would lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from .candidates import Recipe
from .contest import Entry
from .judge import Judge
from .part import Part, SmallSet

SETS = 4  # made of the winning kind
EXCHANGED = (0.25, 0.02)  # share of the rows at the first and the last exchange
ROWS_PER_ROW = 10  # with fewer, a set would be judged by its own rows
FEWEST_ROWS = 1000  # a choice by fewer would follow their noise
JUDGED_ROWS = 6000


def polish(
    part: Part,
    entry: Entry,
    judges: Sequence[Judge],
    budget: int,
    *,
    n_exchanges: int,
    rng: np.random.RandomState,
) -> SmallSet:
    """Make the set that is handed out.

    Parameters
    ----------
    part : Part
        All rows.
    entry : Entry
        The winner.
    judges : sequence of Judge
    budget : int
    n_exchanges : int
        How often rows are exchanged.
    rng : RandomState

    Returns
    -------
    SmallSet
        Not chosen by score where rows are few.
    """
    if len(part) < ROWS_PER_ROW * budget or len(part) < FEWEST_ROWS:
        return entry.candidate.make(part, budget, rng)
    everything = part
    if len(part) > JUDGED_ROWS:
        judging = rng.choice(len(part), JUDGED_ROWS, replace=False)
        everything = part.take(np.sort(judging), 0)

    def score(small: SmallSet) -> float:
        return float(
            np.mean([judge.score(small, entry.use_weights, everything) for judge in judges])
        )

    first = entry.candidate.make(part, budget, rng)
    if first.which is None and not isinstance(entry.candidate, Recipe):
        return first  # learnt rows: dear to make, and no rows to exchange
    best, best_score = first, score(first)
    for _ in range(SETS - 1):
        small = entry.candidate.make(part, budget, rng)
        if (found := score(small)) > best_score:
            best, best_score = small, found
    if best.which is None or n_exchanges == 0:
        return best
    cell = cells(part, best, entry.candidate)
    for step in range(n_exchanges):
        share = EXCHANGED[0] + (EXCHANGED[1] - EXCHANGED[0]) * step / n_exchanges
        small = exchanged(part, best, cell, share, entry.candidate, rng)
        if (found := score(small)) > best_score:
            best, best_score = small, found
    return best


def cells(part: Part, small: SmallSet, candidate: Any) -> np.ndarray:
    """Give each row (n,) the cell whose rows may take each other's place, from 0 up.

    Of drawn rows these are the classes. Of rows that stand for clusters, they are the clusters:
    were rows far out exchanged for others, held-out rows would hardly tell, and a model would go
    wrong where they were.
    """
    codes = np.zeros(len(part), dtype=np.int64) if part.codes is None else part.codes
    if getattr(candidate, "kind", "") != "medoids":
        return codes
    points = candidate.points(part)
    cell = np.empty(len(part), dtype=np.int64)
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        own = small.which[codes[small.which] == code]  # type: ignore[index]
        if len(own):
            near = pairwise_distances_argmin(points[members], points[own])
            cell[members] = own[near]
        else:
            cell[members] = members
    return cell


def exchanged(
    part: Part,
    small: SmallSet,
    cell: np.ndarray,
    share: float,
    candidate: Any,
    rng: np.random.RandomState,
) -> SmallSet:
    """Exchange some rows of a set for others of the same cell; weights stay.

    Parameters
    ----------
    part : Part
        That the set was made from.
    small : SmallSet
    cell : int64 ndarray of shape (n,)
    share : float
        Of its rows, in (0, 1).
    candidate : Recipe or Given
        Says which rows may come, and with which numbers.
    rng : RandomState

    Returns
    -------
    SmallSet
    """
    assert small.which is not None
    trust = getattr(candidate, "trust", "all")
    which = small.which.copy()
    free = np.ones(len(part), dtype=bool)
    free[which] = False
    if trust == "clean":
        free &= np.isin(np.arange(len(part)), part.clean)
    others = rng.permutation(np.flatnonzero(free))
    others = others[np.argsort(cell[others], kind="stable")]  # by cell, in random order within
    out = rng.permutation(len(which))[: max(1, round(share * len(which)))]
    out = out[np.argsort(cell[which[out]], kind="stable")]
    wanted = cell[which[out]]
    # The k-th row that leaves a cell takes the k-th free row of it, where there is one.
    begin = np.searchsorted(cell[others], wanted)
    nth = np.arange(len(wanted)) - np.searchsorted(wanted, wanted)
    place = begin + nth
    found = place < len(others)
    found[found] &= cell[others[place[found]]] == wanted[found]
    which[out[found]] = others[place[found]]
    numbers = part.predicted[which] if trust == "denoised" else None
    return part.small_set(which, small.weight, numbers)
