"""Networks that multiply in half the precision, where a device is fast at it.

Products and convolutions take bfloat16 factors; parameters, normalisations, outputs and gradients
stay in float32. That is enough for averages over many rows and for stochastic gradient descent. A
gradient of a gradient, a ridge regression on features, networks that judge a set, and modules of
one's own are worked on in full precision.
"""

from __future__ import annotations

from typing import Any

from .. import _torch as torch
from ._architecture import Architecture, LayeredArchitecture, Parameters

HALF = {"cuda": "bfloat16"}  # type of factors, by device
AMPERE = 8  # the first generation of CUDA devices that multiplies bfloat16 itself


def mixed(architecture: Architecture, device: Any) -> Architecture:
    """Return an architecture in mixed precision for a device that is fast at it, else itself."""
    if device.type not in HALF or not isinstance(architecture, LayeredArchitecture):
        return architecture
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < AMPERE:
        return architecture
    return MixedArchitecture(architecture, getattr(torch, HALF[device.type]))


class MixedArchitecture(Architecture):
    """Outputs of an architecture for float32 rows, computed in mixed precision; of others, exactly.

    Parameters
    ----------
    exact : Architecture
    half : torch.dtype
    """

    def __init__(self, exact: Architecture, half: Any) -> None:
        self.n_outputs = exact.n_outputs
        self._exact, self._half = exact, half

    def initial(self, count: int, generator: Any, dtype: Any = None) -> Parameters:
        """Draw fresh networks; see `Architecture`."""
        return self._exact.initial(count, generator, dtype)

    def features(self, params: Parameters, rows: Any) -> Any:
        """Compute what the last linear layer sees; see `Architecture`."""
        with self._precision(rows):
            found = self._exact.features(params, rows)
        return found.to(rows.dtype)

    def outputs(self, params: Parameters, rows: Any) -> Any:
        """Compute outputs; see `Architecture`."""
        with self._precision(rows):
            found = self._exact.outputs(params, rows)
        return found.to(rows.dtype)

    def _precision(self, rows: Any) -> Any:
        single = rows.dtype == torch.float32
        return torch.autocast(rows.device.type, self._half, enabled=single)
