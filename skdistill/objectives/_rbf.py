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

_TILE_ELEMENTS = 2**17  # kernel entries of a tile: half a megabyte of float32
_MIN_TILE_ROWS = 256
_MAX_TILE_ROWS = 4096


class ScaledRows:
    """Rows ``u = s z`` with a column of ones behind, which turns sums of W into products.

    Parameters
    ----------
    rows : Tensor of shape (b, d)
    scale : Tensor of shape (d,) or (1,)
    buffer : Tensor of shape (b, d + 1) or None
        Memory to use.
    """

    def __init__(self, rows: Any, scale: Any, buffer: Any = None) -> None:
        b, d = rows.shape
        if buffer is None or buffer.shape != (b, d + 1) or buffer.dtype != rows.dtype:
            buffer = rows.new_empty((b, d + 1))
            buffer[:, d] = 1
        torch.mul(rows, scale, out=buffer[:, :d])
        self.augmented = buffer
        self.rows = buffer[:, :d]
        self.square = torch.linalg.vecdot(self.rows, self.rows)


def support_factor(V: Any) -> Any:
    """``[2 V, -|v|^2]`` (m, d + 1): products with augmented rows are ``2 u.v - |v|^2``."""
    return torch.cat([2 * V, -torch.linalg.vecdot(V, V)[:, None]], dim=1)


def kernel_tile(rows: ScaledRows, start: int, stop: int, factor: Any, out: Any) -> Any:
    """Kernel block (stop - start, m) written to `out`."""
    torch.mm(rows.augmented[start:stop], factor.T, out=out)
    # Rounding can make a distance negative; far from the origin that would be felt.
    return out.sub_(rows.square[start:stop, None]).clamp_(max=0).exp_()


def rbf(U: Any, V: Any) -> Any:
    """Kernel matrix (a, b) of two blocks of scaled rows."""
    K = torch.addmm(torch.linalg.vecdot(V, V).neg()[None, :], U, V.T, alpha=2)
    return K.sub_(torch.linalg.vecdot(U, U)[:, None]).clamp_(max=0).exp_()


def tiles(b: int, m: int) -> list[tuple[int, int]]:
    """Ranges of rows that are worked off together."""
    size = min(_MAX_TILE_ROWS, max(_MIN_TILE_ROWS, _TILE_ELEMENTS // m))
    return [(i, min(b, i + size)) for i in range(0, b, size)]


class Workspace:
    """Memory that every step of a stage uses again."""

    def __init__(self) -> None:
        self._memory: dict[str, Any] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Any) -> Any:
        """Uninitialised tensor of a shape; the same memory whenever shape and type agree."""
        held = self._memory.get(name)
        if held is None or held.shape != shape or held.dtype != like.dtype:
            held = self._memory[name] = like.new_empty(shape)
        return held

    def scaled(self, rows: Any, scale: Any) -> ScaledRows:
        """Scaled rows in memory that is used again."""
        scaled = ScaledRows(rows, scale, self._memory.get("scaled"))
        self._memory["scaled"] = scaled.augmented
        return scaled


class Pullback:
    """Sums the gradient over tiles.

    Parameters
    ----------
    V : Tensor of shape (m, d)
        Support in scaled coordinates.
    log_scale : Tensor of shape (d,), (1,) or None
        None where scales are not learnt.
    """

    def __init__(self, V: Any, log_scale: Any = None) -> None:
        m, d = V.shape
        self._V = V
        self._products = V.new_zeros((m, d + 1))  # [W'U, W'1]
        self._per_feature = log_scale is not None and len(log_scale) > 1
        self._scale_gradient = None if log_scale is None else torch.zeros_like(log_scale)

    def add(self, rows: ScaledRows, start: int, stop: int, W: Any) -> None:
        """Add a tile; `W` (stop - start, m) is the kernel's derivative times the kernel."""
        U = rows.augmented[start:stop]
        self._products.addmm_(W.T, U)
        if self._scale_gradient is None:
            return
        sums = W.sum(1)
        if self._per_feature:
            u = rows.rows[start:stop]
            part = (u.square() * sums[:, None]).sub_(u * (W @ self._V)).sum(0)
        else:  # sum_ij W_ij u_i.v_j follows from the products, see `gradients`
            part = sums @ rows.square[start:stop]
        self._scale_gradient.sub_(part, alpha=2)

    def gradients(self) -> tuple[Any, Any]:
        """Gradients in V (m, d) and in the log scales (or None)."""
        V, products = self._V, self._products
        of_scale = self._scale_gradient
        if of_scale is not None and not self._per_feature:
            of_scale = of_scale + 2 * (products[:, :-1] * V).sum()
        return 2 * (products[:, :-1] - products[:, -1:] * V), of_scale


def support_gradient(H: Any, V: Any) -> Any:
    """Gradient in V of ``sum_jk H_jk k(v_j, v_k)``, given ``H * K_SS`` symmetric, (m, m)."""
    return 4 * (H @ V - H.sum(1, keepdim=True) * V)
