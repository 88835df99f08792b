"""Mean and deviation of features, or of the channels of images."""

from __future__ import annotations

import numpy as np

BLOCK_ROWS = 4096  # in float64 at a time


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
