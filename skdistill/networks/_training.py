"""Training of a stack of networks: stochastic gradient descent, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import _torch as torch
from .._device import for_each_block
from ._architecture import Architecture, Parameters
from .augmentation import Augmentation

BLOCK_ROWS = 2048  # rows whose outputs are computed at a time


@dataclass(frozen=True)
class Recipe:
    """How networks are trained; the values are those of the field's public evaluation.

    Attributes
    ----------
    n_epochs : int
    learning_rate : float
        Divided by 10 after half of the epochs.
    momentum, weight_decay : float
    batch_size : int
    """

    n_epochs: int = 300
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 256


def train_networks(
    architecture: Architecture,
    params: Parameters,
    rows: Any,
    targets: Any,
    weight: Any,
    loss: Callable[[Any, Any], Any],
    recipe: Recipe,
    generator: Any,
    augmentation: Augmentation | None = None,
) -> tuple[Parameters, list[float]]:
    """Train networks on the same rows, in the same order.

    Parameters
    ----------
    architecture : Architecture
    params : dict of str to Tensor of shape (count, ...)
        The start; not changed.
    rows : Tensor of shape (n, d)
    targets : Tensor of shape (n, ...)
    weight : Tensor of shape (n,)
        Scaled to mean 1: a row of weight 2 has twice the loss.
    loss : callable
        Outputs (count, b, q) and targets (b, ...) -> losses (count, b).
    recipe : Recipe
    generator : torch.Generator
    augmentation : Augmentation or None
        Draws numbers of its own for each row, anew in each epoch.

    Returns
    -------
    params : dict of str to Tensor of shape (count, ...)
    losses : list of float
        Mean loss of each epoch, over rows and networks.
    """
    params = {name: p.detach().clone() for name, p in params.items()}
    velocity = {name: torch.zeros_like(p) for name, p in params.items()}
    weight = weight / weight.mean()
    rate, curve = recipe.learning_rate, []
    for epoch in range(recipe.n_epochs):
        if epoch == recipe.n_epochs // 2 + 1:
            rate = rate / 10
        if len(rows) <= recipe.batch_size:
            order = torch.arange(len(rows), device=rows.device)
        else:
            order = torch.randperm(len(rows), generator=generator, device=rows.device)
        total = rows.new_zeros(())
        for index in order.split(recipe.batch_size):
            x = rows[index]
            if augmentation is not None:
                x = augmentation(x, augmentation.draw(len(x)))
            losses = descend(
                architecture, params, velocity, x, targets[index], weight[index], loss, recipe, rate
            )
            total += losses.sum()
        curve.append(total / (len(rows) * len(losses)))
    return params, torch.stack(curve).tolist() if curve else []


def descend(
    architecture: Architecture,
    params: Parameters,
    velocity: Parameters,
    rows: Any,
    targets: Any,
    weight: Any,
    loss: Callable[[Any, Any], Any],
    recipe: Recipe,
    rate: float,
) -> Any:
    """Move networks by one step of stochastic gradient descent, in place.

    Parameters
    ----------
    architecture : Architecture
    params, velocity : dict of str to Tensor of shape (count, ...)
        Changed.
    rows : Tensor of shape (b, d)
    targets : Tensor of shape (b, ...)
    weight : Tensor of shape (b,)
        A network descends along the mean of its weighted losses.
    loss : callable
        Outputs (count, b, q) and targets (b, ...) -> losses (count, b).
    recipe : Recipe
        Momentum and weight decay.
    rate : float

    Returns
    -------
    Tensor of shape (count, b)
        Weighted losses before the step.
    """
    leaves = {name: p.requires_grad_() for name, p in params.items()}
    losses = loss(architecture.outputs(leaves, rows), targets) * weight
    value = losses.mean(1).sum()  # a sum over networks: none sees another
    # A module of one's own may have parameters without effect.
    gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    with torch.no_grad():
        for (name, p), gradient in zip(params.items(), gradients, strict=True):
            p.requires_grad_(False)
            gradient = gradient + recipe.weight_decay * p
            velocity[name].mul_(recipe.momentum).add_(gradient)
            p.sub_(velocity[name], alpha=rate)
    return losses.detach()


def network_outputs(architecture: Architecture, params: Parameters, rows: Any) -> Any:
    """Compute outputs (count, n, q) of rows (n, d), block by block, without gradients."""
    blocks: list[Any] = []

    def work(start: int, stop: int) -> None:
        with torch.no_grad():
            blocks.append(architecture.outputs(params, rows[start:stop]))

    for_each_block(work, len(rows), BLOCK_ROWS)
    return torch.cat(blocks, dim=1)


def cross_entropy(outputs: Any, codes: Any) -> Any:
    """Cross-entropy (count, b) of outputs (count, b, q) and classes (b,)."""
    return -torch.log_softmax(outputs, 2).gather(2, codes.expand(len(outputs), -1)[..., None])[
        ..., 0
    ]


def squared_error(outputs: Any, values: Any) -> Any:
    """Squared error (count, b) of outputs (count, b, q) and values (b, q), mean over outputs."""
    return (outputs - values).square().mean(2)
