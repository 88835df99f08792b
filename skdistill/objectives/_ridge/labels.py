r"""The best labels at given rows: ridge solves in float64.

For dual coefficients a and an intercept b the problem on rows of weights v (sum 1) is

.. math::
    \min_{a, b} \frac12 \sum_i v_i |K_i a + b - y_i|^2 + \frac{\mu}{2} \mathrm{tr}(a^T K_{SS} a)

whose normal equations need one m x m matrix, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import _torch as torch
from ...batches.training_set import Sample

JITTER = 1e-10  # least ridge on the coefficients themselves
TOGETHER = 128  # up to this size calls cost more than the work in them


class LabelSystem:
    """Normal equations of the label problem.

    Parameters
    ----------
    A : float64 Tensor of shape (m, m)
        :math:`K^T V K`, not centred.
    b : float64 Tensor of shape (m, q)
        :math:`K^T V Y`, not centred.
    k_mean, y_mean : float64 Tensor of shape (m,) and (q,)
        Weighted means of the rows of K and Y.
    K_SS : float64 Tensor of shape (m, m)
    intercept : bool
    """

    def __init__(
        self, A: Any, b: Any, k_mean: Any, y_mean: Any, K_SS: Any, intercept: bool = True
    ) -> None:
        if not intercept:
            k_mean, y_mean = torch.zeros_like(k_mean), torch.zeros_like(y_mean)
        self.A = torch.addr(A, k_mean, k_mean, alpha=-1)
        self.b = torch.addr(b, k_mean, y_mean, alpha=-1)
        self.k_mean, self.y_mean, self.K_SS = k_mean, y_mean, K_SS

    @classmethod
    def of_rows(cls, K: Any, targets: Any, weight: Any, K_SS: Any) -> LabelSystem:
        """Set up the system of rows with kernel block K (k, m), targets (k, q) and weights (k,)."""
        weighted = K * weight[:, None]
        return cls(weighted.T @ K, weighted.T @ targets, weighted.sum(0), weight @ targets, K_SS)

    def solve(self, mu: float) -> tuple[Any, Any]:
        """Dual coefficients (m, q) and intercept (q,) for a ridge."""
        a = cholesky_solve(self.A + mu * self.K_SS, self.b, JITTER)
        return self._with_intercept(a)

    def solve_each(self, ridges: Sequence[float]) -> list[tuple[Any, Any]]:
        """Solve for several ridges, small systems at once; as `solve` to rounding."""
        if len(self.A) <= TOGETHER:
            mu = self.A.new_tensor(ridges)[:, None, None]
            shifted = self.A + mu * self.K_SS
            diagonal = torch.diagonal(shifted, dim1=1, dim2=2)
            top = float(diagonal.abs().max())
            diagonal.add_(JITTER)
            factor, info = torch.linalg.cholesky_ex(shifted)
            if top < float("inf") and not bool(info.any()):
                solutions = torch.cholesky_solve(self.b.expand(len(mu), -1, -1), factor)
                return [self._with_intercept(a) for a in solutions]
        return [self.solve(mu) for mu in ridges]

    def _with_intercept(self, a: Any) -> tuple[Any, Any]:
        a = a.contiguous()  # LAPACK hands it over by columns
        return a, self.y_mean - self.k_mean @ a


def label_system(
    kernel: Callable[[Any], Any], K_SS: Any, sample: Sample, intercept: bool = True
) -> LabelSystem:
    """Add up the normal equations over rows, block by block.

    Parameters
    ----------
    kernel : callable
        float64 coordinates (k, width) -> kernel block (k, m) with the support.
    K_SS : float64 Tensor of shape (m, m)
    sample : Sample
    intercept : bool

    Returns
    -------
    LabelSystem
    """
    m = len(K_SS)
    A, k_mean, b, y_mean = torch.zeros_like(K_SS), K_SS.new_zeros(m), None, None
    total = float(sample.weight.double().sum())
    for batch, weight in sample.blocks(torch.float64):
        weight = weight / total
        K = kernel(batch.rows)
        weighted = K * weight[:, None]
        A.addmm_(weighted.T, K)
        k_mean += weighted.sum(0)
        of_targets, mean = weighted.T @ batch.targets, weight @ batch.targets
        b = of_targets if b is None else b + of_targets
        y_mean = mean if y_mean is None else y_mean + mean
    return LabelSystem(A, b, k_mean, y_mean, K_SS, intercept)


def cholesky_solve(A: Any, b: Any, jitter: float) -> Any:
    """Compute ``(A + jitter I)^-1 b``, with ten times the jitter whenever that fails.

    Returns NaN for a matrix that is not finite, which no jitter helps.
    """
    top = float(torch.diagonal(A.detach()).abs().max())
    if not top < float("inf"):
        return torch.full_like(b, float("nan"))
    while True:
        shifted = A.clone()
        torch.diagonal(shifted).add_(jitter)
        factor, info = torch.linalg.cholesky_ex(shifted)
        if int(info) == 0:
            return torch.cholesky_solve(b, factor)
        jitter = 10 * max(jitter, 1e-16 * top, 1e-300)
