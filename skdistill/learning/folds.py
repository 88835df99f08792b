"""Training on few rows: where to stop is found on several held-out parts, then all rows are used.

A single small part would say little, and rows held out are missed where there are few. Every stage
is trained once for each part, with that part held out. The step with the best average score ends
the stage: for the parts, which go on to the next stage from there, and for training on all rows.
"""

from __future__ import annotations

import math

from .trainer import BROKEN, Check, Stop, Trainer, TrainingResult


def train_in_folds(trainer: Trainer, parts: list[Trainer]) -> TrainingResult:
    """Train on all rows, each stage up to the step that was best on held-out parts.

    Parameters
    ----------
    trainer : Trainer
        With all rows and none held out.
    parts : list of Trainer
        With a part held out each, and ``keep_all=True``. Their objectives and stages are those of
        `trainer`.

    Returns
    -------
    TrainingResult
        That of `trainer`, with the average scores of the parts as its checks. A stage that improves
        nothing is left out.
    """
    stops: list[Stop] = []
    score = -math.inf
    result = trainer.result
    classes = trainer.data.codes is not None
    try:
        for number, stage in enumerate(trainer.stages()):
            before = [len(part.result.checks) for part in parts]
            for part in parts:
                part.run(number, stage)
            found = [p.result.checks[k:] for p, k in zip(parts, before, strict=True)]
            checks = average_checks(found, [_weight(part) for part in parts])
            result.checks.extend(checks)
            best, stage_score = best_stop(checks)
            if best is None or stage_score <= score:
                break
            stops.append(best)
            score = stage_score
            for part in parts:
                part.return_to(best)
            if classes:
                result.held_out = [part.held_out_outputs(best.choice) for part in parts]
        for stop, stage in zip(stops, trainer.stages(), strict=False):
            trainer.objective.expect(score)
            trainer.run(stop.stage, stage, stop.step)
            result.best = stop
    except KeyboardInterrupt:
        trainer.interrupt()
        result.held_out = []  # the parts went on to stages that the training on all rows did not
    if all(part.result.status == "out_of_memory" and not part.result.n_iter for part in parts):
        raise MemoryError("Out of memory at the first step; use a smaller batch_size or n_samples.")
    broke = [part.result.status for part in parts if part.result.status in BROKEN]
    if result.status not in ("interrupted", *BROKEN) and (broke or not stops):
        result.status = broke[0] if broke else "diverged"
    return trainer.finished()


def average_checks(checks: list[list[Check]], weights: list[float]) -> list[Check]:
    """Average scores over parts, at the steps and for the choices that all parts have.

    Parameters
    ----------
    checks : list of list of Check
        One list for each part.
    weights : list of float
        Weight of each part.

    Returns
    -------
    list of Check
    """
    found: dict[Stop, list[float]] = {}
    for part in checks:
        for check in part:
            for choice, value in check.scores.items():
                found.setdefault(Stop(check.stage, check.step, choice), []).append(value)
    averages: dict[tuple[int, int], Check] = {}
    for (stage, step, choice), values in found.items():
        if len(values) == len(checks):
            mean = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
            averages.setdefault((stage, step), Check(stage, step, {})).scores[choice] = mean
    return list(averages.values())


def best_stop(checks: list[Check]) -> tuple[Stop | None, float]:
    """Find the step and choice of the best score, the earliest of equals.

    Parameters
    ----------
    checks : list of Check

    Returns
    -------
    stop : Stop or None
        None if no score is finite.
    score : float
    """
    best, best_score = None, -math.inf
    for check in checks:
        for choice, value in check.scores.items():
            if value > best_score:
                best, best_score = Stop(check.stage, check.step, choice), value
    return best, best_score


def _weight(part: Trainer) -> float:
    return 1.0 if part.held_out is None else float(part.held_out.weight.sum())
