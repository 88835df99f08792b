"""Mean and deviation of features, or of the channels of images."""

from __future__ import annotations

import numpy as np


def feature_units(X: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of features; the deviation of a constant one is infinite.

    Parameters
    ----------
    X : float64 ndarray of shape (n, d)
    share : float64 ndarray of shape (n,), sums to 1
    """
    mean = share @ X
    deviation = np.sqrt(share @ (X - mean) ** 2)
    # A deviation within the rounding of the values themselves is no deviation.
    deviation[~(deviation > 1e-12 * np.abs(mean))] = np.inf
    return mean, deviation


def channel_units(
    X: np.ndarray, share: np.ndarray, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (d,) of the pixels of each feature's channel; see above."""
    pixels = X.shape[1] // image_shape[0]
    units = [
        feature_units(channel.reshape(-1, 1), np.repeat(share, pixels) / pixels)
        for channel in np.split(X, image_shape[0], axis=1)
    ]
    mean, deviation = (np.repeat(np.concatenate(part), pixels) for part in zip(*units, strict=True))
    return mean, deviation
