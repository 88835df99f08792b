r"""Huber's loss in the label problem: outliers in the target pull with a bounded force.

With residuals :math:`r_i = |f(x_i) - y_i|` and a threshold :math:`\delta` the loss is
:math:`r^2 / 2` up to :math:`\delta` and :math:`\delta (r - \delta / 2)` beyond. Its minimiser
solves the squared problem with the weights :math:`v_i \min(1, \delta / r_i)`, and rounds of solving
and reweighting lead there (iteratively reweighted least squares). The threshold is 1.35 robust
standard deviations of the residuals, where normal errors cost 5 % of efficiency (P. Huber, "Robust
Estimation of a Location Parameter", 1964).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _torch as torch
from ...batches.training_set import Sample, TrainingSet
from ...support import all_finite
from .labels import LabelSystem, label_system

EPSILON = 1.35
USUAL = 1.4826  # standard deviation of normal residuals, relative to the median of their size
ROUNDS = 3


def weighted_median(values: Any, weight: Any) -> Any:
    """Least value (k,) up to which lies half of the weight (k,) or more; shape ()."""
    order = values.argsort()
    held = weight[order].cumsum(0)
    place = torch.searchsorted(held, 0.5 * held[-1]).clamp_(max=len(values) - 1)
    return values[order[place]]


def huber_factors(residual: Any, weight: Any) -> Any:
    """Factors (k,) of the weights (k,) of rows with residuals (k, q)."""
    size = residual.square().sum(1).sqrt()
    delta = EPSILON * USUAL * weighted_median(size, weight)
    if not delta > 0:  # half of the rows are fitted exactly
        return torch.ones_like(size)
    return (delta / size.clamp(min=delta)).to(weight)


def batch_weights(K: Any, K_SS: Any, targets: Any, weight: Any, mu: float) -> Any:
    """Weights (b,) of a batch's rows at its best coefficients.

    Parameters
    ----------
    K : float64 Tensor of shape (b, m)
    K_SS : float64 Tensor of shape (m, m)
    targets : float64 Tensor of shape (b, q)
    weight : float64 Tensor of shape (b,)
    mu : float

    Returns
    -------
    float64 Tensor of shape (b,)
    """
    held = weight
    for _ in range(ROUNDS):
        share = held / held.sum()
        weighted = K * share[:, None]
        system = LabelSystem(
            weighted.T @ K, weighted.T @ targets, weighted.sum(0), share @ targets, K_SS
        )
        a, b = system.solve(mu)
        held = weight * huber_factors(torch.addmm(b, K, a) - targets, weight)
    return held


def reweighted_sample(kernel: Callable[[Any], Any], K_SS: Any, sample: Sample, mu: float) -> Sample:
    """Sample with the weights of Huber's loss at its best coefficients.

    Parameters
    ----------
    kernel : callable
        Coordinates (k, width) -> float64 kernel block (k, m) with the support.
    K_SS : float64 Tensor of shape (m, m)
    sample : Sample
    mu : float

    Returns
    -------
    Sample
    """
    held, weight = sample, sample.weight.double()
    for _ in range(ROUNDS):
        a, b = label_system(kernel, K_SS, held).solve(mu)
        residual = torch.cat(
            [
                torch.addmm(b, kernel(batch.rows), a) - batch.targets
                for batch, _ in sample.blocks(torch.float64)
            ]
        )
        held = sample._replace(weight=weight * huber_factors(residual, weight))
    return held


def absolute_score(outputs: Any, data: TrainingSet) -> float:
    """Share of the absolute deviation from the median that outputs (n, q) explain.

    R2 on held-out rows would be a matter of the outliers among them.
    """
    if not all_finite(outputs):
        return -float("inf")
    weight, targets = data.weight.double(), data.targets[:].double()
    middle = torch.stack([weighted_median(column, weight) for column in targets.T])
    left = weight @ (outputs.double() - targets).abs().sum(1)
    spread = weight @ (targets - middle).abs().sum(1)
    return float(1 - left / spread) if spread > 0 else -float(left / weight.sum())
