r"""Kernel blocks of :math:`k(u, v) = e^{-|u - v|^2}` and their derivatives, without waste.

Everything that a ridge objective differentiates has the form :math:`\sum_{ij} D_{ij} K_{ij}` with
:math:`D = R \alpha^T` for residuals R (b, q) and dual coefficients alpha (m, q). With
:math:`W = D \circ K` the gradients are

.. math::
    \nabla_V = 2 (W^T U - \mathrm{diag}(W^T 1) V), \qquad
    \frac{\partial}{\partial \log s_f} = -2 \sum_{ij} W_{ij} u_{if} (u_{if} - v_{jf})

for :math:`u = s \circ z` and V in the scaled coordinates. Rows are worked off in tiles that stay in
the processor's cache, with every tile in the same memory.
"""

from __future__ import annotations

from typing import Any

from .. import _torch as torch

_TILE_ELEMENTS = 2**19  # of the kernel or of the rows in a tile: two megabytes of float32
_MIN_TILE_ROWS = 256


class ScaledRows:
    """Rows ``u = s z`` that are never written down: the scale goes to the support instead.

    Parameters
    ----------
    rows : Tensor of shape (b, d)
        Coordinates z.
    scale : Tensor of shape (d,) or (1,)
    V : Tensor of shape (m, d)
        Support in scaled coordinates.
    """

    def __init__(self, rows: Any, scale: Any, V: Any) -> None:
        self.rows, self.scale = rows, scale
        self._factor = (2 * scale * V).T
        self._offset = torch.linalg.vecdot(V, V).neg()[None, :]

    def squares(self, start: int, stop: int) -> Any:
        """Squared lengths of some scaled rows."""
        z = self.rows[start:stop]
        if len(self.scale) == 1:
            return torch.linalg.vector_norm(z, dim=1).mul_(self.scale).square_()
        return z.square() @ self.scale.square()

    def kernel(self, start: int, stop: int, out: Any) -> Any:
        """Kernel block (stop - start, m) of some rows and the support, written to `out`."""
        torch.addmm(self._offset, self.rows[start:stop], self._factor, out=out)
        # Rounding can make a distance negative; far from the origin that would be felt.
        return out.sub_(self.squares(start, stop)[:, None]).clamp_(max=0).exp_()

    def tiles(self) -> list[tuple[int, int]]:
        """Ranges of rows that are worked off together, small enough for a core's cache."""
        width = max(self.rows.shape[1], self._factor.shape[1])
        size = max(_MIN_TILE_ROWS, _TILE_ELEMENTS // width)
        return [(i, min(len(self.rows), i + size)) for i in range(0, len(self.rows), size)]


def rbf(U: Any, V: Any) -> Any:
    """Kernel matrix (a, b) of two blocks of scaled rows."""
    K = torch.addmm(torch.linalg.vecdot(V, V).neg()[None, :], U, V.T, alpha=2)
    return K.sub_(torch.linalg.vecdot(U, U)[:, None]).clamp_(max=0).exp_()


class Workspace:
    """Memory that every step of a stage uses again."""

    def __init__(self) -> None:
        self._memory: dict[str, Any] = {}

    def take(self, name: str, shape: tuple[int, int], like: Any) -> Any:
        """Uninitialised tensor of a shape; from the same memory as long as that is enough."""
        held = self._memory.get(name)
        size = shape[0] * shape[1]
        if held is None or held.dtype != like.dtype or len(held) < size:
            held = self._memory[name] = like.new_empty(size)
        return held[:size].view(shape)


class Pullback:
    """Sums the gradient over tiles.

    Parameters
    ----------
    rows : ScaledRows
    V : Tensor of shape (m, d)
        Support in scaled coordinates.
    learn_scale : bool
        Whether the gradient in the log scales is wanted too.
    """

    def __init__(self, rows: ScaledRows, V: Any, learn_scale: bool) -> None:
        self._rows, self._V = rows, V
        self._products = torch.zeros_like(V)  # W'Z
        self._sums = V.new_zeros(len(V))  # W'1
        self._per_feature = len(rows.scale) > 1
        self._of_scale = torch.zeros_like(rows.scale) if learn_scale else None

    def add(self, start: int, stop: int, W: Any) -> None:
        """Add a tile; `W` (stop - start, m) is the kernel's derivative times the kernel."""
        z = self._rows.rows[start:stop]
        self._products.addmm_(W.T, z)
        self._sums += W.sum(0)
        if self._of_scale is None:
            return
        if self._per_feature:
            scale = self._rows.scale
            self._of_scale += scale.square() * (W.sum(1) @ z.square())
            self._of_scale -= scale * (W @ self._V).mul_(z).sum(0)
        else:  # sum_ij W_ij u_i.v_j follows from the products, see `gradients`
            self._of_scale += W.sum(1) @ self._rows.squares(start, stop)

    def gradients(self) -> tuple[Any, Any]:
        """Gradients in V (m, d) and in the log scales (or None)."""
        V, products = self._V, self._products * self._rows.scale
        of_scale = self._of_scale
        if of_scale is not None:
            if not self._per_feature:
                of_scale = of_scale - (products * V).sum()
            of_scale = -2 * of_scale
        return 2 * (products - self._sums[:, None] * V), of_scale


def support_gradient(H: Any, V: Any) -> Any:
    """Gradient in V of ``sum_jk H_jk k(v_j, v_k)``, given ``H * K_SS`` symmetric, (m, m)."""
    return 4 * (H @ V - H.sum(1, keepdim=True) * V)
