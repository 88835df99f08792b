r"""Sensitivities for kernel ridge regression (our derivation; proof in the mathematics page).

For ``L(f) = sum_i w_i |f(x_i) - y_i|^2 + alpha |f|^2`` with minimiser f* and minimum L*, the
largest share that row i has in L(f), over all f of the RKHS, is its ridge leverage score plus its
share of the optimal loss,

.. math:: s_i = \tau_i + w_i \|f^*(x_i) - y_i\|^2 / L^*, \qquad
          \tau_i = (K (K + \alpha W^{-1})^{-1})_{ii}.

Few rows get it exactly, in float64. Many rows get it through landmarks, in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from .. import _torch as torch
from .._device import for_each_block, tile_rows
from .._input.rows import Rows, Units
from .._input.targets import Target
from ..kernels.functions import Kernel
from ..kernels.ridge import cholesky_with_jitter, ridge_for_effective_dimension
from .draws import draw_pool
from .scores import Scores

EXACT_ROWS = 3000  # beyond it the n x n matrix and its factor cost more than the landmarks
SPECTRUM_ROWS = (1000, 3000)  # least and most rows whose eigenvalues settle alpha="auto"
MAX_LANDMARKS = 1500
CELLS_PER_ROW = 0.25  # cells that keep neighbours together in the draw, per row of the budget
FLOAT32_RIDGE = 1e-3  # below this ridge, relative to the kernel, rounding would reach the scores


@dataclass(frozen=True)
class RidgeScores:
    """What one fit of the kernel ridge problem says about each row.

    Attributes
    ----------
    leverage : float64 ndarray of shape (u,), in [0, 1]
        Ridge leverage scores: exact, or upper bounds.
    leverage_estimate : float64 ndarray of shape (u,), in [0, 1]
        The same, estimated from both sides: much closer than the bound, without its certainty.
        Equal to `leverage` where that is exact.
    residual : float64 ndarray of shape (u,)
        Share of the loss, ``w_i |f(x_i) - y_i|^2 / L(f)``; zeros without a target.
    cell : int ndarray of shape (u,)
        Number of the landmark nearest in the kernel.
    alpha : float
    """

    leverage: np.ndarray
    leverage_estimate: np.ndarray
    residual: np.ndarray
    cell: np.ndarray
    alpha: float

    def scores(self) -> Scores:
        """Scores for the draw, which walks cell by cell in order of the residual.

        The sensitivity is a bound, the importance an estimate: the bound is loose where landmarks
        are few, and drawing by it was measurably worse.
        """
        return Scores(
            np.minimum(self.leverage + self.residual, 1.0),
            np.minimum(self.leverage_estimate + self.residual, 1.0),
            self.cell,
            self.residual,
        )


class Centred:
    """Targets less their weighted mean, written down block by block.

    One-hot rows of thousands of classes would take far more memory than the data.

    Parameters
    ----------
    Y : float64 ndarray of shape (u, q), Target or None
    weight : float64 ndarray of shape (u,)
    """

    def __init__(self, Y: np.ndarray | Target | None, weight: np.ndarray) -> None:
        if not isinstance(Y, Target):
            Y = Target("numbers", Y)
        self._target = Y if Y.n_outputs else Target("numbers", np.zeros((len(weight), 1)))
        self.shape = (len(weight), self._target.n_outputs)
        if self._target.codes is None:
            assert self._target.numbers is not None
            self._mean = np.average(self._target.numbers, axis=0, weights=weight)
        else:
            mass = np.bincount(self._target.codes, weights=weight, minlength=self.shape[1])
            self._mean = mass / weight.sum()

    def __getitem__(self, part: slice) -> np.ndarray:
        """Centred targets (k, q) of some rows."""
        values = self._target.take(part)
        assert values is not None  # there are outputs
        return values - self._mean


def kernel_ridge_scores(
    rows: Rows,
    Y: np.ndarray | Target | None,
    kernel: Kernel,
    units: Units,
    alpha: float | str,
    budget: int,
    device: Any,
    rng: np.random.RandomState,
) -> RidgeScores:
    """Leverage scores and residual shares of all rows.

    Parameters
    ----------
    rows : Rows
    Y : float64 ndarray of shape (u, q), Target or None
        Targets of the distinct rows. Their weighted mean is taken out first.
    kernel : Kernel
    units : Units
        Shift for the features; the factor must be 1.
    alpha : float or "auto"
        "auto" is the ridge whose effective dimension is about budget / 2.
    budget : int
        Rows to be drawn: settles alpha and the number of landmarks.
    device : torch.device
    rng : RandomState
        Draws the rows that serve as landmarks and for the spectrum.

    Returns
    -------
    RidgeScores
    """
    centred = Centred(Y, rows.weight)
    n_pool = int(np.clip(3 * budget, *SPECTRUM_ROWS))
    pool, pool_weight = draw_pool(rows, n_pool, rng)
    if isinstance(alpha, str):
        features = _float64_features(rows, pool, units)
        root = np.sqrt(pool_weight)[:, None]
        spectrum = root * kernel(features, features).numpy() * root.T
        eigenvalues = scipy.linalg.eigvalsh(spectrum, overwrite_a=True)
        alpha = ridge_for_effective_dimension(eigenvalues, budget / 2)
    n_cells = max(1, int(CELLS_PER_ROW * budget))
    if len(rows) <= EXACT_ROWS:
        features = _float64_features(rows, np.arange(len(rows)), units)
        K = kernel(features, features).numpy()
        cell = K[:, pool[:n_cells]].argmax(1)
        leverage, loss_share = exact_scores(K, centred[:], rows.weight, float(alpha))
        return RidgeScores(leverage, leverage, loss_share, cell, float(alpha))
    landmarks = pool[: min(len(pool), max(budget, 300), MAX_LANDMARKS)]
    return landmark_scores(rows, centred, kernel, units, float(alpha), landmarks, n_cells, device)


def _float64_features(rows: Rows, which: np.ndarray, units: Units) -> Any:
    return units.load(rows.take(which).astype(np.float64), torch.float64, torch.device("cpu"))


def exact_scores(
    K: np.ndarray, Y: np.ndarray, weight: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Exact ridge leverage scores and shares of the optimal loss, by Cholesky in float64.

    With C = K + alpha W^-1 and dual coefficients A = C^-1 Y: tau_i = 1 - (alpha / w_i) C^-1_ii, the
    residual f*(x_i) - y_i is -(alpha / w_i) A_i and L* = alpha sum(Y * A). Its share of the loss,
    w_i |f*(x_i) - y_i|^2 / L*, is (alpha / w_i) A_i^2 / sum(Y * A).

    Parameters
    ----------
    K : float64 ndarray of shape (u, u)
    Y : float64 ndarray of shape (u, q)
    weight : float64 ndarray of shape (u,), positive
    alpha : float

    Returns
    -------
    leverage, loss_share : float64 ndarray of shape (u,)
    """
    C = K.copy()
    ridge = alpha / weight
    C[np.diag_indices_from(C)] += ridge
    # In units of its own size, a power of two: the inverse of a kernel near 0 would overflow. The
    # reciprocal of the least numbers is none.
    unit = np.ldexp(1.0, min(1000, 1 - int(np.frexp(C.diagonal().max())[1])))
    C *= unit
    ridge *= unit
    factor = cholesky_with_jitter(C)
    inverse_factor = scipy.linalg.solve_triangular(factor, np.eye(len(C)), lower=True)
    leverage = np.clip(1 - ridge * np.einsum("ij,ij->j", inverse_factor, inverse_factor), 0, 1)
    A = inverse_factor.T @ (inverse_factor @ Y)
    optimum = float((Y * A).sum())
    if not optimum > 0:
        return leverage, np.zeros(len(C))
    return leverage, ridge * (A**2).sum(1) / optimum


