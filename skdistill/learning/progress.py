"""What `verbose` prints of training: which part of which stage, how far, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Where training stands.

    Attributes
    ----------
    part : str
        Which rows are trained on, such as "part 2 of 5"; "" where there is one choice.
    stage : str
        Name of the stage.
    step, n_steps : int
        Steps made of the stage, and all of them.
    score : float or None
        On held-out rows, where there are any.
    """

    part: str
    stage: str
    step: int
    n_steps: int
    score: float | None


class Progress:
    """Turns looks into lines.

    Parameters
    ----------
    say : callable
        Takes a line.
    clock : callable, default=time.perf_counter
        Seconds.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._say, self._clock = say, clock
        self._stage: tuple[str, str] | None = None
        self._first = (0, 0.0)  # step and time of the first look at the stage

    def __call__(self, look: Look) -> None:
        """Tell of a look; what is left of a stage is known from its second one on."""
        now, stage = self._clock(), (look.part, look.stage)
        if stage != self._stage:
            self._stage, self._first = stage, (look.step, now)
        step, began = self._first
        left = ""
        if step < look.step < look.n_steps:
            seconds = (now - began) / (look.step - step) * (look.n_steps - look.step)
            left = f", {_time(seconds)} left of it"
        place = ", ".join(word for word in stage if word)
        score = "" if look.score is None else f": score {look.score:.4f}"
        self._say(f"{place}, step {look.step} of {look.n_steps}{score}{left}")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
