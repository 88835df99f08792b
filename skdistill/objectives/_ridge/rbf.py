r"""Kernel blocks of :math:`k(u, v) = e^{-|u - v|^2}` and their derivatives, without waste.

Everything that a ridge objective differentiates has the form :math:`\sum_{ij} D_{ij} K_{ij}` with
:math:`D = R \alpha^T` for residuals R (b, q) and dual coefficients alpha (m, q). With
:math:`W = D \circ K` the gradients are

.. math::
    \nabla_V = 2 (W^T U - \mathrm{diag}(W^T 1) V), \qquad
    \frac{\partial}{\partial \log s_f} = -2 \sum_{ij} W_{ij} u_{if} (u_{if} - v_{jf})

for :math:`u = s \circ z` and V in the scaled coordinates.

If the common sign of the last, "odd", columns o shall not matter, k is the mean over both signs,
:math:`e^{E} \cosh(2 u_o^T v_o)` with :math:`E = 2 u_e^T v_e - |u|^2 - |v|^2`. In these columns
:math:`W^T U` and :math:`u_{if} v_{jf}` then take :math:`D \circ S` for W, where S has the
hyperbolic sine in the place of the cosine. A kernel block is therefore a list, [K] or [K, S], one
part for each group of columns, the even ones first.

Rows are worked off in tiles that stay in
the processor's cache, with every tile in the same memory.
"""

from __future__ import annotations

from typing import Any

from ... import _torch as torch

_TILE_ELEMENTS = 2**19  # of the kernel or of the rows in a tile: two megabytes of float32
_MIN_TILE_ROWS = 256


def column_groups(width: int, n_odd: int) -> tuple[slice, ...]:
    """All columns, or the even and the odd ones."""
    if n_odd == 0:
        return (slice(None),)
    return slice(width - n_odd), slice(width - n_odd, None)


class ScaledRows:
    """Rows ``u = s z`` that are never written down: the scale goes to the support instead.

    Parameters
    ----------
    rows : Tensor of shape (b, d)
        Coordinates z.
    scale : Tensor of shape (d,) or (1,)
    V : Tensor of shape (m, d)
        Support in scaled coordinates.
    n_odd : int
        Last columns whose common sign does not matter.
    """

    def __init__(self, rows: Any, scale: Any, V: Any, n_odd: int) -> None:
        self.rows, self.scale = rows, scale
        self.columns = column_groups(V.shape[1], n_odd)
        self._factor = (2 * scale * V).T
        self._offset = torch.linalg.vecdot(V, V).neg()[None, :]

    def squares(self, start: int, stop: int) -> Any:
        """Squared lengths of some scaled rows."""
        z = self.rows[start:stop]
        if len(self.scale) == 1:
            return torch.linalg.vector_norm(z, dim=1).mul_(self.scale).square_()
        return z.square() @ self.scale.square()

    def kernel(self, start: int, stop: int, out: list[Any]) -> None:
        """Kernel block of some rows and the support, written to the parts of `out`."""
        z, columns = self.rows[start:stop], self.columns
        torch.addmm(self._offset, z[:, columns[0]], self._factor[columns[0]], out=out[0])
        out[0].sub_(self.squares(start, stop)[:, None])
        if len(out) > 1:
            torch.mm(z[:, columns[1]], self._factor[columns[1]], out=out[1])
        exponentiate(out)

    def trace(self, weight: Any) -> tuple[Any, Any]:
        """Weighted sum of ``k(u, u)`` over the rows, and its gradient in the log scales."""
        gradient = torch.zeros_like(self.scale)
        if len(self.columns) == 1:
            return weight.sum(), gradient
        odd = self.columns[1]
        squares = (self.rows * self.scale)[:, odd].square()
        mirrored = weight * (-4 * squares.sum(1)).exp()
        of_odd = -4 * (mirrored @ squares)
        if len(self.scale) == 1:
            gradient += of_odd.sum()
        else:
            gradient[odd] = of_odd
        return (weight.sum() + mirrored.sum()) / 2, gradient

    def tiles(self) -> list[tuple[int, int]]:
        """Ranges of rows that are worked off together, small enough for a core's cache."""
        width = max(self.rows.shape[1], self._factor.shape[1])
        size = max(_MIN_TILE_ROWS, _TILE_ELEMENTS // width)
        return [(i, min(len(self.rows), i + size)) for i in range(0, len(self.rows), size)]


def exponentiate(parts: list[Any]) -> None:
    """From E, or E and ``2 u_o.v_o``, to a kernel block, in place."""
    if len(parts) == 1:
        # Rounding can make a distance negative; far from the origin that would be felt.
        parts[0].clamp_(max=0).exp_()
        return
    K, S = parts
    K.add_(S)
    S.mul_(-2).add_(K)
    K.clamp_(max=0).exp_()
    S.clamp_(max=0).exp_()
    # The kernels at either sign, to be averaged and subtracted.
    K.add_(S).mul_(0.5)
    S.neg_().add_(K)


def rbf_exponents(U: Any, V: Any, n_odd: int) -> list[Any]:
    """Compute E, or E and ``2 u_o.v_o``, parts (a, b), of two blocks of scaled rows.

    Rows at s times the scale have s^2 times these.
    """
    columns = column_groups(V.shape[1], n_odd)
    offset = torch.linalg.vecdot(V, V).neg()[None, :]
    parts = [torch.addmm(offset, U[:, columns[0]], V[:, columns[0]].T, alpha=2)]
    parts[0].sub_(torch.linalg.vector_norm(U, dim=1).square_()[:, None])
    if n_odd:
        parts.append((U[:, columns[1]] @ V[:, columns[1]].T).mul_(2))
    return parts


def rbf_parts(U: Any, V: Any, n_odd: int) -> list[Any]:
    """Kernel block of two blocks of scaled rows, parts (a, b)."""
    parts = rbf_exponents(U, V, n_odd)
    exponentiate(parts)
    return parts


def rbf(U: Any, V: Any, n_odd: int = 0) -> Any:
    """Kernel matrix (a, b) of two blocks of scaled rows."""
    return rbf_parts(U, V, n_odd)[0]


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

    def add(self, start: int, stop: int, D: Any, parts: list[Any]) -> None:
        """Add a tile: the derivative D (stop - start, m) and the kernel block, which is spent."""
        z, scale = self._rows.rows[start:stop], self._rows.scale
        for W, columns in zip(parts, self._rows.columns, strict=True):
            W.mul_(D)
            self._products[:, columns].addmm_(W.T, z[:, columns])
            if self._of_scale is not None and self._per_feature:
                products = (W @ self._V[:, columns]).mul_(z[:, columns])
                self._of_scale[columns] -= scale[columns] * products.sum(0)
        W = parts[0]
        self._sums += W.sum(0)
        if self._of_scale is None:
            return
        if self._per_feature:
            self._of_scale += scale.square() * (W.sum(1) @ z.square())
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


def support_gradient(D: Any, parts: list[Any], n_odd: int, V: Any) -> Any:
    """Gradient in V of ``sum_jk D_jk k(v_j, v_k)``, D symmetric, given the kernel block of V."""
    products = torch.empty_like(V)
    for part, columns in zip(parts, column_groups(V.shape[1], n_odd), strict=True):
        torch.mm(D * part, V[:, columns], out=products[:, columns])
    sums = (D * parts[0]).sum(1, keepdim=True)
    return 4 * (products - sums * V)
