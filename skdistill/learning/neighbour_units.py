"""Units of the features for techniques that live on nearest neighbours.

Which rows are near depends on the units. The user's own, one factor for all features, are kept
unless scaling the features one by one finds clearly better neighbours: then the learnt rows are
right for any k-NN that the user trains on them, and not only for the predictor of the distiller.
"""

from __future__ import annotations

import math

from .. import _torch as torch
from .coordinates import Coordinates, plain_coordinates, robust_coordinates
from .problem import Problem, Settings

SAMPLE_ROWS = 2000  # rows whose neighbours among each other are looked at
NEIGHBOURS = {"classes": 1}  # else 5: the mean of one neighbour is mostly noise
DECIMALS = 1e-9


def neighbour_coordinates(
    problem: Problem, settings: Settings, wide: int, explained: float
) -> Coordinates:
    """Choose coordinates by the leave-one-out error of the nearest neighbours of a sample.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    wide : int
        Features beyond which principal directions are tried.
    explained : float
        Share of the variance that they must explain.

    Returns
    -------
    Coordinates
    """
    n_features = problem.X.shape[1]
    if not settings.standardize:
        return plain_coordinates(n_features)
    order = torch.randperm(len(problem), generator=problem.generator, device=problem.device)
    order = order[:SAMPLE_ROWS]
    sample, weight = problem.sample(order), problem.weight[order].cpu().numpy()
    share = explained if n_features > wide else None
    common, scaled = (
        robust_coordinates(sample, weight, per_feature=each, explained=share)
        for each in (False, True)
    )
    if problem.targets is None or len(order) < 3:
        return scaled
    targets = problem.targets[order].double()
    count = min(NEIGHBOURS.get(problem.kind, 5), len(order) - 1)
    gain = torch.stack(
        [_errors(problem.load(c, order).double(), targets, count) for c in (common, scaled)]
    )
    gain = gain[0] - gain[1]
    clear = float(gain.mean()) > float(gain.std()) / math.sqrt(len(gain)) + DECIMALS
    return scaled if clear else common


def _errors(Z: torch.Tensor, targets: torch.Tensor, count: int) -> torch.Tensor:
    """Squared error (n,) of the mean target of each row's nearest neighbours, itself left out."""
    distance = torch.cdist(Z, Z).fill_diagonal_(math.inf)
    nearest = distance.topk(count, dim=1, largest=False).indices
    return (targets[nearest].mean(1) - targets).square().sum(1)
