"""Values and gradients of the ridge objectives for the RBF kernel, derived by hand.

Rows of the support are in scaled coordinates, where the kernel is ``exp(-|u - v|^2)``; the
logarithm of the scales stands in ``support.extra["log_scale"]``.
"""

from __future__ import annotations

from typing import Any

from .. import _torch as torch
from ..support import Support
from ._labels import LabelSystem, cholesky_solve
from ._rbf import Pullback, ScaledRows, Workspace, rbf, support_gradient
from .base import Batch


class RBFSteps:
    """One instance a fit: it owns the memory of the steps.

    Parameters
    ----------
    learn_scale : bool
        Whether gradients in the kernel scales are wanted.
    """

    def __init__(self, learn_scale: bool) -> None:
        self._learn_scale = learn_scale
        self._memory = Workspace()

    def kernel(self, rows: Any, support: Support) -> Any:
        """Kernel block (k, m) of coordinates and the support, in the support's float type."""
        # The product is in the wider type already: a copy of the rows in it would be one too many.
        return rbf((rows * support["log_scale"].exp()).to(support.rows.dtype), support.rows)

    def support_kernel(self, support: Support) -> Any:
        """Kernel matrix (m, m) of the support."""
        return rbf(support.rows, support.rows)

    def solved(
        self, support: Support, batch: Batch, weight: Any, mu: float
    ) -> tuple[Any, dict[str, Any]]:
        """Squared error at the batch's best coefficients; gradient by the envelope theorem."""
        V, rows = support.rows, self._scaled(support, batch)
        # The best intercept is a weighted mean, and weights that undo the bias of a draw sum to 1
        # in expectation alone: without the division no envelope theorem holds.
        root = (weight / weight.sum()).sqrt()
        K = self._memory.take("K", (len(root), len(V)), V)
        for start, stop in rows.tiles():
            rows.kernel(start, stop, K[start:stop]).mul_(root[start:stop, None])
        # From here on K is V^1/2 K: the weights then enter each product once.
        targets = batch.targets * root[:, None]
        K_SS = self.support_kernel(support)
        system = LabelSystem(K.T @ K, K.T @ targets, K.T @ root, root @ targets, K_SS)
        a, b = system.solve(mu)
        R = torch.addmm(torch.outer(root, b).sub_(targets), K, a)
        pullback = Pullback(rows, V, self._learn_scale)
        for start, stop in rows.tiles():
            W = self._memory.take("W", (stop - start, len(V)), V)
            torch.mm(R[start:stop], a.T, out=W).mul_(K[start:stop])
            pullback.add(start, stop, W)
        weighted_gram = (a @ a.T).mul_(K_SS)
        value = 0.5 * R.square().sum() + 0.5 * mu * weighted_gram.sum()
        gradients = self._gradients(pullback)
        gradients["rows"] += support_gradient(weighted_gram.mul_(mu / 2), V)
        return value, gradients

    def direct(
        self, support: Support, a: Any, b: Any, batch: Batch, weight: Any, head: Any
    ) -> dict[str, Any]:
        """Gradients of a loss of ``K a + b``, also in a and b; the value stays with the head."""
        V, rows = support.rows, self._scaled(support, batch)
        pullback = Pullback(rows, V, self._learn_scale)
        of_dual, of_intercept = torch.zeros_like(a), torch.zeros_like(b)
        for start, stop in rows.tiles():
            shape = (stop - start, len(V))
            K = rows.kernel(start, stop, self._memory.take("K tile", shape, V))
            F = torch.addmm(b, K, a)
            R = head(F, batch.targets[start:stop], weight[start:stop])
            of_dual.addmm_(K.T, R)
            of_intercept += R.sum(0)
            W = torch.mm(R, a.T, out=self._memory.take("W", shape, V)).mul_(K)
            pullback.add(start, stop, W)
        return {**self._gradients(pullback), "dual": of_dual, "intercept": of_intercept}

    def labelled(
        self, support: Support, batch: Batch, weight: Any, ridge: float, head: Any
    ) -> dict[str, Any]:
        """Gradients of a loss of ``K (K_SS + ridge I)^-1 Y``, also in the labels Y."""
        K_SS = self.support_kernel(support)
        a = cholesky_solve(K_SS, support.labels, ridge)
        nothing = torch.zeros_like(a[0])
        gradients = self.direct(support, a, nothing, batch, weight, head)
        of_labels = cholesky_solve(K_SS, gradients["dual"], ridge)
        outer = of_labels @ a.T
        H = (outer + outer.T).mul_(K_SS).mul_(-0.5)
        gradients["rows"] += support_gradient(H, support.rows)
        gradients["labels"] = of_labels
        return gradients

    def subspace(
        self, support: Support, batch: Batch, weight: Any, ridge: float
    ) -> tuple[Any, dict[str, Any]]:
        """Mean squared distance of the rows' features from the span of the support's."""
        V, rows = support.rows, self._scaled(support, batch)
        root = weight.sqrt()
        K = self._memory.take("K", (len(root), len(V)), V)
        for start, stop in rows.tiles():
            rows.kernel(start, stop, K[start:stop]).mul_(root[start:stop, None])
        K_SS = self.support_kernel(support)
        eye = torch.eye(len(V), dtype=V.dtype, device=V.device)
        inverse = cholesky_solve(K_SS, eye, ridge)
        pullback = Pullback(rows, V, self._learn_scale)
        for start, stop in rows.tiles():
            W = self._memory.take("W", (stop - start, len(V)), V)
            torch.mm(K[start:stop], inverse, out=W).mul_(K[start:stop]).mul_(-2)
            pullback.add(start, stop, W)
        A = K.T @ K
        gradients = self._gradients(pullback)
        H = (inverse @ A @ inverse).mul_(K_SS)
        gradients["rows"] += support_gradient((H + H.T) / 2, V)
        return weight.sum() - (inverse * A).sum(), gradients

    def _scaled(self, support: Support, batch: Batch) -> ScaledRows:
        return ScaledRows(batch.rows, support["log_scale"].exp(), support.rows)

    def _gradients(self, pullback: Pullback) -> dict[str, Any]:
        of_rows, of_scale = pullback.gradients()
        return {"rows": of_rows} if of_scale is None else {"rows": of_rows, "log_scale": of_scale}
