"""What a technique sees of a network: its parameters as tensors, and pure functions of them.

The parameters of `count` networks are stacked along the first axis, so that a pool of networks is
one dict and a step of all of them one call. Nothing is stored in a module: gradients of any order
are `torch.autograd.grad` of the functions in the dict's tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from numbers import Integral
from typing import Any

from .. import _torch as torch

ACTIVATIONS = ("relu", "leaky_relu", "tanh")
INITS = ("uniform", "he")
Parameters = dict[str, Any]


class Architecture(ABC):
    """A kind of network for rows of one length.

    Attributes
    ----------
    n_outputs : int
    """

    n_outputs: int

    @abstractmethod
    def initial(self, count: int, generator: Any, dtype: Any = None) -> Parameters:
        """Draw fresh networks; the global generators are left alone.

        Parameters
        ----------
        count : int
        generator : torch.Generator
            The parameters are made on its device.
        dtype : torch.dtype or None
            None is float32.

        Returns
        -------
        dict of str to Tensor of shape (count, ...)
        """

    @abstractmethod
    def features(self, params: Parameters, rows: Any) -> Any:
        """Compute what the last linear layer sees.

        Parameters
        ----------
        params : dict of str to Tensor of shape (count, ...)
        rows : Tensor of shape (b, d) or (count, b, d)
            The same rows for all networks, or rows of its own for each.

        Returns
        -------
        Tensor of shape (count, b, n_hidden)
        """

    @abstractmethod
    def outputs(self, params: Parameters, rows: Any) -> Any:
        """Compute outputs (count, b, n_outputs) of rows; see `features`."""


class LayeredArchitecture(Architecture):
    """Base of the networks of this package: `features` and a linear layer, "out", on top."""

    def outputs(self, params: Parameters, rows: Any) -> Any:
        """Compute outputs of rows; see `Architecture`."""
        return linear(params, "out", self.features(params, rows))


def linear(params: Parameters, name: str, rows: Any) -> Any:
    """Apply a linear layer (count, out, in) to rows (b, in) or (count, b, in)."""
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    rows = rows.expand(len(weight), -1, -1) if rows.ndim == 2 else rows
    return torch.baddbmm(bias[:, None, :], rows, weight.mT)


def initial_layer(
    shape: tuple[int, ...], count: int, generator: Any, dtype: Any, init: str
) -> tuple[Any, Any]:
    r"""Draw weights (count, *shape) and biases (count, shape[0]) of a layer.

    Parameters
    ----------
    shape : tuple of int
        Outputs, inputs, and for a convolution the size of its window.
    count : int
    generator : torch.Generator
    dtype : torch.dtype or None
    init : {"uniform", "he"}
        "uniform" is that of PyTorch's own layers, weights and biases from
        :math:`U(-1/\sqrt n, 1/\sqrt n)` with n inputs; "he" has weights from
        :math:`N(0, 2/n)` and no biases (He et al., 2015).
    """
    fan_in = prod(shape[1:])
    like = {"generator": generator, "device": generator.device, "dtype": dtype}
    if init == "he":
        weight = torch.randn((count, *shape), **like) * (2 / fan_in) ** 0.5
        return weight, weight.new_zeros((count, shape[0]))
    bound = fan_in**-0.5
    weight = (2 * torch.rand((count, *shape), **like) - 1) * bound
    bias = (2 * torch.rand((count, shape[0]), **like) - 1) * bound
    return weight, bias


def activate(name: str, x: Any) -> Any:
    """Apply an activation by name."""
    if name == "relu":
        return torch.relu(x)
    if name == "tanh":
        return torch.tanh(x)
    return torch.nn.functional.leaky_relu(x, 0.01)


def check_option(owner: Any, name: str, allowed: tuple) -> None:
    """Raise a ValueError unless a parameter of a network is one of those allowed."""
    value = getattr(owner, name)
    if value not in allowed:
        raise ValueError(
            f"{name}={value!r} of {type(owner).__name__} is unknown; use one of {allowed}."
        )


def check_image_shape(image_shape: Any, n_features: int) -> tuple[int, int, int] | None:
    """Check a parameter `image_shape`; None stays None.

    Parameters
    ----------
    image_shape : sequence of int or None
        Channels, height and width.
    n_features : int

    Returns
    -------
    tuple of int or None

    Raises
    ------
    ValueError
        If these are not three positive integers of product `n_features`.
    """
    if image_shape is None:
        return None
    sides = tuple(image_shape) if hasattr(image_shape, "__iter__") else (image_shape,)
    if not (len(sides) == 3 and all(isinstance(n, Integral) and int(n) >= 1 for n in sides)):
        raise ValueError(
            f"image_shape={image_shape!r} must be three positive integers, (channels, height, "
            "width), such as (3, 32, 32)."
        )
    channels, height, width = map(int, sides)
    if channels * height * width != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {channels * height * width} values, but X has "
            f"{n_features} features; rows are images flattened by images.reshape(len(images), -1), "
            "channels first."
        )
    return channels, height, width
