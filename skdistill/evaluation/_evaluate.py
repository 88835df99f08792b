"""What a small set is worth: models trained on it from scratch, scored on rows it has not seen.

The literature on distillation trains several fresh networks on the small set by one recipe and
reports their accuracy on the test rows. `evaluate` does that for any set of this package, with
kernel ridge regression or any other estimator in place of the networks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, StrOptions, validate_params

from .._input.fit_weights import fit_weighted
from .._input.rows import Units, check_two_dimensional
from ..base import BaseDistiller, hands_out_features
from ..data import DistilledData
from ..distiller import DatasetDistiller
from ..kernels.functions import Kernel
from ..kernels.nystroem import NystroemMap
from ..kernels.ridge import fit_weighted_ridge
from ..meta._scores import ScoreClassifier, ScoreRegressor
from ..networks import NetworkClassifier, NetworkRegressor, check_image_shape
from ..networks._units import channel_units, feature_units

__all__ = ["evaluate"]

_NETWORKS = (NetworkClassifier, NetworkRegressor)


@validate_params(
    {
        "distilled": [DistilledData, HasMethods("fit")],
        "protocol": [StrOptions({"network", "kernel_ridge"}), HasMethods(["fit", "predict"])],
        "labels": [StrOptions({"auto", "hard", "soft"})],
        "scoring": [str, callable, None],
        "use_weights": ["boolean", StrOptions({"auto"})],
    },
    prefer_skip_nested_validation=False,  # networks say themselves what their parameters may be
)
def evaluate(
    distilled: Any,
    X_test: Any,
    y_test: Any,
    protocol: Any = "network",
    *,
    X_train: Any = None,
    labels: str = "auto",
    scoring: Any = None,
    network: Any = "auto",
    image_shape: tuple[int, int, int] | None = None,
    augment: str | None = None,
    n_networks: int = 5,
    use_weights: bool | str = "auto",
    device: str = "auto",
    random_state: Any = None,
) -> np.ndarray:
    """Train fresh models on a small set and score them on test rows.

    The default is the public protocol of dataset distillation: `n_networks` networks start anew and
    are trained on the small set alone, 300 epochs with SGD (1,000 with augmentation), and the last
    epoch counts. Nothing is chosen by the test rows.

    Parameters
    ----------
    distilled : DistilledData or fitted distiller
        The small set. A fitted distiller, also that of a fitted
        :class:`~skdistill.DistilledClassifier`, knows more: whether labels are classes, the units
        its rows were learnt in, its `image_shape` and its kernel.

    X_test : array-like of shape (n_test, n_features)
        Test rows, in the units of the small set's rows.

    y_test : array-like of shape (n_test,) or (n_test, n_outputs)
        Their labels or values. Of several labels a row (columns of 0 and 1), all must be right for
        the row to count as right, as in :class:`~skdistill.DistilledClassifier`.

    protocol : {"network", "kernel_ridge"} or estimator, default="network"
        What is trained on the small set.

        - "network": stochastic gradient descent on networks, all at once; see
          :class:`~skdistill.networks.NetworkClassifier`. For another recipe pass such an estimator,
          with its own `n_networks`.
        - "kernel_ridge": the kernel ridge predictor that the set was learnt for. Where that is not
          known: weighted kernel ridge regression with an RBF kernel whose `gamma` is one over the
          number of features, of size 1, and the ridge of least leave-one-out error.
        - An estimator: a clone of it, on the rows as they are.

    X_train : array-like of shape (n_train, n_features), default=None
        Real rows that the mean and deviation of features, or of the channels of images, are taken
        from. None takes those that a fitted distiller used for networks, else those of the small
        set, which with a few learnt rows are others than those of real rows.

    labels : {"auto", "hard", "soft"}, default="auto"
        Labels of classes that are trained on: "hard" is one class a row, by cross-entropy; "soft"
        is ``distilled.targets``, by the squared error; "auto" is "soft" where the targets are not
        one-hot, so that learnt labels count. Estimators are given hard ones. Several labels a row
        are trained on by the squared error.

    scoring : str, callable or None, default=None
        A scorer of scikit-learn by name, or ``scorer(estimator, X, y)``. None is accuracy for
        classes and R2 for numbers.

    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        Of the protocol "network", as are the parameters below it; see
        :class:`~skdistill.networks.NetworkClassifier`.

    image_shape : tuple of int, default=None
        Channels, height and width of rows that are images. None takes that of a fitted distiller.

    augment : {"auto"}, str or None, default=None
        Augmentation in training.

    n_networks : int, default=5
        Networks, and scores.

    use_weights : bool or "auto", default="auto"
        Whether models get the weights of the rows. "auto" leaves them out only where an estimator
        takes none and they are all equal. Estimators get them divided by their mean.

    device : str, default="auto"
        Where networks are trained, and where kernel ridge regression works that the set does not
        bring along.

    random_state : int, RandomState instance or None, default=None
        Seed of the networks.

    Returns
    -------
    scores : ndarray of shape (n_models,)
        One of each network; a single one with any other model.

    Raises
    ------
    ValueError
        If the set has no labels, its rows have other features than `X_test`, or it has several
        columns of classes that are not 0 and 1.

    See Also
    --------
    skdistill.DistilledClassifier : Distils and trains within a cross-validation.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skdistill import SensitivityCoreset
    >>> from skdistill.evaluation import evaluate
    >>> from skdistill.networks import MLP
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> small = SensitivityCoreset(100, random_state=0).fit_distill(X, y)
    >>> scores = evaluate(
    ...     small, X_test, y_test, network=MLP(64), n_networks=3, X_train=X, random_state=0
    ... )
    >>> scores.shape, bool(scores.min() > 0.7)
    ((3,), True)
    """
    distilled = _unwrapped(distilled)
    rows = distilled._features(X_test) if hands_out_features(distilled) else X_test
    small = _small_set(distilled, rows)
    reads_classes = isinstance(protocol, str | NetworkClassifier)
    has_classes = reads_classes and _has_classes(distilled, small)
    if protocol == "network":
        if image_shape is None:
            image_shape = getattr(distilled, "image_shape", None)
        kind = NetworkClassifier if has_classes else NetworkRegressor
        protocol = kind(
            network,
            image_shape=image_shape,
            augment=augment,
            n_networks=n_networks,
            device=device,
            random_state=random_state,
        )
    if isinstance(protocol, _NETWORKS):
        X_test = _numbers(rows, "X_test")
        units = Units(np.zeros(X_test.shape[1]))
        if protocol.standardize:
            units = _units(distilled, small, X_train, protocol.image_shape)
        targets = _soft_targets(small, labels) if has_classes else None
        if targets is None and has_classes and _has_several_labels(small):
            targets = _targets(small, labels, has_classes)
        models = _networks(protocol, small, units, targets, use_weights)
        X_test = units.convert(X_test, np.float32)
    elif protocol == "kernel_ridge":
        outputs = _own_predictor(distilled, small)
        if outputs is None:
            targets = _targets(small, labels, has_classes)
            outputs = _plain_kernel_ridge(small, targets, X_train, use_weights, device)
        if has_classes:
            models = [ScoreClassifier(outputs, _classes(small))]
        else:
            models = [ScoreRegressor(outputs, _labels(small).ndim == 1)]
    else:
        X_test, weight = rows, small.normalized().sample_weight
        models = [fit_weighted(clone(protocol), small.X, small.y, weight, use_weights)]
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring or _score
    return np.array([scorer(model, X_test, y_test) for model in models], dtype=np.float64)


def _score(model: Any, X: Any, y: Any) -> float:
    """Score of the model's own method: accuracy or R2."""
    return model.score(X, y)


