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

    def on(self, device: Any, dtype: Any) -> Any:
        """Return the map as a function of Tensors (b, d) of that device and type."""

        def load(array: np.ndarray) -> Any:
            return as_tensor(np.ascontiguousarray(array)).to(device, dtype)

        kernels, bias = load(self.kernels), load(self.bias)[:, None, None]
        down, along = map(load, self.pool)
        # One matrix for both directions: rows are positions, columns are cells.
        pool = torch.kron(down, along)
        cells = (down.shape[1], along.shape[1])
        projection = None
        if self.components is not None and self.center is not None:
            components = load(self.components)
            projection = components, load(self.center[:, None] @ self.components)

        def features(rows: Any) -> Any:
            images = rows.reshape(len(rows), *self.image_shape)
            u = self._responses(images, kernels, bias).flatten(2)
            sides = [torch.relu(side - self.threshold) @ pool for side in (u, -u)]
            pooled = torch.stack(sides, 1)  # (b, 2, k, cells)
            if self.mirror is True:
                pooled = torch.stack(_mirrored(pooled, cells)).mean(0)
            pooled = (pooled + ROOT_OFFSET).sqrt()
            if self.mirror == "signed":
                first, second = _mirrored(pooled, cells)
                pooled = torch.stack([first + second, first - second], 1) * 0.5**0.5
            else:
                pooled = pooled[:, None]
            pooled = pooled.flatten(2)
            if projection is None:
                return pooled
            scaled = torch.baddbmm(-projection[1], pooled.transpose(0, 1), projection[0])
            scaled = scaled.transpose(0, 1).flatten(1)
            length = torch.linalg.vecdot(scaled, scaled).clamp_min(1e-24).sqrt()
            return scaled / length[:, None]

        return features

    def _responses(self, images: Any, kernels: Any, bias: Any) -> Any:
        functional = torch.nn.functional
        # A common offset would cost digits of the variance.
        images = images - images.mean((1, 2, 3), keepdim=True)
        size = kernels.shape[2:]
        moments = torch.stack([images.mean(1), images.square().mean(1)], 1)
        moments = functional.avg_pool2d(moments, size, self.stride)
        variance = (moments[:, 1] - moments[:, 0].square()).clamp_min(0)
        deviation = (variance + self.epsilon).sqrt()
        u = functional.conv2d(images, kernels, stride=self.stride)
        return u / deviation[:, None] - bias


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
