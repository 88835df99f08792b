"""The training loop: batch, gradients, step; look at held-out rows, keep the best support.

It knows nothing of the technique (see `skdistill.objectives.base` for what it asks of one) nor of
the estimator.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .. import _torch as torch
from .._device import is_out_of_memory
from .._input.caller import warn_caller
from ..batches.feed import Feed
from ..batches.sampler import BatchSampler, Scarce
from ..batches.training_set import Sample, TrainingSet, blockwise
from ..objectives.base import Objective, checked_predictor
from ..objectives.context import Stage
from ..optimizers import cosine, make_optimizer
from ..support import Support
from .checkpoint import Checkpoint
from .progress import Look
from .watch import Watch

BROKEN = ("diverged", "out_of_memory")  # training went no further; the best rows are kept
LEAST_BATCH = 16  # rows that memory must be enough for
SAMPLE_ROWS = 4096  # rows that labels are solved on before a look at held-out rows


class Check(NamedTuple):
    """A look at held-out rows: stage, step in it, and the score of each open choice."""

    stage: int
    step: int
    scores: dict[Hashable, float]


class Stop(NamedTuple):
    """Where training ends, and with which choice."""

    stage: int
    step: int
    choice: Hashable


@dataclass
class TrainingResult:
    """What training found.

    Attributes
    ----------
    support : Support
        The best one by held-out rows, or that of the last step without any.
    status : {"finished", "stopped_early", "diverged", "out_of_memory", "interrupted"}
    n_iter : int
        Steps made, in all stages.
    loss_curve : list of float
        Loss of each batch.
    checks : list of Check
    best : Stop or None
        Where the support was found.
    held_out : list of tuple
        For classes: outputs over their learnt temperature, targets and weights of rows that the
        predictor was not trained on.
    scarce : dict of int to Scarce
        Classes whose rows stood several times in class-balanced batches, by code.
    start : Support or None
        What training began with.
    """

    support: Support
    status: str = "finished"
    n_iter: int = 0
    loss_curve: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    best: Stop | None = None
    held_out: list[tuple[Any, Any, Any]] = field(default_factory=list)
    scarce: dict[int, Scarce] = field(default_factory=dict)
    start: Support | None = None


StageTask = Callable[[str, int], AbstractContextManager[Callable[[int], bool]]]


def unheard(name: str, n_steps: int) -> AbstractContextManager[Callable[[int], bool]]:
    """Stage that nobody listens to."""
    return nullcontext(lambda step: False)


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes
    ----------
    max_iter : int or None
        Steps; None takes the technique's own number. 0 keeps the start.
    optimizer : {"adam", "sgd"}
    refresh_every : int
        Steps between two refreshments of the rows' importance.
    patience : int or None
        Looks at held-out rows without an improvement above `tol` that end a stage; None never.
    tol : float
    adapt : bool
        Whether training goes on with the choice that scored best so far.
    report : callable or None
        Called with a `Look` after each look at held-out rows.
    part : str
        What looks name as the rows that are trained on.
    task : callable
        Name and number of steps of a stage -> context manager around it, whose function of the
        number of steps made says whether to end the stage; see `skdistill.learning.callbacks`.
    expect : callable
        Told once, before the first stage, how many stages there are at most.
    """

    max_iter: int | None = None
    optimizer: str = "adam"
    refresh_every: int = 100
    patience: int | None = None
    tol: float = 1e-4
    adapt: bool = True
    report: Callable[[Look], None] | None = None
    part: str = ""
    task: StageTask = unheard
    expect: Callable[[int], Any] = lambda n_stages: None


@dataclass
class Loop:
    """Where the stage under way stands.

    Attributes
    ----------
    support : Support
    optimizer : Adam or Sgd
        Over the learnables `names` of the support.
    names : list of str
    since : int
        Steps made before the stage.
    step : int
        Next step.
    unimproved : int
        Looks at held-out rows since the last that improved.
    """

    support: Support
    optimizer: Any
    names: list[str]
    since: int
    step: int = 0
    unimproved: int = 0


def train(trainer: Trainer) -> TrainingResult:
    """Train all stages of a technique.

    Parameters
    ----------
    trainer : Trainer

    Returns
    -------
    TrainingResult
        An interruption from the keyboard ends training and keeps what was found.
    """
    try:
        for number, stage in enumerate(trainer.stages()):
            trainer.run(number, stage)
            if trainer.result.status in BROKEN:
                break
    except KeyboardInterrupt:
        trainer.interrupt()
    return trainer.finished()


