"""What a small set is worth: models trained on it from scratch, scored on rows it has not seen.

The literature on distillation trains several fresh networks on the small set by one recipe and
reports their accuracy on the test rows. So it is done here for one set of this package, with kernel
ridge regression or any other estimator in place of the networks.
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

from .._input.fit_weights import fit_weighted
from .._input.rows import Units, check_two_dimensional
from ..base import BaseDistiller, hands_out_features
from ..data import DistilledData
from ..distiller import DatasetDistiller
from ..kernels.functions import Kernel
from ..kernels.nystroem import NystroemMap
from ..meta._scores import ScoreClassifier, ScoreRegressor
from ..networks import NetworkClassifier, NetworkRegressor, check_image_shape
from ..networks._base_network import EPOCHS
from ..networks._units import network_units

NETWORKS = (NetworkClassifier, NetworkRegressor)
# Protocols of networks, and how they augment images.
AUGMENTED: dict[str, str | None] = {"network": None, "dsa": "auto", "dc": "dc"}
LEARNING_RATE = 0.01  # of the field's public evaluation


def fresh_scores(
    distilled: Any,
    X_test: Any,
    y_test: Any,
    protocol: Any,
    *,
    X_train: Any,
    labels: str,
    teacher: Any,
    scoring: Any,
    network: Any,
    image_shape: tuple[int, int, int] | None,
    augment: str | None,
    learning_rate: float | str,
    n_networks: int,
    use_weights: bool | str,
    device: str,
    random_state: Any,
    most_steps: int | None = None,
) -> np.ndarray:
    """Scores of models trained on one set; see `evaluate` for the parameters and their defaults.

    With `most_steps` networks pass over the rows as often as these steps allow, not more often than
    the protocol says.
    """
    distilled = unwrapped(distilled)
    rows = distilled._features(X_test) if hands_out_features(distilled) else X_test
    small = small_set(distilled, rows)
    reads_classes = isinstance(protocol, str | NetworkClassifier)
    has_classes = reads_classes and _has_classes(distilled, small)
    if labels == "teacher":
        small, labels = taught(small, teacher), "soft"
    else:
        teacher = None
    if isinstance(protocol, str) and protocol in AUGMENTED:
        own = known_to(distilled, network, image_shape, learning_rate)
        kind = NetworkClassifier if has_classes else NetworkRegressor
        protocol = kind(
            own["network"],
            image_shape=own["image_shape"],
            augment=AUGMENTED[protocol] if augment is None else augment,
            learning_rate=own["learning_rate"],
            n_networks=n_networks,
            device=device,
            random_state=random_state,
        )
    if isinstance(protocol, NETWORKS):
        if most_steps is not None:
            protocol = clone(protocol).set_params(n_epochs=_epochs(protocol, small, most_steps))
        X_test = _numbers(rows, "X_test")
        units = Units(np.zeros(X_test.shape[1]))
        if protocol.standardize:
            units = _units(distilled, small, X_train, protocol.image_shape)
        targets = soft_targets(small, labels) if has_classes else None
        if targets is None and has_classes and _has_several_labels(small):
            targets = _targets(small, labels, has_classes)
        models = _networks(protocol, small, units, targets, use_weights)
        X_test = units.convert(X_test, np.float32)
    elif protocol == "kernel_ridge":
        outputs = None if teacher is not None else _own_predictor(distilled, small)
        if outputs is None:
            targets = _targets(small, labels, has_classes)
            outputs = _plain_kernel_ridge(small, targets, X_train, use_weights, device)
        if has_classes:
            models = [ScoreClassifier(outputs, classes_of(small))]
        else:
            models = [ScoreRegressor(outputs, labels_of(small).ndim == 1)]
    else:
        X_test, weight = rows, small.normalized().sample_weight
        models = [fit_weighted(clone(protocol), small.X, small.y, weight, use_weights)]
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring or _score
    return np.array([scorer(model, X_test, y_test) for model in models], dtype=np.float64)


def known_to(
    distilled: Any, network: Any, image_shape: Any, learning_rate: float | str
) -> dict[str, Any]:
    """Fill in what a fitted distiller knows: network, shape of images, step size of its students.

    Parameters
    ----------
    distilled : DistilledData or fitted distiller
    network, image_shape, learning_rate
        As the user gave them: "auto" and None leave them to the distiller.

    Returns
    -------
    dict
        With these three names.
    """
    if image_shape is None:
        image_shape = getattr(distilled, "image_shape", None)
    estimator = None
    if isinstance(distilled, DatasetDistiller):
        estimator = distilled.objective_.make_estimator("classes", image_shape, "auto", 0)
        own = getattr(distilled.objective_, "network", "auto")
        # A frozen feature map is no network that can be trained afresh.
        if isinstance(network, str) and network == "auto" and not hasattr(own, "torch_function"):
            network = own
    if isinstance(learning_rate, str):
        learning_rate = getattr(estimator, "learning_rate", LEARNING_RATE)
    return {"network": network, "image_shape": image_shape, "learning_rate": learning_rate}


def taught(small: DistilledData, teacher: Any) -> DistilledData:
    """Rows of a set with the probabilities of a teacher, and the classes that are most probable."""
    classes = classes_of(small)
    found = teacher.predict_proba(small.X)
    targets = np.zeros((len(small), len(classes)))
    place = np.searchsorted(classes, teacher.classes_)
    known = np.flatnonzero(np.isin(teacher.classes_, classes))
    targets[:, place[known]] = found[:, known]
    best = np.asarray(classes)[targets.argmax(1)]
    return DistilledData(small.X, best, small.sample_weight, targets=targets, classes=classes)


def _epochs(protocol: Any, small: DistilledData, most_steps: int) -> int:
    """Epochs of networks, so few that they make no more than some steps."""
    epochs = protocol.n_epochs
    if isinstance(epochs, str):
        epochs = EPOCHS[protocol.augment is not None]
    steps = -(-len(small) // protocol.batch_size)
    return max(1, min(epochs, most_steps // steps))


def _score(model: Any, X: Any, y: Any) -> float:
    """Score of the model's own method: accuracy or R2."""
    return model.score(X, y)


