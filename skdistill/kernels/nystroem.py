"""The Nystroem map ``k(x, S) K_SS^(-1/2)`` and other products with a kernel against landmarks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from .. import _torch as torch
from .._device import for_each_block, resolve_device, threads_for, tile_rows
from .._input.rows import Units, as_tensor
from .functions import Kernel
from .ridge import RidgeFit, fit_weighted_ridge


class NystroemMap:
    """Landmarks with their kernel.

    The normalisation costs O(m^3) and is made when it is first used: who only wants the distilled
    rows does not pay for it. It is not pickled, which keeps pickles at the size of the landmarks.

    Parameters
    ----------
    kernel : Kernel
    landmarks : ndarray or csr_matrix of shape (m, d), float32 or float64
    units : Units
        Shift of the features.
    """

    def __init__(self, kernel: Kernel, landmarks: Any, units: Units) -> None:
        self.kernel = kernel
        self.landmarks = landmarks
        self.units = units

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "normalization"}

    @cached_property
    def normalization(self) -> np.ndarray:
        """Symmetric inverse square root (m, m) of the landmarks' kernel matrix, float64.

        Directions below the precision of the landmarks' dtype are cut off.
        """
        return self._inverse_root(*scipy.linalg.eigh(self.landmark_kernel()))

    def _inverse_root(self, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        precision = np.finfo(self.landmarks.dtype).eps
        kept = values > max(len(values) * precision * values[-1], 0)
        scaled = vectors[:, kept] / np.sqrt(np.sqrt(values[kept]))
        return scaled @ scaled.T

    def ridge(self, Y: np.ndarray, weight: np.ndarray) -> RidgeFit:
        """Kernel ridge regression on the landmarks, see `fit_weighted_ridge`.

        Where all weights are equal, its eigendecomposition gives the normalisation as well.
        """
        K = self.landmark_kernel()
        if (weight != weight[0]).any():
            return fit_weighted_ridge(K, Y, weight)
        values, vectors = scipy.linalg.eigh(K)
        if "normalization" not in self.__dict__:
            self.normalization = self._inverse_root(values, vectors)
        return fit_weighted_ridge(K, Y, weight, (values, vectors))

    def landmark_kernel(self) -> np.ndarray:
        """Kernel matrix (m, m) of the landmarks, float64."""
        exact = self.landmarks.astype(np.float64)
        exact = self.units.load(exact, torch.float64, torch.device("cpu"))
        return self.kernel(exact, exact).numpy()

    def product(self, X: Any, right: np.ndarray, dtype: np.dtype, device: str) -> np.ndarray:
        """``k(X, landmarks) @ right``, block by block.

        Parameters
        ----------
        X : ndarray or csr_matrix of shape (n, d)
        right : ndarray of shape (m, q)
        dtype : dtype
            float32 or float64: of the work and of the result.
        device : str

        Returns
        -------
        ndarray of shape (n, q)
        """
        if dtype == np.float32 and self._single_is_enough():
            found = self._product(X, right, dtype, device)
            if np.isfinite(found).all():
                return found
        found = self._product(X, right, np.dtype(np.float64), device)
        with np.errstate(over="ignore"):
            found = found.astype(dtype, copy=False)
        if not np.isfinite(found).all():
            raise ValueError(
                f"X holds values up to {np.abs(X).max():.1e}, for which the kernel "
                f"{self.kernel.name!r} leaves the range of {dtype}; rescale X."
            )
        return found

    def _single_is_enough(self) -> bool:
        """Whether squares of the size that the kernel works with are normal numbers of float32."""
        if self.kernel.shift_invariant:
            return 1e-24 < self.kernel.gamma < 1e24
        return 1e-12 < abs(self.landmarks).max() < 1e12

    def _product(self, X: Any, right: np.ndarray, dtype: np.dtype, device: str) -> np.ndarray:
        """Compute the product in one float type; what leaves its range is not finite."""
        where = resolve_device(device)
        work_type = torch.float32 if dtype == np.float32 else torch.float64
        landmarks = self.units.load(self.landmarks, work_type, where)
        factor = as_tensor(right).to(where, work_type)
        product = np.empty((X.shape[0], right.shape[1]), dtype=dtype)
        sparse = sp.issparse(self.landmarks)

        def work(start: int, stop: int) -> None:
            block = X[start:stop]
            if sp.issparse(block) != sparse:  # fitted on the one form, asked for the other
                block = sp.csr_matrix(block) if sparse else block.toarray()
            x = self.units.load(block, work_type, where)
            K = self.kernel(x, landmarks).to(where, work_type)
            product[start:stop] = (K @ factor).cpu().numpy()

        size = X.shape[0] * landmarks.shape[0] * (landmarks.shape[1] + right.shape[1])
        with threads_for(size, where):
            for_each_block(
                work, X.shape[0], tile_rows(max(*landmarks.shape, right.shape[1]), where)
            )
        return product
