r"""Students: networks that learn from the learnt rows, and the way back through their steps.

With the learnt rows S, their random batches and augmentations A_n, the step size :math:`\alpha`,
momentum :math:`\mu`, weight decay :math:`\omega` and an inner loss,

.. math::
    g_n = \nabla_\theta\, \ell(A_n S; \theta_n), \qquad
    v_{n+1} = \mu v_n + g_n + \omega\, \theta_n, \qquad
    \theta_{n+1} = \theta_n - \alpha\, v_{n+1}, \qquad
    L = G(\theta_N) .

The goal G is what a technique wants of the last parameters. With :math:`\lambda_n = \partial L /
\partial \theta_n`, :math:`\nu_n = \partial L / \partial v_n` by way of later steps only, and
:math:`\kappa = \nu_{n+1} - \alpha \lambda_{n+1}`, all that the gradient needs of a step are the
derivatives of one number, :math:`h_n = g_n^\top \kappa`:

.. math::
    \lambda_n = \lambda_{n+1} + \omega \kappa + \partial h_n / \partial \theta_n, \quad
    \nu_n = \mu \kappa, \quad
    \partial L / \partial S = \sum_n \partial h_n / \partial S, \quad
    \partial L / \partial \alpha = -\sum_n \lambda_{n+1}^\top v_{n+1} ,

so that steps can be made anew one by one, from their parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
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
    start : dict of str to Tensor of shape (1, ...)
        Parameters of the student.
    steps : list of (Tensor of shape (b,) or None, Draw or None)
        Learnt rows of each step (None for all), and their augmentation.
    goal : callable
        Parameters -> Tensor of shape (), the loss of where they are.
    velocity : list of Tensor of shape (1, ...)
        At the start; empty stands for zeros.
    momentum, weight_decay : float
    """

    start: Parameters
    steps: list[Step]
    goal: Callable[[Parameters], Any]
    velocity: list[Any] = field(default_factory=list)
    momentum: float = 0.0
    weight_decay: float = 0.0

    def first(self) -> tuple[list[Any], list[Any]]:
        """Parameters and velocity at the start."""
        params = [p.detach() for p in self.start.values()]
        return params, self.velocity or [torch.zeros_like(p) for p in params]

    def named(self, params: list[Any]) -> Parameters:
        """Parameters with their names."""
        return dict(zip(self.start, params, strict=True))

    def moved(
        self, params: list[Any], velocity: list[Any], found: Any, rate: Any
    ) -> tuple[list[Any], list[Any]]:
        """Parameters and velocity after a step along the gradients that were found."""
        new = list(found)
        if self.weight_decay:
            new = [g + self.weight_decay * p for g, p in zip(new, params, strict=True)]
        if self.momentum:
            new = [self.momentum * v + g for g, v in zip(new, velocity, strict=True)]
        return [p - rate * v for p, v in zip(params, new, strict=True)], new


def train_student(inner: InnerLoss, rows: Any, rate: Any, plan: Plan) -> tuple[Any, Any]:
    """Make the steps of a plan without a way back.

    Parameters
    ----------
    inner, rows, rate, plan
        See `unrolled_loss`.

    Returns
    -------
    params, velocity : list of Tensor of shape (1, ...)
    """
    rate, rows = rate.detach(), rows.detach()
    params, velocity = plan.first()
    for step in plan.steps:
        leaves = [p.requires_grad_() for p in params]
        found = _gradients(inner(plan.named(leaves), rows, step), leaves)
        with torch.no_grad():
            params, velocity = plan.moved(leaves, velocity, found, rate)
    return params, velocity


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
    params, velocity = plan.first()
    params = [p.requires_grad_() for p in params]
    for step in plan.steps:
        found = _gradients(inner(plan.named(params), rows, step), params, create_graph=True)
        params, velocity = plan.moved(params, velocity, found, rate)
    return plan.goal(plan.named(params))


