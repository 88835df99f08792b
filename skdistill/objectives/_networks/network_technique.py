r"""What techniques share that learn rows for networks, with the labels of the start.

Training a network on the learnt rows whenever the importance of real rows is taken anew would cost
more than the rest. Ridge regression on the features of a few random networks, fixed for a fit,
stands in for it: with the mean of the inner products of their features as kernel K and one-hot
labels Y of the m learnt rows,

.. math:: f(x) = \bar y + K_{xS} (K_{SS} + \lambda I)^{-1} (Y - \bar y) ,

at the cost of a forward pass of the rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ... import _torch as torch
from ...networks import Architecture, NetworkClassifier
from ...networks._architecture import Parameters
from ...networks._precision import mixed
from ...networks.augmentation import Augmentation, make_augmentation
from ...support import Support
from ..base import Objective
from ..context import Context, Stage
from .features import PRODUCTS, NetworkFeatures, features_of, solve_dual

JUDGES = 2  # random networks that importances are taken with
RIDGE = 1e-3  # relative to the mean of the kernel's diagonal
TEMPERATURE = 0.1  # outputs of a ridge regression on one-hot labels stay near 0 and 1


class NetworkTechnique(Objective):
    """Base of techniques with the parameters `network` and `augment`, whose labels are classes.

    Nothing is held out and the last rows are kept: the scores that are cheap enough to take while
    training choose no better ones.
    """

    unit_features: ClassVar[bool] = True
    balances_classes: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    folds: ClassVar[bool] = False
    keeps_best: ClassVar[bool] = False
    rate: ClassVar[float] = 0.25  # of learning_rate: the step of a feature of size 1
    network: Any
    augment: str | None
    _features: NetworkFeatures
    _architecture: Architecture
    _mixed: Architecture  # for averages of features and for training, not for second derivatives
    _augmentation: Augmentation | None
    _judges: Parameters

    def setup(self, context: Context) -> None:
        """Build the network; see `Objective.setup`."""
        super().setup(context)
        self._features = NetworkFeatures(
            self.network, context.n_features, context.image_shape, context.n_outputs
        )
        self._architecture = self._features.architecture
        self._mixed = mixed(self._architecture, context.device)
        generator = context.generator
        self._augmentation = make_augmentation(self.augment, context.image_shape, generator)
        self._judges = self._architecture.initial(JUDGES, generator)

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`; each row belongs to the class of its largest target."""
        if labels is not None:
            labels = torch.eye(labels.shape[1]).to(labels)[labels.argmax(1)]
        return Support(rows.clone(), labels)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`: a rate for each feature, whatever their number."""
        return {"rows": self.rate * self._context.learning_rate}

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """Ridge regression on random features; see `Objective.predictor`."""
        labels = support.labels.float()
        mean = labels.mean(0)
        F = features_of(self._features, self._judges, self.rows(support).detach().float())
        # The dual coefficients on features are m x q numbers; on the networks' outputs f x q.
        weight = F.T @ solve_dual(F, labels - mean, RIDGE, PRODUCTS)

        def predict(rows: Any) -> Any:
            return features_of(
                self._features, self._judges, rows.float(), lambda G: G @ weight + mean
            )

        return predict

    def make_estimator(
        self, kind: str, image_shape: tuple[int, int, int] | None, device: str, seed: int
    ) -> Any:
        """Return networks trained by the public protocol; see `Objective.make_estimator`."""
        if kind != "classes":
            return None
        return NetworkClassifier(
            self.network,
            image_shape=image_shape,
            augment=self.augment,
            standardize=False,  # they see coordinates
            device=device,
            random_state=seed,
        )

    def temperature(self, support: Support) -> float:
        """See `Objective.temperature`."""
        return TEMPERATURE
