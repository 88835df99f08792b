"""What both network estimators share: reading the input, training, outputs."""

from __future__ import annotations

from abc import ABCMeta
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import _torch as torch
from .._device import resolve_device
from .._docs import DocLinkMixin
from .._input.rows import Units, as_tensor, check_two_dimensional, merge_equal_rows
from ._architecture import Architecture
from ._build import build, check_image_shape
from ._training import Recipe, network_outputs, train_networks
from ._units import network_units
from .augmentation import make_augmentation

EPOCHS = {False: 300, True: 1000}  # without and with augmentation


class BaseNetwork(DocLinkMixin, BaseEstimator, metaclass=ABCMeta):
    """Reading the input, training and outputs; what the targets are is left to the two classes."""

    _parameter_constraints: ClassVar[dict] = {
        "network": "no_validation",
        "image_shape": [tuple, list, None],
        "augment": [str, None],
        "n_networks": [Interval(Integral, 1, None, closed="left")],
        "n_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        network: Any = "auto",
        *,
        image_shape: tuple[int, int, int] | None = None,
        augment: str | None = None,
        n_networks: int = 1,
        n_epochs: int | str = "auto",
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch_size: int = 256,
        standardize: bool = True,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.augment = augment
        self.n_networks = n_networks
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.standardize = standardize
        self.device = device
        self.random_state = random_state

    def _read_weight(self, sample_weight: Any, X: np.ndarray) -> np.ndarray:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():  # newer versions of scikit-learn say so themselves
            raise ValueError(
                "sample_weight is zero for every row; give at least one row a positive weight."
            )
        return weight

    def _train(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        n_outputs: int,
        loss: Any,
        weight: np.ndarray,
    ) -> None:
        """Train on distinct rows with summed weights, so that weights are repetitions."""
        device = resolve_device(self.device)
        shape = check_image_shape(self.image_shape, X.shape[1])
        rows = merge_equal_rows(X, targets, weight)
        kept, y = X[rows.index], targets[rows.index]
        self._set_units(kept, rows.weight, shape)
        self._image_shape, self._n_outputs = shape, n_outputs
        seed = check_random_state(self.random_state).randint(2**31)
        generator = torch.Generator(device=device).manual_seed(int(seed))
        augmentation = make_augmentation(self.augment, shape, generator)
        n_epochs = self.n_epochs
        architecture = self._architecture()
        params, self.loss_curve_ = train_networks(
            architecture,
            architecture.initial(self.n_networks, generator),
            self._units().load(kept, torch.float32, device),
            torch.from_numpy(y).to(device),
            torch.from_numpy(rows.weight).to(device, torch.float32),
            loss,
            Recipe(
                EPOCHS[augmentation is not None] if isinstance(n_epochs, str) else n_epochs,
                self.learning_rate,
                self.momentum,
                self.weight_decay,
                self.batch_size,
            ),
            generator,
            augmentation,
        )
        if not np.isfinite(self.loss_curve_[-1]):
            raise ValueError(
                f"Training diverged; use a smaller learning_rate than {self.learning_rate!r}, or "
                "standardize=True."
            )
        self.params_ = {name: p.cpu().numpy() for name, p in params.items()}
        self.n_iter_ = len(self.loss_curve_)
        self.device_ = str(device)

    def _set_units(self, X: np.ndarray, weight: np.ndarray, shape: Any) -> None:
        """Find shift and factor of each feature; a feature that does not vary has factor 0."""
        d = X.shape[1]
        units = Units(np.zeros(d), np.ones(d))
        if self.standardize:
            units = network_units(X, weight, shape)
        self.shift_, self.factor_, self.limits_ = units.shift, units.factor, units.limits

    def _units(self) -> Units:
        return Units(self.shift_, self.factor_, limits=self.limits_)

    def _architecture(self) -> Architecture:
        return build(self.network, self.n_features_in_, self._image_shape, self._n_outputs)

    def _outputs(self, X: Any) -> Any:
        """Compute outputs (n_networks, n, n_outputs) of rows, a float64 tensor on the CPU."""
        check_is_fitted(self)
        check_two_dimensional(X)
        X = validate_data(self, X, reset=False, dtype="numeric")
        device = resolve_device(self.device)
        # Single precision depends on which rows stand together; for pixels that is of no account.
        double = np.result_type(X.dtype, np.float16) == np.float64
        dtype = torch.float64 if double else torch.float32
        params = {
            name: as_tensor(p).to(device=device, dtype=dtype) for name, p in self.params_.items()
        }
        rows = self._units().load(X, dtype, device)
        return network_outputs(self._architecture(), params, rows).double().cpu()
