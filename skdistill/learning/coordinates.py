r"""Coordinates that rows are learnt in, and the way back to the user's units.

Features are centred and brought to comparable size, robustly: the quartile distance decides, not a
few extreme rows. A typical row has length 1. Rows of many correlated features, such as pixels, are
learnt within the span of their leading principal directions E; what lies outside the span keeps its
share in every distance as one more coordinate, its length. With z = E'x of a scaled row x and a
learnt row v of the span,

.. math:: |x - v|^2 = |z_x - z_v|^2 + r_x^2 ,

so that distances, and with them shift-invariant kernels, are exact in the user's space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _torch as torch
from .._device import for_each_block, tile_rows
from .._input.rows import as_tensor
from ..networks._units import channel_units, outlier_limits, within_limits

_QUANTILE_ELEMENTS = 2**19  # sorted at a time
_MOST_DIRECTIONS = 2000  # that are looked for: their number cubed is the work
_QUARTILES = 1.349  # quartile distance of a standard normal variable


@dataclass(frozen=True)
class Coordinates:
    """An affine map of rows.

    Attributes
    ----------
    center, scale : float64 ndarray of shape (d,)
        Location and unit of each feature. The unit of a constant feature is infinite: it has no
        influence, and learnt rows hold its value.
    basis : float64 ndarray of shape (d, q) or None
        Orthonormal directions of the scaled features; None keeps the features themselves.
    length : float
        Typical length of a row, for kernels whose scale is chosen for rows of length 1.
    limits : float64 ndarray of shape (2, d) or None
        Least and largest value of each feature; cells beyond count as these.
    """

    center: np.ndarray
    scale: np.ndarray
    basis: np.ndarray | None = None
    length: float = 1.0
    limits: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Coordinates of a row: d, or q and the length outside the span."""
        return self.free + (self.basis is not None)

    @property
    def free(self) -> int:
        """Leading coordinates that can be learnt; the length outside the span stays 0."""
        return len(self.center) if self.basis is None else self.basis.shape[1]

    def load(self, X: np.ndarray, dtype: Any, device: Any, index: np.ndarray | None = None) -> Any:
        """Coordinates of rows, computed in float64, block by block.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        dtype : torch.dtype
        device : torch.device
        index : int64 ndarray of shape (k,) or None
            Rows to load, in this order; None loads all of them. `X` itself is not reordered.

        Returns
        -------
        Tensor of shape (n, width) or (k, width)
        """
        n_rows = len(X) if index is None else len(index)
        center = torch.from_numpy(self.center).to(device)
        inverse = torch.from_numpy(1 / self.scale).to(device)
        basis = None if self.basis is None else torch.from_numpy(self.basis).to(device)
        limits = None if self.limits is None else torch.from_numpy(self.limits).to(device)
        out = torch.empty((n_rows, self.width), dtype=dtype, device=device)

        def work(start: int, stop: int) -> None:
            block = X[start:stop] if index is None else X[index[start:stop]]
            x = as_tensor(block).to(device, torch.float64)
            if limits is not None:
                x = x.clamp(*limits)
            x = (x - center).mul_(inverse)
            if basis is None:
                out[start:stop] = x
                return
            z = x @ basis
            outside = torch.linalg.vecdot(x, x) - torch.linalg.vecdot(z, z)
            out[start:stop, :-1] = z
            out[start:stop, -1] = outside.clamp_(min=0).sqrt_()

        for_each_block(work, n_rows, tile_rows(len(self.center), torch.device(device)))
        return out

    def restore(self, rows: Any) -> np.ndarray:
        """Rows (m, d) in the user's units, float64, of learnt coordinates (m, width)."""
        z = rows.detach().double().cpu().numpy()
        x = z if self.basis is None else z[:, :-1] @ self.basis.T
        return self.center + x * np.where(np.isfinite(self.scale), self.scale, 0.0)


def plain_coordinates(n_features: int) -> Coordinates:
    """Coordinates that are the features themselves."""
    return Coordinates(np.zeros(n_features), np.ones(n_features))


def unit_coordinates(
    X: np.ndarray, weight: np.ndarray, image_shape: tuple[int, int, int] | None = None
) -> Coordinates:
    """Centre and scale each feature, or each channel of images, to size 1: what networks expect.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        A sample of the rows.
    weight : float64 ndarray of shape (n,)
    image_shape : tuple of int or None
        Channels, height and width. Channels get the mean and standard deviation of their pixels,
        so that all pixels of a channel keep their relation; features of vectors are centred and
        scaled robustly, as by `robust_coordinates`.

    Returns
    -------
    Coordinates
    """
    share = weight / weight.sum()
    limits = outlier_limits(X, share, image_shape)
    X = within_limits(X.astype(np.float64), limits)
    if image_shape is None:
        center, scale = _robust_units(X, share)
    else:
        center, scale = channel_units(X, share, image_shape)
    return Coordinates(center, scale, length=_length(scale), limits=limits)


