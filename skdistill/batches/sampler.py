r"""Batches of real rows, drawn by importance.

With losses l_i of the rows under the model that the current small set induces, weights w_i of sum W
and a share beta that stays uniform, a batch of b rows is drawn with

.. math:: p_i = (1 - \beta) \frac{w_i l_i}{\sum_j w_j l_j} + \beta \frac{w_i}{W},
          \qquad v_i = \frac{w_i}{W b p_i} \le \frac{1}{\beta b} .

Sums over the batch with weights v_i are unbiased for weighted means over all rows. Both parts of
the mixture are drawn from cumulative sums at stratified points, O(b log n) a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import _torch as torch

POOL_ROWS = 100_000  # above it losses are refreshed on a random pool


@dataclass(frozen=True)
class Draw:
    """Index (b,) of drawn rows and the weights (b,) that make batch sums unbiased."""

    index: Any
    weight: Any


class Scarce(NamedTuple):
    """A class that repeats itself in batches: its rows, its share in rows, the batch's rows."""

    n_rows: int
    share: float
    batch_size: int


def importance_shares(losses: Any, weight: Any, groups: Any = None) -> Any:
    """Shares of `w_i l_i` in their sum; within each group, keeping its weight, if given.

    Losses that are all zero, negative or not finite fall back to the shares of the weights.

    Parameters
    ----------
    losses : Tensor of shape (n,)
    weight : Tensor of shape (n,), non-negative
    groups : int64 Tensor of shape (n,) or None
        For class-balanced batches: the shares of a group sum to its share of the weight.

    Returns
    -------
    float64 Tensor of shape (n,), sums to 1
    """
    uniform = weight.double() / weight.double().sum()
    usable = bool(torch.isfinite(losses).all()) and bool((losses >= 0).all())
    if not usable:
        return uniform
    mass = uniform * losses.double()
    if groups is None:
        total = mass.sum()
        return mass / total if total > 0 and math.isfinite(total) else uniform
    n_groups = int(groups.max()) + 1
    held = mass.new_zeros(n_groups).index_add_(0, groups, mass)
    owed = mass.new_zeros(n_groups).index_add_(0, groups, uniform)
    factor = torch.where(held > 0, owed / held, torch.zeros_like(held))
    return torch.where(held[groups] > 0, mass * factor[groups], uniform)


def balanced_weight(weight: Any, groups: Any) -> Any:
    """Weights that give every group the same total; the grand total stays.

    Parameters
    ----------
    weight : Tensor of shape (n,)
    groups : int64 Tensor of shape (n,)

    Returns
    -------
    Tensor of shape (n,)
    """
    held = weight.new_zeros(int(groups.max()) + 1).index_add_(0, groups, weight)
    return weight * (weight.sum() / (held > 0).sum()) / held[groups]


def class_factors(weight: Any, groups: Any) -> Any:
    """Factors of rows (n,) that stand half way to `balanced_weight`.

    In proportion to one over the square root of the group's share of the weight.

    Parameters
    ----------
    weight : Tensor of shape (n,), positive
    groups : int64 Tensor of shape (n,)

    Returns
    -------
    Tensor of shape (n,)
    """
    return (balanced_weight(weight, groups) / weight).sqrt()


def stratified_draw(cumulative: Any, count: int, generator: Any) -> Any:
    """Index (count,) of rows drawn with the shares whose cumulative sums are given.

    One point in each of `count` equal intervals: expectations are those of independent draws, the
    variance is never larger.

    Parameters
    ----------
    cumulative : float64 Tensor of shape (n,)
    count : int
    generator : torch.Generator

    Returns
    -------
    int64 Tensor of shape (count,)
    """
    points = torch.rand(count, generator=generator, dtype=torch.float64, device=cumulative.device)
    points = (points + torch.arange(count, device=cumulative.device)) / count * cumulative[-1]
    # Not the first row whose sum reaches the point but the one whose interval holds it: rows of
    # share 0 have no interval.
    return torch.searchsorted(cumulative, points, right=True).clamp_(max=len(cumulative) - 1)


def draw_batch(
    uniform: Any,
    importance: Any,
    size: int,
    mixing: float,
    generator: Any,
    *,
    reweight: bool,
    cumulative: tuple[Any, Any] | None = None,
) -> Draw:
    """Draw a batch from the mixture of two distributions.

    Parameters
    ----------
    uniform, importance : float64 Tensor of shape (n,)
        Shares that sum to 1: those of the weights, :math:`w_i / W`, and those of the losses.
    size : int
        Rows of the batch, b.
    mixing : float in [0, 1]
        Share of the batch drawn from `uniform`, rounded up to whole rows.
    generator : torch.Generator
    reweight : bool
        Whether sums with the weights are to be unbiased for means under `uniform`; else all weights
        are 1 / b, and rows of large loss count for more.
    cumulative : pair of Tensor or None
        Cumulative sums of both, where they are at hand.

    Returns
    -------
    Draw
    """
    if cumulative is None:
        cumulative = (uniform.cumsum(0), importance.cumsum(0))
    from_uniform = min(size, math.ceil(mixing * size - 1e-9))
    parts = [stratified_draw(cumulative[0], from_uniform, generator)]
    if from_uniform < size:
        parts.append(stratified_draw(cumulative[1], size - from_uniform, generator))
    index = torch.cat(parts)
    weight = uniform.new_full((size,), 1 / size)
    if reweight and from_uniform < size:
        beta = from_uniform / size
        p = (1 - beta) * importance[index] + beta * uniform[index]
        weight = uniform[index] / (size * p)
    return Draw(index, weight)


