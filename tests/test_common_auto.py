"""scikit-learn's common checks of AutoDistiller, alone and inside the meta-estimators."""

from __future__ import annotations

import warnings

import pytest
from common_checks import TRANSFORMER_CHECKS, all_common_checks
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import estimator_checks

from skdistill import AutoDistiller, DistilledClassifier, DistilledRegressor, SensitivityCoreset

# Some checks fit fewer rows than the budget, and are told so.
pytestmark = pytest.mark.filterwarnings("ignore:n_samples=.*is more than:UserWarning")

# The panel would train four models on a dozen sets in hundreds of fits; one cheap model and one
# kind of rows stand for them. What the defaults do is left to the checks called by name.
QUICK = {
    "candidates": [(SensitivityCoreset(), True)],
    "n_rounds": 1,
    "n_exchanges": 2,
    "random_state": 0,
}
ESTIMATORS = [
    AutoDistiller(8, estimator=Ridge(), scoring="r2", **QUICK),
    DistilledClassifier(LogisticRegression(), AutoDistiller(12, **QUICK)),
    DistilledRegressor(Ridge(), AutoDistiller(60, **QUICK)),
]


@all_common_checks(ESTIMATORS)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", TRANSFORMER_CHECKS)
@pytest.mark.usefixtures("short_contest")
def test_checks_by_name(name):
    with warnings.catch_warnings():
        # These checks give a frame to fit and an array to transform, and the other way round.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        getattr(estimator_checks, name)("AutoDistiller", AutoDistiller())
