"""The predictors of rows that were learnt for networks, or for nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import has_fit_parameter

from .._device import resolve_device


class NetworkPredictor:
    """Estimator trained on a distilled set, in the units it was learnt in; by ``make_predictor``.

    Parameters
    ----------
    distiller : DatasetDistiller
        The fitted distiller: its rows and their units are used.

    estimator : classifier or regressor
        Not fitted yet: networks, or nearest neighbours.

    Attributes
    ----------
    estimator : classifier or regressor
        Fitted on the rows. Regressors learn the numbers behind the labels.
    """

    def __init__(self, distiller: Any, estimator: Any) -> None:
        self._distiller = distiller
        small = distiller.distilled_
        # The units come from all rows: those of a few learnt ones would be others.
        rows = in_units(distiller, distiller.components_)
        target = small.y if is_classifier(estimator) else small.targets
        weights = {}
        if has_fit_parameter(estimator, "sample_weight"):
            weights["sample_weight"] = small.sample_weight
        self.estimator = estimator.fit(rows, target, **weights)
        if is_classifier(estimator):
            position = np.searchsorted(distiller.classes_, self.estimator.classes_)
            self._columns = np.eye(len(distiller.classes_))[position]

    def predict(self, X: Any) -> np.ndarray:
        """Predict class probabilities, or numbers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_outputs)
            A column for each class of the distiller, zeros for those that no row has; or for each
            label or output.
        """
        rows = in_units(self._distiller, self._distiller._features(X))
        if is_classifier(self.estimator):
            return self.estimator.predict_proba(rows) @ self._columns
        return self.estimator.predict(rows).reshape(len(rows), -1)


class StoredPredictor:
    """What a technique kept as its predictor, in the user's units; made by ``make_predictor``.

    Parameters
    ----------
    distiller : DatasetDistiller
        The fitted distiller: its units and device are used.

    predictor : object
        Takes rows in the units they were learnt in; see `Objective.stored_predictor`.

    Attributes
    ----------
    temperature : float or None
        Of the softmax that makes calibrated probabilities of the outputs, where one is known.
    """

    def __init__(self, distiller: Any, predictor: Any) -> None:
        self._distiller = distiller
        self._predictor = predictor
        self.temperature: float | None = distiller.temperature_

    def predict(self, X: Any) -> np.ndarray:
        """Predict real-valued outputs.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            One column for each class, label or output.
        """
        distiller = self._distiller
        rows = in_units(distiller, distiller._features(X))
        outputs = self._predictor.predict(rows, resolve_device(distiller.device))
        return distiller._units.restore(outputs)


def in_units(distiller: Any, X: np.ndarray) -> np.ndarray:
    """Rows in the units that those of a distiller were learnt in."""
    return distiller._map.units.convert(X, np.result_type(X.dtype, np.float32))
