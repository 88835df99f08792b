"""Mean and deviation of features, or of the channels of images, whatever single cells hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._input.rows import Units

BLOCK_ROWS = 4096  # in float64 at a time
RARE = 0.01  # share of the rows that may hold outliers of a feature, on each side; one row always
_SAMPLE = 2000  # images whose pixels are ordered
FAR = 100.0  # ranges of the other rows that an outlier lies beyond them


def network_units(X: np.ndarray, weight: np.ndarray, image_shape: Any = None) -> Units:
    """Units in which features, or the channels of images, have mean 0 and deviation 1.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    weight : float64 ndarray of shape (n,)
    image_shape : tuple of int or None

    Returns
    -------
    Units
        The factor of a feature that does not vary is 0. Outliers count as the farthest other value.
    """
    share = weight / weight.sum()
    limits = outlier_limits(X, share, image_shape)
    X = within_limits(X, limits)
    if image_shape is None:
        mean, deviation = feature_units(X, share)
    else:
        mean, deviation = channel_units(X, share, image_shape)
    return Units(mean, np.where(np.isinf(deviation), 0, 1 / deviation), limits=limits)


def outlier_limits(
    X: np.ndarray, share: np.ndarray, image_shape: tuple[int, int, int] | None = None
) -> np.ndarray | None:
    """Least and largest value (2, d) of each feature that is no outlier; None without outliers.

    A few cells that lie a hundred times as far out as all others would set mean and deviation, and
    hide what the others say. Where there are such, the limit is the farthest cell that is none;
    elsewhere it is infinite. A feature without other values than its outliers has none: 0 and 1
    are as good as 0 and 1e12.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    share : float64 ndarray of shape (n,), sums to 1
    image_shape : tuple of int or None
        Pixels of a channel have common limits.
    """
    n, d = X.shape
    rare = max(RARE, 1.5 / n)
    if rare > 0.25:
        return None
    if image_shape is None:
        columns = _candidates(X, share, rare)
        least = largest = X[:, columns].astype(np.float64)
        pixels = 1
    else:
        columns, pixels = np.arange(image_shape[0]), d // image_shape[0]
        images = X.reshape(n, -1, pixels)
        least, largest = (part.astype(np.float64) for part in (images.min(2), images.max(2)))
    low, high = _inner(least, largest, share, rare)
    if image_shape is not None:
        # An image may have many pixels in which there is an outlier, each of which is rare.
        some = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
        cells = images[some].transpose(0, 2, 1).reshape(-1, len(columns)).astype(np.float64)
        of_cells = _inner(
            cells, cells, np.repeat(share[some] / share[some].sum(), pixels) / pixels, RARE
        )
        low, high = np.where(of_cells[0] < of_cells[1], of_cells, (low, high))
    with np.errstate(over="ignore"):
        far = np.where(high > low, FAR * (high - low), np.inf)
        below, above = least < low - far, largest > high + far
    if not (below.any() or above.any()):
        return None
    limits = np.full((2, d // pixels), [[-np.inf], [np.inf]])
    limits[0, columns] = np.where(below.any(0), np.where(below, np.inf, least).min(0), -np.inf)
    limits[1, columns] = np.where(above.any(0), np.where(above, -np.inf, largest).max(0), np.inf)
    return np.repeat(limits, pixels, axis=1)


def within_limits(X: np.ndarray, limits: np.ndarray | None) -> np.ndarray:
    """Rows whose cells beyond limits (2, d) are at them: `X` itself, or floats of its precision."""
    if limits is None:
        return X
    low, high = limits if X.dtype.kind != "f" else limits.astype(X.dtype)
    return np.clip(X, low, high)


def _candidates(X: np.ndarray, share: np.ndarray, rare: float) -> np.ndarray:
    """Columns whose largest deviation is as many standard deviations as one of outliers is."""
    mean, variance = _moments(X, share)
    largest = np.maximum(X.max(0) - mean, mean - X.min(0))
    # Outliers, of twice this share in all, are nearly all of the variance.
    least = 0.9 * (1 - 2 * rare) / np.sqrt(2 * rare)
    return np.flatnonzero(largest > least * np.sqrt(variance))


def _inner(
    least: np.ndarray, largest: np.ndarray, share: np.ndarray, rare: float
) -> tuple[np.ndarray, np.ndarray]:
    """Range (k,) of values (n, k) without the rows of share `rare` at each end."""
    return -_without_rare(-least, share, rare), _without_rare(largest, share, rare)


def _without_rare(values: np.ndarray, share: np.ndarray, rare: float) -> np.ndarray:
    """Largest value of each column (n, k) when the largest rows, of share `rare`, are left out."""
    order = np.argsort(-values, axis=0)
    left_out = np.cumsum(share[order], axis=0) <= rare + 1e-12
    return np.take_along_axis(values, order, 0)[left_out.sum(0), np.arange(values.shape[1])]


def feature_units(X: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of features; the deviation of a constant one is infinite.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    share : float64 ndarray of shape (n,), sums to 1
    """
    mean, variance = _moments(X, share)
    return mean, _deviation(mean, variance)


def channel_units(
    X: np.ndarray, share: np.ndarray, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of the pixels of each feature's channel; see above."""
    pixels = X.shape[1] // image_shape[0]
    of_pixels, variance = (part.reshape(-1, pixels) for part in _moments(X, share))
    mean = of_pixels.mean(1)
    # Within pixels and between them.
    variance = (variance + (of_pixels - mean[:, None]) ** 2).mean(1)
    return np.repeat(mean, pixels), np.repeat(_deviation(mean, variance), pixels)


def _moments(X: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance (d,) of features, float64; `X` is never copied as a whole."""
    mean, variance = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(X), BLOCK_ROWS)]
    for block in blocks:
        mean += share[block] @ X[block].astype(np.float64)
    for block in blocks:
        variance += share[block] @ (X[block] - mean) ** 2
    return mean, variance


def _deviation(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    deviation = np.sqrt(variance)
    # A deviation within the rounding of the values themselves is no deviation.
    deviation[~(deviation > 1e-12 * np.abs(mean))] = np.inf
    return deviation
