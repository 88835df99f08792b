r"""Rows whose features have the class means of the real rows' features, in random networks.

With :math:`\phi` the features of a freshly drawn network, a random augmentation A, and the real
rows B_c of class c in a batch with weights v,

.. math::
    L(S) = \sum_c \Big\| \frac{\sum_{i \in B_c} v_i\, \phi(A x_i)}{\sum_{i \in B_c} v_i}
           - \frac{1}{|S_c|} \sum_{j \in S_c} \phi(A s_j) \Big\|^2 .

No network is trained, and the loss needs no second derivative: it is the cheapest of the techniques
over networks (Zhao & Bilen, 2023). All classes go through a network in one call.
"""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any, ClassVar

from .. import _torch as torch
from .._device import for_each_block
from ..batches.training_set import Batch
from ..support import Support
from ._networks.network_technique import NetworkTechnique
from .context import Context, Stage

STEPS = 1000
ROWS_PER_CLASS = 256


class DistributionMatching(NetworkTechnique):
    r"""Match class means of the features of random networks (DM).

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        What makes features: "auto" is :class:`~skdistill.networks.ConvNet` for images (see
        `image_shape` of the distiller) and :class:`~skdistill.networks.MLP` for vectors. A function
        ``(input_shape, n_outputs) -> torch.nn.Module`` makes networks of your own, whose features
        are the inputs of their last linear layer.

    augment : {"auto"}, str or None, default="auto"
        Differentiable augmentation of real and learnt images, one draw a step for both: names of
        "color", "crop", "cutout", "flip", "scale" and "rotate" joined by "_". "auto" takes all
        of them, without "flip" for images of one channel, and leaves vectors as they are.

    n_networks : int, default=1
        Fresh networks in a step.

    Notes
    -----
    Classes count alike, whatever their weight: rows and batches are balanced unless the distiller's
    `class_balance` is False. Without a target all rows are one class. Labels stay those of the
    start, one class a row.

    Rows of a batch count by their weights, and a row of weight 2 as two rows. The weighted means
    estimate those of all rows with a bias of the order of one over the rows of a class, the usual
    one of a ratio; importance batches with ``reweight=True`` keep that, while without it the
    learnt rows move towards what is drawn most.

    The public code draws an augmentation for each class, and moves rows by gradient descent at a
    rate of 1; here one draw serves all classes of a step, which then go through a network as one,
    and the optimiser is the distiller's.

    For the importance of rows a ridge regression on the features of two further random networks,
    drawn once for a fit, stands in for a network trained on the learnt rows. Nothing is held out:
    as in the paper the last rows are kept, since cheap scores choose no better ones. What
    ``DistilledClassifier(estimator=None)`` trains in the end is a
    :class:`~skdistill.networks.NetworkClassifier` with the same `network` and `augment`.

    References
    ----------
    .. [1] B. Zhao, H. Bilen. "Dataset Condensation with Distribution Matching". WACV 2023.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> from skdistill.objectives import DistributionMatching
    >>> DistributionMatching(network=ConvNet(width=32))
    DistributionMatching(network=ConvNet(width=32))
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"none", "classes"})
    rate: ClassVar[float] = 1.0  # gradients of means are small and steady: long steps arrive sooner

    def __init__(
        self, network: Any = "auto", augment: str | None = "auto", n_networks: int = 1
    ) -> None:
        self.network = network
        self.augment = augment
        self.n_networks = n_networks

    def setup(self, context: Context) -> None:
        """Check the parameters; see `Objective.setup`."""
        super().setup(context)
        self._block = sys.maxsize  # real rows at a time: as many as memory was enough for so far
        if not (isinstance(self.n_networks, Integral) and int(self.n_networks) >= 1):
            raise ValueError(
                f"n_networks={self.n_networks!r} of DistributionMatching must be a positive "
                "integer."
            )

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        size = self._context.batch_size or ROWS_PER_CLASS * self._context.n_outputs
        return [Stage("match", n_steps, size, torch.float32, max(1, min(100, n_steps // 12)))]

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Squared distances of class means in fresh networks; see `Objective.batch_loss`."""
        params = self._architecture.initial(
            self.n_networks, self._context.generator, support.rows.dtype
        )
        real, learnt = batch.rows, support.rows
        if self._augmentation is not None:
            draw = self._augmentation.draw()
            real, learnt = self._augmentation(real, draw), self._augmentation(learnt, draw)
        shares = class_shares(weights, batch.targets)
        of_real: list[Any] = []

        def work(start: int, stop: int) -> None:
            with torch.no_grad():
                features = self._mixed.features(params, real[start:stop])
            of_real.append(shares[:, start:stop] @ features)

        self._block = for_each_block(work, len(real), self._block)
        return mean_distance(
            torch.stack(of_real).sum(0),
            class_shares(torch.ones_like(learnt[:, 0]), support.labels)
            @ self._mixed.features(params, learnt),
            present_in_both(batch.targets, support.labels),
        )


def class_shares(weights: Any, targets: Any) -> Any:
    """Share of each row in the mean of its class, (q, b); zeros for a class without rows.

    Parameters
    ----------
    weights : Tensor of shape (b,)
    targets : Tensor of shape (b, q) or None
        One-hot classes; None for one class.
    """
    weighted = weights[None] if targets is None else targets.T * weights
    mass = weighted.sum(1, keepdim=True)
    return weighted / torch.where(mass > 0, mass, torch.ones_like(mass))


def mean_distance(real: Any, learnt: Any, present: Any = None) -> Any:
    """Squared distance of class means, summed over classes and averaged over networks.

    Parameters
    ----------
    real, learnt : Tensor of shape (count, q, f)
        Means of each class, in each network.
    present : Tensor of shape (q,) or None
        Classes that count; None for all.
    """
    distance = (real - learnt).square().sum(2)
    return (distance if present is None else distance * present).sum(1).mean()


def present_in_both(real: Any, learnt: Any) -> Any:
    """Classes that have both real and learnt rows."""
    if real is None:
        return None
    return ((real.sum(0) > 0) & (learnt.sum(0) > 0)).to(real.dtype)
