"""Formulas written out in dense float64, slowly and plainly, to test the package against."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from skdistill import _torch as torch
from skdistill._input.rows import Rows, Units, merge_equal_rows
from skdistill.kernels import Kernel

CPU = torch.device("cpu")


def distinct_rows(X, weight=None, y=None) -> Rows:
    """Rows of `X`, merged."""
    return merge_equal_rows(X, y, weight)


def no_shift(d: int) -> Units:
    """Units that leave features as they are."""
    return Units(np.zeros(d))


def kernel_matrix(kernel: Kernel, A, B=None) -> np.ndarray:
    """Kernel matrix of two float64 arrays (or CSR matrices) as an array."""
    B = A if B is None else B
    if not sp.issparse(A):
        A, B = torch.from_numpy(A.copy()), torch.from_numpy(B.copy())
    return kernel(A, B).numpy()


def nearest(X: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centre and its squared distance, one row at a time."""
    label, distance2 = [], []
    for x in X:
        d2 = [float(((x - c) ** 2).sum()) for c in centres]
        label.append(int(np.argmin(d2)))
        distance2.append(min(d2))
    return np.array(label), np.array(distance2)


def kmeans_sensitivities(distance2, label, weight, k, approx_factor=1.0) -> np.ndarray:
    """s(x) = w (2 a d2 / c + 4 a c_i / (W_i c) + 4 / W_i), a = 16 (ln k + 2) * approx_factor."""
    a = 16 * (np.log(k) + 2) * approx_factor
    cost = sum(w * d for w, d in zip(weight, distance2, strict=True))
    scores = []
    for w, d, i in zip(weight, distance2, label, strict=True):
        W_i = sum(v for v, j in zip(weight, label, strict=True) if j == i)
        if cost == 0:
            scores.append(w / W_i)
            continue
        members = [v * e for v, e, j in zip(weight, distance2, label, strict=True) if j == i]
        scores.append(w * (2 * a * d / cost + 4 * a * sum(members) / (W_i * cost) + 4 / W_i))
    return np.minimum(scores, 1.0)


def kmeans_shares(X, weight, centres) -> np.ndarray:
    """Each row's share in the weighted cost of some centres."""
    _, distance2 = nearest(X, centres)
    cost = weight * distance2
    return cost / cost.sum() if cost.sum() > 0 else np.zeros(len(X))


def ridge_solution(K, Y, weight, alpha) -> np.ndarray:
    """Dual coefficients of the minimiser: (K + alpha W^-1) A = Y."""
    return np.linalg.solve(K + alpha * np.diag(1 / weight), Y)


def ridge_loss(K, A, Y, weight, alpha) -> float:
    """L(f) = sum_i w_i |f(x_i) - y_i|^2 + alpha |f|^2 for f = sum_j A_j k(x_j, .)."""
    total = 0.0
    for i in range(len(K)):
        total += weight[i] * ((K[i] @ A - Y[i]) ** 2).sum()
    return total + alpha * np.trace(A.T @ K @ A)


def ridge_leverage(K, weight, alpha) -> np.ndarray:
    """tau_i = (K (K + alpha W^-1)^-1)_ii."""
    return np.diag(K @ np.linalg.inv(K + alpha * np.diag(1 / weight)))


def ridge_sensitivities(K, Y, weight, alpha) -> tuple[np.ndarray, np.ndarray]:
    """Leverage scores and residual shares of the exact problem."""
    A = ridge_solution(K, Y, weight, alpha)
    optimum = ridge_loss(K, A, Y, weight, alpha)
    residual = weight * ((K @ A - Y) ** 2).sum(1)
    return ridge_leverage(K, weight, alpha), residual / optimum


def relu_kernels(A, B, depth) -> tuple[np.ndarray, np.ndarray]:
    """NNGP and NTK of a ReLU network without biases, entry by entry; inputs scaled by 1/sqrt(d).

    K_0 = x.y / d, K_l = sqrt(K_l-1(x,x) K_l-1(y,y)) (sin t + (pi - t) cos t) / pi with the angle t
    of layer l - 1; Theta_0 = K_0, Theta_l = K_l + Theta_l-1 (pi - t) / pi.
    """
    d = A.shape[1]
    nngp, ntk = np.empty((len(A), len(B))), np.empty((len(A), len(B)))
    for i, x in enumerate(A):
        for j, y in enumerate(B):
            xx, yy, xy = x @ x / d, y @ y / d, x @ y / d
            theta = xy
            for _ in range(depth):
                norm = np.sqrt(xx * yy)
                t = np.arccos(np.clip(xy / norm, -1, 1)) if norm > 0 else np.pi / 2
                xy = norm * (np.sin(t) + (np.pi - t) * np.cos(t)) / np.pi
                theta = xy + theta * (np.pi - t) / np.pi
            nngp[i, j], ntk[i, j] = xy, theta
    return nngp, ntk
