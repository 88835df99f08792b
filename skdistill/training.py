"""The training loop: batch, gradients, step; look at held-out rows, keep the best support.

It knows nothing of the technique (see `skdistill.objectives.base` for what it asks of one) nor of
the estimator. Few rows are trained on several times, with other rows held out each time, to learn
where to stop, and then once more with all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import _torch as torch
from .batches import BatchSampler
from .objectives.base import Objective, Sample, Stage, TrainingSet, blockwise
from .optimizers import cosine, make_optimizer
from .support import Support

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
    status : {"finished", "stopped_early", "diverged", "interrupted"}
    n_iter : int
        Steps made, in all stages.
    loss_curve : list of float
        Loss of each batch.
    checks : list of Check
    best : Stop or None
        Where the support was found.
    """

    support: Support
    status: str = "finished"
    n_iter: int = 0
    loss_curve: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    best: Stop | None = None


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
        Called with a dict after each look at held-out rows.
    """

    max_iter: int | None = None
    optimizer: str = "adam"
    refresh_every: int = 100
    patience: int | None = None
    tol: float = 1e-4
    adapt: bool = True
    report: Callable[[dict[str, Any]], None] | None = None


def train(
    objective: Objective,
    support: Support,
    data: TrainingSet,
    batches: BatchSampler,
    options: TrainingOptions,
    *,
    held_out: TrainingSet | None = None,
    losses: Callable[[Any, Any], Any] | None = None,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train a support on real rows.

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
        Rows that scores are taken on; None trains to the end, or to `stop`.
    losses : callable or None
        Outputs (k, q) already divided by the temperature, and index (k,) of rows -> losses (k,)
        that make rows important. None never refreshes importances.
    stop : Stop or None
        End of training that was found on other rows.

    Returns
    -------
    TrainingResult
    """
    result = TrainingResult(support.clone())
    run = _Run(objective, data, batches, options, held_out, losses, result)
    try:
        for number, stage in enumerate(objective.stages(options.max_iter)):
            last = stop is not None and stop.stage == number
            run.stage(number, stage, stop.step if last and stop is not None else None)
            if last or result.status == "diverged":
                break
    except KeyboardInterrupt:
        result.status = "interrupted"
        run.keep_best()
    result.loss_curve = run.recorded()
    if result.best is None and stop is not None:
        result.best = stop
    return result


def find_stop(results: list[TrainingResult], weights: list[float]) -> tuple[Stop | None, float]:
    """Step and choice whose score is best on average over several held-out parts.

    Parameters
    ----------
    results : list of TrainingResult
        One for each part, all with the same stages.
    weights : list of float
        Weight of each held-out part.

    Returns
    -------
    stop : Stop or None
        None if no step was reached with a finite score in every part.
    score : float
        Its average.
    """
    found: dict[Stop, list[float]] = {}
    for result in results:
        for check in result.checks:
            for choice, score in check.scores.items():
                found.setdefault(Stop(check.stage, check.step, choice), []).append(score)
    best, best_score = None, -math.inf
    for stop, scores in found.items():
        if len(scores) < len(results):
            continue
        mean = sum(s * w for s, w in zip(scores, weights, strict=True)) / sum(weights)
        if mean > best_score:
            best, best_score = stop, mean
    return best, best_score


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