def landmark_scores(
    rows: Rows,
    Y: np.ndarray | Centred,
    kernel: Kernel,
    units: Units,
    alpha: float,
    landmarks: np.ndarray,
    n_cells: int,
    device: Any,
) -> RidgeScores:
    r"""Upper bounds and estimates of the scores from landmarks, in two passes of blocks.

    For landmarks S (distinct rows with their own weights)

    .. math:: \tau_i \le \frac{w_i}{\alpha}
              \left(k_{ii} - k_{iS} (K_{SS} + \alpha W_S^{-1})^{-1} k_{Si}\right),

    which is certain and grows loose as n / \|S\| grows. The estimate is the leverage score of the
    Nystroem kernel plus what that kernel leaves of row i,

    .. math:: \hat\tau_i = w_i \psi_i^T (\Psi^T W \Psi + \alpha \Lambda)^{-1} \psi_i
              + \frac{w_i}{\alpha} e_i, \qquad e_i = k_{ii} - k_{iS} K_{SS}^{-1} k_{Si},

    in the eigenbasis of W_S^1/2 K_SS W_S^1/2 = Q Lambda Q^T, psi_i = Q^T W_S^1/2 k_Si, where both
    matrices are diagonal. It is at least tau_i / max(2, 1 + 2 kappa), kappa = the norm of the
    Nystroem error over alpha (mathematics page). Both are clipped to [0, 1]. The residuals are
    those of the ridge solution f in the span of the landmarks, and L(f) >= L*.

    Parameters
    ----------
    rows, Y, kernel, units, alpha
        See `kernel_ridge_scores`; `Y` is centred.
    landmarks : int ndarray of shape (s,)
        Distinct rows, without repeats.
    n_cells : int
        The first landmarks, so many, serve as cells.
    device : torch.device

    Returns
    -------
    RidgeScores
    """
    basis = _LandmarkBasis.build(rows, kernel, units, alpha, landmarks, device)
    s, q = len(landmarks), Y.shape[1]
    n_cells = min(n_cells, s)
    u = len(rows)
    bound, left_over = np.empty(u), np.empty(u)
    cell = np.empty(u, dtype=np.int32)
    gram = torch.zeros((basis.rank, basis.rank), dtype=torch.float64, device=device)
    moment = torch.zeros((basis.rank, q), dtype=torch.float64, device=device)

    def first_pass(start: int, stop: int) -> None:
        diagonal, K = basis.kernel_block(start, stop)
        weight, target = basis.tensors(rows.weight[start:stop], Y[start:stop])
        psi = K @ basis.rotation
        square = psi.square()
        q_bound = torch.mv(square, basis.bound_weight)
        q_left = torch.mv(square, basis.left_weight)
        bound[start:stop] = ((diagonal - q_bound) * weight / alpha).cpu().numpy()
        left_over[start:stop] = ((diagonal - q_left).clamp_(min=0) * weight / alpha).cpu().numpy()
        cell[start:stop] = K[:, :n_cells].argmax(1).cpu().numpy()
        weighted = torch.mul(psi, weight[:, None], out=square)
        moments, grams = (weighted.T @ target).double(), (weighted.T @ psi).double()
        moment.add_(moments)  # in place and last: a block that runs out of memory is done again
        gram.add_(grams)

    block = tile_rows(max(s, q), device)
    for_each_block(first_pass, u, block)

    # Normal equations of the ridge problem in the span of the landmarks; psi has metric Lambda.
    normal = gram.cpu().numpy() + alpha * np.diag(basis.values)
    factor = cholesky_with_jitter(normal)
    solution = scipy.linalg.cho_solve((factor, True), moment.cpu().numpy())
    whiten = scipy.linalg.solve_triangular(factor, np.eye(len(normal)), lower=True).T
    to_features = basis.rotation @ torch.from_numpy(whiten).to(basis.rotation)
    to_fit = basis.rotation @ torch.from_numpy(solution).to(basis.rotation)
    spread, residual = np.empty(u), np.empty(u)

    def second_pass(start: int, stop: int) -> None:
        _, K = basis.kernel_block(start, stop)
        weight, target = basis.tensors(rows.weight[start:stop], Y[start:stop])
        features = K @ to_features
        spread[start:stop] = (torch.linalg.vecdot(features, features) * weight).cpu().numpy()
        error = (K @ to_fit).sub_(target)
        residual[start:stop] = (torch.linalg.vecdot(error, error) * weight).cpu().numpy()

    for_each_block(second_pass, u, block)
    penalty = alpha * float((basis.values[:, None] * solution**2).sum())
    loss = float(residual.sum()) + penalty
    bound = np.clip(bound, 0, 1)
    estimate = np.minimum(spread + left_over, bound)
    share = residual / loss if loss > 0 else np.zeros(u)
    return RidgeScores(bound, estimate, share, cell, alpha)


