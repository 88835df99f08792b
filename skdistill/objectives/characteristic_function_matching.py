r"""Rows whose features have the class-wise characteristic functions of the real rows' features.

With :math:`\phi` the features of a freshly drawn network and frequencies :math:`t \sim N(0,
\sigma^2 I)`, the characteristic function of class c in a batch with weights v is

.. math:: \Phi_c(t) = \sum_{i \in B_c} v_i\, e^{\mathrm i \langle t, \phi(A x_i)\rangle}
          \Big/ \sum_{i \in B_c} v_i ,

and of the learnt rows :math:`\tilde\Phi_c` likewise. The loss is, with :math:`\alpha` the weight of
the amplitude,

.. math::
    L(S) = \sum_c \mathbb E_t \sqrt{\alpha\, (|\Phi_c| - |\tilde\Phi_c|)^2
           + (1 - \alpha)\, 2 |\Phi_c| |\tilde\Phi_c| (1 - \cos(\arg\Phi_c - \arg\tilde\Phi_c))} .

Means, which distribution matching compares, are the slope of the phase at t = 0; all frequencies
together determine the distribution.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from .. import _torch as torch
from .._device import for_each_block
from ..batches.training_set import Batch
from ..support import Support
from .context import Context
from .distribution_matching import DistributionMatching, class_shares, present_in_both

TINY = 1e-12  # under the square root, whose slope at 0 is infinite


class CharacteristicFunctionMatching(DistributionMatching):
    r"""Match class-wise characteristic functions of the features of random networks (NCFM).

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        See `DistributionMatching`.

    augment : {"auto"}, str or None, default="auto"
        See `DistributionMatching`.

    n_networks : int, default=1
        Fresh networks in a step.

    n_frequencies : int, default=1024
        Frequencies in a step, drawn anew.

    frequency_scale : float, default=1.0
        Spread of the phase :math:`\langle t, \phi \rangle` over the real rows of a batch, in
        radians. Small ones compare means, large ones details.

    amplitude_weight : float in [0, 1], default=0.5
        What a difference of amplitudes counts, against one of phases.

    See Also
    --------
    DistributionMatching : Compares means only.

    Notes
    -----
    From the paper, with plain Gaussian frequencies and random networks. The paper draws frequencies
    by a small network that is trained to find differences, takes features of networks from a
    training run, and puts four learnt images into one (factor 2). It reports for CIFAR-10 with 1,
    10 and 50 images a class 49.5, 71.8 and 77.4 % (65.6 and 74.2 % without the learnt sampler at 10
    and 50).

    A small learnt sampler helped photographs and hurt digits in a short trial with one row a class;
    see :ref:`learnt_frequencies`.

    Everything else is as in `DistributionMatching`.

    References
    ----------
    .. [1] S. Wang et al. "Dataset Distillation with Neural Characteristic Function: A Minmax
       Perspective". CVPR 2025.

    Examples
    --------
    >>> from skdistill.objectives import CharacteristicFunctionMatching
    >>> CharacteristicFunctionMatching(n_frequencies=256)
    CharacteristicFunctionMatching(n_frequencies=256)
    """

    def __init__(
        self,
        network: Any = "auto",
        augment: str | None = "auto",
        n_networks: int = 1,
        n_frequencies: int = 1024,
        frequency_scale: float = 1.0,
        amplitude_weight: float = 0.5,
    ) -> None:
        super().__init__(network, augment, n_networks)
        self.n_frequencies = n_frequencies
        self.frequency_scale = frequency_scale
        self.amplitude_weight = amplitude_weight

    def setup(self, context: Context) -> None:
        """Check the parameters; see `Objective.setup`."""
        super().setup(context)
        if not (isinstance(self.n_frequencies, Integral) and int(self.n_frequencies) >= 1):
            raise ValueError(
                f"n_frequencies={self.n_frequencies!r} of CharacteristicFunctionMatching must be a "
                "positive integer."
            )
        for name, most in (("frequency_scale", None), ("amplitude_weight", 1.0)):
            value = getattr(self, name)
            low = 0 if most else 1e-300
            if not (isinstance(value, Real) and low <= value <= (most or 1e300)):
                allowed = "in [0, 1]" if most else "a positive number"
                raise ValueError(
                    f"{name}={value!r} of CharacteristicFunctionMatching must be {allowed}."
                )

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Distance of characteristic functions; see `Objective.batch_loss`."""
        generator = self._context.generator
        params = self._architecture.initial(self.n_networks, generator, support.rows.dtype)
        real, learnt = batch.rows, support.rows
        if self._augmentation is not None:
            draw = self._augmentation.draw()
            real, learnt = self._augmentation(real, draw), self._augmentation(learnt, draw)
        features = self._mixed.features(params, learnt)
        found: list[Any] = []

        def work(start: int, stop: int) -> None:
            with torch.no_grad():
                found.append(self._mixed.features(params, real[start:stop]))

        self._block = for_each_block(work, len(real), self._block)
        of_real = torch.cat(found, 1)
        share = (weights / weights.sum()).to(of_real)
        centre = share @ of_real
        spread = ((of_real - centre[:, None]).square().sum(2) @ share).sqrt()
        centre = centre[:, None]
        t = torch.randn(
            (len(of_real), of_real.shape[2], self.n_frequencies),
            generator=generator,
            device=real.device,
        ).to(of_real)
        t = t * (self.frequency_scale / spread.clamp(min=TINY))[:, None, None]
        return characteristic_distance(
            # About the centre of the real rows: a common shift of phases changes no difference.
            characteristic_function((of_real - centre) @ t, class_shares(weights, batch.targets)),
            characteristic_function(
                (features - centre) @ t, class_shares(torch.ones_like(learnt[:, 0]), support.labels)
            ),
            self.amplitude_weight,
            present_in_both(batch.targets, support.labels),
        )


def characteristic_function(phases: Any, shares: Any) -> tuple[Any, Any]:
    """Real and imaginary part (count, q, k) of the class-wise characteristic functions.

    Parameters
    ----------
    phases : Tensor of shape (count, b, k)
        Inner products of frequencies and features, in each network.
    shares : Tensor of shape (q, b)
        Of each row in the mean of its class.
    """
    return shares @ phases.cos(), shares @ phases.sin()


def characteristic_distance(
    real: tuple[Any, Any], learnt: tuple[Any, Any], amplitude_weight: float, present: Any = None
) -> Any:
    """Distance of characteristic functions, summed over classes, averaged over all else.

    Parameters
    ----------
    real, learnt : pair of Tensor of shape (count, q, k)
        Real and imaginary parts.
    amplitude_weight : float
    present : Tensor of shape (q,) or None
        Classes that count; None for all.

    Returns
    -------
    Tensor of shape ()
    """
    amplitudes = [(a.square() + b.square() + TINY).sqrt() for a, b in (real, learnt)]
    amplitude = (amplitudes[0] - amplitudes[1]).square()
    # |P - Q|^2 = (|P| - |Q|)^2 + 2 |P| |Q| (1 - cos of the angle between them)
    whole = (real[0] - learnt[0]).square() + (real[1] - learnt[1]).square()
    phase = (whole - amplitude).clamp(min=0)
    squared = amplitude_weight * amplitude + (1 - amplitude_weight) * phase
    distance = (squared + TINY).sqrt().mean(2)
    return (distance if present is None else distance * present).sum(1).mean()