class _Run:
    """State of one call of `train`."""

    def __init__(
        self,
        objective: Objective,
        data: TrainingSet,
        batches: BatchSampler,
        options: TrainingOptions,
        held_out: TrainingSet | None,
        losses: Callable[[Any, Any], Any] | None,
        result: TrainingResult,
    ) -> None:
        self._objective, self._data, self._batches = objective, data, batches
        self._options, self._held_out = options, held_out
        self._losses, self._result = losses, result
        self._best: tuple[float, Support, Stop] | None = None
        self._values: list[Any] = []
        self._rows: Any = None

    def stage(self, number: int, stage: Stage, end: int | None) -> None:
        """Train one stage from the result's support; leave its best support there."""
        objective, result = self._objective, self._result
        support = objective.begin(stage, result.support, self._sample())
        result.support, self._best = support.clone(), None
        rates = objective.rates(stage, support)
        names = list(rates)
        optimizer = make_optimizer(
            self._options.optimizer, [support[name] for name in names], list(rates.values())
        )
        unimproved, since = 0, len(self._values)
        for step in range(stage.n_steps + 1):
            at_end = step == stage.n_steps or step == end
            if at_end or step % stage.check_every == 0:
                if not self._healthy(support, since):
                    result.status = "diverged"
                    break
                unimproved = 0 if self._check(number, step, support) else unimproved + 1
                if at_end:
                    break
                if self._options.patience is not None and unimproved >= self._options.patience:
                    result.status = "stopped_early"
                    break
            if step % self._options.refresh_every == 0:
                self._refresh(support, step / stage.n_steps)
            draw = self._batches.draw(stage.batch_size, step / stage.n_steps)
            batch = self._data.take(draw.index, stage.dtype, self._memory(len(draw.index)))
            value, gradients = objective.gradients(
                support, batch, draw.weight.to(stage.dtype), names
            )
            self._fix(support, names, gradients)
            optimizer.step(gradients, cosine(step, stage.n_steps))
            objective.after_step(support)
            self._values.append(value)
            result.n_iter += 1
        if self._held_out is None and result.status == "finished":
            result.support = support.clone()
        self.keep_best()

    def keep_best(self) -> None:
        """Put the best support of the stage into the result."""
        if self._best is not None:
            _, self._result.support, self._result.best = self._best

    def recorded(self) -> list[float]:
        """Losses as floats; they stay on the device until training is over."""
        return torch.stack(self._values).double().tolist() if self._values else []

    def _memory(self, n_rows: int) -> Any:
        """Memory for the rows of a batch: fetching fresh pages would cost as much as the copy."""
        if self._rows is None or len(self._rows) != n_rows:
            self._rows = self._data.rows.new_empty((n_rows, self._data.rows.shape[1]))
        return self._rows

    def _sample(self) -> Sample:
        draw = self._batches.sample(SAMPLE_ROWS)
        return Sample(self._data, draw.index, draw.weight)

    def _healthy(self, support: Support, since: int) -> bool:
        """Whether losses of the stage and support are finite."""
        recent = self._values[since:][-1:]
        return support.is_finite() and all(bool(torch.isfinite(value)) for value in recent)

    def _check(self, number: int, step: int, support: Support) -> bool:
        """Score the support, keep it if it is the best; whether it improved by more than tol."""
        if self._held_out is None:
            return True
        objective = self._objective
        objective.solve(support, self._sample())
        scores = objective.scores(support, self._held_out)
        choice, best = max(scores.items(), key=lambda item: item[1])
        self._result.checks.append(Check(number, step, scores))
        before = -math.inf if self._best is None else self._best[0]
        if best >= before and math.isfinite(best):
            kept = support.clone()
            objective.choose(kept, choice)
            self._best = (best, kept, Stop(number, step, choice))
        if self._options.adapt and self._best is not None:
            objective.choose(support, self._best[2].choice)
        if self._options.report is not None:
            self._options.report(
                {"stage": number, "step": step, "score": best, "n_iter": self._result.n_iter}
            )
        return best > before + self._options.tol

    def _refresh(self, support: Support, progress: float) -> None:
        """Take the losses of the real rows under the induced predictor as importances."""
        if self._losses is None or not self._batches.importance:
            return
        objective, losses = self._objective, self._losses
        objective.solve(support, self._sample())
        objective.choose(support, None)
        predict, temperature = objective.predictor(support), objective.temperature(support)

        def of_rows(index: Any) -> Any:
            outputs = blockwise(lambda block: predict(self._data.rows[block]), index)
            return losses(outputs / temperature, index)

        self._batches.refresh(of_rows)

    @staticmethod
    def _fix(support: Support, names: list[str], gradients: list[Any]) -> None:
        """Keep the columns of the rows that must not move."""
        if support.free is not None and "rows" in names:
            gradients[names.index("rows")][:, support.free :] = 0