@dataclass(frozen=True)
class _LandmarkBasis:
    """Kernel blocks against the landmarks, and the rotation that makes both inverses diagonal."""

    rows: Rows
    kernel: Kernel
    units: Units
    features: Any  # (s, d) landmarks
    rotation: Any  # (s, r): W_S^1/2 Q
    values: np.ndarray  # (r,) eigenvalues Lambda, positive
    bound_weight: Any  # (r,): 1 / (Lambda + alpha)
    left_weight: Any  # (r,): 1 / Lambda
    dtype: Any
    device: Any

    @classmethod
    def build(
        cls,
        rows: Rows,
        kernel: Kernel,
        units: Units,
        alpha: float,
        landmarks: np.ndarray,
        device: Any,
    ) -> _LandmarkBasis:
        """Solve the landmarks' eigenproblem in float64; work in float32 where the ridge allows."""
        exact = _float64_features(rows, landmarks, units)
        K = kernel(exact, exact).numpy()
        root = np.sqrt(rows.weight[landmarks])[:, None]
        values, vectors = scipy.linalg.eigh(root * K * root.T)
        scale = rows.weight.max() * np.abs(np.diag(K)).max()
        cut = 10 * len(K) * values[-1]  # times the precision: directions below it are rounding
        single = (
            alpha > max(FLOAT32_RIDGE * scale, cut * torch.finfo(torch.float32).eps)
            and 1e-12 < np.abs(np.diag(K)).mean() < 1e12
            and not sp.issparse(rows.X)
        )
        dtype = torch.float32 if single else torch.float64
        kept = values > cut * torch.finfo(dtype).eps
        values, vectors = values[kept], vectors[:, kept]

        def to_device(array: np.ndarray) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device, dtype)

        features = exact if sp.issparse(exact) else exact.to(device, dtype)
        return cls(
            rows,
            kernel,
            units,
            features,
            to_device(root * vectors),
            values,
            to_device(1 / (values + alpha)),
            to_device(1 / values),
            dtype,
            device,
        )

    @property
    def rank(self) -> int:
        return len(self.values)

    def kernel_block(self, start: int, stop: int) -> tuple[Any, Any]:
        """Diagonal (b,) and kernel (b, s) of some rows against the landmarks."""
        x = self.units.load(self.rows.block(start, stop), self.dtype, self.device)
        diagonal = self.kernel.diagonal(x).to(self.device, self.dtype)
        return diagonal, self.kernel(x, self.features).to(self.device, self.dtype)

    def tensors(self, *arrays: np.ndarray) -> list[Any]:
        """Arrays of a block on the device, in its dtype."""
        return [torch.from_numpy(array).to(self.device, self.dtype) for array in arrays]
