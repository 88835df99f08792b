"""Which of several starts to train from: each makes a few steps, and the least loss wins.

Which rows training starts from decides more than which way they were drawn, and most of all while
steps are few. Centres of clusters begin well; random rows sometimes end better. A label solve at
the start itself says little about that, and a few steps say more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import _torch as torch
from ..batches.sampler import BatchSampler
from ..batches.training_set import TrainingSet
from ..objectives.base import Objective
from ..support import Support
from .trainer import BROKEN, SAMPLE_ROWS, Trainer, TrainingOptions, unheard

RACE_STEPS = 5


def best_start(
    make_objective: Callable[[], Objective],
    supports: Sequence[Support],
    data: TrainingSet,
    weight: Any,
    options: TrainingOptions,
    seed: int,
) -> int:
    """Find the start whose loss is least after a few steps of the first stage.

    All starts see the same batches, and their losses are those on the same rows.

    Parameters
    ----------
    make_objective : callable
        Returns the technique after `setup`.
    supports : sequence of Support
        The first is taken where there is nothing to compare: with one start, no steps, no batches,
        or losses that are not finite.
    data : TrainingSet
    weight : Tensor of shape (n,)
        Positive weights that rows are drawn by.
    options : TrainingOptions
    seed : int
        Of the batches.

    Returns
    -------
    int
        Its place in `supports`, which are not changed.
    """
    objective = make_objective()
    stages = objective.stages(options.max_iter)
    if len(supports) == 1 or not stages or stages[0].batch_size is None or stages[0].n_steps == 0:
        return 0
    stage = replace(stages[0], n_steps=RACE_STEPS)
    quiet = replace(options, report=None, task=unheard, patience=None)
    best, least = 0, math.inf
    for place, support in enumerate(supports):
        generator = torch.Generator(device=weight.device).manual_seed(seed)
        sampler = BatchSampler(weight, generator, importance=False)
        trainer = Trainer(objective, support, data, sampler, quiet)
        trainer.run(0, stage)
        if trainer.result.status in BROKEN:
            continue
        draw = sampler.sample(SAMPLE_ROWS)
        batch = data.take(draw.index, stage.dtype)
        value, _ = objective.gradients(
            trainer.result.support.to(stage.dtype), batch, draw.weight.to(stage.dtype), []
        )
        if float(value) < least:
            best, least = place, float(value)
    return best
