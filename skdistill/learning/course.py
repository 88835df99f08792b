"""From real rows to learnt rows: coordinates, kernel start, training, last solve.

Up to a few thousand rows are trained on several times, each time with another part held out, to
learn where to stop; then once more on all of them. Of many rows one part is held out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .. import _torch as torch
from ..batches.one_hot import OneHot, targets_at
from ..batches.stored_rows import StoredRows
from ..batches.training_set import Sample, TrainingSet
from ..kernels.functions import Kernel
from ..objectives.base import Objective
from ..objectives.context import Context
from ..support import Support
from .calibration import fit_temperature
from .coordinates import Coordinates
from .held_out import held_out_parts
from .neighbour_units import neighbour_coordinates
from .problem import Learnt, Problem, Settings
from .renewal import Exchange
from .runner import LossFunction, Runner, StartFunction
from .scale_search import EXPLAINED, SAFE, coordinates_and_scale, mirrored, unit_features
from .trainer import TrainingResult, finish
from .unit_rows import WIDE, are_unit_rows

FEW_STEPS = 1200  # for classes: each part is trained on, and more steps gain little there
UNIT_ROWS = 1000  # rows that tell whether all have length 1
RIDGES = {"few": (1e-6, 1e-5, 1e-4, 1e-3), "many": (1e-7, 1e-5, 1e-3)}


def learn(
    problem: Problem,
    settings: Settings,
    make_objective: Callable[[], Objective],
    make_starts: StartFunction,
    losses: LossFunction,
    dtype: np.dtype,
) -> Learnt:
    """Learn rows.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    make_objective : callable
        Fresh copy of the technique.
    make_starts : callable
        Training set, coordinates and gamma -> starts to choose from.
    losses : callable
        Outputs (k, q), temperature, targets (k, q) and codes (k,) -> losses (k,) of rows.
    dtype : dtype
        Of the rows handed out: they are rounded to it before the last solve.

    Returns
    -------
    Learnt
    """
    technique = make_objective()
    unit_rows = _are_unit_rows(problem, technique)
    if unit_rows and not settings.batches.asked:
        # Importance gains nothing there, and losses of many wide rows are a fifth of the work.
        settings = replace(settings, batches=replace(settings.batches, sampling="uniform"))
    splits = held_out_parts(
        len(problem),
        problem.n_support,
        settings,
        problem.generator,
        several=technique.folds and problem.kind != "none",
    )
    if not technique.keeps_best:
        splits = []
    if technique.unit_features:
        coordinates, start = unit_features(problem, settings)
    elif technique.neighbour_units:
        coordinates = neighbour_coordinates(problem, settings, WIDE, EXPLAINED)
        start = replace(SAFE, gamma=problem.kernel.gamma)
    else:
        coordinates, start = coordinates_and_scale(problem, settings, splits)
        if problem.mirror_search and unit_rows and start.score > -math.inf:
            problem, coordinates, start = mirrored(problem, coordinates, start, splits)
    kernel = replace(problem.kernel, gamma=start.gamma) if problem.search else problem.kernel
    kernel = replace(kernel, gamma=kernel.gamma / coordinates.length**kernel.length_power)
    hold = problem.hold if technique.unit_features else problem.load
    data = _training_set(problem, partial(hold, coordinates), splits)
    few = len(splits) != 1 and technique.folds
    fixed = RIDGES["few" if few else "many"]
    ridges = (start.ridge, *(r for r in fixed if r != start.ridge)) if few else fixed
    if not splits:
        ridges = (start.ridge,)
    context = Context(
        problem.kind,
        problem.n_support,
        coordinates.width,
        1 if problem.targets is None else problem.targets.shape[1],
        kernel,
        problem.generator,
        problem.device,
        learn_labels=settings.learn_labels,
        learn_kernel=settings.learn_kernel,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        ridges=ridges,
        several_parts=len(splits) > 1,
        image_shape=problem.image_shape,
        unit_rows=unit_rows,
    )
    if few and settings.options.max_iter is None and problem.kind == "classes":
        settings = replace(settings, options=replace(settings.options, max_iter=FEW_STEPS))
    renew = _exchange(problem, data, coordinates, splits, settings)
    runner = Runner(
        data, coordinates, context, settings, make_objective, make_starts, losses, renew
    )
    objective, result = runner.run(splits)
    # What is handed out is what the last solve sees: rounded rows, at their own coordinates.
    handed = _hand_out(objective, result.support, coordinates, dtype, problem.device)
    if handed is None or result.status == "collapsed":
        # Beyond the numbers of the type, though what was learnt is finite; or of no use.
        result.status = "diverged" if handed is None else "collapsed"
        _return_to_start(objective, result, data, settings.options.max_iter)
        handed = _hand_out(objective, result.support, coordinates, dtype, problem.device)
        if handed is None:
            raise ValueError(
                "X holds values for which rows cannot be learnt in its float type; rescale it."
            )
    support = finish(objective, result, data, data.weight)
    if not objective.needs_steps:  # solved rows are known only now
        handed = coordinates.restore(objective.rows(support)).astype(dtype)
    return _in_user_units(handed, objective, support, coordinates, kernel, result)


def _are_unit_rows(problem: Problem, technique: Objective) -> bool:
    """Whether a sample of the rows is as `ConvFeatures` makes them: dense and of length 1."""
    if technique.unit_features or technique.neighbour_units:
        return False
    n = len(problem)
    index = torch.from_numpy(np.linspace(0, n - 1, min(n, UNIT_ROWS)).astype(np.int64))
    return are_unit_rows(problem.sample(index))


def _training_set(
    problem: Problem, load: Callable[..., Any], splits: list[tuple[Any, Any]]
) -> TrainingSet:
    """All rows in coordinates. A single held-out part comes last: both parts are views then."""
    if len(splits) != 1:
        rows = load()
        return TrainingSet(rows, problem.targets, problem.weight, problem.codes)
    order = torch.cat(splits[0])
    rows = load(order)
    targets = targets_at(problem.targets, order)
    codes = targets.codes if isinstance(targets, OneHot) else None  # held once
    return TrainingSet(rows, targets, problem.weight[order], codes)


def _exchange(
    problem: Problem,
    data: TrainingSet,
    coordinates: Coordinates,
    splits: list[tuple[Any, Any]],
    settings: Settings,
) -> Exchange | None:
    """Make what renews the training set while it is trained on, where it is a pool of a stream."""
    scored_once = settings.batches.sampling in ("reducible", "representative")
    # A checkpoint holds tensors that have changed, and not arrays.
    kept = settings.checkpoint is not None and isinstance(data.rows, StoredRows)
    if problem.renewal is None or len(splits) > 1 or scored_once or kept:
        return None
    place = np.arange(len(problem))
    if splits:
        trained = splits[0][0].cpu().numpy()  # in this order, before those that are held out
        place = np.full(len(problem), -1)
        place[trained] = np.arange(len(trained))
    return Exchange(problem.renewal, data, place, coordinates)


def _hand_out(
    objective: Objective, support: Support, coordinates: Coordinates, dtype: np.dtype, device: Any
) -> np.ndarray | None:
    """Rows (m, d) as the user gets them, which the support takes too; None if not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        handed = coordinates.restore(objective.rows(support)).astype(dtype)
    if not np.isfinite(handed).all():
        return None
    rows = support.rows
    _set_rows(support, coordinates.load(handed, rows.dtype, device))
    if bool(torch.isfinite(support.rows.double().square().sum())):
        return handed
    support.rows = rows
    return None