def robust_coordinates(
    X: np.ndarray, weight: np.ndarray, *, per_feature: bool = True, explained: float | None = None
) -> Coordinates:
    """Centre and scale features; find principal directions where they save much.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        A sample of the rows.
    weight : float64 ndarray of shape (n,)
    per_feature : bool
        A unit for each feature, the smaller of its standard deviation and its robust estimate by
        quartiles (where that is not 0). Otherwise one unit for all, which suits features of a
        common unit such as pixels.
    explained : float or None
        Share of the variance that the directions must explain. They are used only where fewer than
        d / 2 do; None never uses them.

    Returns
    -------
    Coordinates
    """
    X = X.astype(np.float64)
    n_features = X.shape[1]
    share = weight / weight.sum()
    if per_feature:
        center, scale = _robust_units(X, share)
        scale *= _length(scale)
    else:
        center = share @ X
        length = np.sqrt(np.sum(_deviation(X, share) ** 2))
        scale = np.full(n_features, length if length > 0 else 1.0)
    coordinates = Coordinates(center, scale)
    if explained is None:
        return coordinates
    # Directions go through the mean, or the offset of the median would need one of its own.
    centered = (X - share @ X) / scale
    basis = _leading_directions(np.sqrt(share)[:, None] * centered, explained)
    if basis is None or basis.shape[1] >= n_features / 2:
        return coordinates
    return Coordinates(share @ X, scale, basis)


def _leading_directions(A: np.ndarray, explained: float) -> np.ndarray | None:
    """Orthonormal directions (d, q), as few as explain a share of the squares of A (n, d).

    The rank is at most the smaller side, whose product with itself has all that is needed. Where
    even that one is large, a part of the rows, of which there are thousands, speaks for all: what
    their directions leave of a row keeps its share in distances anyway.
    """
    n, d = A.shape
    if min(n, d) > _MOST_DIRECTIONS:
        A = A[np.linspace(0, n - 1, _MOST_DIRECTIONS).astype(np.int64)]
    wide = len(A) < d
    values, vectors = np.linalg.eigh(A @ A.T if wide else A.T @ A)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    cumulative = np.cumsum(values)
    if not cumulative[-1] > 0:
        return None
    count = 1 + int(np.sum(cumulative < explained * cumulative[-1]))
    leading = vectors[:, :count]
    if wide:
        leading = A.T @ (leading / np.sqrt(values[:count]))
    return np.ascontiguousarray(leading)


def _robust_units(X: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and unit (d,) of each feature; the unit of a constant one is infinite."""
    low, center, high = _weighted_quantiles(X, share, (0.25, 0.5, 0.75))
    deviation = _deviation(X, share)
    robust = (high - low) / _QUARTILES
    scale = np.where(robust > 0, np.minimum(robust, deviation), deviation)
    # A deviation within the rounding of the values themselves is no deviation.
    scale[~(scale > 1e-12 * np.abs(center))] = np.inf
    return center, scale


def _length(scale: np.ndarray) -> float:
    """Typical length of a row whose features have size 1, constant ones left out."""
    return float(np.sqrt(max(1, np.isfinite(scale).sum())))


def _deviation(X: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.sqrt(share @ (X - share @ X) ** 2)


def _weighted_quantiles(
    X: np.ndarray, share: np.ndarray, levels: tuple[float, ...]
) -> list[np.ndarray]:
    """Quantiles of each column, by the share of the rows below; equal to those of repeated rows."""
    quantiles = [np.empty(X.shape[1]) for _ in levels]
    width = max(1, _QUANTILE_ELEMENTS // max(1, len(X)))  # columns at a time, to save memory
    for start in range(0, X.shape[1], width):
        block = X[:, start : start + width]
        order = np.argsort(block, axis=0)
        below = np.cumsum(share[order], axis=0)
        columns = np.arange(block.shape[1])
        for level, found in zip(levels, quantiles, strict=True):
            position = np.argmax(below >= level - 1e-12, axis=0)
            found[start : start + width] = block[order[position, columns], columns]
    return quantiles
