"""Small weighted kernel ridge solves, in float64.

``sum_i w_i |f(x_i) - y_i|^2 + alpha |f|^2`` over an RKHS has the minimiser
``f = sum_i a_i k(x_i, .)`` with ``(K + alpha W^-1) a = y``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.optimize import brentq

# Ridges tried by leave-one-out, relative to the largest eigenvalue of W^1/2 K W^1/2.
RELATIVE_ALPHAS = np.logspace(-12, 0, 25)


@dataclass(frozen=True)
class RidgeFit:
    """Dual coefficients (m, q), the targets' weighted mean (q,) taken as intercept, the ridge."""

    dual_coef: np.ndarray
    intercept: np.ndarray
    alpha: float


def fit_weighted_ridge(
    K: np.ndarray,
    Y: np.ndarray,
    weight: np.ndarray,
    decomposition: tuple[np.ndarray, np.ndarray] | None = None,
) -> RidgeFit:
    """Weighted kernel ridge regression whose ridge minimises the leave-one-out error.

    One eigendecomposition of ``W^1/2 K W^1/2`` serves every ridge: the residual of a row when it is
    left out is its residual over one minus its leverage. It takes as long as ten Cholesky factors
    with the inverses that the leverages need, and there are more ridges than that to try.

    Parameters
    ----------
    K : float64 ndarray of shape (m, m)
    Y : float64 ndarray of shape (m, q)
    weight : float64 ndarray of shape (m,), positive
    decomposition : pair of float64 ndarrays of shape (m,) and (m, m), or None
        Eigenvalues and vectors of K, where all weights are equal and they are known.

    Returns
    -------
    RidgeFit
    """
    intercept = np.average(Y, axis=0, weights=weight)
    root = np.sqrt(weight / weight.mean())[:, None]
    values, vectors = decomposition or scipy.linalg.eigh(root * K * root.T)
    values = np.maximum(values, 0.0)
    scaled = root * (Y - intercept)
    projected = vectors.T @ scaled
    squares = vectors**2
    alphas = RELATIVE_ALPHAS * (values[-1] or 1.0)
    errors = []
    for alpha in alphas:
        shrink = alpha / (values + alpha)
        residual = vectors @ (shrink[:, None] * projected)
        errors.append(((residual / (squares @ shrink)[:, None]) ** 2).sum())
    alpha = alphas[int(np.argmin(errors))]
    dual_coef = root * (vectors @ (projected / (values + alpha)[:, None]))
    return RidgeFit(dual_coef, intercept, float(alpha * weight.mean()))


def ridge_for_effective_dimension(eigenvalues: np.ndarray, target: float) -> float:
    """Ridge alpha with ``sum_i l_i / (l_i + alpha) = target``.

    Parameters
    ----------
    eigenvalues : ndarray of shape (u,)
        Of ``W^1/2 K W^1/2``, ascending.
    target : float
        Wished effective dimension; at most 0.9 times the number of eigenvalues that count.

    Returns
    -------
    float, positive
    """
    largest = eigenvalues[-1]
    if not largest > 0:
        return 1.0
    scaled = np.maximum(eigenvalues / largest, 0)
    rank = (scaled > 1e-12).sum()
    target = min(target, 0.9 * rank)

    def excess(log_alpha: float) -> float:
        return float((scaled / (scaled + np.exp(log_alpha))).sum() - target)

    return float(largest * np.exp(brentq(excess, np.log(1e-16), np.log(10 * rank / target + 10))))


def cholesky_with_jitter(A: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor of a symmetric matrix, with ten-fold jitter while it fails."""
    jitter, size = 0.0, float(np.trace(A)) / len(A)
    while True:
        try:
            shifted = A + jitter * np.eye(len(A)) if jitter else A
            return scipy.linalg.cholesky(shifted, lower=True)
        except scipy.linalg.LinAlgError as error:
            jitter = 10 * jitter or 1e-14 * size
            if not 0 < jitter <= 1e-2 * size:
                raise ValueError(
                    "The kernel matrix is not positive semi-definite; pass a kernel that is, or a "
                    "larger alpha."
                ) from error
            warnings.warn(
                f"The kernel matrix is not positive definite: {jitter:.0e} added to its diagonal.",
                scipy.linalg.LinAlgWarning,
                stacklevel=2,
            )
