r"""What a technique over networks is judged by while it trains: ridge regression on their features.

Training a network on the learnt rows at each refreshment would cost more than the rest. The
features of a few random networks, fixed for a fit, give a predictor in closed form: with the mean
of the inner products of their features as kernel K and one-hot labels Y of the m learnt rows,

.. math:: f(x) = \bar y + K_{xS} (K_{SS} + \lambda I)^{-1} (Y - \bar y) ,

at the cost of a forward pass of the rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _torch as torch
from ..networks import Architecture
from ..networks._architecture import Parameters
from ._labels import cholesky_solve

RIDGE = 1e-3  # relative to the mean of the kernel's diagonal
TEMPERATURE = 0.1  # outputs of a ridge regression on one-hot labels stay near 0 and 1


class NetworkRidge:
    """Predictors from the features of fixed networks.

    Parameters
    ----------
    architecture : Architecture
    count : int
        Networks.
    generator : torch.Generator
    """

    def __init__(self, architecture: Architecture, count: int, generator: Any) -> None:
        self._architecture = architecture
        self._params: Parameters = architecture.initial(count, generator)

    def features(self, rows: Any) -> Any:
        """Features (count, b, n_hidden) of rows (b, d), without gradients."""
        with torch.no_grad():
            return self._architecture.features(self._params, rows.to(torch.float32))

    def predictor(self, rows: Any, labels: Any) -> Callable[[Any], Any]:
        """Ridge regression on learnt rows.

        Parameters
        ----------
        rows : Tensor of shape (m, d)
        labels : Tensor of shape (m, q)

        Returns
        -------
        callable
            Rows (b, d) -> outputs (b, q), in the float type of `labels`.
        """
        F = self.features(rows)
        K = torch.einsum("kmf,knf->mn", F.double(), F.double())
        Y = labels.double()
        mean = Y.mean(0)
        jitter = RIDGE * float(K.diagonal().mean()) + 1e-300
        dual = cholesky_solve(K, Y - mean, jitter)
        # The dual coefficients on features are m x q numbers; on the networks' outputs k x f x q.
        weight = torch.einsum("kmf,mq->kfq", F.double(), dual).to(F.dtype)

        def predict(rows: Any) -> Any:
            return (torch.bmm(self.features(rows), weight).sum(0) + mean).to(labels.dtype)

        return predict
