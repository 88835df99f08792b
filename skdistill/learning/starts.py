"""Where learnt rows start: real rows drawn by some importance, or the centres of clusters.

Everything here works in coordinates. With classes every class gets rows of its own, in proportion
to its weight or as many as any other.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from .. import _torch as torch
from .._input.rows import row_hashes
from ..batches.losses import BOUND, USUAL
from ..batches.training_set import TrainingSet
from ..sensitivity.draws import inclusion_probabilities
from ..sensitivity.shares import class_budgets, class_shares

CLUSTER_ROWS = 20_000  # rows that k-means sees of a class, or of all without classes


@dataclass(frozen=True)
class Start:
    """Rows (m, width), targets (m, q) or None, and the index (m,) of real rows or None."""

    rows: Any
    targets: Any
    index: Any = None


def drawn_start(
    data: TrainingSet,
    importance: np.ndarray,
    budget: int,
    rng: np.random.RandomState,
    *,
    balance: bool = False,
) -> Start:
    """Real rows, drawn without repetition in proportion to an importance.

    Parameters
    ----------
    data : TrainingSet
    importance : float64 ndarray of shape (n,)
        Non-negative: weights for a uniform start, sensitivities for another.
    budget : int
        At most n.
    rng : RandomState
    balance : bool
        As many rows for each class.

    Returns
    -------
    Start
    """
    chosen = []
    for members, count in _groups(data, budget, balance):
        order = rng.permutation(members)
        held = importance[order]
        if not (np.isfinite(held).all() and held.sum() > 0):
            held = np.ones(len(order))
        # A class may hold fewer rows than its share of the budget: its rows are then repeated.
        whole, count = divmod(count, len(order))
        chosen.extend([order] * whole)
        if count:
            chosen.append(order[_systematic(inclusion_probabilities(held, count), count, rng)])
    index = torch.from_numpy(np.concatenate(chosen)).to(data.rows.device)
    targets = None if data.targets is None else data.targets[index]
    return Start(data.rows[index], targets, index)


def kmeans_start(
    data: TrainingSet,
    budget: int,
    rng: np.random.RandomState,
    *,
    balance: bool = False,
    rows_of_clusters: bool = False,
) -> Start:
    """Centres of weighted k-means: within each class, or over features and numbers together.

    Numbers, in standard deviations, count in the distance as one more feature each: a cluster then
    holds rows that lie together and have about the same target. Outliers count as the farthest of
    the usual numbers, or they would be clusters of their own. The seeds are then random rows and
    not k-means++, whose far apart seeds spend many centres on rows that lie alone. The target of a
    centre is the mean of its cluster's. Means vary less than rows do, the less the fewer there are,
    and what is trained from rows that crowd together falls behind: each centre is moved away from
    the middle of all rows to the distance that the rows of its cluster have from there.

    Parameters
    ----------
    data : TrainingSet
        Features and numbers of about size 1. A weighted sample will do: see
        `skdistill.sensitivity`.
    budget : int
        At most n.
    rng : RandomState
    balance : bool
        As many centres for each class.
    rows_of_clusters : bool
        In place of each centre a random row of its cluster. Such rows are spread as evenly as
        centres, but vary as rows do, and outliers in the target pull none of them away.

    Returns
    -------
    Start
    """
    made = _of_clusters(data, budget, rng, balance, (rows_of_clusters,))
    return made[0]


def kmeans_starts(
    data: TrainingSet,
    budget: int,
    rng: np.random.RandomState,
    n_draws: int,
    *,
    balance: bool = False,
) -> list[Start]:
    """Centres of one clustering, and several draws of a random row from each of its clusters.

    Parameters
    ----------
    data, budget, rng, balance
        See `kmeans_start`.
    n_draws : int
        Starts of random rows.

    Returns
    -------
    list of Start
        The centres come first.
    """
    return _of_clusters(data, budget, rng, balance, (False,) + (True,) * n_draws)


def _of_clusters(
    data: TrainingSet,
    budget: int,
    rng: np.random.RandomState,
    balance: bool,
    as_rows: Sequence[bool],
) -> list[Start]:
    """Make a start for each of `as_rows`: random rows of the clusters, or else their centres."""
    rows = data.rows
    weight = data.weight.double().cpu().numpy()
    places: list[list[np.ndarray]] = [[] for _ in as_rows]
    values: list[list[np.ndarray]] = [[] for _ in as_rows]
    for members, count in _groups(data, budget, balance):
        if len(members) > CLUSTER_ROWS:
            members = rng.choice(members, CLUSTER_ROWS, replace=False)
        index, targets = torch.from_numpy(members).to(rows.device), None
        if data.targets is not None:
            targets = data.targets[index].double().cpu().numpy()
        features = rows[index].double().cpu().numpy()
        numbers = targets if data.codes is None else None
        points, seeds = features, "k-means++"
        if numbers is not None:
            points, seeds = np.hstack([features, _usual_values(numbers)]), "random"
        held = weight[members]
        centres, label = _clusters(points, held, count, rng, seeds)
        centres, means = centres[:, : rows.shape[1]], None
        if targets is not None:
            mass = np.bincount(label, weights=held, minlength=len(centres))
            means = np.zeros((len(centres), targets.shape[1]))
            np.add.at(means, label, targets * held[:, None])
            means /= np.where(mass > 0, mass, 1.0)[:, None]
        for k, drawn in enumerate(as_rows):
            place = centres.copy()
            value = None if means is None else means.copy()
            if drawn:
                found, row = _row_of_each(label, held, rng)
                place[found] = features[row]
                if value is not None and targets is not None:
                    value[found] = targets[row]
            elif numbers is not None:
                place = _at_their_distance(place, label, features, held)
            places[k].append(place)
            if value is not None:
                values[k].append(value)
    starts = []
    for rows_of, values_of in zip(places, values, strict=True):
        start = torch.from_numpy(np.concatenate(rows_of)).to(rows.device, rows.dtype)
        labels = torch.from_numpy(np.concatenate(values_of)).to(rows.device) if values_of else None
        starts.append(Start(start, labels))
    return starts


def _usual_values(numbers: np.ndarray) -> np.ndarray:
    """Numbers (n, q) cut off where outliers begin, or these would be clusters of their own."""
    middle = np.median(numbers, axis=0)
    size = BOUND * USUAL * np.median(np.abs(numbers - middle), axis=0)
    size = np.where(size > 0, size, np.inf)  # most numbers are the same
    return np.clip(numbers, middle - size, middle + size)


def _groups(data: TrainingSet, budget: int, balance: bool) -> list[tuple[np.ndarray, int]]:
    """Row numbers of each class and its share of the budget; one group without classes."""
    if data.codes is None:
        return [(np.arange(len(data)), budget)]
    codes = data.codes.cpu().numpy()
    weight = data.weight.double().cpu().numpy()
    present, codes = np.unique(codes, return_inverse=True)
    share = class_shares(
        "balanced" if balance else "proportional", np.bincount(codes, weights=weight)
    )
    counts = class_budgets(share, budget)
    return [(np.flatnonzero(codes == c), int(counts[c])) for c in range(len(present))]


def _systematic(p: np.ndarray, count: int, rng: np.random.RandomState) -> np.ndarray:
    """Exactly `count` positions, each with its inclusion probability."""
    ends = np.cumsum(p)
    points = (np.arange(count) + rng.uniform()) * (ends[-1] / count)
    return np.minimum(np.searchsorted(ends, points, side="right"), len(p) - 1)


def _clusters(
    rows: np.ndarray, weight: np.ndarray, count: int, rng: np.random.RandomState, seeds: str
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (count, width) and the cluster of each row; few rows are their own centres.

    The rows are worked on in place.
    """
    # Sorting whole rows would take several copies of them; sorting their hashes takes none.
    if len(np.unique(row_hashes(rows))) <= count:
        distinct, label = np.unique(rows, axis=0, return_inverse=True)
        repeats = np.arange(count) % len(distinct)  # equal centres move apart in training
        return distinct[repeats], label.ravel()
    model = KMeans(count, init=seeds, n_init=1, max_iter=50, copy_x=False, random_state=rng)
    with warnings.catch_warnings():  # rows of other hashes may be equal to the solver
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, sample_weight=weight / weight.mean())
    return model.cluster_centers_, model.labels_


