"""Losses of outputs against targets, with their derivative in the outputs."""

from __future__ import annotations

from typing import Any

from ... import _torch as torch


class SquaredError:
    """Half the weighted squared error."""

    def __init__(self) -> None:
        self.value: Any = 0.0

    def __call__(self, F: Any, Y: Any, weight: Any) -> Any:
        """Return the derivative in F (b, q); add up the value."""
        residual = F - Y
        R = residual * weight[:, None]
        self.value = self.value + 0.5 * (R * residual).sum()
        return R


class CrossEntropy:
    """Weighted cross-entropy of softmax(F / T) against smoothed one-hot classes.

    Parameters
    ----------
    log_temperature : Tensor of shape (1,)
    smoothing : float
        Share of each label that is spread over all classes.
    """

    def __init__(self, log_temperature: Any, smoothing: float = 0.0) -> None:
        self.temperature = log_temperature.exp()
        self.smoothing = smoothing
        self.value: Any = 0.0
        self.gradient: Any = torch.zeros_like(self.temperature)  # in log T
        self.hits: Any = 0.0  # weight of the rows whose class comes first

    def __call__(self, F: Any, Y: Any, weight: Any) -> Any:
        """Return the derivative in F (b, q); add up value, hits and the derivative in log T."""
        logits = torch.log_softmax(F / self.temperature, dim=1)
        Y = self._targets(Y)
        self.value = self.value - (weight @ (logits * Y)).sum()
        # The smoothed label of the class is the largest.
        self.hits = self.hits + weight @ (F.argmax(1) == Y.argmax(1)).to(weight.dtype)
        R = logits.exp_().sub_(Y).mul_((weight / self.temperature)[:, None])
        self.gradient = self.gradient - (R * F).sum()
        return R

    def _targets(self, Y: Any) -> Any:
        if self.smoothing == 0:
            return Y
        return Y * (1 - self.smoothing) + self.smoothing / Y.shape[1]
