r"""One layer of convolutional features, as a differentiable function of pixels.

For a patch p with mean and standard deviation over its pixels, filters D (unit rows) and a
whitening matrix Z around the mean mu of normalised patches,

.. math:: u = D Z \left(\frac{p - \bar p}{\sqrt{\operatorname{var}(p) + \epsilon}} - \mu\right) .

The mean drops out once every row of D Z sums to 0, so that u is a convolution of the image divided
by a local deviation: no patch is ever copied. The rectified responses max(0, u - t) and
max(0, -u - t) are averaged over overlapping cells; their square roots are projected and scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _torch as torch
from .._input.rows import as_tensor

ROOT_OFFSET = 1e-6  # under the square root, whose slope at 0 is infinite


@dataclass(frozen=True)
class FeatureMap:
    """Parameters of the map.

    Attributes
    ----------
    image_shape : tuple of 3 int
        Channels, height and width.
    kernels : float64 ndarray of shape (k, channels, patch height, patch width)
        Each sums to 0.
    bias : float64 ndarray of shape (k,)
        The responses to the mean patch.
    epsilon : float
        Added to the variance of a patch.
    stride : int
    threshold : float
    pool : tuple of 2 float64 ndarray, of shape (positions, cells)
        Averages down the rows and along the columns of responses.
    mirror : bool or "signed"
        True averages responses to an image and its mirror image; "signed" makes one group of
        features that the two share and one that differs by its sign. For both, the second half of
        the kernels must be the first half mirrored.
    center : float64 ndarray of shape (groups, width) or None
    components : float64 ndarray of shape (groups, width, p) or None
        None, as long as they are not known, returns the pooled responses, (b, groups, width).
    """

    image_shape: tuple[int, int, int]
    kernels: np.ndarray
    bias: np.ndarray
    epsilon: float
    stride: int
    threshold: float
    pool: tuple[np.ndarray, np.ndarray]
    mirror: bool | str
    center: np.ndarray | None = None
    components: np.ndarray | None = None

    def on(self, device: Any, dtype: Any) -> LoadedMap:
        """Return the map as a function of Tensors (b, d) of that device and type."""
        return LoadedMap(self, device, dtype)


class LoadedMap:
    """A map on a device: call it with rows, Tensor (b, d).

    Its two halves stand alone for who has many rows: responses of few images at a time stay in a
    core's cache, and the projection is a matrix that is worth reading for many images only.
    """

    def __init__(self, feature_map: FeatureMap, device: Any, dtype: Any) -> None:
        def load(array: np.ndarray) -> Any:
            return as_tensor(np.ascontiguousarray(array)).to(device, dtype)

        self._map = feature_map
        kernels = load(feature_map.kernels)
        # Filters stand next to each other in memory: everything after the convolution runs on them.
        self._kernels = kernels.to(memory_format=torch.channels_last)
        self._offset = -load(feature_map.bias) - feature_map.threshold
        self._other_side = load(np.array(-2 * feature_map.threshold))
        down, along = feature_map.pool
        self._down, self._along = load(down.T), load(along.T)
        self._projection: tuple[Any, Any] | None = None
        if feature_map.components is not None and feature_map.center is not None:
            self._projection = (
                load(feature_map.components),
                load(feature_map.center[:, None] @ feature_map.components),
            )

    def __call__(self, rows: Any) -> Any:
        """Features (b, p); pooled responses (b, groups, width) of a map without projection."""
        return self.project(self.pooled(rows))

    def pooled(self, rows: Any) -> Any:
        """Roots of pooled responses, Tensor (b, groups, width)."""
        images = rows.reshape(len(rows), *self._map.image_shape)
        v = self._responses(images)
        cells = (len(self._down), len(self._along))
        # Memory that no gradient asks for is used again: fresh pages cost more than the work.
        spare = None if torch.is_grad_enabled() else v
        first = self._pool(v.clamp_min(0))
        second = self._pool(torch.sub(self._other_side, v, out=spare).clamp_min(0))
        pooled = torch.stack([first, second], 1).transpose(2, 3)  # (b, 2, k, cells)
        mirror = self._map.mirror
        if mirror is True:
            pooled = torch.stack(_mirrored(pooled, cells)).mean(0)
        pooled = (pooled + ROOT_OFFSET).sqrt()
        if mirror == "signed":
            first, second = _mirrored(pooled, cells)
            pooled = torch.stack([first + second, first - second], 1) * 0.5**0.5
        else:
            pooled = pooled[:, None]
        return pooled.flatten(2)

    def project(self, pooled: Any) -> Any:
        """Features (b, p) of length 1; `pooled` itself where the map has no projection."""
        if self._projection is None:
            return pooled
        components, center = self._projection
        scaled = torch.baddbmm(-center, pooled.transpose(0, 1), components)
        scaled = scaled.transpose(0, 1).flatten(1)
        length = torch.linalg.vecdot(scaled, scaled).clamp_min(1e-24).sqrt()
        return scaled / length[:, None]

    def _responses(self, images: Any) -> Any:
        """Responses less the threshold, Tensor (b, lines, columns, k)."""
        functional = torch.nn.functional
        stride = self._map.stride
        # A common offset would cost digits of the variance.
        images = images - images.mean((1, 2, 3), keepdim=True)
        moments = torch.stack([images.mean(1), images.square().mean(1)], 1)
        moments = functional.avg_pool2d(moments, self._kernels.shape[2:], stride)
        variance = (moments[:, 1] - moments[:, 0].square()).clamp_min(0)
        deviation = (variance + self._map.epsilon).sqrt()
        images = images.contiguous(memory_format=torch.channels_last)
        u = functional.conv2d(images, self._kernels, stride=stride).permute(0, 2, 3, 1)
        spare = None if torch.is_grad_enabled() else u
        return torch.addcdiv(self._offset, u, deviation[..., None], out=spare)

    def _pool(self, side: Any) -> Any:
        """Averages over cells: (b, lines, columns, k) -> (b, cells, k)."""
        b, lines, columns, k = side.shape
        down = self._down.expand(b, -1, -1)
        side = torch.bmm(down, side.reshape(b, lines, columns * k))
        along = self._along.expand(b * len(self._down), -1, -1)
        return torch.bmm(along, side.reshape(-1, columns, k)).reshape(b, -1, k)


def _mirrored(pooled: Any, cells: tuple[int, int]) -> tuple[Any, Any]:
    """Half of the responses, and the same half of the mirror image: (b, sides, k / 2, *cells)."""
    b, sides, k, _ = pooled.shape
    first, second = pooled.reshape(b, sides, 2, k // 2, *cells).unbind(2)
    return first, second.flip(-1)


def pooling(n_positions: int, n_cells: int) -> np.ndarray:
    """Averages over overlapping cells, symmetric about the middle.

    Returns
    -------
    float64 ndarray of shape (n_positions, n_cells)
        Columns sum to 1. Neighbouring cells share about a third of their positions.
    """
    n_cells = min(n_cells, n_positions)
    if n_cells == 1:
        return np.full((n_positions, 1), 1 / n_positions)
    size = min(n_positions, -(-3 * n_positions // (2 * n_cells + 1)))
    if n_cells % 2 and (n_positions - size) % 2:  # or the middle cell would be off the middle
        size += 1
    step = (n_positions - size) / (n_cells - 1)
    pool = np.zeros((n_positions, n_cells))
    for cell in range((n_cells + 1) // 2):
        begin = round(cell * step)
        pool[begin : begin + size, cell] = 1 / size
        pool[:, n_cells - 1 - cell] = pool[::-1, cell]
    return pool