def _row_of_each(
    label: np.ndarray, weight: np.ndarray, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters that have rows, and a row of each, drawn in proportion to the weights."""
    # The least of independent exponential times whose rates are the weights is one row's or
    # another's in proportion to these.
    times = rng.exponential(size=len(label)) / weight
    order = np.lexsort([times, label])
    found, first = np.unique(label[order], return_index=True)
    return found, order[first]


def _at_their_distance(
    centres: np.ndarray, label: np.ndarray, rows: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Centres (k, d) moved straight away from the middle of the rows (n, d).

    Each comes to the distance (root mean square) that the rows of its own cluster have: all
    together vary as the rows do, and none lies farther out than the farthest row of its cluster.
    """
    middle = np.average(rows, axis=0, weights=weight)
    mass = np.bincount(label, weights=weight, minlength=len(centres))
    squares = weight * np.square(rows - middle).sum(1)
    wanted = np.bincount(label, weights=squares, minlength=len(centres)) / np.where(mass, mass, 1)
    away = centres - middle
    found = np.square(away).sum(1)
    # A centre in the middle has nowhere to go; one that repeats another has no rows of its own.
    moves = (mass > 0) & (found > 1e-12 * wanted)
    factor = np.sqrt(np.divide(wanted, found, out=np.ones_like(found), where=moves))
    return middle + away * factor[:, None]
