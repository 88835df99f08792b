"""Closed-form kernels on blocks of rows.

One object holds a kernel's name and parameters and computes kernel matrices of torch tensors or CSR
matrices, in the tensors' own dtype and on their device. Kernels of inner products share one matrix
product; scikit-learn's names and formulas are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics.pairwise import manhattan_distances

from .. import _torch as torch

KERNELS = ("rbf", "mirror_rbf", "laplacian", "linear", "polynomial", "nngp", "ntk")
_DEPTH = 3  # of nngp and ntk
_DIAGONAL_ROWS = 64  # of a callable at a time: calls are slow, and so are pairs nobody asks for


@dataclass(frozen=True)
class Kernel:
    """A kernel with its parameters; call it with two blocks of rows.

    Attributes
    ----------
    name : str or callable
        One of `KERNELS`, or a function of arrays (a, d) and (b, d) that returns an (a, b) array.
    gamma : float
        Coefficient of rbf, mirror_rbf, laplacian and polynomial.
    degree, coef0 : float
        Of the polynomial kernel.
    params : dict
        ``depth`` (number of hidden layers) of nngp and ntk; ``n_odd`` (number of last features that
        change their sign together) of mirror_rbf; keyword arguments of a callable.
    """

    name: str | Callable
    gamma: float = 1.0
    degree: float = 3
    coef0: float = 1
    params: dict = field(default_factory=dict)

    @property
    def shift_invariant(self) -> bool:
        """Whether rows may be centred first, which float32 needs far from the origin."""
        return self.name in ("rbf", "laplacian")

    @property
    def n_odd(self) -> int:
        """Last features whose common sign does not matter; 0 for all kernels but mirror_rbf."""
        return self.params["n_odd"] if self.name == "mirror_rbf" else 0

    @property
    def length_power(self) -> int:
        """Power of the rows' unit that gamma is divided by when rows are measured in it."""
        return 1 if self.name == "laplacian" else 2

    def __call__(self, A: Any, B: Any) -> Any:
        """Kernel matrix (a, b) of A (a, d) and B (b, d): a tensor like `A`.

        CSR blocks give a float tensor on the CPU.
        """
        if callable(self.name):
            return _from_callable(self.name, A, B, self.params)
        if self.name == "laplacian":
            return (_manhattan(A, B) * -self.gamma).exp_()
        if self.name == "mirror_rbf":
            return _mirror_rbf(A, B, self)
        if self.name == "ntk" and _is_single_and_fixed(A, B):
            # The angle of parallel rows, as a landmark and itself, is the root of the rounding.
            return self(_doubled(A), _doubled(B)).float()
        return _FORMS[self.name](inner_products(A, B), _squares(A), _squares(B), self)

    def diagonal(self, A: Any) -> Any:
        """``k(x, x)`` for the rows of `A`, shape (a,)."""
        if callable(self.name):
            starts = range(0, A.shape[0], _DIAGONAL_ROWS)
            blocks = [A[i : i + _DIAGONAL_ROWS] for i in starts]
            return torch.cat([self(block, block).diagonal() for block in blocks])
        if self.name == "laplacian":
            return torch.ones_like(_squares(A))
        square = _squares(A)
        if self.name == "mirror_rbf":
            return (1 + (-4 * self.gamma * _squares(A[:, -self.n_odd :])).exp()) / 2
        return _FORMS[self.name](square[:, None].clone(), square, square[:1], self, True)[:, 0]


def _is_single_and_fixed(A: Any, B: Any) -> bool:
    """Whether blocks are of float32 and no gradient is asked for."""
    if sp.issparse(A):
        return A.dtype == np.float32
    return A.dtype == torch.float32 and not (A.requires_grad or B.requires_grad)


def _doubled(A: Any) -> Any:
    return A.astype(np.float64) if sp.issparse(A) else A.double()


def inner_products(A: Any, B: Any) -> Any:
    """Inner products (a, b) of the rows of two tensors or two CSR matrices."""
    if not sp.issparse(A):
        return A @ B.T
    product = A @ B.T
    return torch.from_numpy(product.toarray() if sp.issparse(product) else np.asarray(product))


def _squares(A: Any) -> Any:
    if sp.issparse(A):
        return torch.from_numpy(np.asarray(A.multiply(A).sum(axis=1)).ravel())
    return torch.linalg.vecdot(A, A)


def _manhattan(A: Any, B: Any) -> Any:
    if sp.issparse(A):
        return torch.from_numpy(manhattan_distances(_short_indices(A), _short_indices(B)))
    return torch.cdist(A, B, p=1)