def _unwrapped(distilled: Any) -> Any:
    """Distiller inside a fitted meta-estimator, or a frozen one; anything else as it is."""
    distilled = getattr(distilled, "distiller_", distilled)
    return distilled.estimator if isinstance(distilled, FrozenEstimator) else distilled


def _small_set(distilled: Any, X_test: Any) -> DistilledData:
    """Small set of what was passed, with labels and the features of the test rows."""
    small = distilled if isinstance(distilled, DistilledData) else _fitted_set(distilled)
    if small.y is None:
        raise ValueError(
            "distilled has no labels, so no model can be trained on it; fit the distiller with y."
        )
    check_two_dimensional(X_test)
    shape = X_test.shape if hasattr(X_test, "shape") else np.shape(X_test)
    if shape[1:] != small.X.shape[1:]:
        raise ValueError(
            f"X_test has shape {shape}, but the rows of distilled have {small.X.shape[1]} features."
        )
    return small


def _fitted_set(distiller: Any) -> DistilledData:
    small = getattr(distiller, "distilled_", None)
    if not isinstance(small, DistilledData):
        raise TypeError(
            f"distilled={distiller!r} has no distilled set; pass a DistilledData, or fit the "
            "distiller first: evaluate(distiller.fit(X, y), X_test, y_test)."
        )
    return small


def _has_classes(distilled: Any, small: DistilledData) -> bool:
    """Whether the labels are classes; of a bare set all but floats are."""
    if _has_several_labels(small):
        if not np.isin(_labels(small), (0, 1)).all():
            raise ValueError(
                "distilled has several columns of classes; only labels of 0 and 1 can have "
                "several. Pass an estimator as protocol."
            )
        return True
    if isinstance(distilled, BaseDistiller):
        return small.classes is not None
    return small.classes is not None or _labels(small).dtype.kind != "f"


def _has_several_labels(small: DistilledData) -> bool:
    y = _labels(small)
    return y.ndim == 2 and y.dtype.kind != "f"


def _labels(small: DistilledData) -> np.ndarray:
    assert small.y is not None  # checked at the entrance
    return small.y


def _classes(small: DistilledData) -> np.ndarray | list[np.ndarray]:
    if _has_several_labels(small):
        y = _labels(small)
        return [np.array([0, 1], dtype=y.dtype)] * y.shape[1]
    return np.unique(_labels(small)) if small.classes is None else np.asarray(small.classes)


