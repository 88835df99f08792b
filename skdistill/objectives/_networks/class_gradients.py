"""Gradients of a network's loss in its parameters, for all classes at once, and their distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ... import _torch as torch
from ...networks import Architecture
from ...networks._architecture import Parameters

EPSILON = 1e-6  # added to the product of norms, as in the public code


class ByClass(NamedTuple):
    """Rows of each class side by side.

    Attributes
    ----------
    index : int64 Tensor of shape (q, k)
        Rows of each class; those of a smaller class stand several times.
    share : Tensor of shape (q, k)
        Of each row in the mean of its class; 0 where it stands again, and in an empty class.
    present : bool Tensor of shape (q,)
        Classes with rows.
    """

    index: Any
    share: Any
    present: Any


def by_class(targets: Any, weights: Any) -> ByClass:
    """Put rows of each class side by side.

    Parameters
    ----------
    targets : Tensor of shape (b, q)
        One-hot classes.
    weights : Tensor of shape (b,)

    Returns
    -------
    ByClass
    """
    codes = targets.argmax(1)
    counts = torch.bincount(codes, minlength=targets.shape[1])
    order = torch.argsort(codes, stable=True)
    place = torch.arange(int(counts.max()), device=codes.device).expand(len(counts), -1)
    first = (counts.cumsum(0) - counts)[:, None]
    # Rows again and not rows of zeros: a network may take statistics of all that it sees.
    index = order[(first + place % counts.clamp(min=1)[:, None]).clamp(max=len(codes) - 1)]
    share = weights[index] * (place < counts[:, None])
    mass = share.sum(1, keepdim=True)
    return ByClass(
        index, share / torch.where(mass > 0, mass, torch.ones_like(mass)), mass[:, 0] > 0
    )


def class_gradients(
    architecture: Architecture,
    params: Parameters,
    rows: Any,
    share: Any,
    classes: Any,
    *,
    create_graph: bool = False,
) -> list[Any]:
    """Gradients of each class's weighted mean cross-entropy in the weights of one network.

    Parameters
    ----------
    architecture : Architecture
    params : dict of str to Tensor of shape (1, ...)
    rows : Tensor of shape (k, b, d)
        Rows of k classes.
    share : Tensor of shape (k, b)
    classes : int64 Tensor of shape (k,)
    create_graph : bool
        Whether the gradients can be differentiated in the rows.

    Returns
    -------
    list of Tensor of shape (k, ...)
        One for each layer; biases and normalisations are left out.
    """
    copies = {
        name: p.detach().expand(len(rows), *p.shape[1:]).requires_grad_()
        for name, p in params.items()
    }
    log_p = torch.log_softmax(architecture.outputs(copies, rows), 2)
    own = log_p.gather(2, classes[:, None, None].expand(-1, rows.shape[1], 1))[..., 0]
    weights = [p for p in copies.values() if p.ndim > 2]
    return list(
        torch.autograd.grad(
            -(share * own).sum(), weights, create_graph=create_graph, materialize_grads=True
        )
    )


def cosine_distance(real: list[Any], learnt: list[Any]) -> Any:
    """One minus the cosine, summed over outputs of layers (q,); of gradients (q, out, ...)."""
    total = 0.0
    for G, H in zip(real, learnt, strict=True):
        G, H = G.flatten(2), H.flatten(2)
        norms = torch.linalg.vector_norm(G, dim=2) * torch.linalg.vector_norm(H, dim=2)
        total = total + (1 - (G * H).sum(2) / (norms + EPSILON)).sum(1)
    return total


def squared_distance(real: list[Any], learnt: list[Any]) -> Any:
    """Squared differences, summed over layers (q,), over convolutions alone if there are any."""
    return sum((G - H).square().flatten(1).sum(1) for G, H in _convolutions(real, learnt))


def absolute_distance(real: list[Any], learnt: list[Any]) -> Any:
    """Absolute differences, summed over layers (q,), over convolutions alone if there are any."""
    return sum((G - H).abs().flatten(1).sum(1) for G, H in _convolutions(real, learnt))


def _convolutions(real: list[Any], learnt: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Gradients of convolutions in pairs; of all layers in a network without any."""
    convolutions = any(G.ndim > 3 for G in real)
    for G, H in zip(real, learnt, strict=True):
        if G.ndim > 3 or not convolutions:
            yield G, H


DISTANCES: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "cosine": cosine_distance,
    "mse": squared_distance,
    "l1": absolute_distance,
}
