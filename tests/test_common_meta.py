"""scikit-learn's common checks of DistilledClassifier and DistilledRegressor."""

from __future__ import annotations

import pytest
from common_checks import all_common_checks
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import estimator_checks

from skdistill import DistilledClassifier, DistilledRegressor, SensitivityCoreset

pytestmark = [
    # Some checks fit fewer rows than the budget, and are told so.
    pytest.mark.filterwarnings("ignore:n_samples=.*is more than:UserWarning"),
    pytest.mark.usefixtures("short_contest"),
]

# Below the size of most of the checks' data. They ask regressors for a score of 0.5 on 200 noisy
# rows of ten features, which twenty rows do not hold.
FEW = SensitivityCoreset(15, random_state=0)
SMALL = SensitivityCoreset(50, random_state=0)
ESTIMATORS = [
    DistilledClassifier(),
    DistilledClassifier(distiller=FEW),
    DistilledClassifier(LogisticRegression()),
    DistilledClassifier(LogisticRegression(), FEW),
    DistilledClassifier(make_pipeline(MinMaxScaler(), LogisticRegression()), FEW),
    DistilledRegressor(),
    DistilledRegressor(distiller=SMALL),
    DistilledRegressor(Ridge()),
    DistilledRegressor(Ridge(), SMALL),
    DistilledRegressor(make_pipeline(MinMaxScaler(), Ridge()), SMALL),
]


@all_common_checks(ESTIMATORS)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize(
    "name",
    [
        "check_param_validation",
        "check_dataframe_column_names_consistency",
        "check_inplace_ensure_writeable",
    ],
)
def test_checks_that_must_be_called_by_name(estimator, name):
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)
