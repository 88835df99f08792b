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
from ..batches.losses import bounded_losses
from ..batches.one_hot import OneHot, targets_at
from ..batches.sampler import BatchSampler, balanced_weight, class_factors
from ..batches.stored_rows import StoredRows
from ..batches.training_set import Sample, TrainingSet
from ..kernels.functions import Kernel
from ..objectives.base import Objective
from ..objectives.context import Context
from ..support import Support
from .calibration import fit_temperature
from .coordinates import (
    Coordinates,
    plain_coordinates,
    robust_coordinates,
    unit_coordinates,
)
from .folds import train_in_folds
from .held_out import held_out_parts
from .kernel_search import FIT_ROWS, KernelStart, search_rbf, search_ridge
from .neighbour_units import neighbour_coordinates
from .problem import Learnt, Problem, Settings
from .race import best_start
from .renewal import Exchange
from .row_scores import TEMPERATURE, held_out_outputs, representative_scores
from .starts import Start
from .trainer import Trainer, TrainingResult, finish, train
from .unit_rows import WIDE, are_unit_rows, mirrored_start
from .watch import Watch

FEW_STEPS = 1200  # for classes: each part is trained on, and more steps gain little there
UNIT_ROWS = 1000  # rows that tell whether all have length 1
SUMMARY_ROWS = 10_000  # rows that centre, scale and directions are taken from
EXPLAINED = 0.975
RIDGES = {"few": (1e-6, 1e-5, 1e-4, 1e-3), "many": (1e-7, 1e-5, 1e-3)}
SAFE = KernelStart(-math.inf, 1.0, 1e-5)  # without held-out rows: typical distance, some ridge


