"""Which candidate trains the model best, found on held-out rows with as few fits as it takes.

In each round every candidate still in the contest makes a set from a part of the rows, and the
model trained on it is scored on the others. With few rows each round holds out others. Candidates
that are behind leave after each round. The first one, uniform rows, stays to the end: the winner
must beat it by more than the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .._input.frames import ENCODE, holds_more_than_numbers
from .judge import Judge
from .part import Part, SmallSet, split

Each = Callable[[str, Collection[int]], Iterable[int]]  # name of a task and its parts -> the parts
UNIFORM_DRAWS = 2  # a round: what all others are measured by should be no lucky draw
KEPT = (0.35, 0.2)  # of the candidates, after the first and the second round
FEWEST_KEPT = 4
REASONS_SHOWN = 3  # where all fail, as they do for one reason
HELD_OUT_ROWS = 3000  # at most
ENOUGH_HELD_OUT = 600  # rows: with more, the draw of a set is noisier than the rows that judge it


class Candidate(Protocol):
    """A kind of small set.

    Attributes
    ----------
    name : str
    weights : tuple of bool
        Whether to try it without and with its weights.
    """

    name: str
    weights: tuple[bool, ...]

    def make(self, part: Part, budget: int, rng: np.random.RandomState) -> SmallSet:
        """Make a set of `budget` rows from a part."""


@dataclass
class Entry:
    """One candidate, with or without weights, and its scores: (rounds, judges)."""

    candidate: Any
    use_weights: bool
    scores: list[np.ndarray] = field(default_factory=list)
    reason: str | None = None  # why it failed


def make_entries(
    candidates: Sequence[Any], judges: Sequence[Judge], *, weights: bool = True
) -> list[Entry]:
    """Entries of all candidates; with weights only where they may be and some judge takes them."""
    takes = weights and any(judge.takes_weights for judge in judges)
    return [Entry(c, use) for c in candidates for use in c.weights if takes or not use]


def unheard(name: str, items: Collection[int]) -> Iterable[int]:
    """Parts of a task that nobody listens to."""
    return items


def hold_contest(
    part: Part,
    entries: list[Entry],
    judges: Sequence[Judge],
    budget: int,
    *,
    n_rounds: int,
    held_out: float,
    rng: np.random.RandomState,
    say: Callable[[str], None],
    each: Each = unheard,
) -> int:
    """Fill in the scores of the entries, and return the position of the winner.

    `each` goes through the entries of a round; those that it leaves out leave the contest.

    Raises
    ------
    ValueError
        If every entry fails; the reasons are named.
    """
    running = list(range(len(entries)))
    train = held = part
    for number in range(n_rounds):
        seed = rng.randint(2**31 - 1)
        if number == 0 or len(held) < ENOUGH_HELD_OUT:  # a forest for each split is dear
            a, b = split(part, held_out, rng)
            if len(b) > HELD_OUT_ROWS:
                b = np.sort(rng.choice(b, HELD_OUT_ROWS, replace=False))
            train, held = part.take(a, seed), part.take(b, seed)
        size = min(budget, len(train))
        draws: dict[int, list[SmallSet]] = {}
        for i in each(f"round {number + 1}", running):
            entry = entries[i]
            try:
                key = id(entry.candidate)
                if key not in draws:  # one set serves both with and without weights
                    own = np.random.RandomState((seed + 7919 * i) % (2**31 - 1))
                    times = UNIFORM_DRAWS if i == 0 else 1
                    draws[key] = [entry.candidate.make(train, size, own) for _ in range(times)]
                found = [[j.score(s, entry.use_weights, held) for j in judges] for s in draws[key]]
                entry.scores.append(np.mean(found, axis=0))
            except Exception as error:
                entry.reason = f"{type(error).__name__}: {error}".splitlines()[0]
        running = [
            i for i in running if entries[i].reason is None and len(entries[i].scores) > number
        ]
        if not running:
            told = "; ".join(f"{e.candidate.name}: {e.reason}" for e in entries[:REASONS_SHOWN])
            rest = f"; and {len(entries) - REASONS_SHOWN} more" * (len(entries) > REASONS_SHOWN)
            way_out = f" {ENCODE}" if holds_more_than_numbers(part.X) else ""
            raise ValueError(f"Every candidate failed. {told}{rest}.{way_out}")
        if number < n_rounds - 1:
            gain = gains([entries[i] for i in running])
            kept = max(FEWEST_KEPT, round(KEPT[min(number, len(KEPT) - 1)] * len(entries)))
            running = [running[i] for i in survivors(gain, kept)]
        say(f"round {number + 1} of {n_rounds}: {len(running)} of {len(entries)} candidates stay")
    return running[winner(gains([entries[i] for i in running]))]


def gains(entries: list[Entry]) -> np.ndarray:
    """Gain over the first entry in each round, mean over judges, (entries, rounds).

    Of several judges each counts in units of the spread of its scores.
    """
    scores = np.array([entry.scores for entry in entries])  # (entries, rounds, judges)
    over = scores - scores[0]
    if scores.shape[2] > 1:
        spread = scores.mean(axis=1).std(axis=0)
        over = over / np.where(spread > 0, spread, 1.0)
    return over.mean(axis=2)


def survivors(gain: np.ndarray, n_kept: int) -> np.ndarray:
    """Positions of the first entry and of the best others, in their order."""
    order = np.argsort(-gain[1:].mean(axis=1), kind="stable") + 1
    return np.sort(np.append(0, order[: n_kept - 1]))


def winner(gain: np.ndarray) -> int:
    """Position of the largest mean gain; the first one where that is noise.

    Parameters
    ----------
    gain : ndarray of shape (entries, rounds)
        Over the first entry.
    """
    mean, n_rounds = gain.mean(axis=1), gain.shape[1]
    best = int(np.argmax(mean))
    if best == 0 or n_rounds == 1:
        return best
    # The noise of few rounds is better known from all entries together.
    noise = np.sqrt(gain[1:].var(axis=1, ddof=1).mean() / n_rounds)
    return best if mean[best] > noise else 0