def gradients_by_steps(
    inner: InnerLoss, rows: Any, rate: Any, plan: Plan, budget: float = 0
) -> tuple[Any, Any, Any]:
    """Loss and its gradients, with the activations of one step at a time.

    Parameters
    ----------
    inner, rows, rate, plan
        See `unrolled_loss`.
    budget : float
        Bytes of activations that are kept beside: steps whose activations are there need not be
        made anew.

    Returns
    -------
    loss : Tensor of shape ()
    of_rows : Tensor of shape (m, d)
    of_rate : Tensor of shape ()
    """
    rate, rows = rate.detach(), rows.detach().requires_grad_()
    params, velocity = plan.first()
    trail: list[tuple[Any, ...]] = []  # before each step; its leaves and gradients, if kept
    held = _Held()
    for step in plan.steps:
        kept = held.n_bytes < budget
        with held if kept else nullcontext():
            leaves, value = _at(plan, params, inner, rows if kept else rows.detach(), step)
            g = _gradients(value, leaves, create_graph=kept)
        trail.append((params, velocity if plan.momentum else [], (leaves, g) if kept else None))
        with torch.no_grad():
            params, velocity = plan.moved(leaves, velocity, g, rate)
    last = [p.requires_grad_() for p in params]
    value = plan.goal(plan.named(last))
    adjoint, late = list(_gradients(value, last)), [torch.zeros_like(p) for p in last]
    of_rows, of_rate = torch.zeros_like(rows, requires_grad=False), torch.zeros_like(rate)
    for step in reversed(plan.steps):
        params, velocity, made = trail.pop()
        if made is None:
            leaves, of_step = _at(plan, params, inner, rows, step)
            made = leaves, _gradients(of_step, leaves, create_graph=True)
        leaves, g = made
        kappa = [b - rate * a for a, b in zip(adjoint, late, strict=True)]
        h = sum((own * k).sum() for own, k in zip(g, kappa, strict=True))
        *back, back_rows = _gradients(h, [*leaves, rows])
        with torch.no_grad():
            _, velocity = plan.moved(leaves, velocity, g, rate)
            of_rate -= sum((a * v).sum() for a, v in zip(adjoint, velocity, strict=True))
            of_rows += back_rows
            adjoint = [a + own for a, own in zip(adjoint, back, strict=True)]
            if plan.weight_decay:
                adjoint = [a + plan.weight_decay * k for a, k in zip(adjoint, kappa, strict=True)]
            if plan.momentum:
                late = [plan.momentum * k for k in kappa]
    return value.detach(), of_rows, of_rate


class _Held:
    """Context that counts the bytes of what graphs hold, each time a tensor is held."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def __enter__(self) -> None:
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._count, lambda tensor: tensor)
        self._hooks.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def _count(self, tensor: Any) -> Any:
        self.n_bytes += tensor.numel() * tensor.element_size()
        return tensor


def _at(
    plan: Plan, values: list[Any], inner: InnerLoss, rows: Any, step: Step
) -> tuple[list[Any], Any]:
    """Parameters as leaves of a graph, and the inner loss at them."""
    params = [p.detach().requires_grad_() for p in values]
    return params, inner(plan.named(params), rows, step)


def _gradients(value: Any, tensors: list[Any], create_graph: bool = False) -> tuple[Any, ...]:
    # A network may have parameters that its outputs do not depend on.
    return torch.autograd.grad(value, tensors, create_graph=create_graph, materialize_grads=True)


@dataclass(frozen=True)
class RelativeDistance:
    """Squared distance to a target, in units of the one that the target is from the start.

    Attributes
    ----------
    start, target : dict of str to Tensor of shape (1, ...)
    """

    start: Parameters
    target: Parameters

    def __call__(self, params: Parameters) -> Any:
        """Return the distance of parameters, a Tensor of shape ()."""
        return _distance(params, self.target) / _distance(self.start, self.target)


def _distance(first: Parameters, second: Parameters) -> Any:
    """Squared distance of networks."""
    return sum((p - second[name]).square().sum() for name, p in first.items())
