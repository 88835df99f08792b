"""Values and gradients of the ridge objectives for the RBF kernel, derived by hand.

Rows of the support are in scaled coordinates, where the kernel is ``exp(-|u - v|^2)``; the
logarithm of the scales stands in ``support.extra["log_scale"]``.
"""

from __future__ import annotations

from typing import Any

from ... import _torch as torch
from ...batches.training_set import Batch
from ...support import Support
from .labels import LabelSystem, cholesky_solve
from .rbf import (
    Pullback,
    ScaledRows,
    Workspace,
    column_groups,
    rbf,
    rbf_parts,
    support_gradient,
)


class RBFSteps:
    """One instance a fit: it owns the memory of the steps.

    Parameters
    ----------
    learn_scale : bool
        Whether gradients in the kernel scales are wanted.
    n_odd : int
        Last coordinates whose common sign does not matter.
    """

    def __init__(self, learn_scale: bool, n_odd: int = 0) -> None:
        self._learn_scale, self._n_odd = learn_scale, n_odd
        self._memory = Workspace()

    def kernel(self, rows: Any, support: Support) -> Any:
        """Kernel block (k, m) of coordinates and the support, in the support's float type."""
        V = support.rows
        scaled = ScaledRows(rows.to(V.dtype), support["log_scale"].exp(), V, self._n_odd)
        parts = [V.new_empty(len(rows), len(V)) for _ in scaled.columns]
        for start, stop in scaled.tiles():
            scaled.kernel(start, stop, [part[start:stop] for part in parts])
        return parts[0]

    def support_kernel(self, support: Support) -> Any:
        """Kernel matrix (m, m) of the support."""
        return rbf(support.rows, support.rows, self._n_odd)

    def solved(
        self, support: Support, batch: Batch, weight: Any, mu: float
    ) -> tuple[Any, dict[str, Any]]:
        """Squared error at the batch's best coefficients; gradient by the envelope theorem."""
        V, rows = support.rows, self._scaled(support, batch)
        # The best intercept is a weighted mean, and weights that undo the bias of a draw sum to 1
        # in expectation alone: without the division no envelope theorem holds.
        root = (weight / weight.sum()).sqrt()
        parts = self._weighted(rows, root, V)
        K = parts[0]
        targets = batch.targets * root[:, None]
        parts_SS = rbf_parts(V, V, self._n_odd)
        K_SS = parts_SS[0]
        system = LabelSystem(K.T @ K, K.T @ targets, K.T @ root, root @ targets, K_SS)
        a, b = system.solve(mu)
        R = torch.addmm(torch.outer(root, b).sub_(targets), K, a)
        pullback = Pullback(rows, V, self._learn_scale)
        for start, stop in rows.tiles():
            D = self._memory.take("D", (stop - start, len(V)), V)
            torch.mm(R[start:stop], a.T, out=D)
            pullback.add(start, stop, D, [part[start:stop] for part in parts])
        gram = a @ a.T
        value = 0.5 * R.square().sum() + 0.5 * mu * (gram * K_SS).sum()
        gradients = self._gradients(pullback)
        gradients["rows"] += support_gradient(gram.mul_(mu / 2), parts_SS, self._n_odd, V)
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
            parts = self._block("tile", shape, V)
            rows.kernel(start, stop, parts)
            F = torch.addmm(b, parts[0], a)
            R = head(F, batch.targets[start:stop], weight[start:stop])
            of_dual.addmm_(parts[0].T, R)
            of_intercept += R.sum(0)
            D = torch.mm(R, a.T, out=self._memory.take("D", shape, V))
            pullback.add(start, stop, D, parts)
        return {**self._gradients(pullback), "dual": of_dual, "intercept": of_intercept}

    def labelled(
        self, support: Support, batch: Batch, weight: Any, ridge: float, head: Any
    ) -> dict[str, Any]:
        """Gradients of a loss of ``K (K_SS + ridge I)^-1 Y``, also in the labels Y."""
        parts_SS = rbf_parts(support.rows, support.rows, self._n_odd)
        K_SS = parts_SS[0]
        a = cholesky_solve(K_SS, support.labels, ridge)
        nothing = torch.zeros_like(a[0])
        gradients = self.direct(support, a, nothing, batch, weight, head)
        of_labels = cholesky_solve(K_SS, gradients["dual"], ridge)
        outer = of_labels @ a.T
        D = (outer + outer.T).mul_(-0.5)
        gradients["rows"] += support_gradient(D, parts_SS, self._n_odd, support.rows)
        gradients["labels"] = of_labels
        return gradients

    def subspace(
        self, support: Support, batch: Batch, weight: Any, ridge: float
    ) -> tuple[Any, dict[str, Any]]:
        """Mean squared distance of the rows' features from the span of the support's."""
        V, rows = support.rows, self._scaled(support, batch)
        parts = self._weighted(rows, weight.sqrt(), V)
        K = parts[0]
        parts_SS = rbf_parts(V, V, self._n_odd)
        eye = torch.eye(len(V), dtype=V.dtype, device=V.device)
        inverse = cholesky_solve(parts_SS[0], eye, ridge)
        A = K.T @ K
        pullback = Pullback(rows, V, self._learn_scale)
        for start, stop in rows.tiles():
            D = self._memory.take("D", (stop - start, len(V)), V)
            torch.mm(K[start:stop], inverse, out=D).mul_(-2)
            pullback.add(start, stop, D, [part[start:stop] for part in parts])
        gradients = self._gradients(pullback)
        D = inverse @ A @ inverse
        gradients["rows"] += support_gradient((D + D.T) / 2, parts_SS, self._n_odd, V)
        total, of_scale = rows.trace(weight)
        if self._learn_scale:
            gradients["log_scale"] += of_scale
        return total - (inverse * A).sum(), gradients

    def _scaled(self, support: Support, batch: Batch) -> ScaledRows:
        return ScaledRows(batch.rows, support["log_scale"].exp(), support.rows, self._n_odd)

    def _block(self, name: str, shape: tuple[int, int], like: Any) -> list[Any]:
        """Memory for a kernel block."""
        count = len(column_groups(like.shape[1], self._n_odd))
        return [self._memory.take(f"{name} {i}", shape, like) for i in range(count)]

    def _weighted(self, rows: ScaledRows, root: Any, V: Any) -> list[Any]:
        """Kernel block times the roots of weights, which then enter each product once."""
        parts = self._block("batch", (len(root), len(V)), V)
        for start, stop in rows.tiles():
            tile = [part[start:stop] for part in parts]
            rows.kernel(start, stop, tile)
            for part in tile:
                part.mul_(root[start:stop, None])
        return parts

    def _gradients(self, pullback: Pullback) -> dict[str, Any]:
        of_rows, of_scale = pullback.gradients()
        return {"rows": of_rows} if of_scale is None else {"rows": of_rows, "log_scale": of_scale}
