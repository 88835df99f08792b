"""Networks as scikit-learn estimators, trained by the recipe that distilled sets are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils.validation import validate_data

from .. import _torch as torch
from .._input.rows import check_two_dimensional
from .._input.targets import check_classes, plain_target
from ._base_network import BaseNetwork
from ._training import cross_entropy, squared_error
from ._units import feature_units


class NetworkClassifier(ClassifierMixin, BaseNetwork):
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

    limits_ : ndarray of shape (2, n_features) or None
        What outliers count as: cells that lie a hundred times as far out as nearly all others.
        None where there were none.

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
        X, y = validate_data(self, X, plain_target(y), dtype="numeric")
        check_classes(y)
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


class NetworkRegressor(RegressorMixin, BaseNetwork):
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

    limits_ : ndarray of shape (2, n_features) or None
        What outliers count as: cells that lie a hundred times as far out as nearly all others.
        None where there were none.

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
        y = plain_target(y)
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