def finish(objective: Objective, result: TrainingResult, data: TrainingSet, weight: Any) -> Support:
    """Solve what the technique solves in closed form once more, on all rows.

    Parameters
    ----------
    objective : Objective
    result : TrainingResult
    data : TrainingSet
        Held-out rows included.
    weight : Tensor of shape (n,)

    Returns
    -------
    Support
    """
    support = result.support.clone()
    everything = torch.arange(len(data), device=data.rows.device)
    objective.solve(support, Sample(data, everything, weight / weight.sum()))
    objective.choose(support, None if result.best is None else result.best.choice)
    return support if support.is_finite() else result.support


class Trainer:
    """Trains the stages of a technique one by one; `train` runs them all.

    Parameters
    ----------
    objective : Objective
        After `setup`.
    support : Support
        Where to start; not changed.
    data : TrainingSet
    batches : BatchSampler
        Over the rows of `data`.
    options : TrainingOptions
    held_out : TrainingSet or None
        Rows that scores are taken on; None trains each stage to its end.
    losses : callable or None
        Outputs (k, q), the temperature that makes them logits, and index (k,) of rows -> losses
        (k,) that make rows important. None never refreshes importances.
    together : callable or None
        See `Feed`.
    keep_all : bool
        Whether the support of every look at held-out rows is kept, for `return_to`.
    renew : callable or None
        Exchanges some rows of `data` for others of the same stream.
    """

    def __init__(
        self,
        objective: Objective,
        support: Support,
        data: TrainingSet,
        batches: BatchSampler,
        options: TrainingOptions,
        *,
        held_out: TrainingSet | None = None,
        losses: Callable[[Any, float, Any], Any] | None = None,
        together: Callable[[Any], Any] | None = None,
        keep_all: bool = False,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self.renew = renew
        self.watch: Watch | None = None  # takes the score of the start
        self.objective, self.data, self.held_out = objective, data, held_out
        self._batches, self._options = batches, options
        self._feed = Feed(data, batches, losses, together)
        self.result = TrainingResult(support.clone(), scarce=batches.scarce, start=support.clone())
        self._held_out_rows = 0.0  # as many of equal weight, for classes
        if held_out is not None and held_out.codes is not None:
            weight = held_out.weight.double()
            self._held_out_rows = float(weight.sum().square() / weight.square().sum())
        self._best: tuple[float, Support, Stop] | None = None  # of the stage under way
        self._kept: tuple[float, Support, Stop] | None = None  # of all stages before
        self._live: Support | None = None
        self._values: list[Any] = []
        everything = batches.sample(len(data))
        self._whole = Sample(data, everything.index, everything.weight, self._feed)
        self._number, self._batchless = 0, False  # of the stage under way
        self._snapshots: dict[tuple[int, int], Support] | None = {} if keep_all else None
        self._loop: Loop | None = None
        self._largest_batch = sys.maxsize  # that memory is enough for
        self._checkpoint: Checkpoint | None = None

    def keep_in(self, checkpoint: Checkpoint) -> None:
        """Write the state of training, which the checkpoint is attached to, as it goes on."""
        self._checkpoint = checkpoint

    @property
    def _skipping(self) -> bool:
        return self._checkpoint is not None and self._checkpoint.skipping

    def return_to(self, stop: Stop) -> None:
        """Go on from the support of an earlier look instead of the best one; forget the others."""
        if self._skipping:
            return
        if self._snapshots is None:
            raise RuntimeError("This trainer kept no supports; make it with keep_all=True.")
        self.result.support = self._snapshots[stop.stage, stop.step]
        self._snapshots.clear()

    def held_out_outputs(self, choice: Hashable) -> tuple[Any, Any, Any]:
        """Compute outputs on held-out rows, over their temperature, with targets and weights."""
        if self._skipping:
            return (None, None, None)  # the state that is read next has them
        support, held_out = self.result.support.clone(), self.held_out
        if held_out is None:
            raise RuntimeError("This trainer holds out no rows.")
        # All rows and no draw: the random numbers of training stay as they are.
        everything = torch.arange(len(self.data), device=self.data.rows.device)
        weight = self.data.weight / self.data.weight.sum()
        self.objective.solve(support, Sample(self.data, everything, weight))
        self.objective.choose(support, choice)
        outputs = blockwise(self.objective.predictor(support), held_out.rows).double()
        outputs = outputs / self.objective.temperature(support)
        return outputs, held_out.targets[:], held_out.weight

    def stages(self) -> list[Stage]:
        """Stages of the technique."""
        return self.objective.stages(self._options.max_iter)

    def run(self, number: int, stage: Stage, end: int | None = None) -> None:
        """Train one stage from the result's support, and leave its best, or its last, there.

        Parameters
        ----------
        number : int
            Of the stage.
        stage : Stage
        end : int or None
            Step to end at, before the last one.
        """
        checkpoint = self._checkpoint
        known = len(self.result.checks)
        if checkpoint is not None:
            done = checkpoint.enter()
            if done is not None:
                self.result.checks.extend(Check(*check) for check in done)
                return
        with self._options.task(stage.name, stage.n_steps if end is None else end) as reached:
            if checkpoint is None or not checkpoint.resume():
                self._open(number, stage)
            assert self._loop is not None
            self._run(number, stage, end, reached, self._loop)
        if checkpoint is not None:
            checkpoint.leave(self.result.checks[known:])

    def _open(self, number: int, stage: Stage) -> None:
        """Begin a stage from the result's support."""
        objective, result = self.objective, self.result
        self._number, self._batchless = number, stage.batch_size is None
        support = objective.begin(stage, result.support, self._sample())
        if self.watch is not None and number == 0:
            self.watch.start(objective, support)
        result.support, self._live, self._best = support.clone(), support, None
        rates = objective.rates(stage, support)
        names = list(rates)
        optimizer = make_optimizer(
            self._options.optimizer, [support[name] for name in names], list(rates.values())
        )
        self._loop = Loop(support, optimizer, names, len(self._values))

    def _run(
        self,
        number: int,
        stage: Stage,
        end: int | None,
        reached: Callable[[int], bool],
        loop: Loop,
    ) -> None:
        objective, result = self.objective, self.result
        support, optimizer, names = loop.support, loop.optimizer, loop.names
        for step in range(loop.step, stage.n_steps + 1):
            loop.step = step
            if self._checkpoint is not None and step % self._options.refresh_every == 0:
                self._checkpoint.write()
            at_end = step == stage.n_steps or step == end
            if at_end or step % stage.check_every == 0:
                if not self._healthy(support, loop.since):
                    result.status = "diverged"
                    break
                improved = self._check(number, step, support)
                loop.unimproved = 0 if improved else loop.unimproved + 1
                if at_end:
                    break
                patience = self._options.patience
                if patience is not None and loop.unimproved >= patience:
                    result.status = "stopped_early"
                    break
            if reached(step):
                result.status = "stopped_early"
                break
            if not self._batchless and step % self._options.refresh_every == 0:
                if self.renew is not None and step:
                    self.renew()
                self._refresh(support)
            try:
                value, gradients = self._gradients(stage, step, support, names)
            except (MemoryError, RuntimeError) as error:
                nothing = not result.n_iter and not self._options.part  # another part may have some
                if nothing or not is_out_of_memory(error):
                    raise
                result.status = "out_of_memory"
                break
            self._fix(support, names, gradients)
            optimizer.step(gradients, cosine(step, stage.n_steps))
            objective.after_step(support)
            self._values.append(value)
            result.n_iter += 1
        self._loop = None
        self._keep()

    def _gradients(
        self, stage: Stage, step: int, support: Support, names: list[str]
    ) -> tuple[Any, list[Any]]:
        """Loss and gradients on a batch; on half of it, and so on, where memory runs out."""
        while True:
            try:
                batch, weights = self._batch(stage, step)
                return self.objective.gradients(support, batch, weights, names)
            except (MemoryError, RuntimeError) as error:
                size = min(stage.batch_size or 0, self._largest_batch)
                if not is_out_of_memory(error) or size < 2 * LEAST_BATCH:
                    raise
            # The error is gone here, and with it what the step that failed had made.
            self._largest_batch = size // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            warn_caller(
                f"Out of memory: going on with batches of {size // 2} rows.", RuntimeWarning
            )

    def interrupt(self) -> None:
        """Keep what the stage under way has found."""
        self.result.status = "interrupted"
        self._keep()

    def finished(self) -> TrainingResult:
        """Return the result, with losses that stay on the device until training is over."""
        if self._values:
            self.result.loss_curve = torch.stack(self._values).double().tolist()
        return self.result

    def _keep(self) -> None:
        """Put the best support of the stage into the result; without held-out rows the last one.

        A stage that makes scores worse than chance does is left out; over several held-out parts
        their average says so, and not the score of one.
        """
        best, kept = self._best, self._kept
        level = kept is None or (
            best is not None and best is not kept and best[0] > kept[0] - self._chance(kept[0])
        )
        if best is not None and (level or self._snapshots is not None):
            self._kept = best
        elif kept is not None and kept[2].stage != self._number:
            self._reopen(kept)
        if self._kept is not None:
            _, self.result.support, self.result.best = self._kept
        elif self.held_out is None and self._live is not None and self._live.is_finite():
            self.result.support = self._live.clone()

    def _reopen(self, kept: tuple[float, Support, Stop]) -> None:
        """Let the technique see supports as in the stage that what is kept comes from."""
        stage = self.stages()[kept[2].stage]
        self._batchless = stage.batch_size is None
        self.objective.begin(stage, kept[1], self._sample())

    def _batch(self, stage: Stage, step: int) -> tuple[Any, Any]:
        """Batch of a step and its weights; all rows, and None, where the stage has no batches."""
        if stage.batch_size is None:
            return self._whole, None
        size = min(stage.batch_size, self._largest_batch)
        return self._feed.draw(size, stage.dtype, step / stage.n_steps)

    def _sample(self) -> Sample:
        """Rows to solve labels on."""
        if self._batchless:
            return self._whole
        draw = self._batches.sample(SAMPLE_ROWS)
        return Sample(self.data, draw.index, draw.weight, self._feed)

    def _healthy(self, support: Support, since: int) -> bool:
        """Whether losses of the stage and support are finite."""
        recent = self._values[since:][-1:]
        return support.is_finite() and all(bool(torch.isfinite(value)) for value in recent)

    def _check(self, number: int, step: int, support: Support) -> bool:
        """Score the support, keep it if it is the best; whether it improved by more than tol."""
        if self.held_out is None:
            self._tell(number, step, None)
            return True
        objective = self.objective
        objective.solve(support, self._sample())
        if self._snapshots is not None:
            self._snapshots[number, step] = support.clone()
        scores = objective.scores(support, self.held_out)
        choice, best = max(scores.items(), key=lambda item: item[1])
        self.result.checks.append(Check(number, step, scores))
        before = -math.inf if self._best is None else self._best[0]
        level = best >= before - self._chance(before)
        if level and math.isfinite(best) and support.is_finite():
            kept = support.clone()
            objective.choose(kept, choice)
            self._best = (max(best, before), kept, Stop(number, step, choice))
        if self._options.adapt and self._best is not None:
            objective.choose(support, self._best[2].choice)
        self._tell(number, step, best)
        return best > before + self._options.tol

    def _tell(self, number: int, step: int, score: float | None) -> None:
        report = self._options.report
        if report is not None:
            stage = self.stages()[number]
            report(Look(self._options.part, stage.name, step, stage.n_steps, score))

    def _chance(self, score: float) -> float:
        """Return the standard error of an accuracy on held-out rows; 0 for other scores.

        The best of many looks owes something to chance, the more the fewer rows are held out and
        the more of their labels are wrong, and starts that do well at once gain most by it. Looks
        this close count as level, and rows that were trained longer are kept.
        """
        if self._held_out_rows == 0 or not 0 < score < 1:
            return 0.0
        return math.sqrt(score * (1 - score) / self._held_out_rows)

    def _refresh(self, support: Support) -> None:
        """Take the losses of the real rows under the induced predictor as importances."""
        if not self._feed.by_importance:
            return
        objective = self.objective
        objective.solve(support, self._sample())
        objective.choose(support, None)
        predict = checked_predictor(objective, support, self.data.targets.shape[1])
        self._feed.refresh(predict, objective.temperature(support))

    @staticmethod
    def _fix(support: Support, names: list[str], gradients: list[Any]) -> None:
        """Keep the columns of the rows that must not move."""
        if support.free is not None and "rows" in names:
            gradients[names.index("rows")][:, support.free :] = 0