def _short_indices(A: Any) -> Any:
    """CSR block with 32-bit indices, the only ones that scikit-learn's loop takes."""
    indices, indptr = A.indices.astype(np.int32), A.indptr.astype(np.int32)
    return sp.csr_matrix((A.data, indices, indptr), shape=A.shape)


def _rbf(G, a2, b2, kernel, diagonal=False):
    if diagonal:
        return torch.ones_like(G)
    return squared_distances(G, a2, b2).mul_(-kernel.gamma).exp_()


def _mirror_rbf(A: Any, B: Any, kernel: Kernel) -> Any:
    """Mean of the RBF kernel over both signs of the last features."""
    even = A.shape[1] - kernel.n_odd
    distance = squared_distances(inner_products(A[:, :even], B[:, :even]), _squares(A), _squares(B))
    shift = 2 * inner_products(A[:, even:], B[:, even:])
    # |a - b|^2 and |a - Mb|^2; rounding can make them negative.
    both = (distance - shift).clamp(min=0), (distance + shift).clamp(min=0)
    return ((-kernel.gamma * both[0]).exp() + (-kernel.gamma * both[1]).exp()) / 2


def squared_distances(G: Any, a2: Any, b2: Any) -> Any:
    """``|a|^2 - 2 a.b + |b|^2``, clipped at 0, in the memory of the inner products `G` (a, b)."""
    return G.mul_(-2).add_(a2[:, None]).add_(b2[None, :]).clamp_(min=0)


def _linear(G, a2, b2, kernel, diagonal=False):
    return G


def _polynomial(G, a2, b2, kernel, diagonal=False):
    base = G.mul_(kernel.gamma).add_(kernel.coef0)
    if not float(kernel.degree).is_integer() and bool((base < 0).any()):
        raise ValueError(
            f"degree={kernel.degree!r} of the polynomial kernel is no whole number, and "
            "gamma <x, z> + coef0 is negative for some rows; use a whole degree."
        )
    return base.pow_(kernel.degree)


def _relu_network(G, a2, b2, kernel, diagonal, tangent):
    """NNGP and NTK of a fully connected ReLU network, recursion of Cho & Saul (2009).

    Inputs are scaled by 1/sqrt(d) in effect through `gamma`; He initialisation keeps the diagonal
    of the NNGP kernel the same in every layer.
    """
    if diagonal:
        depth = kernel.params["depth"]
        return G.mul_(kernel.gamma * (depth + 1 if tangent else 1))
    tiny = torch.finfo(G.dtype).tiny  # of a row of zeros, where the root has no slope
    # The product of the roots: that of the squares would leave the range of float32 early.
    norm = a2.clamp(min=tiny).sqrt()[:, None] * b2.clamp(min=tiny).sqrt()[None, :] * kernel.gamma
    cosine = G.mul_(kernel.gamma) / norm.clamp(min=tiny)
    if cosine.requires_grad:
        return norm * _arc_cosines_function().apply(cosine, kernel.params["depth"], tangent)
    return norm * _arc_cosines(cosine, kernel.params["depth"], tangent, slope=False)[0]


def _arc_cosines(cosine: Any, depth: int, tangent: bool, *, slope: bool) -> tuple[Any, Any]:
    """NNGP or NTK of rows of length one as a function of their cosine, and its slope.

    A layer takes the cosine c to ``c k + sqrt(1 - c^2) / pi`` with ``k = 1 - arccos(c) / pi``, the
    slope of which is k. By hand the slope takes half the time that autograd does.
    """
    # The slope of k is infinite for parallel rows; one rounding away from them what is infinite
    # in its parts cancels.
    limit = 1 - torch.finfo(cosine.dtype).eps if slope else 1
    c = cosine.clamp(-limit, limit)
    value, of_c, of_value = c, None, None
    for _ in range(depth):
        sine = (1 - c * c).clamp_(min=0).sqrt_()
        k = torch.arccos(c).mul_(-1 / math.pi).add_(1)
        if slope and tangent:
            of_k = sine.reciprocal().mul_(1 / math.pi)
            of_k = of_k if of_c is None else of_k.mul_(of_c)
        if slope:
            of_c = k.clone() if of_c is None else of_c.mul_(k)
        c = sine.mul_(1 / math.pi).addcmul_(c, k).clamp_(-limit, limit)
        if slope and tangent:
            part = k if of_value is None else of_value.mul_(k)
            of_value = of_k.mul_(value).add_(of_c).add_(part)
        value = torch.addcmul(c, value, k) if tangent else c
    return value, of_value if tangent else of_c


