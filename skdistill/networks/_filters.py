"""Filters and principal directions of one-layer features, learnt from the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from .. import _torch as torch

KMEANS_STEPS = 15
BLOCK_PATCHES = 2048  # whose responses stay in a core's cache
SUBSPACE_STEPS = 6
EXTRA_DIRECTIONS = 64  # beyond those asked for; they make the subspace iteration converge


def normalise_patches(patches: Any, contrast_reg: float) -> tuple[Any, float]:
    """Patches of mean 0 and deviation about 1; those without contrast are left out.

    Parameters
    ----------
    patches : float64 Tensor of shape (n, p)
    contrast_reg : float
        Relative to the mean variance of a patch.

    Returns
    -------
    Tensor of shape (kept, p), and the number added to variances
    """
    patches = patches - patches.mean(1, keepdim=True)
    variance = patches.square().mean(1)
    mean_variance = float(variance.mean())
    if not mean_variance > 0:
        return patches[:0], 1.0
    epsilon = contrast_reg * mean_variance
    seen = variance > 0.01 * mean_variance
    return patches[seen] / (variance[seen, None] + epsilon).sqrt(), epsilon


def whitening(patches: np.ndarray, reg: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean (p,) and symmetric whitening matrix (p, p) of patches (n, p)."""
    p = patches.shape[1]
    if len(patches) < 2:
        return np.zeros(p), np.eye(p)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False, bias=True).reshape(p, p))
    return patches.mean(0), (vectors / np.sqrt(values.clip(min=0) + reg)) @ vectors.T


def spherical_kmeans(patches: Any, n_filters: int, generator: Any, n_steps: int) -> Any:
    """Find unit filters (n_filters, p), each the mean direction of its patches up to sign.

    A response counts by its size, since both of its signs are kept by the two-sided rectifier.
    With `n_steps` 0 the filters are random patches.

    References
    ----------
    .. [1] A. Coates, A. Ng, "Learning feature representations with k-means", in Neural Networks:
       Tricks of the Trade, 2012.
    """
    device = patches.device
    noise = torch.randn(
        (n_filters, patches.shape[1]), generator=generator, device=device, dtype=patches.dtype
    )
    chosen = torch.randperm(len(patches), generator=generator, device=device)[:n_filters]
    filters = noise.clone()
    filters[: len(chosen)] = patches[chosen]
    filters = torch.nn.functional.normalize(filters)
    for _ in range(n_steps if len(patches) else 0):
        # The old filter added keeps filters without patches where they are.
        sums = filters.clone()
        for block in patches.split(BLOCK_PATCHES):
            response = block @ filters.T
            sign = response.sign()
            nearest = response.abs_().argmax(1)
            sums.index_add_(0, nearest, sign.gather(1, nearest[:, None]) * block)
        filters = torch.nn.functional.normalize(sums)
    return filters


def principal_scaling(covariance: np.ndarray, n_components: int, generator: Any) -> np.ndarray:
    r"""Leading principal directions, damped: column j is v_j (w_j + 10 w_last)^(-1/4).

    Parameters
    ----------
    covariance : float64 ndarray of shape (width, width)
    n_components : int
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    float64 ndarray of shape (width, kept)
        Directions without variance are left out; one is always kept.
    """
    width = len(covariance)
    n_components = min(n_components, width)
    n_directions = n_components + EXTRA_DIRECTIONS
    if 2 * n_directions >= width:
        values, vectors = scipy.linalg.eigh(covariance)
    else:
        C = torch.from_numpy(covariance)
        Q = torch.randn((width, n_directions), generator=generator, dtype=torch.float64)
        # The last step removes what rounding in the others brought in.
        single, Q = C.float(), Q.float()
        for _ in range(SUBSPACE_STEPS - 1):
            Q = torch.linalg.qr(single @ Q)[0]
        Q = torch.linalg.qr(C @ Q.double())[0]
        values, small = scipy.linalg.eigh((Q.T @ C @ Q).numpy())
        vectors = Q.numpy() @ small
    values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    kept = max(1, int(np.sum(values > 1e-6 * max(values[0], 0.0))))
    values, vectors = values[:kept].clip(min=0), vectors[:, :kept]
    sign = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(kept)])
    if not values[0] > 0:
        return np.zeros((width, 1))
    return vectors * sign * (values + 10 * values[-1]) ** -0.25
