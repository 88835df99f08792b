"""The predictor of rows that were learnt for networks."""

from __future__ import annotations

from typing import Any

import numpy as np


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
        rows = self._in_units(distiller.components_)
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
        rows = self._in_units(self._distiller._features(X))
        return self.estimator.predict_proba(rows) @ self._columns

    def _in_units(self, X: np.ndarray) -> np.ndarray:
        units = self._distiller._map.units
        dtype = np.result_type(X.dtype, np.float32)
        return ((X - units.shift) * units.factor).astype(dtype)
