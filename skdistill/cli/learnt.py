"""Learn rows of any table: in its encoded columns, in the units of the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..meta import DistilledClassifier, DistilledRegressor
from .preprocess import encoded_names, make_scaler
from .table import Table


def learn_rows(
    distiller: Any,
    preprocessor: Any,
    table: Table,
    task: str,
    train: tuple[Any, np.ndarray],
    X_test: Any,
) -> tuple[Any, np.ndarray, np.ndarray, Any, list[str]]:
    """Encode a table, learn rows for it, and return them with the predictor they are for.

    Rows that are learnt cannot be encoded again, so that the encoding is fitted once, to all
    training rows; only the scaling is fitted anew to what an estimator is trained on.

    Parameters
    ----------
    distiller : DatasetDistiller
        Not fitted.

    preprocessor : transformer
        Makes numbers of the columns, in their own units.

    table : Table
        What was read.

    task : {"classification", "regression"}
        What is learnt.

    train : tuple (X, y)
        Rows to learn from.

    X_test : ndarray or DataFrame
        Rows to score on.

    Returns
    -------
    model : DistilledClassifier or DistilledRegressor
        The fitted predictor; ``model.distiller_`` holds the rows.

    Z_train, Z_test : ndarray of shape (n_samples, n_encoded)
        The rows, encoded.

    scaler : transformer
        Not fitted: what is left to do before an estimator is trained.

    names : list of str
        Names of the encoded columns.
    """
    X, y = train
    Z = np.asarray(preprocessor.fit_transform(X))
    if table.frame is None:
        names = table.feature_names or [f"x{column}" for column in range(Z.shape[1])]
    else:
        names = encoded_names(preprocessor, X)
    meta = DistilledClassifier if task == "classification" else DistilledRegressor
    model = meta(distiller=distiller).fit(Z, y)
    scaler = make_scaler(Z, share_scale=table.is_images)
    return model, Z, np.asarray(preprocessor.transform(X_test)), scaler, names
