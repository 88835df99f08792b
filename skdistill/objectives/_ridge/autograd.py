"""Values and gradients of the ridge objectives for any differentiable kernel, by autograd."""

from __future__ import annotations

from typing import Any

from ... import _torch as torch
from ...batches.training_set import Batch
from ...support import Support
from .labels import LabelSystem, cholesky_solve


class AutogradSteps:
    """Twin of `RBFSteps` for the other kernels; rows of the support are in plain coordinates.

    Parameters
    ----------
    kernel : Kernel
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def kernel(self, rows: Any, support: Support) -> Any:
        """Kernel block (k, m) of coordinates and the support, in the support's float type."""
        return self._kernel(rows.to(support.rows.dtype), support.rows)

    def support_kernel(self, support: Support) -> Any:
        """Kernel matrix (m, m) of the support."""
        return self._kernel(support.rows, support.rows)

    def solved(
        self, support: Support, batch: Batch, weight: Any, mu: float
    ) -> tuple[Any, dict[str, Any]]:
        """Squared error at the batch's best coefficients; gradient by the envelope theorem."""
        weight = weight / weight.sum()  # see `RBFSteps.solved`
        V = support.rows.detach().requires_grad_()
        with torch.enable_grad():
            K, K_SS = self._kernel(batch.rows, V), self._kernel(V, V)
        with torch.no_grad():
            weighted = K * weight[:, None]
            system = LabelSystem(
                weighted.T @ K,
                weighted.T @ batch.targets,
                weighted.sum(0),
                weight @ batch.targets,
                K_SS,
            )
            a, b = system.solve(mu)
        with torch.enable_grad():
            value = 0.5 * (weight @ (K @ a + b - batch.targets).square()).sum()
            value = value + 0.5 * mu * (a * (K_SS @ a)).sum()
            (of_rows,) = torch.autograd.grad(value, [V])
        return value.detach(), {"rows": of_rows}

    def direct(
        self, support: Support, a: Any, b: Any, batch: Batch, weight: Any, head: Any
    ) -> dict[str, Any]:
        """Gradients of a loss of ``K a + b``, also in a and b; the value stays with the head."""
        V, a, b = (x.detach().requires_grad_() for x in (support.rows, a, b))
        with torch.enable_grad():
            F = self._kernel(batch.rows, V) @ a + b
            R = head(F.detach(), batch.targets, weight)
            gradients = torch.autograd.grad(F, [V, a, b], R)
        return dict(zip(("rows", "dual", "intercept"), gradients, strict=True))

    def labelled(
        self, support: Support, batch: Batch, weight: Any, ridge: float, head: Any
    ) -> dict[str, Any]:
        """Gradients of a loss of ``K (K_SS + ridge I)^-1 Y``, also in the labels Y."""
        V, Y = (x.detach().requires_grad_() for x in (support.rows, support.labels))
        with torch.enable_grad():
            a = cholesky_solve(self._kernel(V, V), Y, ridge)
            F = self._kernel(batch.rows, V) @ a
            R = head(F.detach(), batch.targets, weight)
            gradients = torch.autograd.grad(F, [V, Y], R)
        return dict(zip(("rows", "labels"), gradients, strict=True))

    def subspace(
        self, support: Support, batch: Batch, weight: Any, ridge: float
    ) -> tuple[Any, dict[str, Any]]:
        """Mean squared distance of the rows' features from the span of the support's."""
        V = support.rows.detach().requires_grad_()
        with torch.enable_grad():
            K, K_SS = self._kernel(batch.rows, V), self._kernel(V, V)
            explained = cholesky_solve(K_SS, K.T, ridge)
            value = weight @ (self._kernel.diagonal(batch.rows) - (K.T * explained).sum(0))
            (of_rows,) = torch.autograd.grad(value, [V])
        return value.detach(), {"rows": of_rows}
