"""Fully connected networks, for rows that are vectors."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from sklearn.base import BaseEstimator

from .._docs import DocLinkMixin
from ._architecture import (
    ACTIVATIONS,
    INITS,
    LayeredArchitecture,
    Parameters,
    activate,
    check_option,
    initial_layer,
    linear,
)


class MLP(DocLinkMixin, BaseEstimator):
    """Fully connected network.

    Parameters
    ----------
    width : int, default=128
        Units of a hidden layer.

    depth : int, default=2
        Hidden layers.

    activation : {"relu", "leaky_relu", "tanh"}, default="relu"
        What follows a hidden layer.

    init : {"uniform", "he"}, default="uniform"
        Start of weights and biases: "uniform" is that of PyTorch's own layers, "he" the normal
        distribution that keeps the size of activations from layer to layer.

    See Also
    --------
    ConvNet : For images.

    Examples
    --------
    >>> from skdistill.networks import MLP
    >>> MLP(width=64)
    MLP(width=64)
    """

    def __init__(
        self, width: int = 128, depth: int = 2, activation: str = "relu", init: str = "uniform"
    ) -> None:
        self.width = width
        self.depth = depth
        self.activation = activation
        self.init = init

    def make_architecture(
        self, n_features: int, image_shape: tuple[int, int, int] | None, n_outputs: int
    ) -> MLPArchitecture:
        """Check the parameters and return the network for a kind of rows.

        Parameters
        ----------
        n_features : int
            Length of a row.

        image_shape : tuple of int or None
            Without effect: an image is the vector of its pixels.

        n_outputs : int
            Outputs of the network.

        Returns
        -------
        Architecture
            Pure functions of stacked parameters.
        """
        for name in ("width", "depth"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and int(value) >= 1):
                raise ValueError(f"{name}={value!r} of MLP must be a positive integer.")
        check_option(self, "activation", ACTIVATIONS)
        check_option(self, "init", INITS)
        return MLPArchitecture(self, n_features, n_outputs)


class MLPArchitecture(LayeredArchitecture):
    """Stacked `MLP`: batched matrix products."""

    def __init__(self, config: Any, n_features: int, n_outputs: int) -> None:
        self.n_outputs = n_outputs
        self._config = config
        depth = int(config.depth)
        widths = [n_features, *[int(config.width)] * depth]
        self._shapes = {f"{k}": (widths[k + 1], widths[k]) for k in range(depth)}
        self._shapes["out"] = (n_outputs, widths[-1])

    def initial(self, count: int, generator: Any, dtype: Any = None) -> Parameters:
        """Draw fresh networks; see `Architecture`."""
        params = {}
        for name, shape in self._shapes.items():
            found = initial_layer(shape, count, generator, dtype, self._config.init)
            params[f"{name}.weight"], params[f"{name}.bias"] = found
        return params

    def features(self, params: Parameters, rows: Any) -> Any:
        """Last hidden layer; see `Architecture`."""
        for name in list(self._shapes)[:-1]:
            rows = activate(self._config.activation, linear(params, name, rows))
        return rows