class BatchSampler:
    """Draws batches, and keeps the losses that say which rows are important.

    Parameters
    ----------
    weight : Tensor of shape (n,)
        Positive weights of the rows.
    generator : torch.Generator
        On the device of `weight`.
    importance : bool
        False draws by weight alone.
    mixing : float in [0, 1]
        Uniform share at the start.
    final_mixing : float in [0, 1]
        Uniform share at the end of training; in between half a cosine leads from one to the other.
    reweight : bool
        See `draw_batch`.
    groups : int64 Tensor of shape (n,) or None
        Classes whose share of the draws is to stay that of their weight.
    pool_rows : int
        Most rows that losses are refreshed on.
    """

    def __init__(
        self,
        weight: Any,
        generator: Any,
        *,
        importance: bool = True,
        mixing: float = 0.5,
        final_mixing: float = 1.0,
        reweight: bool = True,
        groups: Any = None,
        pool_rows: int = POOL_ROWS,
    ) -> None:
        self.generator = generator
        self.importance = importance
        self.mixing = mixing
        self.final_mixing = final_mixing
        self.reweight = reweight
        self._groups = groups
        self._pool_rows = pool_rows
        self._scarce: dict[int, Scarce] = {}
        self._looked_at = 0
        self._uniform = weight.double() / weight.double().sum()
        self._uniform_sums = self._uniform.cumsum(0)
        self._shares, self._sums = self._uniform, self._uniform_sums
        self._everything = torch.arange(len(weight), device=weight.device)

    @property
    def shares(self) -> Any:
        """Shares (n,) of the rows in the weight."""
        return self._uniform

    @property
    def grouped(self) -> bool:
        """Whether classes keep their share of the draws, whatever the losses."""
        return self._groups is not None

    @property
    def scarce(self) -> dict[int, Scarce]:
        """Classes with fewer rows than their share of a batch that was drawn, by code.

        Copies of a sampler share it: what one of them draws the others know.
        """
        return self._scarce

    def draw(self, size: int, progress: float = 0.0) -> Draw:
        """Batch of `size` rows; all rows, with their weights, where there are no more.

        Parameters
        ----------
        size : int
        progress : float in [0, 1]
            How far training has come, for the schedule of the uniform share.

        Returns
        -------
        Draw
        """
        if size >= len(self._uniform):
            return Draw(self._everything, self._uniform)
        if self._groups is not None and size > self._looked_at:
            self._look_for_scarce(size)
        mixing = 1.0
        if self.importance and self._shares is not self._uniform:
            fade = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
            mixing = self.final_mixing + (self.mixing - self.final_mixing) * fade
        return draw_batch(
            self._uniform,
            self._shares,
            size,
            mixing,
            self.generator,
            reweight=self.reweight,
            cumulative=(self._uniform_sums, self._sums),
        )

    def _look_for_scarce(self, size: int) -> None:
        """Note the classes whose rows are drawn again and again in batches of a size."""
        self._looked_at = size
        held = torch.bincount(self._groups)
        share = torch.zeros_like(held, dtype=torch.float64)
        share = share.index_add_(0, self._groups, self._uniform) * size
        for code in (held < torch.floor(share + 1e-6)).nonzero()[:, 0].tolist():
            self._scarce[code] = Scarce(int(held[code]), float(share[code]), size)

    def sample(self, size: int) -> Draw:
        """Rows drawn by weight alone; all rows where there are no more than `size`."""
        if size >= len(self._uniform):
            return Draw(self._everything, self._uniform)
        index = stratified_draw(self._uniform_sums, size, self.generator)
        return Draw(index, self._uniform.new_full((size,), 1 / size))

    def refresh(self, losses: Any) -> None:
        """Take new importances from `losses`, a function of an index (k,) that returns (k,).

        One pass over the rows, or over a random pool where there are very many: rows outside the
        pool are then drawn by the uniform share alone, which the weights account for.
        """
        if not self.importance:
            return
        if len(self._uniform) <= self._pool_rows:
            self._shares = importance_shares(losses(self._everything), self._uniform, self._groups)
        else:
            pool = stratified_draw(self._uniform_sums, self._pool_rows, self.generator)
            pool = torch.unique(pool)
            groups = None if self._groups is None else self._groups[pool]
            shares = importance_shares(losses(pool), self._uniform[pool], groups)
            self._shares = torch.zeros_like(self._uniform)
            self._shares[pool] = shares
        self._sums = self._shares.cumsum(0)