def _return_to_start(
    objective: Objective, result: TrainingResult, data: TrainingSet, max_iter: int | None
) -> None:
    """Forget what was learnt; the rows of the start are real ones, or means of such."""
    assert result.start is not None  # every trainer has one
    result.support, result.best = result.start.clone(), None
    stages = objective.stages(max_iter)
    if stages:
        everything = torch.arange(len(data), device=data.rows.device)
        sample = Sample(data, everything, data.weight / data.weight.sum())
        result.support = objective.begin(stages[0], result.support, sample)


def _set_rows(support: Support, rows: Any) -> None:
    """Put rows in coordinates into a support, in the technique's own units."""
    scale = support.extra.get("log_scale")
    support.rows = rows if scale is None else rows * scale.exp()


def _in_user_units(
    handed: np.ndarray,
    objective: Objective,
    support: Support,
    coordinates: Coordinates,
    kernel: Kernel,
    result: TrainingResult,
) -> Learnt:
    unit = np.where(np.isfinite(coordinates.scale), 1 / coordinates.scale, 0.0)
    log_scale = support.extra.get("log_scale")
    if log_scale is not None:
        # exp(-|s (z_x - z_v)|^2): the scales go into the factor, gamma becomes 1.
        scale = log_scale.double().exp().cpu().numpy()
        unit = unit * scale
        kernel = replace(kernel, gamma=1.0)

    def found(name: str) -> np.ndarray | None:
        value = support.extra.get(name)
        return None if value is None else value.double().cpu().numpy()

    labels = None if support.labels is None else support.labels.double().cpu().numpy()
    return Learnt(
        handed,
        found("dual"),
        found("intercept"),
        labels,
        kernel,
        coordinates.center,
        unit,
        _calibrated(objective.temperature(support), result),
        result,
        objective.learnt_parameters(support),
        objective.stored_predictor(support),
        coordinates.limits,
    )


def _calibrated(temperature: float, result: TrainingResult) -> float | None:
    """Correct a temperature by held-out rows; None without such rows or with useless outputs."""
    if not result.held_out:
        return None
    outputs, targets, weight = (
        torch.cat(part).double().cpu().numpy() for part in zip(*result.held_out, strict=True)
    )
    if not np.isfinite(outputs).all():
        return None
    return temperature * fit_temperature(outputs, targets, weight)
