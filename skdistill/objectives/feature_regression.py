r"""Rows whose ridge regression on the features of networks fits the real rows.

With :math:`\phi` the features of the networks that a pool lends for one step, learnt rows S with
learnt labels Y, a fixed offset c, and a batch of real rows with weights v,

.. math::
    L(S, Y) = \frac12 \sum_i v_i \big| f(x_i) - y_i \big|^2 , \qquad
    f(x) = c + \phi(x) \phi(S)^T (\phi(S) \phi(S)^T + \lambda I)^{-1} (Y - c) .

Networks freshly drawn for each step make :math:`\phi \phi^T` an estimate of the kernel of the
neural network Gaussian process (RFAD: Loo et al., 2022); networks that are themselves trained on
the current set, a step each time they are used, and renewed after some steps make it a kernel of
learnt features (FRePo: Zhou et al., 2022). Gradients go through the features of learnt rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from numbers import Integral, Real
from typing import Any, ClassVar

from .. import _torch as torch
from ..batches.stored_rows import as_array
from ..batches.training_set import Batch, Sample, TrainingSet
from ..kernels import Kernel
from ..support import Support
from ._networks.features import (
    FeatureRidge,
    Features,
    FrozenFeatures,
    NetworkFeatures,
    check_feature_map,
    features_of,
    is_feature_map,
    solve_dual,
)
from ._networks.pool import Pool, RandomPool, TrainedPool
from .base import Objective
from .context import Context, Stage

POOLS = ("random", "trained")
LOSSES = ("auto", "squared_error", "cross_entropy")
STEPS = 1000
BATCH = 256
LOOKS = 6  # at held-out rows: each costs as much as dozens of steps
SCOUTS = 2  # networks of the predictor that importances of many rows are taken with
RATE = 0.75  # of learning_rate: the step of a feature of size 1
LABEL_RATE = 0.5  # of learning_rate
OTHER_RATE = 0.02  # of log temperature
START_TEMPERATURE = 0.3  # softer at first: short runs were better by it for their own predictor
OFFSETS = {"multilabel": 0.5, "numbers": 0.0}  # of labels; 1 / n_classes for classes


class FeatureRegression(Objective):
    r"""Learn rows and labels whose ridge regression on network features fits the real rows.

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object, callable or ConvFeatures, default="auto"
        What makes features: "auto" is :class:`~skdistill.networks.ConvNet` for images (see
        `image_shape` of the distiller) and :class:`~skdistill.networks.MLP` for vectors. A function
        ``(input_shape, n_outputs) -> torch.nn.Module`` makes networks of your own, whose features
        are the inputs of their last linear layer. :class:`~skdistill.networks.ConvFeatures`, not
        fitted, is one frozen map for all steps: it is fitted on the real images, the learnt rows
        stay images, and the kernel is the Gaussian one of features of length 1; with
        ``mirror="signed"`` it is averaged over the signs that tell an image from its mirror image.

    pool : {"random", "trained"}, default="random"
        "random" draws fresh networks in each step (RFAD). "trained" takes them from an online pool
        of networks that are trained on the current set (FRePo). Without effect on a frozen map. At
        equal time random networks were as good or better; see :ref:`feature_pools`.

    n_networks : int, default=4
        Networks in a step, whose kernels are averaged: that of several small ones varies less from
        step to step. A smaller batch pays for them.

    pool_size : int, default=10
        Networks of the trained pool.

    max_online_updates : int, default=100
        Steps on the current set after which a network of the trained pool is replaced by a fresh
        one. Those of the predictor have made different numbers of them, up to this one.

    predictor_networks : int, default=8
        Networks of the predictor, whose kernels are averaged: the more, the closer to the kernel
        that the rows are learnt for. Small random networks gain much from it.

    loss : {"auto", "squared_error", "cross_entropy"}, default="auto"
        "cross_entropy" is that of softmax(f / T) with a learnt temperature T, the Platt-scaled loss
        of RFAD. "auto" takes it for classes, and the squared error for anything else.

    reg : float, default=1e-6
        Ridge :math:`\lambda`, relative to the mean of the diagonal of :math:`\phi(S) \phi(S)^T`.

    gamma : float, default=3.0
        Of the Gaussian kernel :math:`\exp(-\gamma |\phi(x) - \phi(s)|^2)` of a frozen map.

    Notes
    -----
    Rows count by their weights, and a row of weight 2 as two rows. The loss is a sum over the rows
    of a batch, so that weighted importance batches keep its gradient unbiased: ``reweight="auto"``
    means them here for classes too.
    Labels are learnt unless the distiller's `learn_labels` is False; they cannot be solved for,
    since they serve many networks.

    RFAD's code has eight networks without normalisation in a step, 5,120 real rows, a ridge of 5e-3
    and a constant rate. FRePo's has one network in a step, whose width doubles from block to block
    and which is not normalised, 1,024 real rows, and another loss for labels, by margin.

    Held-out scores and ``DistilledClassifier(estimator=None)`` take the same predictor: ridge
    regression on the features of networks that are drawn once for a fit, for ``pool="trained"``
    trained on the learnt rows each time. Importances take it too, with more than 4,096 rows only
    two of its networks. The fitted distiller keeps it, with the parameters of its networks as NumPy
    arrays: these are far larger than the learnt rows.

    References
    ----------
    .. [1] N. Loo, R. Hasani, A. Amini, D. Rus. "Efficient Dataset Distillation Using Random Feature
       Approximation". NeurIPS 2022.
    .. [2] Y. Zhou, E. Nezhadarya, J. Ba. "Dataset Distillation using Neural Feature Regression".
       NeurIPS 2022.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> from skdistill.objectives import FeatureRegression
    >>> FeatureRegression(network=ConvNet(width=32), pool="trained")
    FeatureRegression(network=ConvNet(width=32), pool='trained')
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes", "multilabel", "numbers"})
    learns_labels: ClassVar[bool] = True
    unit_features: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    folds: ClassVar[bool] = False
    _features: Features
    _pool: Pool | None
    _judges: dict[str, Any]

    def __init__(
        self,
        network: Any = "auto",
        pool: str = "random",
        n_networks: int = 4,
        pool_size: int = 10,
        max_online_updates: int = 100,
        predictor_networks: int = 8,
        loss: str = "auto",
        reg: float = 1e-6,
        gamma: float = 3.0,
    ) -> None:
        self.network = network
        self.pool = pool
        self.n_networks = n_networks
        self.pool_size = pool_size
        self.max_online_updates = max_online_updates
        self.predictor_networks = predictor_networks
        self.loss = loss
        self.reg = reg
        self.gamma = gamma

    def reweights(self, kind: str, rows_per_class: float) -> bool:
        """See `Objective.reweights`; without weights the rows train networks worse."""
        return True

    def setup(self, context: Context) -> None:
        """Make the networks and their pool; see `Objective.setup`."""
        super().setup(context)
        self._check_parameters(context)
        q, generator = context.n_outputs, context.generator
        self._offset = 1 / q if context.kind == "classes" else OFFSETS[context.kind]
        self._cross_entropy = self.loss == "cross_entropy" or (
            self.loss == "auto" and context.kind == "classes"
        )
        self._map, self._pool, self._judges = None, None, {}
        self._thorough = True
        if is_feature_map(self.network):
            self._map = check_feature_map(self.network, context)
            return
        self._features = NetworkFeatures(self.network, context.n_features, context.image_shape, q)
        architecture = self._features.architecture
        self._judges = architecture.initial(self.predictor_networks, generator)
        if self.pool == "random":
            self._pool = RandomPool(architecture, self.n_networks, generator)
        else:
            self._pool = TrainedPool(
                architecture,
                self.n_networks,
                self.pool_size,
                self.max_online_updates,
                context.n_support,
                generator,
            )

    def _check_parameters(self, context: Context) -> None:
        for name, allowed in (("pool", POOLS), ("loss", LOSSES)):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name}={value!r} of FeatureRegression is unknown; use one of {allowed}."
                )
        for name in ("n_networks", "pool_size", "max_online_updates", "predictor_networks"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and int(value) >= 1):
                raise ValueError(
                    f"{name}={value!r} of FeatureRegression must be a positive integer."
                )
        for name in ("reg", "gamma"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and math.isfinite(value) and float(value) > 0):
                raise ValueError(f"{name}={value!r} of FeatureRegression must be positive.")
        if self.pool == "trained" and self.n_networks > self.pool_size:
            raise ValueError(
                f"n_networks={self.n_networks!r} of FeatureRegression is more than "
                f"pool_size={self.pool_size!r}; make the pool larger."
            )
        if self.loss == "cross_entropy" and context.kind != "classes":
            raise ValueError(
                "loss='cross_entropy' of FeatureRegression needs classes as y, got "
                f"{context.kind}; use loss='squared_error'."
            )
        if context.learn_labels == "solve":
            raise ValueError(
                "learn_labels='solve' does not work with FeatureRegression, whose labels serve "
                "many networks; use learn_labels=True."
            )

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        size = self._context.batch_size or BATCH
        return [Stage("regress", n_steps, size, torch.float32, max(1, n_steps // LOOKS))]

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`."""
        support = Support(rows.clone(), labels.clone())
        if self._cross_entropy:
            support.extra["log_temperature"] = rows.new_full((1,), math.log(START_TEMPERATURE))
        return support

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """See `Objective.begin`; a frozen map is fitted on the real rows."""
        if self._map is not None:
            self._features = FrozenFeatures(self._map.fit(as_array(sample.data.rows)))
        return support.to(stage.dtype)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`: a rate for each feature, whatever their number."""
        rates = {"rows": RATE * self._context.learning_rate}
        if self._context.learn_labels:
            rates["labels"] = LABEL_RATE * self._context.learning_rate
        if self._cross_entropy:
            rates["log_temperature"] = OTHER_RATE
        return rates

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Loss of the ridge regression in this step's networks; see `Objective.batch_loss`."""
        params = {} if self._pool is None else self._pool.lend(support.rows.dtype)
        F = self._features(params, support.rows)
        kernel = self._kernel()
        dual = solve_dual(F, support.labels - self._offset, self.reg, kernel)
        G = features_of(self._features, params, batch.rows)
        outputs = kernel(G, F) @ dual + self._offset
        if self._cross_entropy:
            log_p = torch.log_softmax(outputs / support["log_temperature"].exp(), dim=1)
            return -(weights @ (log_p * batch.targets)).sum()
        return 0.5 * (weights @ (outputs - batch.targets).square()).sum()

    def after_step(self, support: Support) -> None:
        """Train the networks of this step on the current set; see `Objective.after_step`."""
        if self._pool is not None:
            self._pool.update(support.rows, support.labels - self._offset)

    def solve(self, support: Support, sample: Sample) -> None:
        """Note whether the predictor is asked for with all rows at hand; see `Objective.solve`."""
        self._thorough = len(sample.index) >= len(sample.data)

    def scores(self, support: Support, held_out: TrainingSet) -> dict[Hashable, float]:
        """See `Objective.scores`; by the whole predictor."""
        self._thorough = True
        return super().scores(support, held_out)

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """Ridge regression on the features of fixed networks; see `Objective.predictor`."""
        params, F, dual = self._solved(support, None if self._thorough else SCOUTS)

        def predict(rows: Any) -> Any:
            return features_of(
                self._features,
                params,
                rows.to(F.dtype),
                lambda G: self._kernel()(G, F) @ dual + self._offset,
            )

        return predict

    def stored_predictor(self, support: Support) -> FeatureRidge:
        """Return the predictor as NumPy arrays; see `Objective.stored_predictor`."""
        params, F, dual = self._solved(support, None)
        arrays = {name: p.cpu().numpy() for name, p in params.items()}
        return FeatureRidge(
            self._features,
            arrays,
            F.cpu().numpy(),
            dual.cpu().numpy(),
            self._offset,
            self._kernel(),
        )

    def temperature(self, support: Support) -> float:
        """See `Objective.temperature`: learnt with cross-entropy."""
        found = support.extra.get("log_temperature")
        return START_TEMPERATURE if found is None else float(found.exp())

    def _solved(self, support: Support, count: int | None) -> tuple[Any, Any, Any]:
        """First networks of the predictor, features of the learnt rows in them, coefficients."""
        rows = support.rows.detach().float()
        labels = support.labels.detach().float() - self._offset
        params = {name: p[:count] for name, p in self._judges.items()}
        if isinstance(self._pool, TrainedPool):
            params = self._pool.trained(params, rows, labels)
        F = features_of(self._features, params, rows)
        return params, F, solve_dual(F, labels, self.reg, self._kernel())

    def _kernel(self) -> Kernel:
        return self._features.kernel(float(self.gamma))
