r"""Students of trajectory matching: a few steps of gradient descent, and the way back through them.

With the learnt rows S, their random batches and augmentations A_n, the step size :math:`\alpha`, an
inner loss and an expert's parameters :math:`\theta^*`,

.. math::
    \hat\theta_0 = \theta^*_t, \qquad
    \hat\theta_{n+1} = \hat\theta_n - \alpha\, g_n, \qquad
    g_n = \nabla_\theta\, \ell(A_n S; \hat\theta_n), \qquad
    L = \frac{\|\hat\theta_N - \theta^*_{t+M}\|^2}{\|\theta^*_t - \theta^*_{t+M}\|^2} .

With :math:`\lambda_n = \partial L / \partial \hat\theta_n`, all that the gradient needs of a step
are the derivatives of one number, :math:`h_n = g_n^\top \lambda_{n+1}`:

.. math::
    \lambda_n = \lambda_{n+1} - \alpha\, \partial h_n / \partial \hat\theta_n, \qquad
    \partial L / \partial S = -\alpha \sum_n \partial h_n / \partial S, \qquad
    \partial L / \partial \alpha = -\sum_n h_n ,

so that steps can be made anew one by one, from their parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ... import _torch as torch
from ...networks._architecture import Parameters

Step = tuple[Any, Any]
InnerLoss = Callable[[Parameters, Any, Step], Any]


@dataclass(frozen=True)
class Plan:
    """What a student is to do.

    Attributes
    ----------
    start, target : dict of str to Tensor of shape (1, ...)
        Parameters of an expert before and after the epochs to be matched.
    steps : list of (Tensor of shape (b,) or None, Draw or None)
        Learnt rows of each step (None for all), and their augmentation.
    """

    start: Parameters
    target: Parameters
    steps: list[Step]


def unrolled_loss(inner: InnerLoss, rows: Any, rate: Any, plan: Plan) -> Any:
    """Loss as it is defined, with the activations of all steps in its graph.

    Parameters
    ----------
    inner : callable
        Parameters, all learnt rows and a step of the plan -> loss of the student.
    rows : Tensor of shape (m, d)
    rate : Tensor of shape ()
        Step size of the student.
    plan : Plan

    Returns
    -------
    Tensor of shape ()
    """
    params = {name: p.detach().requires_grad_() for name, p in plan.start.items()}
    for step in plan.steps:
        value = inner(params, rows, step)
        found = _gradients(value, list(params.values()), create_graph=True)
        params = {name: p - rate * g for (name, p), g in zip(params.items(), found, strict=True)}
    return _distance(params, plan.target) / _distance(plan.start, plan.target)


def gradients_by_steps(inner: InnerLoss, rows: Any, rate: Any, plan: Plan) -> tuple[Any, Any, Any]:
    """Loss and its gradients, with the activations of one step at a time.

    Parameters
    ----------
    inner, rows, rate, plan
        See `unrolled_loss`.

    Returns
    -------
    loss : Tensor of shape ()
    of_rows : Tensor of shape (m, d)
    of_rate : Tensor of shape ()
    """
    rate, rows = rate.detach(), rows.detach().requires_grad_()
    trail = [list(plan.start.values())]
    for step in plan.steps:
        params, value = _at(plan, trail[-1], inner, rows.detach(), step)
        trail.append(
            [p.detach() - rate * g for p, g in zip(params, _gradients(value, params), strict=True)]
        )
    last = dict(zip(plan.start, trail.pop(), strict=True))
    way = _distance(plan.start, plan.target)
    adjoint = [2 * (last[name] - target) / way for name, target in plan.target.items()]
    of_rows, of_rate = torch.zeros_like(rows, requires_grad=False), torch.zeros_like(rate)
    for step in reversed(plan.steps):
        params, value = _at(plan, trail.pop(), inner, rows, step)
        g = _gradients(value, params, create_graph=True)
        h = sum((own * a).sum() for own, a in zip(g, adjoint, strict=True))
        *back, back_rows = _gradients(h, [*params, rows])
        of_rate -= h.detach()
        of_rows -= rate * back_rows
        adjoint = [a - rate * own for a, own in zip(adjoint, back, strict=True)]
    return _distance(last, plan.target) / way, of_rows, of_rate


def _at(
    plan: Plan, values: list[Any], inner: InnerLoss, rows: Any, step: Step
) -> tuple[list[Any], Any]:
    """Parameters as leaves of a graph, and the inner loss at them."""
    params = [p.detach().requires_grad_() for p in values]
    return params, inner(dict(zip(plan.start, params, strict=True)), rows, step)


def _gradients(value: Any, tensors: list[Any], create_graph: bool = False) -> tuple[Any, ...]:
    # A network may have parameters that its outputs do not depend on.
    return torch.autograd.grad(value, tensors, create_graph=create_graph, materialize_grads=True)


def _distance(first: Parameters, second: Parameters) -> Any:
    """Squared distance of networks."""
    return sum((p - second[name]).square().sum() for name, p in first.items())
