"""How batches of real rows are drawn: what the parameters of a distiller come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .sampler import POOL_ROWS

SAMPLINGS = ("auto", "uniform", "importance", "reducible", "representative")
UNIFORM_SHARES = {"margin": (0.1, 0.5)}  # at the start and at the end of training
REFRESHED = {"margin": 25}  # steps
OTHER_SHARES, OTHER_REFRESHED = (0.5, 1.0), 100
POOL_ROWS_PER_STEP = 500  # least time that refreshing may take: that of half a batch in each step


@dataclass(frozen=True)
class BatchPlan:
    """How batches are drawn.

    Attributes
    ----------
    sampling : {"uniform", "importance", "reducible", "representative"}
    loss : str or callable
        That makes rows important; see `skdistill.batches.losses`.
    mixing : tuple of float
        Uniform share at the start and at the end of training.
    refresh_every : int
        Steps between two refreshments of the losses.
    reweight : bool
        Whether weights keep sums over a batch unbiased.
    asked : bool
        Whether the user chose any of this; if not, what the rows turn out to be may change it.
    """

    sampling: str
    loss: str | Callable
    mixing: tuple[float, float]
    refresh_every: int
    reweight: bool
    asked: bool = False

    @property
    def pool_rows(self) -> int:
        """Most rows that a refreshment looks at: the more often, the fewer."""
        return min(POOL_ROWS, POOL_ROWS_PER_STEP * self.refresh_every)

    @property
    def bounded(self) -> bool:
        """Whether losses are bounded once those of all rows are known."""
        return self.sampling in ("importance", "reducible") and self.loss == "bounded"

    @property
    def importance(self) -> bool:
        """Whether batches depend on losses at all."""
        return self.sampling != "uniform"


def plan_batches(
    sampling: str,
    loss: Any,
    mixing: Any,
    refresh_every: Any,
    reweight: Any,
    *,
    favourite: str,
    weighs: bool,
    kind: str,
) -> BatchPlan:
    """Replace what is "auto".

    Parameters
    ----------
    sampling, loss, mixing, refresh_every, reweight
        Of the distiller.
    favourite : str
        The technique's loss, or "uniform"; see `Objective.favourite_batches`.
    weighs : bool
        Whether the technique weights rows of importance batches; see `Objective.reweights`.
    kind : {"none", "classes", "multilabel", "numbers"}

    Returns
    -------
    BatchPlan
    """
    given = (sampling, loss, mixing, refresh_every, reweight)
    asked = any(not (isinstance(value, str) and value == "auto") for value in given)
    if sampling == "auto":
        plain = loss == "auto" and favourite == "uniform"
        sampling = "uniform" if plain else "importance"
    if isinstance(loss, str) and loss == "auto":
        loss = favourite
        if sampling == "reducible":  # a difference of slopes would mean nothing
            loss = "cross_entropy" if kind == "classes" else "squared_error"
        elif favourite == "uniform":
            loss = {"classes": "margin", "numbers": "bounded"}.get(kind, "squared_error")
    name = loss if isinstance(loss, str) else ""
    if isinstance(mixing, str):
        mixing = UNIFORM_SHARES.get(name, OTHER_SHARES)
    elif not isinstance(mixing, tuple):
        mixing = (mixing, 1.0)
    if isinstance(refresh_every, str):
        refresh_every = REFRESHED.get(name, OTHER_REFRESHED)
    if isinstance(reweight, str):
        # Weights would undo what the margin's slope, or an equal share of clusters, is drawn for.
        reweight = weighs and name != "margin" and sampling != "representative"
    return BatchPlan(sampling, loss, mixing, refresh_every, reweight, asked)
