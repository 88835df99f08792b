"""Whether images show the same in a mirror: photographs do, writing does not."""

from __future__ import annotations

import numpy as np

N_QUERIES, N_OTHERS = 1000, 4000
LEAST_IMAGES = 200  # fewer say too little
CONTRAST = 1e-5  # least deviation of an image, relative to its size
FARTHER = 1.05  # measured: at most 1.01 for photographs, at least 1.15 for digits


def shows_the_same_mirrored(X: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Tell whether mirror images have other images as near as the images themselves have.

    Images are compared without their mean, at length 1. No label is used.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        A sample of the images as rows, in any order.
    shape : tuple of 3 int
        Channels, height and width.

    Returns
    -------
    bool
        False for too few images with something to see.
    """
    # Evenly spaced: rows that are sorted by class have others of their class on either side.
    most = min(len(X), N_QUERIES + N_OTHERS)
    rows = _unit_rows(X[np.linspace(0, len(X) - 1, most).astype(np.int64)])
    n = len(rows)
    if n < LEAST_IMAGES:
        return False
    asked = np.zeros(n, dtype=bool)
    asked[np.linspace(0, n - 1, min(N_QUERIES, n // 2)).astype(np.int64)] = True
    images, others = rows[asked], rows[~asked]
    mirrored = images.reshape(-1, *shape)[..., ::-1].reshape(images.shape)
    plain, other = (_mean_nearest(part, others) for part in (images, mirrored))
    return bool(plain > 0 and other <= FARTHER * plain)


def _unit_rows(X: np.ndarray) -> np.ndarray:
    """Images without their mean, at length 1; those without anything to see are left out."""
    rows = X.astype(np.float64 if X.dtype == np.float64 else np.float32)
    whole = np.linalg.norm(rows, axis=1)
    rows = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(rows, axis=1)
    seen = length > CONTRAST * whole
    return rows[seen] / length[seen, None]


def _mean_nearest(rows: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of unit rows (a, d) from the nearest of others (b, d)."""
    nearest = (rows @ others.T).max(1).astype(np.float64)
    return float(np.sqrt((2 - 2 * nearest).clip(min=0)).mean())