StartFunction = Callable[[TrainingSet, Coordinates, float], list[Start]]
LossFunction = Callable[[Any, float, Any, Any], Any]


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
        coordinates, start = _unit_features(problem, settings)
    elif technique.neighbour_units:
        coordinates = neighbour_coordinates(problem, settings, WIDE, EXPLAINED)
        start = replace(SAFE, gamma=problem.kernel.gamma)
    else:
        coordinates, start = _coordinates_and_scale(problem, settings, splits)
        if problem.mirror_search and unit_rows and start.score > -math.inf:
            problem, coordinates, start = _mirrored(problem, coordinates, start, splits)
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
    runner = _Runner(
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


def _coordinates_and_scale(
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


def _are_unit_rows(problem: Problem, technique: Objective) -> bool:
    """Whether a sample of the rows is as `ConvFeatures` makes them: dense and of length 1."""
    if technique.unit_features or technique.neighbour_units:
        return False
    n = len(problem)
    index = torch.from_numpy(np.linspace(0, n - 1, min(n, UNIT_ROWS)).astype(np.int64))
    return are_unit_rows(problem.sample(index))


def _mirrored(
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


def _unit_features(problem: Problem, settings: Settings) -> tuple[Coordinates, KernelStart]:
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


class _Runner:
    """Trains with what all held-out parts share."""

    def __init__(
        self,
        data: TrainingSet,
        coordinates: Coordinates,
        context: Context,
        settings: Settings,
        make_objective: Callable[[], Objective],
        make_starts: StartFunction,
        losses: LossFunction,
        renew: Exchange | None,
    ) -> None:
        self.data = data
        self.renew = renew
        self.coordinates = coordinates
        self.context = context
        self.settings = settings
        self.make_objective = make_objective
        self.make_starts = make_starts
        self.losses = losses
        self._best: int | None = None  # place of the start to train from

    def run(self, splits: list[tuple[Any, Any]]) -> tuple[Objective, TrainingResult]:
        """Train with one part held out, with several in turn, or with none."""
        if len(splits) == 1:
            end = len(splits[0][0])  # no copies: held-out rows are the last ones
            trainer = self._trainer(
                self.data.subset(slice(end)), self.data.subset(slice(end, None))
            )
            self._prepare([trainer])
            result = train(trainer)
            if self.data.codes is not None and trainer.objective.needs_steps:
                choice = None if result.best is None else result.best.choice
                try:
                    result.held_out = [trainer.held_out_outputs(choice)]
                except KeyboardInterrupt:
                    result.status = "interrupted"
            return trainer.objective, result
        trainer = self._trainer(self.data, None)
        if not splits or not trainer.stages():
            return trainer.objective, self._train_unseen(trainer)
        parts = [
            self._trainer(
                self.data.subset(index),
                self.data.subset(held_out),
                part=f"part {number} of {len(splits)}",
            )
            for number, (index, held_out) in enumerate(splits, 1)
        ]
        self._prepare([trainer, *parts])
        result = train_in_folds(trainer, parts)
        if result.status == "interrupted" and result.best is None:
            # What the first part has found so far is better than the start.
            trainer = parts[0]
            trainer.interrupt()
            result = trainer.finished()
        result.n_iter = max(part.result.n_iter for part in [trainer, *parts])
        result.loss_curve = result.loss_curve or parts[0].finished().loss_curve
        return trainer.objective, result

    def _train_unseen(self, trainer: Trainer) -> TrainingResult:
        """Train without held-out rows; the rows trained on tell whether all was lost."""
        objective, kind = trainer.objective, self.context.kind
        predicts = type(objective).predictor is not Objective.predictor
        if objective.keeps_best and predicts and self.data.targets is not None:
            trainer.watch = Watch(self.data, kind, self.context.generator)
        self._prepare([trainer])
        result = train(trainer)
        watch = trainer.watch
        told = result.status in ("interrupted", "out_of_memory")
        if watch is not None and not told and watch.collapsed(objective, result.support):
            result.status = "collapsed"
        return result

    def _prepare(self, trainers: list[Trainer]) -> None:
        """Say how many stages there are at most; let the trainers share the checkpoint, if any."""
        self.settings.options.expect(len(trainers) * len(trainers[0].stages()))
        checkpoint = self.settings.checkpoint
        if checkpoint is None or not trainers[0].stages():
            return
        if not trainers[0].objective.resumes:
            raise ValueError(
                f"checkpoint={str(checkpoint.path)!r} needs a technique whose state can be written "
                f"down, which {type(trainers[0].objective).__name__} is not; use checkpoint=None "
                "or one of this package's techniques."
            )
        for trainer in trainers:
            trainer.keep_in(checkpoint)
        checkpoint.attach([*trainers, self.context.generator])

    def _trainer(
        self, data: TrainingSet, held_out: TrainingSet | None, *, part: str = ""
    ) -> Trainer:
        objective = self._objective()
        starts = self.make_starts(data, self.coordinates, self.context.kernel.gamma)
        supports = [
            _start_support(objective, start, self.coordinates, self.context) for start in starts
        ]
        settings = self.settings
        balance, plan = settings.balance and data.codes is not None, settings.batches
        weight = balanced_weight(data.weight, data.codes) if balance else data.weight
        if self._best is None:  # parts start in the way that is best for all rows
            self._best = 0
            if len(supports) > 1:
                options, seed = settings.options, self._seed()
                self._best = best_start(self._objective, supports, data, weight, options, seed)
        sampler = BatchSampler(
            weight,
            self.context.generator,
            importance=plan.importance,
            mixing=plan.mixing[0],
            final_mixing=plan.mixing[1],
            reweight=plan.reweight,
            groups=data.codes if balance else None,
            pool_rows=plan.pool_rows,
        )

        losses = None if data.targets is None else self._losses(data)
        return Trainer(
            objective,
            supports[self._best],
            data,
            sampler,
            replace(settings.options, adapt=not part, part=part),
            held_out=held_out,
            losses=losses,
            together=bounded_losses if plan.bounded else None,
            keep_all=bool(part),
            renew=self.renew,
        )

    def _objective(self) -> Objective:
        objective = self.make_objective()
        objective.setup(self.context)
        return objective

    def _seed(self) -> int:
        generator = self.context.generator
        return int(torch.randint(2**31, (), generator=generator, device=generator.device))

    def _losses(self, data: TrainingSet) -> Callable[[Any, float, Any], Any]:
        """Make the function: outputs, temperature, index of rows -> what makes them important."""
        plan, generator = self.settings.batches, self.context.generator
        sampling, factors = plan.sampling, None
        if plan.loss == "margin" and data.codes is not None:
            factors = class_factors(data.weight, data.codes)

        def losses(outputs: Any, temperature: float, index: Any) -> Any:
            codes = None if data.codes is None else data.codes[index]
            found = self.losses(outputs, temperature, data.targets[index], codes)
            return found if factors is None else found * factors[index]

        if sampling == "representative":
            scores = representative_scores(data, np.random.RandomState(self._seed()))
            return lambda outputs, temperature, index: scores[index]
        if sampling != "reducible":
            return losses
        expected = held_out_outputs(data, generator)

        def reducible(outputs: Any, temperature: float, index: Any) -> Any:
            found = losses(outputs, temperature, index)
            return (found - losses(expected[index], TEMPERATURE, index)).clamp(min=0)

        return reducible


def _start_support(
    objective: Objective, start: Start, coordinates: Coordinates, context: Context
) -> Support:
    rows = start.rows.double()
    if coordinates.basis is not None:
        rows = rows.clone()
        rows[:, coordinates.free :] = 0  # learnt rows lie in the span
    per_feature = coordinates.basis is None and rows.shape[1] <= WIDE
    width = rows.shape[1] if per_feature else 1
    targets = None if start.targets is None else start.targets.double()
    scale = rows.new_full((width,), math.sqrt(context.kernel.gamma))
    support = objective.start(rows, targets, scale)
    support.free = coordinates.free if coordinates.basis is not None else None
    return support


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
