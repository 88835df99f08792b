r"""What a ridge regression in feature space is made of: feature maps, their kernel, the predictor.

With features :math:`\phi` and m learnt rows S of labels Y, c a fixed offset of the labels,

.. math:: f(x) = c + k_{xS} (K_{SS} + \lambda I)^{-1} (Y - c) ,

where k is the inner product of features, averaged over networks, or for one frozen map of rows of
length 1 the Gaussian :math:`\exp(-\gamma |\phi(x) - \phi(s)|^2)`, averaged over the sign of the
features that change it in a mirror image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from ... import _torch as torch
from ..._device import for_each_block
from ..._input.rows import as_tensor
from ...kernels import Kernel
from ...networks import build
from ...networks._architecture import Parameters
from .._ridge.labels import cholesky_solve
from ..context import Context

BLOCK_ROWS = {"cpu": 1024, "cuda": 2048}  # whose features are computed at a time
UPLOAD_ROWS = 8192  # that are on a device at a time
MAP_BLOCK_ROWS = {"cpu": 64, "cuda": 2048}  # of a frozen map, whose responses leave a CPU's cache


PRODUCTS = Kernel("linear")


class NetworkFeatures:
    """Features of stacks of networks, side by side, so that inner products are their mean.

    Parameters
    ----------
    network : str, network object or callable
        See `skdistill.networks.build`, also for the others.
    n_features : int
    image_shape : tuple of int or None
    n_outputs : int
    """

    def __init__(
        self,
        network: Any,
        n_features: int,
        image_shape: tuple[int, int, int] | None,
        n_outputs: int,
    ) -> None:
        self._arguments = network, n_features, image_shape, n_outputs
        self.architecture = build(*self._arguments)
        self.most = sys.maxsize  # rows at a time that memory was enough for so far

    def block_rows(self, device: Any) -> int:
        """Rows to work on at a time."""
        return BLOCK_ROWS[device.type]

    def kernel(self, gamma: float) -> Kernel:
        """Kernel of the features; `gamma` is for frozen maps."""
        return PRODUCTS

    def __call__(self, params: Parameters, rows: Any) -> Any:
        """Features (b, count * n_hidden) of rows (b, d)."""
        found = self.architecture.features(params, rows)
        return found.transpose(0, 1).flatten(1) / len(found) ** 0.5

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither the architecture nor a module in it is pickled: what it is made from suffices.
        return NetworkFeatures, self._arguments


class FrozenFeatures:
    """Features of a transformer with the method `torch_function`, of length 1.

    Parameters
    ----------
    transformer : transformer
        Fitted.
    """

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._functions: dict[tuple[Any, Any], Callable[[Any], Any]] = {}
        self.most = sys.maxsize

    def block_rows(self, device: Any) -> int:
        """Rows to work on at a time."""
        return MAP_BLOCK_ROWS[device.type]

    def kernel(self, gamma: float) -> Kernel:
        """Kernel of the features."""
        n_odd = getattr(self._transformer, "n_odd_", 0)
        if n_odd:
            return Kernel("mirror_rbf", gamma, params={"n_odd": n_odd})
        return Kernel("rbf", gamma)

    def __call__(self, params: Parameters, rows: Any) -> Any:
        """Features (b, p) of rows (b, d); there are no parameters."""
        key = rows.device, rows.dtype
        if key not in self._functions:
            self._functions[key] = self._transformer.torch_function(*key)
        return self._functions[key](rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenFeatures, (self._transformer,)


Features = NetworkFeatures | FrozenFeatures


def is_feature_map(network: Any) -> bool:
    """Whether a parameter `network` is a transformer instead of networks."""
    return hasattr(network, "torch_function") and not isinstance(network, type)


def check_feature_map(network: Any, context: Context) -> Any:
    """Return an unfitted copy of a transformer, for the images and by the generator of a context.

    Raises
    ------
    ValueError
        If it is frozen, or if the images are not those of the context.
    """
    if isinstance(network, FrozenEstimator):
        raise ValueError(
            f"network={network!r} of FeatureRegression is frozen; pass it as it was before `fit`: "
            "it is fitted on the real rows, in the units that rows are learnt in."
        )
    shape = context.image_shape
    own = network.image_shape
    if shape is None or (own is not None and tuple(own) != shape):
        raise ValueError(
            f"network={network!r} needs images of image_shape={own!r}, but the distiller has "
            f"image_shape={shape!r}; give the same to both, or None to the network."
        )
    device = context.generator.device
    seed = torch.randint(2**31 - 1, (1,), generator=context.generator, device=device)
    options: dict[str, Any] = {"image_shape": shape, "device": str(context.device)}
    if network.random_state is None:
        options["random_state"] = int(seed)
    return clone(network).set_params(**options)


def features_of(
    features: Features, params: Parameters, rows: Any, then: Callable[[Any], Any] | None = None
) -> Any:
    """Features (b, f) of rows without gradients, in blocks that shrink when memory runs out.

    With `then`, what it makes of the features of each block: they are never there as a whole.
    """
    parts: list[Any] = []

    def work(start: int, stop: int) -> None:
        with torch.no_grad():
            found = features(params, rows[start:stop])
            parts.append(found if then is None else then(found))

    block = min(features.block_rows(rows.device), features.most)
    features.most = for_each_block(work, len(rows), block)
    return torch.cat(parts)


def solve_dual(F: Any, labels: Any, reg: float, kernel: Kernel) -> Any:
    """Coefficients (m, q) for features (m, f) of learnt rows and labels less their offset.

    Solved in float64: the ridge is small. `reg` is relative to the mean of the kernel's diagonal.
    """
    F = F.double()
    K = kernel(F, F)
    jitter = reg * float(K.detach().diagonal().mean()) + 1e-300
    return cholesky_solve(K, labels.double(), jitter).to(labels.dtype)


@dataclass(frozen=True)
class FeatureRidge:
    """The predictor of a learnt set, NumPy arrays alone.

    Attributes
    ----------
    features : NetworkFeatures or FrozenFeatures
    params : dict of str to float32 ndarray of shape (count, ...)
        Of the networks; empty for a frozen map.
    of_support : float32 ndarray of shape (m, f)
        Features of the learnt rows.
    dual : float32 ndarray of shape (m, q)
    offset : float
    kernel : Kernel
    """

    features: Features
    params: dict[str, np.ndarray]
    of_support: np.ndarray
    dual: np.ndarray
    offset: float
    kernel: Kernel

    def predict(self, rows: np.ndarray, device: Any) -> np.ndarray:
        """Compute outputs (k, q), float64, of rows (k, d) in coordinates, on a device."""
        # Single precision depends on which rows stand together; for pixels that is of no account.
        dtype = torch.float64 if rows.dtype == np.float64 else torch.float32

        def load(array: np.ndarray) -> Any:
            return as_tensor(array).to(device, dtype)

        params = {name: load(array) for name, array in self.params.items()}
        of_support, dual = load(self.of_support), load(self.dual)
        out = np.empty((len(rows), dual.shape[1]))
        for i in range(0, len(rows), UPLOAD_ROWS):
            block = load(rows[i : i + UPLOAD_ROWS])
            outputs = features_of(
                self.features,
                params,
                block,
                lambda F: self.kernel(F, of_support) @ dual + self.offset,
            )
            out[i : i + UPLOAD_ROWS] = outputs.double().cpu().numpy()
        return out
