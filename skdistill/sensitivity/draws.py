"""From scores to a weighted sample: inclusion probabilities, draws, calibration.

All weights are Horvitz-Thompson weights, one over the expected number of times a row is drawn, so
that a weighted sum over the sample is an unbiased estimate of the sum over all rows.
"""

from __future__ import annotations

import numpy as np

from .._input.order import one_of_each_stretch
from .._input.rows import Rows

SAMPLINGS = ("systematic", "iid")
_SURE = 1 + 1e-9  # a class of this mass gets a row whatever the rounding of the cumulative sum


def mix_with_uniform(scores: np.ndarray, weight: np.ndarray, uniform_mixing: float) -> np.ndarray:
    """Mix scores into an importance (u,) of sum 1: ``(1 - beta) s / sum(s) + beta w / sum(w)``.

    Scores that sum to zero, or are not finite, leave the uniform part alone.
    """
    uniform = weight / weight.sum()
    total = scores.sum()
    if not (np.isfinite(total) and total > 0):
        return uniform
    uniform *= uniform_mixing
    uniform += scores * ((1 - uniform_mixing) / total)
    return uniform


def inclusion_probabilities(
    importance: np.ndarray,
    budget: int,
    strata: np.ndarray | None = None,
    counts: np.ndarray | None = None,
) -> np.ndarray:
    """Probabilities ``min(1, c s_i)`` with sum `budget`; every stratum sums to at least one.

    Parameters
    ----------
    importance : float64 ndarray of shape (u,)
        Non-negative, not all zero.
    budget : int
        Number of rows to draw, at most u.
    strata : int ndarray of shape (u,), optional
        Class codes. Classes whose share of the budget is below one row are raised to one row.
    counts : int ndarray of shape (c,), optional
        Rows to draw of each class, of sum `budget`. By default its importance decides.

    Returns
    -------
    float64 ndarray of shape (u,)
    """
    if budget >= len(importance):
        return np.ones(len(importance))
    if strata is None:
        return _capped(importance, float(budget))
    total = np.bincount(strata, weights=importance)
    size = np.bincount(strata)
    share = _stratum_sums(total, size, budget) if counts is None else counts
    probabilities = np.empty_like(importance)
    for code in np.flatnonzero(size):
        rows = np.flatnonzero(strata == code)
        probabilities[rows] = _capped(importance[rows], min(share[code], float(size[code])))
    return probabilities


def _stratum_sums(total: np.ndarray, size: np.ndarray, budget: int) -> np.ndarray:
    """Sum of the probabilities in each stratum: by importance, but one row or more."""
    present = size > 0
    small = np.zeros(len(total), dtype=bool)
    share = np.zeros(len(total))
    while True:
        # Raising small classes takes from the others, some of which may become small.
        free = present & ~small
        share[small] = np.minimum(_SURE, size[small])
        share[free] = _capped_shares(total[free], size[free], budget - share[small].sum())
        newly = free & (share < np.minimum(_SURE, size))
        if not newly.any() or not (free & ~newly).any():
            break
        small |= newly
    return share


def _capped_shares(total: np.ndarray, size: np.ndarray, budget: float) -> np.ndarray:
    """Share a budget among classes by their total importance, none beyond its size."""
    share = np.zeros(len(total))
    open_ = np.ones(len(total), dtype=bool)
    left = budget
    while open_.any():
        weight = np.maximum(total[open_], 1e-300)
        proposed = left * weight / weight.sum()
        full = proposed >= size[open_]
        if not full.any():
            share[open_] = proposed
            break
        which = np.flatnonzero(open_)[full]
        share[which] = size[which]
        left -= size[which].sum()
        open_[which] = False
    return share


def _capped(importance: np.ndarray, budget: float) -> np.ndarray:
    """Solve ``sum(min(1, c s)) = budget`` for c; rows of zero importance fill up if need be."""
    if budget >= len(importance):
        return np.ones(len(importance))
    positive = importance > 0
    if positive.sum() <= budget:
        probabilities = np.zeros(len(importance))
        probabilities[positive] = 1.0
        probabilities[~positive] = (budget - positive.sum()) / (~positive).sum()
        return probabilities
    # Divided before it is multiplied: the budget over a denormal sum would be infinite.
    probabilities = importance / importance.sum()
    probabilities *= budget
    certain = np.zeros(len(importance), dtype=bool)
    while True:
        over = probabilities >= 1
        if (over == certain).all():
            break
        certain = over
        rest = importance[~certain].sum()
        probabilities = np.where(certain, 0.0, importance) / rest * (budget - certain.sum())
        probabilities[certain] = 1.0
    return np.minimum(probabilities, 1.0, out=probabilities)


