"""The predictors of rows that were learnt for networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._device import resolve_device


class NetworkPredictor:
    """Networks trained on a distilled set, in the units it was learnt in; by ``make_predictor``.

    Parameters
    ----------
    distiller : DatasetDistiller
        The fitted distiller: its rows and their units are used.

    estimator : classifier
        Not fitted yet; its classes are those of the rows.

    Attributes
    ----------
    estimator : classifier
        Fitted on the rows.
    """

    def __init__(self, distiller: Any, estimator: Any) -> None:
        self._distiller = distiller
        small = distiller.distilled_
        # The units come from all rows: those of a few learnt ones would be others.
        rows = in_units(distiller, distiller.components_)
        self.estimator = estimator.fit(rows, small.y, sample_weight=small.sample_weight)
        position = np.searchsorted(distiller.classes_, self.estimator.classes_)
        self._columns = np.eye(len(distiller.classes_))[position]

    def predict(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            A column for each class of the distiller; zeros for those that no row has.
        """
        rows = in_units(self._distiller, self._distiller._features(X))
        return self.estimator.predict_proba(rows) @ self._columns


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
