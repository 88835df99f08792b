"""From the winning kind to one set: the best of several draws, then better rows and targets.

Two sets of one kind train a model to scores that differ by more than the noise, so that a choice
among them pays. It goes on row by row: some rows are exchanged for others, or targets that are
numbers are moved, and what scores better is kept. All rows judge, of which a small set holds a few
percent at most: what is rare decides, and a part held out would lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from .candidates import Recipe
from .contest import Each, Entry, unheard
from .judge import Judge
from .part import Part, SmallSet, sampled
from .targets import moved, nearest

SETS = 4  # made of the winning kind
CHEAP_SET = 400_000_000  # pairs of a row and a row of the set; with more, one set is made
EXCHANGED = (0.25, 0.02)  # share of the rows at the first and the last exchange
ROWS_PER_ROW = 10  # with fewer, a set would be judged by its own rows
FEWEST_ROWS = 1000  # a choice by fewer would follow their noise
JUDGED_ROWS, JUDGED_PER_ROW = 6000, 5
TAKEN, REFUSED = 0.8, 0.5  # what a step of targets is multiplied by afterwards


def polish(
    part: Part,
    entry: Entry,
    judges: Sequence[Judge],
    budget: int,
    *,
    n_trials: int,
    move_targets: bool,
    rng: np.random.RandomState,
    each: Each = unheard,
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
    n_trials : int
        How often rows are exchanged or targets moved.
    move_targets : bool
        Whether the target is of numbers, which may be moved.
    rng : RandomState
    each : callable
        Goes through the trials; those that it leaves out are not made.

    Returns
    -------
    SmallSet
        Not chosen by score where rows are few.
    """
    if len(part) < ROWS_PER_ROW * budget or len(part) < FEWEST_ROWS:
        return entry.candidate.make_last(part, budget, rng)
    attempt = Attempts(part, entry, judges, budget, rng)
    learnt = attempt.best.which is None and not isinstance(entry.candidate, Recipe)
    dear = learnt or len(part) * budget > CHEAP_SET
    for _ in range(0 if dear else SETS - 1):
        attempt.take(entry.candidate.make_last(part, budget, rng))
    for trial in each("polish", range(n_trials)):
        if move_targets and trial % 2:
            attempt.move_targets()
        elif attempt.best.which is not None:
            attempt.exchange(trial / n_trials)
    return attempt.best


class Attempts:
    """The best set so far, and ways to make it better; each is kept if the score gains."""

    def __init__(
        self,
        part: Part,
        entry: Entry,
        judges: Sequence[Judge],
        budget: int,
        rng: np.random.RandomState,
    ) -> None:
        self.part, self.entry, self.judges, self.rng = part, entry, judges, rng
        self.judged, self.rows = sampled(part, max(JUDGED_ROWS, JUDGED_PER_ROW * budget), rng)
        self.best = entry.candidate.make_last(part, budget, rng)
        self.scores, self.models = self._trained(self.best)
        self.first = self.scores
        self.error: np.ndarray | None = None  # of the models of the best set, where asked for
        self.cell: np.ndarray | None = None
        self.steps = {"columns": 1.0, "leaves": 1.0}

    def take(self, small: SmallSet) -> bool:
        """Keep a set if it is the best so far.

        Of several models none may stand below its score on the first set: what one gains at the
        cost of another, a model outside the panel loses.
        """
        scores, models = self._trained(small)
        if not scores.mean() > self.scores.mean() or (scores < self.first).any():
            return False
        self.best, self.scores, self.models, self.error = small, scores, models, None
        return True

    def _trained(self, small: SmallSet) -> tuple[np.ndarray, list[Any]]:
        """Scores of the models on a set, and the models."""
        models = [judge.fit(small, self.entry.use_weights) for judge in self.judges]
        scored = zip(self.judges, models, strict=True)
        return np.array([judge.score_of(m, self.judged) for judge, m in scored]), models

    def exchange(self, progress: float) -> None:
        """Try other rows in the place of some; their share falls with the progress in [0, 1)."""
        if self.cell is None:
            self.cell = cells(self.part, self.best, self.entry.candidate)
        share = EXCHANGED[0] + (EXCHANGED[1] - EXCHANGED[0]) * progress
        self.take(exchanged(self.part, self.best, self.cell, share, self.entry.candidate, self.rng))

    def move_targets(self) -> None:
        """Try to move the targets, nearness taken in the space of the longer step.

        What pays here depends on the model: leaves for trees, columns for smooth models.
        """
        space = max(self.steps, key=lambda name: self.steps[name])
        near = nearest(self.part, self.best, self.rows, space)
        if self.error is None:
            scored = zip(self.judges, self.models, strict=True)
            predicted = np.mean([judge.predict(m, self.judged) for judge, m in scored], axis=0)
            self.error = self.judged.labels - predicted
        weight, step = self.judged.weight, self.steps[space]
        gained = self.take(moved(self.best, near, self.error, weight, step))
        self.steps[space] *= TAKEN if gained else REFUSED


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
    """Exchange some rows of a set for others of the same cell; weights and moves of targets stay.

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
    made = part.small_set(which, small.weight, numbers)
    if part.codes is not None:
        return made
    before = part.predicted[small.which] if trust == "denoised" else None
    base = part.small_set(small.which, small.weight, before).y
    if np.array_equal(base, small.y):
        return made
    # A target that was moved stays moved; a row of the same cluster takes the move over.
    shift = small.y - base
    if getattr(candidate, "kind", "") != "medoids":
        shift[which != small.which] = 0
    return replace(made, y=made.y + shift)
