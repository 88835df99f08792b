"""Coordinates to learn rows in, and where the kernel starts in them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _torch as torch
from ..batches.training_set import TrainingSet
from .coordinates import (
    Coordinates,
    plain_coordinates,
    robust_coordinates,
    unit_coordinates,
)
from .kernel_search import FIT_ROWS, KernelStart, search_rbf, search_ridge
from .problem import Problem, Settings
from .unit_rows import WIDE, mirrored_start

SUMMARY_ROWS = 10_000  # rows that centre, scale and directions are taken from
EXPLAINED = 0.975
SAFE = KernelStart(-math.inf, 1.0, 1e-5)  # without held-out rows: typical distance, some ridge


def coordinates_and_scale(
    problem: Problem, settings: Settings, splits: list[tuple[Any, Any]]
) -> tuple[Coordinates, KernelStart]:
    """Choose coordinates, and the kernel's start in them, by label solves on held-out rows."""
    n_features = problem.X.shape[1]
    if not settings.standardize:
        candidates = [plain_coordinates(n_features)]
    else:
        sample, weight = _summary(problem)
        rbf_wide = problem.kernel.name == "rbf" and n_features > WIDE
        explained = EXPLAINED if rbf_wide else None
        # A gamma that was given is one for features of one unit each.
        one_unit = n_features > WIDE and problem.kernel.n_odd == 0 and splits and problem.search
        candidates = [
            robust_coordinates(sample, weight, per_feature=unit, explained=explained)
            for unit in ((True, False) if one_unit else (True,))
        ]
        if one_unit and not rbf_wide:  # products of rows, unlike distances, depend on the centre
            candidates.append(replace(candidates[1], center=np.zeros(n_features)))
        if n_odd := problem.kernel.n_odd:  # only about 0 does a change of sign stay one
            even = np.arange(n_features) < n_features - n_odd
            candidates = [replace(c, center=np.where(even, c.center, 0)) for c in candidates]
    by_rbf = problem.kernel.name in ("rbf", "mirror_rbf")
    searched = problem.search and (by_rbf or len(candidates) > 1)
    if not (searched and splits and problem.kind != "none"):
        return candidates[0], replace(SAFE, gamma=problem.kernel.gamma)
    found = []
    for coordinates in candidates:
        data, parts = _search_rows(problem, coordinates, splits)
        n_odd = problem.kernel.n_odd
        if by_rbf:
            start = search_rbf(data, parts, problem.n_support, problem.kind, n_odd=n_odd)
        else:
            kernel = problem.kernel
            start = search_ridge(data, parts, problem.n_support, problem.kind, kernel, kernel.gamma)
        found.append((start, coordinates))
    start, coordinates = max(found, key=lambda item: item[0].score)
    return coordinates, start


def _search_rows(
    problem: Problem, coordinates: Coordinates, splits: list[tuple[Any, Any]]
) -> tuple[TrainingSet, list[tuple[Any, Any]]]:
    """Rows that the search of a kernel works on, and where its parts stand among them."""
    index = torch.unique(torch.cat([torch.cat([a[:FIT_ROWS], b]) for a, b in splits]))
    place = torch.full((len(problem),), -1, device=problem.device)
    place[index] = torch.arange(len(index), device=problem.device)
    rows = problem.load(coordinates, index)
    data = TrainingSet(rows, problem.targets[index], problem.weight[index])
    return data, [(place[a[:FIT_ROWS]], place[b]) for a, b in splits]


def mirrored(
    problem: Problem,
    coordinates: Coordinates,
    start: KernelStart,
    splits: list[tuple[Any, Any]],
) -> tuple[Problem, Coordinates, KernelStart]:
    """Take the kernel that sees no sign of the last features where it predicts clearly better."""
    plain = plain_coordinates(problem.X.shape[1])
    found = mirrored_start(problem, *_search_rows(problem, plain, splits), start)
    if found is None:
        return problem, coordinates, start
    kernel, start = found
    return replace(problem, kernel=kernel), plain, start


def unit_features(problem: Problem, settings: Settings) -> tuple[Coordinates, KernelStart]:
    """Coordinates for networks; the kernel, which such techniques do not learn, as it stands.

    They do not depend on chance: networks trained on these rows serve fits with other seeds too.
    """
    n = len(problem)
    if settings.standardize:
        index = torch.from_numpy(np.linspace(0, n - 1, min(n, SUMMARY_ROWS)).astype(np.int64))
        weight = problem.weight.cpu()[index].numpy()
        coordinates = unit_coordinates(problem.sample(index), weight, problem.image_shape)
    else:
        coordinates = plain_coordinates(problem.X.shape[1])
    return coordinates, replace(SAFE, gamma=problem.kernel.gamma)


def _summary(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Rows that say how features are distributed, and their weights."""
    order = torch.randperm(len(problem), generator=problem.generator, device=problem.device)
    index = order[:SUMMARY_ROWS]
    return problem.sample(index), problem.weight[index].cpu().numpy()
