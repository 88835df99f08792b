r"""Steps of the linear kernel from moments of all rows: exact, at a cost that does not grow with n.

With a linear kernel the predictor is :math:`f(x) = \theta^T x + \beta` for :math:`\theta = V^T a`,
on the features themselves or on random Fourier or Nystroem features that came before. A squared
error then sees the rows, of weights w that sum to 1, through their moments alone:

.. math::
    E |\theta^T x - y|^2 = \mathrm{tr}(\theta^T G \theta) - 2\,\mathrm{tr}(\theta^T C) + E |y|^2,
    \qquad G = E[x x^T], \; C = E[x y^T].

One pass adds them up; a step costs O(m d (d + m)) for m learnt rows of d features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import _torch as torch
from ...batches.training_set import Sample
from ...support import Support
from .labels import LabelSystem, cholesky_solve


@dataclass(frozen=True)
class Moments:
    """Weighted second moments of rows and targets, not centred; float64.

    Attributes
    ----------
    G : Tensor of shape (d, d)
        Of the rows.
    C : Tensor of shape (d, q)
        Of rows and targets; q is 0 without targets.
    x_mean, y_mean : Tensor of shape (d,) and (q,)
    y_square : Tensor, a scalar
        Mean squared length of the targets.
    """

    G: Any
    C: Any
    x_mean: Any
    y_mean: Any
    y_square: Any


def moments(sample: Sample) -> Moments:
    """Add up the moments of a sample in float64, block by block."""
    total = sample.weight.double().sum()
    sums: list[Any] | None = None
    for batch, weight in sample.blocks(torch.float64):
        X = batch.rows
        Y = X.new_zeros((len(X), 0)) if batch.targets is None else batch.targets
        weight = weight / total
        weighted = X * weight[:, None]
        found = [weighted.T @ X, weighted.T @ Y, weighted.sum(0), weight @ Y]
        found.append(weight @ Y.square().sum(1))
        sums = found if sums is None else [s.add_(f) for s, f in zip(sums, found, strict=True)]
    assert sums is not None  # a sample has rows
    return Moments(*sums)


def label_system(seen: Moments, V: Any) -> LabelSystem:
    """Set up the normal equations of the best labels for support rows V (m, d)."""
    return LabelSystem(V @ seen.G @ V.T, V @ seen.C, V @ seen.x_mean, seen.y_mean, V @ V.T)


def solved(support: Support, seen: Moments, mu: float) -> tuple[Any, dict[str, Any]]:
    """Squared error at the best coefficients; gradient by the envelope theorem."""
    V = support.rows
    a, _ = label_system(seen, V).solve(mu)
    theta = V.T @ a
    # The best intercept leaves the moments about the means.
    G_theta = seen.G @ theta - torch.outer(seen.x_mean, seen.x_mean @ theta)
    C = torch.addr(seen.C, seen.x_mean, seen.y_mean, alpha=-1)
    y_square = seen.y_square - seen.y_mean.square().sum()
    value = 0.5 * ((theta * (G_theta - 2 * C + mu * theta)).sum() + y_square)
    return value, {"rows": a @ (G_theta - C + mu * theta).T}


def labelled(support: Support, seen: Moments, ridge: float) -> tuple[Any, dict[str, Any]]:
    """Squared error of ``K (K_SS + ridge I)^-1 Y``, gradients also in the labels Y."""
    V = support.rows
    K_SS = V @ V.T
    a = cholesky_solve(K_SS, support.labels, ridge)
    theta = V.T @ a
    G_theta = seen.G @ theta
    value = 0.5 * ((theta * (G_theta - 2 * seen.C)).sum() + seen.y_square)
    of_theta = G_theta - seen.C
    of_labels = cholesky_solve(K_SS, V @ of_theta, ridge)
    of_kernel = of_labels @ a.T  # less its sign
    of_rows = a @ of_theta.T - (of_kernel + of_kernel.T) @ V
    return value, {"rows": of_rows, "labels": of_labels}


def subspace(support: Support, seen: Moments, ridge: float) -> tuple[Any, dict[str, Any]]:
    """Mean squared distance of the rows from the span of the support's."""
    V = support.rows
    VG = V @ seen.G
    A = VG @ V.T
    eye = torch.eye(len(V), dtype=V.dtype, device=V.device)
    inverse = cholesky_solve(V @ V.T, eye, ridge)
    value = torch.trace(seen.G) - (inverse * A).sum()
    return value, {"rows": 2 * inverse @ (A @ inverse @ V - VG)}
