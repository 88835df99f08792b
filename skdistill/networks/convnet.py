"""Convolutional networks in the form that dataset distillation has settled on.

Blocks of a 3 x 3 convolution, instance normalisation, a rectifier and 2 x 2 average pooling, and a
linear layer on what is left of the image (Gidaris & Komodakis, 2018; Zhao, Mopuri & Bilen, 2021).
"""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from sklearn.base import BaseEstimator

from .. import _torch as torch
from .._docs import DocLinkMixin
from ._architecture import (
    ACTIVATIONS,
    INITS,
    LayeredArchitecture,
    Parameters,
    activate,
    check_image_shape,
    check_option,
    initial_layer,
)

NORMS = ("instance", "none")
POOLINGS = ("average", "max", "none")
FEW_IMAGES = 4  # of each network up to which groups of channels win on a CPU, twofold at one image
CHUNK_IMAGES = 32  # at a time on a CPU: what a layer makes of more leaves the cache before the next


class ConvNet(DocLinkMixin, BaseEstimator):
    """Convolutional network, the one that dataset distillation is measured with.

    Parameters
    ----------
    width : int or tuple of int, default=128
        Filters of each block.

    depth : int or "auto", default="auto"
        Blocks. "auto" leaves about 4 x 4 pixels: 3 blocks for images of 28 or 32 pixels a side, 4
        for 64, 1 for 8; or as many as `width` has numbers.

    norm : {"instance", "none"}, default="instance"
        Normalisation of each channel of each image, with a learnt scale and shift.

    pooling : {"average", "max", "none"}, default="average"
        What halves the sides of the image in each block.

    activation : {"relu", "leaky_relu", "tanh"}, default="relu"
        What follows the normalisation.

    init : {"uniform", "he"}, default="uniform"
        Start of the weights: "uniform" is that of PyTorch's own layers, "he" the normal
        distribution that keeps the size of activations from layer to layer.

    See Also
    --------
    MLP : For rows that are vectors.

    Notes
    -----
    Images whose sides the pooling cannot halve that often get a frame of zeros, the mean pixel in
    standardised units: 28 x 28 becomes 32 x 32, as in the public code of the field.

    References
    ----------
    .. [1] S. Gidaris, N. Komodakis. "Dynamic Few-Shot Visual Learning without Forgetting". CVPR
       2018.
    .. [2] B. Zhao, K. R. Mopuri, H. Bilen. "Dataset Condensation with Gradient Matching". ICLR
       2021.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> ConvNet(width=32, depth=3)
    ConvNet(depth=3, width=32)
    """

    def __init__(
        self,
        width: int | tuple[int, ...] = 128,
        depth: int | str = "auto",
        norm: str = "instance",
        pooling: str = "average",
        activation: str = "relu",
        init: str = "uniform",
    ) -> None:
        self.width = width
        self.depth = depth
        self.norm = norm
        self.pooling = pooling
        self.activation = activation
        self.init = init

    def make_architecture(
        self, n_features: int, image_shape: tuple[int, int, int] | None, n_outputs: int
    ) -> ConvNetArchitecture:
        """Check the parameters and return the network for a kind of images.

        Parameters
        ----------
        n_features : int
            Length of a row: pixels times channels.

        image_shape : tuple of int
            Channels, height and width.

        n_outputs : int
            Outputs of the network.

        Returns
        -------
        Architecture
            Pure functions of stacked parameters.
        """
        image_shape = check_image_shape(image_shape, n_features)
        if image_shape is None:
            raise ValueError(
                "ConvNet needs images, but rows are plain vectors: give image_shape=(channels, "
                "height, width), or use MLP."
            )
        check_option(self, "norm", NORMS)
        check_option(self, "pooling", POOLINGS)
        check_option(self, "activation", ACTIVATIONS)
        check_option(self, "init", INITS)
        return ConvNetArchitecture(self, image_shape, self._widths(image_shape), n_outputs)

    def _widths(self, image_shape: tuple[int, int, int]) -> list[int]:
        """Count the filters of each block."""
        widths, depth = self.width, self.depth
        many = isinstance(widths, tuple | list)
        numbers = list(widths) if isinstance(widths, tuple | list) else [widths]
        if not (numbers and all(isinstance(w, Integral) and w >= 1 for w in numbers)):
            raise ValueError(
                f"width={widths!r} of ConvNet must be a positive integer, or a tuple of them with "
                "one for each block."
            )
        if depth == "auto":
            blocks = len(numbers) if many else auto_depth(image_shape)
        elif isinstance(depth, Integral) and depth >= 1:
            blocks = int(depth)
        else:
            raise ValueError(f"depth={depth!r} of ConvNet must be 'auto' or a positive integer.")
        if many and len(numbers) != blocks:
            raise ValueError(
                f"width={widths!r} of ConvNet has {len(numbers)} numbers, but depth={depth!r}; use "
                "depth='auto', or one number for each block."
            )
        return [int(w) for w in (numbers if many else numbers * blocks)]


