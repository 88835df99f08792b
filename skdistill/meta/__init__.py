"""Train any estimator on a distilled set, inside scikit-learn's own tools.

A distiller hands out fewer rows than it was given, which no transformer of a Pipeline may do. The
two estimators here keep the loss of rows inside ``fit``: to a Pipeline or a grid search they are an
ordinary classifier and an ordinary regressor.
"""

from __future__ import annotations

from ._classifier import DistilledClassifier
from ._regressor import DistilledRegressor

__all__ = ["DistilledClassifier", "DistilledRegressor"]