def unwrapped(distilled: Any) -> Any:
    """Distiller inside a fitted meta-estimator, or a frozen one; anything else as it is."""
    distilled = getattr(distilled, "distiller_", distilled)
    return distilled.estimator if isinstance(distilled, FrozenEstimator) else distilled


def small_set(distilled: Any, X_test: Any) -> DistilledData:
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
        if not np.isin(labels_of(small), (0, 1)).all():
            raise ValueError(
                "distilled has several columns of classes; only labels of 0 and 1 can have "
                "several. Pass an estimator as protocol."
            )
        return True
    if isinstance(distilled, BaseDistiller):
        return small.classes is not None
    return small.classes is not None or labels_of(small).dtype.kind != "f"


def _has_several_labels(small: DistilledData) -> bool:
    y = labels_of(small)
    return y.ndim == 2 and y.dtype.kind != "f"


def labels_of(small: DistilledData) -> np.ndarray:
    assert small.y is not None  # checked at the entrance
    return small.y


def classes_of(small: DistilledData) -> np.ndarray | list[np.ndarray]:
    if _has_several_labels(small):
        y = labels_of(small)
        return [np.array([0, 1], dtype=y.dtype)] * y.shape[1]
    return np.unique(labels_of(small)) if small.classes is None else np.asarray(small.classes)


def _numbers(X: Any, name: str) -> np.ndarray:
    return check_array(X, dtype="numeric", input_name=name)


def soft_targets(small: DistilledData, labels: str) -> np.ndarray | None:
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
        return labels_of(small)
    targets = soft_targets(small, labels)
    if targets is not None:
        return targets
    if _has_several_labels(small):
        return labels_of(small).astype(np.float64)
    return (labels_of(small)[:, None] == classes_of(small)) * 1.0


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
    return network_units(X, weight, shape)


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
    return [ScoreClassifier(one, classes_of(small)) for one in _each(fitted)]


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
    fit = rows.ridge(_columns(targets)[counts], weight[counts])

    def predict(X: Any) -> np.ndarray:
        features, dtype = _numbers(X, "X_test"), np.dtype(np.float64)
        return rows.product(features, fit.dual_coef, dtype, device) + fit.intercept

    return _Outputs(predict)


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)
