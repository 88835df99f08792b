"""From scores to a weighted sample: which rows are taken, and what each of them stands for."""

from __future__ import annotations

import numpy as np

from .._input.rows import Rows
from . import draws
from .scores import Scores

SAMPLINGS = (*draws.SAMPLINGS, "medoids")


def weighted_sample(
    rows: Rows,
    scores: Scores,
    strata: np.ndarray | None,
    budget: int,
    rng: np.random.RandomState,
    *,
    sampling: str,
    mixing: float,
    calibrate: bool,
    counts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows in proportion to their importance.

    Parameters
    ----------
    rows : Rows
        n distinct rows.
    scores : Scores
    strata : int64 ndarray of shape (n,) or None
        Codes of which each gets at least one row.
    budget : int
    rng : RandomState
    sampling : {"systematic", "iid"}
    mixing : float
        Uniform share of the draw, in [0, 1].
    calibrate : bool
        Make the weights of each cell of `scores` sum to the weight of its rows.
    counts : int64 ndarray of shape (c,), optional
        Rows of each stratum, of sum `budget`; by default the importance decides.

    Returns
    -------
    drawn : int64 ndarray of shape (m,)
        Positions among the distinct rows; m <= budget.
    weight : float64 ndarray of shape (m,)
    """
    p = draws.mix_with_uniform(scores.importance, rows.weight, mixing)
    if sampling == "iid" and budget < len(rows):
        drawn, multiplier = draws.iid_draw(p, budget, rng, strata, counts)
    else:
        p = draws.inclusion_probabilities(p, budget, strata, counts)
        order = rows.walk(strata, scores.cell, scores.rank)
        # A comb of its own for each class meets the counts whatever the rounding of sums.
        walks = [order]
        if strata is not None and counts is not None:
            walks = np.split(order, np.cumsum(np.bincount(strata))[:-1])
        drawn = np.concatenate([draws.systematic_draw(p, walk, rng) for walk in walks])
        multiplier = 1 / p[drawn]
    weight = rows.weight[drawn] * multiplier
    if calibrate:
        mass = np.bincount(scores.cell, weights=rows.weight)
        weight = draws.calibrate_to_mass(weight, scores.cell[drawn], mass)
    return drawn, weight