def auto_depth(image_shape: tuple[int, int, int]) -> int:
    """Blocks that leave about 4 x 4 pixels of an image."""
    return max(1, round(math.log2(min(image_shape[1:]))) - 2)


class ConvNetArchitecture(LayeredArchitecture):
    """Stacked `ConvNet`: grouped convolutions on an accelerator, network by network on a CPU.

    A CPU gains from groups where each network has very few images of its own: calls are what takes
    time there. It loses for many images, which leave its cache.
    """

    def __init__(
        self, config: ConvNet, image_shape: tuple[int, int, int], widths: list[int], n_outputs: int
    ) -> None:
        self.n_outputs = n_outputs
        self._config = config
        self._image_shape = image_shape
        channels, *sides = image_shape
        pooled = config.pooling != "none"
        factor = 2 ** len(widths) if pooled else 1
        whole = [math.ceil(side / factor) * factor for side in sides]
        extra = [w - side for w, side in zip(whole, sides, strict=True)]
        # Columns and then rows, as torch pads.
        self._frame = [extra[1] // 2, extra[1] - extra[1] // 2]
        self._frame += [extra[0] // 2, extra[0] - extra[0] // 2]
        inputs = [channels, *widths]
        self._blocks = {f"{k}": (w, inputs[k], 3, 3) for k, w in enumerate(widths)}
        self._n_hidden = widths[-1] * (whole[0] // factor) * (whole[1] // factor)

    def initial(self, count: int, generator: Any, dtype: Any = None) -> Parameters:
        """Draw fresh networks; see `Architecture`."""
        params = {}
        shapes = {**self._blocks, "out": (self.n_outputs, self._n_hidden)}
        for name, shape in shapes.items():
            weight, bias = initial_layer(shape, count, generator, dtype, self._config.init)
            params[f"{name}.weight"] = weight
            if name != "out" and self._config.norm == "instance":
                # The mean of each channel is taken off: a bias would have no effect.
                params[f"{name}.scale"] = torch.ones_like(bias)
                params[f"{name}.bias"] = torch.zeros_like(bias)
            else:
                params[f"{name}.bias"] = bias
        return params

    def features(self, params: Parameters, rows: Any) -> Any:
        """Image that the last block leaves, flat; see `Architecture`."""
        few = rows.ndim == 3 and rows.shape[1] <= FEW_IMAGES
        grouped = few or rows.device.type != "cpu"
        return self._grouped(params, rows) if grouped else self._one_by_one(params, rows)

    def _grouped(self, params: Parameters, rows: Any) -> Any:
        """Features (count, b, n_hidden), the networks' channels side by side in one image."""
        count, shared = len(params["0.weight"]), rows.ndim == 2
        b = rows.shape[-2]
        channels, height, width = self._image_shape
        images = rows.reshape(-1, b, channels, height, width).transpose(0, 1)
        images = images.reshape(b, -1, height, width)
        flat = {name: params[name].flatten(0, 1) for name in params if not name.startswith("out.")}
        found = self._run(flat, images, count, shared)
        return found.reshape(b, count, self._n_hidden).transpose(0, 1)

    def _one_by_one(self, params: Parameters, rows: Any) -> Any:
        """Features (count, b, n_hidden), network by network and chunk by chunk."""
        layers = {name: params[name].unbind(0) for name in params if not name.startswith("out.")}
        found = []
        for k in range(len(params["0.weight"])):
            own = {name: values[k] for name, values in layers.items()}
            parts = (rows if rows.ndim == 2 else rows[k]).split(CHUNK_IMAGES)
            maps = [self._run(own, x.reshape(-1, *self._image_shape), 1, True) for x in parts]
            found.append(torch.cat(maps).flatten(1))
        return torch.stack(found)

    def _run(self, layers: Parameters, x: Any, count: int, shared: bool) -> Any:
        """Blocks of `count` networks whose channels lie side by side, on images (b, channels...).

        With `shared` the first block sees one image of all networks, else one of each.
        """
        functional = torch.nn.functional
        if any(self._frame):
            x = functional.pad(x, self._frame)
        for name in self._blocks:
            groups = 1 if shared and name == "0" else count
            weight, bias = layers[f"{name}.weight"], layers[f"{name}.bias"]
            if self._config.norm == "instance":
                x = functional.conv2d(x, weight, padding=1, groups=groups)
                x = functional.group_norm(x, x.shape[1], layers[f"{name}.scale"], bias)
            else:
                x = functional.conv2d(x, weight, bias, padding=1, groups=groups)
            x = activate(self._config.activation, x)
            if self._config.pooling == "average":
                x = functional.avg_pool2d(x, 2)
            elif self._config.pooling == "max":
                x = functional.max_pool2d(x, 2)
        return x
