"""From what the parameter `network` may be to an architecture."""

from __future__ import annotations

import sys
from typing import Any

from ._architecture import Architecture, check_image_shape
from ._module import ModuleArchitecture
from .convnet import ConvNet
from .mlp import MLP

NETWORKS = {"mlp": MLP, "convnet": ConvNet}


def build(
    network: Any, n_features: int, image_shape: tuple[int, int, int] | None, n_outputs: int
) -> Architecture:
    """Make the architecture that a parameter `network` asks for.

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, MLP, ConvNet or callable
        "auto" is `ConvNet` for images and `MLP` for vectors. A callable gets the shape of a row,
        ``(n_features,)`` or `image_shape`, and the number of outputs, and returns a fresh
        ``torch.nn.Module``; features are what its last linear layer sees.
    n_features : int
    image_shape : tuple of int or None
        Channels, height and width, of product `n_features`.
    n_outputs : int

    Returns
    -------
    Architecture

    Raises
    ------
    ValueError
        If `network` is unknown or does not fit the rows or outputs.
    TypeError
        If `network` is a module instead of a function that makes modules.

    Examples
    --------
    >>> import torch
    >>> from skdistill.networks import MLP, build
    >>> architecture = build(MLP(width=16), n_features=8, image_shape=None, n_outputs=3)
    >>> params = architecture.initial(5, torch.Generator().manual_seed(0))
    >>> architecture.outputs(params, torch.zeros(10, 8)).shape
    torch.Size([5, 10, 3])
    """
    image_shape = check_image_shape(image_shape, n_features)
    if isinstance(network, str):
        if network == "auto":
            network = "mlp" if image_shape is None else "convnet"
        if network not in NETWORKS:
            raise ValueError(
                f"network={network!r} is unknown; use 'auto', {', '.join(map(repr, NETWORKS))}, an "
                "object of skdistill.networks, or a function that makes a torch.nn.Module."
            )
        network = NETWORKS[network]()
    if hasattr(network, "make_architecture") and not isinstance(network, type):
        return network.make_architecture(n_features, image_shape, n_outputs)
    if hasattr(network, "torch_function"):
        raise TypeError(
            f"network={network!r} is one frozen feature map, but networks that can be drawn afresh "
            "are needed; use ConvNet(), keep the map with FeatureRegression(network=...), the only "
            "technique that takes one, or put it before the distiller in a pipeline."
        )
    _refuse_module(network)
    if not callable(network):
        raise TypeError(
            f"network={network!r} must be a name, an object of skdistill.networks, or a function "
            "(input_shape, n_outputs) -> torch.nn.Module."
        )
    shape = (n_features,) if image_shape is None else tuple(image_shape)
    return ModuleArchitecture(network, shape, n_outputs)


def _refuse_module(network: Any) -> None:
    # Who passes a module has imported torch.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(network, torch.nn.Module):
        raise TypeError(
            f"network={type(network).__name__}(...) is one module, but fresh ones are needed; pass "
            "a function that makes them, lambda input_shape, n_outputs: "
            f"{type(network).__name__}(...)."
        )
