"""Networks as scikit-learn estimators, trained by the recipe that distilled sets are judged by."""

from __future__ import annotations

from abc import ABCMeta
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import _torch as torch
from .._device import resolve_device
from .._rows import Units, as_tensor, check_two_dimensional, merge_equal_rows
from ._architecture import Architecture
from ._build import build, check_image_shape
from ._training import Recipe, cross_entropy, network_outputs, squared_error, train_networks
from ._units import channel_units, feature_units
from .augmentation import make_augmentation

EPOCHS = {False: 300, True: 1000}  # without and with augmentation


class _BaseNetwork(BaseEstimator, metaclass=ABCMeta):
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
        self.shift_, self.factor_ = np.zeros(d), np.ones(d)
        if self.standardize:
            share = weight / weight.sum()
            units = feature_units(X, share) if shape is None else channel_units(X, share, shape)
            self.shift_, self.factor_ = units[0], np.where(np.isinf(units[1]), 0, 1 / units[1])

    def _units(self) -> Units:
        return Units(self.shift_, self.factor_)

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


class NetworkClassifier(ClassifierMixin, _BaseNetwork):
    """Classifier of small networks, trained from scratch with stochastic gradient descent.

    The defaults are the public protocol that distilled images are judged by: a network trained on
    the small set with a rate of 0.01 that falls to a tenth after half of the epochs.

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        "auto" is :class:`ConvNet` for images and :class:`MLP` for vectors; or a function
        ``(input_shape, n_outputs) -> torch.nn.Module``.

    image_shape : tuple of int, default=None
        Channels, height and width of rows that are images.

    augment : {"auto"}, str or None, default=None
        Augmentation of images: names of "color", "crop", "cutout", "flip", "scale" and "rotate"
        joined by "_". "auto" takes all of them, without "flip" for images of one channel, and
        leaves vectors as they are.

    n_networks : int, default=1
        Networks, trained side by side from starts of their own. Their probabilities are averaged.

    n_epochs : int or "auto", default="auto"
        Passes over the rows. "auto" is 300, or 1,000 with augmentation.

    learning_rate : float, default=0.01
        Rate of the first half of the epochs; then a tenth of it.

    momentum : float in [0, 1), default=0.9
        Momentum of the descent.

    weight_decay : float, default=5e-4
        Share of the parameters that is added to their gradient.

    batch_size : int, default=256
        Rows in a step.

    standardize : bool, default=True
        Bring features, or the channels of images, to mean 0 and deviation 1.

    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:0". "auto" takes CUDA where there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, the order of the rows and the augmentation.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.

    params_ : dict of str to ndarray of shape (n_networks, ...)
        Parameters of the trained networks.

    shift_, factor_ : ndarray of shape (n_features,)
        Networks see ``(X - shift_) * factor_``.

    loss_curve_ : list of float
        Mean loss of each epoch.

    n_iter_ : int
        Epochs made.

    device_ : str
        Where the work ran.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has them.

    See Also
    --------
    NetworkRegressor : The same for real targets.

    Notes
    -----
    A row of weight 2 and a row that stands twice are the same thing, exactly.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import DistilledClassifier, SensitivityCoreset
    >>> from skdistill.networks import ConvNet, NetworkClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> network = NetworkClassifier(
    ...     ConvNet(width=16), image_shape=(1, 8, 8), n_epochs=30, random_state=0
    ... )
    >>> coreset = SensitivityCoreset(200, random_state=0)
    >>> DistilledClassifier(network, coreset).fit(X, y).score(X, y) > 0.8
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkClassifier:
        """Train the networks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,)
            Class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : NetworkClassifier
            Fitted estimator.
        """
        check_two_dimensional(X)
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = self._read_weight(sample_weight, X)
        self._train(X, codes.astype(np.int64), len(self.classes_), cross_entropy, weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities: the softmax of the outputs, averaged over networks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return torch.softmax(self._outputs(X), 2).mean(0).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of the highest probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]


class NetworkRegressor(RegressorMixin, _BaseNetwork):
    """Regressor of small networks, trained from scratch with stochastic gradient descent.

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        "auto" is :class:`ConvNet` for images and :class:`MLP` for vectors; or a function
        ``(input_shape, n_outputs) -> torch.nn.Module``.

    image_shape : tuple of int, default=None
        Channels, height and width of rows that are images.

    augment : {"auto"}, str or None, default=None
        Augmentation of images; see :class:`NetworkClassifier`.

    n_networks : int, default=1
        Networks, trained side by side from starts of their own. Their outputs are averaged.

    n_epochs : int or "auto", default="auto"
        Passes over the rows. "auto" is 300, or 1,000 with augmentation.

    learning_rate : float, default=0.01
        Rate of the first half of the epochs; then a tenth of it.

    momentum : float in [0, 1), default=0.9
        Momentum of the descent.

    weight_decay : float, default=5e-4
        Share of the parameters that is added to their gradient.

    batch_size : int, default=256
        Rows in a step.

    standardize : bool, default=True
        Bring features, or the channels of images, to mean 0 and deviation 1. Targets always are.

    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:0". "auto" takes CUDA where there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the starts, the order of the rows and the augmentation.

    Attributes
    ----------
    params_ : dict of str to ndarray of shape (n_networks, ...)
        Parameters of the trained networks.

    shift_, factor_ : ndarray of shape (n_features,)
        Networks see ``(X - shift_) * factor_``.

    loss_curve_ : list of float
        Mean loss of each epoch, of targets of deviation 1.

    n_iter_ : int
        Epochs made.

    device_ : str
        Where the work ran.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has them.

    See Also
    --------
    NetworkClassifier : The same for classes.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skdistill.networks import NetworkRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> NetworkRegressor(n_epochs=30, random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Train the networks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : NetworkRegressor
            Fitted estimator.
        """
        check_two_dimensional(X)
        X, y = validate_data(self, X, y, dtype="numeric", multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        y = y.reshape(len(y), -1).astype(np.float64)
        weight = self._read_weight(sample_weight, X)
        self._center, scale = feature_units(y, weight / weight.sum())
        self._unit = np.where(np.isinf(scale), 1.0, scale)
        values = (y - self._center) / self._unit
        self._train(X, values.astype(np.float32), y.shape[1], squared_error, weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the targets: the mean of the networks' outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the shape of the targets of `fit`.
        """
        outputs = self._outputs(X).mean(0).numpy() * self._unit + self._center
        return outputs[:, 0] if self._flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
