"""Training with one part held out, with several in turn, or with none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _torch as torch
from ..batches.losses import bounded_losses
from ..batches.sampler import BatchSampler, balanced_weight, class_factors
from ..batches.training_set import TrainingSet
from ..objectives.base import Objective
from ..objectives.context import Context
from ..support import Support
from .coordinates import Coordinates
from .folds import train_in_folds
from .problem import Settings
from .race import best_start
from .renewal import Exchange
from .row_scores import TEMPERATURE, held_out_outputs, representative_scores
from .starts import Start
from .trainer import Trainer, TrainingResult, train
from .unit_rows import WIDE
from .watch import Watch

StartFunction = Callable[[TrainingSet, Coordinates, float], list[Start]]
LossFunction = Callable[[Any, float, Any, Any], Any]


class Runner:
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