def _numbers(X: Any, name: str) -> np.ndarray:
    return check_array(X, dtype="numeric", input_name=name)


def _soft_targets(small: DistilledData, labels: str) -> np.ndarray | None:
    """Targets (m, n_classes) or (m, n_labels) to train on instead of classes, or None."""
    if labels == "hard":
        return None
    targets = small.targets
    if targets is None:
        if labels == "soft":
            raise ValueError("labels='soft' needs a set with targets; use labels='auto'.")
        return None
    hard = np.isin(targets, (0, 1)).all()
    if not _has_several_labels(small):
        hard = hard and (targets.sum(1) == 1).all()
    return None if labels == "auto" and hard else np.asarray(targets, dtype=np.float64)


def _targets(small: DistilledData, labels: str, has_classes: bool) -> np.ndarray:
    """Numbers, soft labels or one-hot classes."""
    if not has_classes:
        return _labels(small)
    targets = _soft_targets(small, labels)
    if targets is not None:
        return targets
    if _has_several_labels(small):
        return _labels(small).astype(np.float64)
    return (_labels(small)[:, None] == _classes(small)) * 1.0


# Units --------------------------------------------------------------------------------------------


def _units(distilled: Any, small: DistilledData, X_train: Any, image_shape: Any) -> Units:
    """Units in which features, or the channels of images, have mean 0 and deviation 1."""
    if X_train is None and _learnt_for_networks(distilled):
        return distilled._map.units
    if X_train is None:
        X, weight = _numbers(small.X, "distilled.X"), small.sample_weight
    else:
        X = _numbers(X_train, "X_train")
        weight = np.ones(len(X))
    shape = check_image_shape(image_shape, X.shape[1])
    share = weight / weight.sum()
    mean, deviation = feature_units(X, share) if shape is None else channel_units(X, share, shape)
    return Units(mean, np.where(np.isinf(deviation), 0, 1 / deviation))


def _learnt_for_networks(distilled: Any) -> bool:
    return isinstance(distilled, DatasetDistiller) and distilled.objective_.unit_features


# Networks -----------------------------------------------------------------------------------------


def _networks(
    protocol: Any,
    small: DistilledData,
    units: Units,
    targets: np.ndarray | None,
    use_weights: bool | str,
) -> list[Any]:
    """Trained networks, each an estimator of its own, for rows in units."""
    estimator = clone(protocol).set_params(standardize=False)
    rows = units.convert(_numbers(small.X, "distilled.X"), np.float32)
    if targets is None:
        fitted = fit_weighted(estimator, rows, small.y, small.sample_weight, use_weights)
        return _each(fitted)
    regressor = NetworkRegressor(**estimator.get_params(deep=False))
    fitted = fit_weighted(regressor, rows, targets, small.sample_weight, use_weights)
    return [ScoreClassifier(one, _classes(small)) for one in _each(fitted)]


def _each(fitted: Any) -> list[Any]:
    """Estimators of one network each, of an estimator of several."""
    singles = []
    for k in range(fitted.n_networks):
        single = copy.copy(fitted)
        single.params_ = {name: p[k : k + 1] for name, p in fitted.params_.items()}
        singles.append(single.set_params(n_networks=1))
    return singles


# Kernel ridge -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outputs:
    """A predictor of real outputs (n, q), with the temperature of its probabilities."""

    predict: Callable[[Any], np.ndarray]
    temperature: float | None = None


def _own_predictor(distilled: Any, small: DistilledData) -> Any:
    """Kernel ridge predictor that a set brings along, or None."""
    if isinstance(distilled, DatasetDistiller) and distilled._fit is distilled._stored is None:
        return BaseDistiller.make_predictor(distilled)  # its own are networks
    if isinstance(distilled, BaseDistiller):
        return distilled.make_predictor()
    if small.predictor_params is None:
        return None
    model, temperature = small.make_predictor(), small.predictor_params.get("temperature")
    return _Outputs(lambda X: _columns(model.predict(X)), temperature)


def _plain_kernel_ridge(
    small: DistilledData, targets: np.ndarray, X_train: Any, use_weights: bool | str, device: str
) -> _Outputs:
    """Weighted kernel ridge regression with an RBF kernel of typical width."""
    units = _units(None, small, X_train, None)
    kernel = Kernel("rbf", gamma=1 / small.X.shape[1])
    weight = small.sample_weight if use_weights else np.ones(len(small))
    counts = weight > 0
    rows = NystroemMap(kernel, _numbers(small.X, "distilled.X")[counts], units)
    fit = fit_weighted_ridge(rows.landmark_kernel(), _columns(targets)[counts], weight[counts])

    def predict(X: Any) -> np.ndarray:
        features, dtype = _numbers(X, "X_test"), np.dtype(np.float64)
        return rows.product(features, fit.dual_coef, dtype, device) + fit.intercept

    return _Outputs(predict)


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)