def systematic_draw(
    probabilities: np.ndarray, order: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Draw each row at most once, with exactly the given inclusion probabilities.

    One uniform number is laid as a comb over the cumulative sum of the probabilities. Rows that are
    neighbours in `order` rarely come together, which spreads the sample.

    Parameters
    ----------
    probabilities : float64 ndarray of shape (u,)
    order : int ndarray of shape (u,)
        Rows in the order the comb walks; keep alike rows (and strata) together.
    rng : RandomState

    Returns
    -------
    int ndarray of shape (m,)
        The rows drawn, in the order of the comb; m is the rounded sum of probabilities.
    """
    sure = probabilities >= 1
    first, walk = order[:0], order
    if sure.any():
        certain = sure[order]
        first, walk = order[certain], order[~certain]
    cumulative = probabilities[walk]
    np.cumsum(cumulative, out=cumulative)
    m = round(float(cumulative[-1])) if len(walk) else 0
    ticks = np.arange(m) + rng.uniform()
    # The sum differs from a whole number by rounding (or by the sure rows of small classes).
    ticks *= cumulative[-1] / m if m else 1.0
    drawn = walk[np.minimum(np.searchsorted(cumulative, ticks, side="right"), len(walk) - 1)]
    return np.concatenate([first, drawn])


def iid_draw(
    importance: np.ndarray,
    budget: int,
    rng: np.random.RandomState,
    strata: np.ndarray | None,
    counts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `budget` rows independently, with replacement.

    With strata the budget is shared out in whole numbers, at least one each: as `counts` (c,) says,
    or by importance.

    Returns
    -------
    rows : int ndarray of shape (m,)
        Distinct rows drawn, m <= budget.
    multiplier : float64 ndarray of shape (m,)
        Times drawn over expected times: the factor from a row's weight to its sample weight.
    """
    codes = np.zeros(len(importance), dtype=np.int64) if strata is None else strata
    allocation = counts
    if allocation is None:
        total = np.bincount(codes, weights=importance)
        allocation = _whole_shares(total, np.bincount(codes), budget)
    rows, multiplier = [], []
    for code in np.flatnonzero(allocation):
        members = np.flatnonzero(codes == code)
        p = importance[members]
        p = p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p))
        cumulative = np.cumsum(p)
        draws = np.searchsorted(cumulative, rng.uniform(size=allocation[code]) * cumulative[-1])
        hit, count = np.unique(np.minimum(draws, len(p) - 1), return_counts=True)
        rows.append(members[hit])
        multiplier.append(count / (allocation[code] * p[hit]))
    return np.concatenate(rows), np.concatenate(multiplier)


def _whole_shares(total: np.ndarray, size: np.ndarray, budget: int) -> np.ndarray:
    """Largest-remainder shares of a budget, at least one for each class that has rows."""
    present = size > 0
    share = np.where(present, 1, 0)
    ideal = total / max(total.sum(), 1e-300) * budget
    extra = np.maximum(ideal - share, 0)
    left = budget - share.sum()
    if left > 0 and extra.sum() > 0:
        extra *= left / extra.sum()
        share += np.floor(extra).astype(int)
        remainder = np.argsort(-(extra - np.floor(extra)), kind="stable")
        share[remainder[: budget - share.sum()]] += 1
    return share


def calibrate_to_mass(
    sample_weight: np.ndarray, sample_cell: np.ndarray, cell_mass: np.ndarray
) -> np.ndarray:
    """Scale the weights of each cell so that they sum to its mass (post-stratification).

    Cells without a sampled row hand their mass to all the others, in proportion.

    Parameters
    ----------
    sample_weight : ndarray of shape (m,)
    sample_cell : int ndarray of shape (m,)
    cell_mass : ndarray of shape (k,)
        Total weight of all rows in each cell.

    Returns
    -------
    ndarray of shape (m,)
    """
    estimate = np.bincount(sample_cell, weights=sample_weight, minlength=len(cell_mass))
    factor = np.divide(cell_mass, estimate, out=np.ones(len(cell_mass)), where=estimate > 0)
    calibrated = sample_weight * factor[sample_cell]
    return calibrated * (cell_mass.sum() / calibrated.sum())


def draw_pool(
    rows: Rows, n_pool: int, rng: np.random.RandomState, strata: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a random part of the rows, by weight, without repeats, every stratum in it.

    Parameters
    ----------
    rows : Rows
    n_pool : int
    rng : RandomState
    strata : int ndarray of shape (u,), optional

    Returns
    -------
    pool : int ndarray of shape (min(u, n_pool),)
        In random order, so that its front is a smaller pool.
    pool_weight : float64 ndarray of the same shape
        Horvitz-Thompson weights.
    """
    order = rows.walk(strata)
    if len(rows) > n_pool and strata is None and rows.weight.min() == rows.weight.max():
        if rows.as_read:  # equal steps might then hit rows of one kind only
            order = order[one_of_each_stretch(len(rows), n_pool, rng)]
        else:  # of equal weights the comb takes rows at equal steps
            ticks = (np.arange(n_pool) + rng.uniform()) * (len(rows) / n_pool)
            order = order[ticks.astype(np.int64)]
        weight = np.full(n_pool, rows.weight.sum() / n_pool)
    elif len(rows) > n_pool:
        probabilities = inclusion_probabilities(rows.weight, n_pool, strata)
        order = systematic_draw(probabilities, order, rng)
        weight = rows.weight[order] / probabilities[order]
    else:
        weight = rows.weight[order]
    shuffled = rng.permutation(len(order))
    return order[shuffled], weight[shuffled]