@cache
def _arc_cosines_function() -> Any:
    """Return `_arc_cosines` for autograd; made on first use, since torch is imported late."""
    from torch.autograd.function import once_differentiable

    class ArcCosines(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, cosine: Any, depth: int, tangent: bool) -> Any:
            value, slope = _arc_cosines(cosine, depth, tangent, slope=True)
            ctx.save_for_backward(slope)
            return value

        @staticmethod
        @once_differentiable  # a second derivative would leave out that of the slope
        def backward(ctx: Any, gradient: Any) -> tuple:
            (slope,) = ctx.saved_tensors
            return gradient * slope, None, None

    return ArcCosines


def _nngp(G, a2, b2, kernel, diagonal=False):
    return _relu_network(G, a2, b2, kernel, diagonal, tangent=False)


def _ntk(G, a2, b2, kernel, diagonal=False):
    return _relu_network(G, a2, b2, kernel, diagonal, tangent=True)


_FORMS = {"rbf": _rbf, "linear": _linear, "polynomial": _polynomial, "nngp": _nngp, "ntk": _ntk}


def _from_callable(function: Callable, A: Any, B: Any, params: dict) -> Any:
    sparse = sp.issparse(A)
    a, b = (A, B) if sparse else (A.cpu().numpy(), B.cpu().numpy())
    K = np.asarray(function(a, b, **params))
    if K.shape != (A.shape[0], B.shape[0]):
        raise ValueError(
            f"kernel={function!r} must return an array of shape {(A.shape[0], B.shape[0])} for "
            f"{A.shape[0]} and {B.shape[0]} rows, but returned {K.shape}; wrap a function of two "
            "single rows with sklearn.metrics.pairwise.pairwise_kernels(X, Y, metric=function)."
        )
    if sparse:
        return torch.from_numpy(np.ascontiguousarray(K, dtype=A.dtype))
    return torch.from_numpy(np.ascontiguousarray(K)).to(A)


def resolve_kernel(
    kernel: str | Callable,
    gamma: str | float | None,
    degree: float,
    coef0: float,
    kernel_params: dict | None,
    n_features: int,
    variance: float,
) -> Kernel:
    """Check the kernel parameters of an estimator and fill in what depends on the data.

    Parameters
    ----------
    kernel : str or callable
    gamma : {"scale", "auto"}, float or None
        "scale" is ``1 / (n_features * X.var())``, "auto" and None are ``1 / n_features``, as in
        `sklearn.svm.SVC`.
    degree, coef0 : float
    kernel_params : dict or None
    n_features : int
    variance : float
        ``X.var()``, weighted.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If a parameter is unknown or out of range.
    """
    if not callable(kernel) and kernel not in KERNELS:
        raise ValueError(f"kernel={kernel!r} is unknown; use one of {KERNELS} or a callable.")
    if gamma == "scale":
        # Where even the inverse is infinite, the variance is as good as none.
        value = 1.0 / (n_features * variance) if n_features * variance > 1e-300 else 1.0
    elif gamma is None or gamma == "auto":
        value = 1.0 / n_features
    elif isinstance(gamma, Real) and math.isfinite(gamma) and gamma > 0:
        value = float(gamma)
    else:
        raise ValueError(f"gamma={gamma!r} must be 'scale', 'auto', None or a positive number.")
    if kernel in ("nngp", "ntk"):
        what = "number of hidden layers"
        params = _count(kernel, kernel_params, "depth", _DEPTH, math.inf, what)
        value = 1.0 / n_features
    elif kernel == "mirror_rbf":
        what = "number of last features whose common sign does not matter"
        half = max(1, n_features // 2)
        params = _count(kernel, kernel_params, "n_odd", half, n_features, what)
    elif callable(kernel):
        params = dict(kernel_params or {})
    elif kernel_params:
        raise ValueError(
            f"kernel_params={kernel_params!r} is for callable kernels, 'mirror_rbf', 'nngp' and "
            f"'ntk'; kernel={kernel!r} takes gamma, degree and coef0."
        )
    else:
        params = {}
    return Kernel(kernel, value, degree, coef0, params)


def _count(
    kernel: Any, kernel_params: dict | None, name: str, default: int, most: float, what: str
) -> dict[str, int]:
    """Check the one parameter of a kernel, a positive integer."""
    params: dict[str, Any] = {name: default, **(kernel_params or {})}
    value = params[name]
    whole = isinstance(value, Real) and float(value).is_integer()
    if set(params) != {name} or not whole:
        raise ValueError(
            f"kernel_params={kernel_params!r} does not fit kernel={kernel!r}; it takes "
            f"{{{name!r}: {what}}}."
        )
    if not 1 <= value <= most:
        bounds = "at least 1" if most == math.inf else f"from 1 to {most}, the number of features"
        raise ValueError(f"kernel_params={kernel_params!r}: {name} must be {bounds}.")
    return {name: int(value)}
