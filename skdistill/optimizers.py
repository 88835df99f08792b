"""Optimisers over plain tensors: a rate for each tensor, one factor a step for the schedule.

The optimisers of `torch.optim` would do; their first use imports the compiler stack, which takes
longer than most fits here.
"""

from __future__ import annotations

import math
from typing import Any

from . import _torch as torch

OPTIMIZERS = ("adam", "sgd")


class Adam:
    """Adam (Kingma & Ba, 2015).

    Parameters
    ----------
    tensors : list of Tensor
        Changed in place.
    rates : list of float
        Step size of each tensor, in its own units.
    betas : (float, float)
        Decay of the first and the second moment.
    """

    def __init__(
        self, tensors: list[Any], rates: list[float], betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        self.tensors = tensors
        self.rates = rates
        self.betas = betas
        self._first = [torch.zeros_like(tensor) for tensor in tensors]
        self._second = [torch.zeros_like(tensor) for tensor in tensors]
        self._steps = 0

    def step(self, gradients: list[Any], factor: float) -> None:
        """Move each tensor against its gradient; None leaves a tensor as it is."""
        self._steps += 1
        b1, b2 = self.betas
        unbias = math.sqrt(1 - b2**self._steps) / (1 - b1**self._steps)
        for tensor, rate, gradient, first, second in zip(
            self.tensors, self.rates, gradients, self._first, self._second, strict=True
        ):
            if gradient is None:
                continue
            first.lerp_(gradient, 1 - b1)
            second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            # A floor that is tiny in the unit of the gradients: never seen by those that count.
            size = second.sqrt().add_(torch.finfo(tensor.dtype).tiny ** 0.5)
            tensor.addcdiv_(first, size, value=-rate * factor * unbias)


class Sgd:
    """Gradient descent with momentum, gradients in units of their first root mean square.

    Without that unit a rate would mean another thing for each technique and data set.
    """

    def __init__(self, tensors: list[Any], rates: list[float], momentum: float = 0.9) -> None:
        self.tensors = tensors
        self.rates = rates
        self.momentum = momentum
        self._velocity = [torch.zeros_like(tensor) for tensor in tensors]
        self._unit: list[Any] = [None] * len(tensors)

    def step(self, gradients: list[Any], factor: float) -> None:
        """Move each tensor against its gradient; None leaves a tensor as it is."""
        for i, gradient in enumerate(gradients):
            if gradient is None:
                continue
            if self._unit[i] is None:
                size = gradient.square().mean().sqrt()
                self._unit[i] = torch.where(size > 0, size, torch.ones_like(size))
            self._velocity[i].mul_(self.momentum).add_(gradient / self._unit[i])
            step = self._velocity[i] * (1 - self.momentum)
            self.tensors[i].add_(step, alpha=-self.rates[i] * factor)


def make_optimizer(name: str, tensors: list[Any], rates: list[float]) -> Adam | Sgd:
    """Optimiser by name.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name == "adam":
        return Adam(tensors, rates)
    if name == "sgd":
        return Sgd(tensors, rates)
    raise ValueError(f"optimizer={name!r} is unknown; use one of {OPTIMIZERS}.")


def cosine(step: int, n_steps: int) -> float:
    """Factor of the rate at a step: from 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * step / n_steps))
