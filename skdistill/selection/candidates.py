"""The kinds of small sets that are tried: which rows, from which space, in which class shares.

A candidate is a recipe: it makes a set from any part of the rows, so that a kind found to be good
on one part can be made again from all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from .. import _torch as torch
from .._input.rows import Rows, Units
from ..coreset import SensitivityCoreset
from ..sensitivity.draws import inclusion_probabilities, systematic_draw
from ..sensitivity.medoids import TARGET_WEIGHT, Space, cluster_means, kmeans_clusters
from ..sensitivity.shares import class_budgets, class_shares
from .part import CLIP, Part, SmallSet

CLUSTERED = ("medoids", "centroids")


@dataclass(frozen=True)
class Recipe:
    """A kind of small set.

    Attributes
    ----------
    kind : {"uniform", "medoids", "centroids", "kmeans", "cross_entropy", "squared_error"}
        Drawn evenly; nearest to the means of clusters, or these means; drawn by the importance of a
        loss.
    share : {"proportional", "balanced", "sqrt"}
        How classes share the rows.
    space : {"columns", "supervised"}
        Where clusters are: in scaled columns, or beside the leaves of a forest too.
    trust : {"all", "clean", "denoised"}
        "clean" leaves out rows that the forest, out of bag, takes for another class; "denoised"
        puts its prediction in place of a number.
    weights : tuple of bool
        Whether to try it without and with weights.
    """

    kind: str
    share: str = "proportional"
    space: str = "columns"
    trust: str = "all"
    weights: tuple[bool, ...] = (False, True)

    @property
    def name(self) -> str:
        """The words that differ from plain ones, and the kind."""
        plain = ("all", "proportional", "columns")
        words = [w for w in (self.trust, self.share, self.space) if w not in plain]
        return " ".join([*words, self.kind])

    def make(self, part: Part, budget: int, rng: np.random.RandomState) -> SmallSet:
        """Make a set of `budget` rows; fewer where there are not as many clean ones."""
        kept = part.clean if self.trust == "clean" else np.arange(len(part))
        budget = min(budget, len(kept))
        numbers = part.predicted if self.trust == "denoised" else None
        if self.kind == "uniform":
            which, weight = self._evenly(part, kept, budget, rng)
        elif self.kind in CLUSTERED:
            return self._clustered(part, kept, budget, numbers, rng)
        else:
            which, weight = self._by_importance(part, budget, rng)
        return part.small_set(which, weight, None if numbers is None else numbers[which])

    def make_last(self, part: Part, budget: int, rng: np.random.RandomState) -> SmallSet:
        """Make the set that is handed out: no other way."""
        return self.make(part, budget, rng)

    def _strata(
        self, part: Part, kept: np.ndarray, budget: int
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Stratum of each row kept, and the budget of each stratum."""
        if part.codes is None:
            return None, np.array([budget])
        _, strata, size = np.unique(part.codes[kept], return_inverse=True, return_counts=True)
        mass = np.bincount(strata, weights=part.weight[kept])
        return strata, class_budgets(class_shares(self.share, mass), budget, size)

    def _evenly(
        self, part: Part, kept: np.ndarray, budget: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows drawn in proportion to their weight within strata."""
        strata, budgets = self._strata(part, kept, budget)
        drawn, weights = [], []
        for stratum, count in enumerate(budgets):
            members = kept if strata is None else kept[strata == stratum]
            members = rng.permutation(members)
            p = inclusion_probabilities(part.weight[members], int(count))
            which = systematic_draw(p, np.arange(len(members)), rng)
            drawn.append(members[which])
            weights.append(part.weight[members[which]] / p[which])
        return np.concatenate(drawn), np.concatenate(weights)

    def _clustered(
        self,
        part: Part,
        kept: np.ndarray,
        budget: int,
        numbers: np.ndarray | None,
        rng: np.random.RandomState,
    ) -> SmallSet:
        """Rows nearest to the means of clusters, or these means."""
        strata, budgets = self._strata(part, kept, budget)
        points = self.points(part)[kept]
        rows = Rows(points, np.arange(len(kept)), part.weight[kept], part.key[kept], None)
        clusters = kmeans_clusters(
            rows,
            Space(Units(np.zeros(points.shape[1]))),
            budgets,
            strata,
            rows.weight,
            rows.weight,
            torch.device("cpu"),
            rng,
        )
        which = kept[clusters.medoid]
        numbers = None if numbers is None else numbers[which]
        small = part.small_set(which, clusters.mass, numbers)
        if self.kind == "medoids":
            return small
        own = Rows(part.X[part.index[kept]], rows.index, rows.weight, rows.key, None)
        means, _ = cluster_means(own, clusters)
        X = means.astype(part.X.dtype if part.X.dtype.kind == "f" else np.float64)
        return SmallSet(X, part.encode(X), small.y, clusters.mass)

    def points(self, part: Part) -> np.ndarray:
        """Rows (n, k) where clusters are sought; numbers a quarter as large as all columns."""
        points = part.embedded.copy() if self.space == "supervised" else part.scaled.copy()
        width = part.scaled.shape[1]
        # One value far out would be a cluster of its own in every set.
        points[:, :width] = np.clip(part.scaled, -CLIP, CLIP)
        if part.codes is not None:
            return points
        numbers = part.predicted if self.trust == "denoised" else part.numbers
        assert numbers is not None
        spread = numbers.std(axis=0)
        unit = TARGET_WEIGHT * np.sqrt(part.scaled.shape[1] / numbers.shape[1])
        beside = (numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1.0) * unit
        return np.hstack([points, beside])

    def _by_importance(
        self, part: Part, budget: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows drawn by the scores of a coreset."""
        coreset = SensitivityCoreset(
            budget,
            loss=self.kind,
            sampling="systematic",
            target_type="regression" if part.codes is None else "classification",
            random_state=rng,
        )
        coreset.fit(part.scaled, part.target, sample_weight=part.weight)
        return coreset.indices_, coreset.distilled_.sample_weight


@dataclass(frozen=True)
class Given:
    """A distiller of the user's, or of a technique, fitted on the rows as they are.

    Where `last` is given, it makes the set that is handed out.
    """

    distiller: Any
    use_weights: bool
    title: str = ""
    last: Any = None

    @property
    def name(self) -> str:
        """Its title, or how the distiller shows itself."""
        return self.title or repr(self.distiller)

    @property
    def weights(self) -> tuple[bool, ...]:
        """As the user asks."""
        return (self.use_weights,)

    def make_last(self, part: Part, budget: int, rng: np.random.RandomState) -> SmallSet:
        """Make the set that is handed out, with all the care that the contest had no time for."""
        last = self.distiller if self.last is None else self.last
        return replace(self, distiller=last).make(part, budget, rng)

    def make(self, part: Part, budget: int, rng: np.random.RandomState) -> SmallSet:
        """Fit a clone with that budget."""
        distiller = clone(self.distiller)
        kind = "regression" if part.codes is None else "classification"
        wanted = {"n_samples": budget, "target_type": kind, "random_state": rng.randint(2**31 - 1)}
        known = distiller.get_params(deep=False)
        distiller.set_params(**{name: wanted[name] for name in wanted if name in known})
        distiller.fit(part.rows, part.labels, sample_weight=part.weight)
        small = distiller.distilled_
        which = small.indices
        index = None if which is None else part.index[which]
        return SmallSet(small.X, part.encode(small.X), small.y, small.sample_weight, index, which)


CLASSES = (
    Recipe("uniform", weights=(False,)),
    Recipe("uniform", "balanced"),
    Recipe("kmeans", weights=(True,)),
    Recipe("cross_entropy", weights=(True,)),
    Recipe("medoids"),
    Recipe("medoids", space="supervised"),
    Recipe("medoids", "sqrt"),
    Recipe("medoids", "sqrt", "supervised", weights=(False,)),
    Recipe("medoids", "balanced"),
    Recipe("medoids", "balanced", "supervised", weights=(False,)),
    Recipe("medoids", "proportional", "supervised", "clean", weights=(False,)),
    Recipe("medoids", "balanced", "supervised", "clean", weights=(False,)),
)
NUMBERS = (
    Recipe("uniform", weights=(False,)),
    Recipe("kmeans", weights=(True,)),
    Recipe("squared_error", weights=(True,)),
    Recipe("medoids"),
    Recipe("medoids", space="supervised"),
    Recipe("medoids", trust="denoised"),
    Recipe("medoids", space="supervised", trust="denoised"),
    Recipe("uniform", trust="denoised", weights=(False,)),
)
CENTROIDS = {
    "classes": (
        Recipe("centroids", weights=(False,)),
        Recipe("centroids", "balanced", weights=(False,)),
    ),
    "numbers": (Recipe("centroids", trust="denoised", weights=(True,)),),
}


def default_candidates(
    kind: str, part: Part, learnt: list[Any], *, own_rows: bool = False
) -> list[Any]:
    """Candidates for a kind of target, uniform rows first.

    Parameters
    ----------
    kind : {"classes", "multilabel", "numbers"}
    part : Part
    learnt : list
        Further ones for the model at hand.
    own_rows : bool
        Only those that give rows of the table with their own target.
    """
    if kind == "multilabel":  # out-of-bag predictions are no labels
        return [recipe for recipe in NUMBERS if recipe.trust == "all"]
    if own_rows:
        recipes = CLASSES if kind == "classes" else NUMBERS
        return [recipe for recipe in recipes if recipe.trust != "denoised"]
    found = list(CLASSES if kind == "classes" else NUMBERS)
    if part.has_means:  # means of rows are rows, too
        found += CENTROIDS[kind]
    return found + learnt
