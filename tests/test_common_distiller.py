"""scikit-learn's common checks of DatasetDistiller and of what is built on it."""

from __future__ import annotations

import pytest
from common_checks import TRANSFORMER_CHECKS, all_common_checks
from sklearn.utils import estimator_checks

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor
from skdistill.networks import MLP
from skdistill.objectives import (
    DistributionMatching,
    FeatureRegression,
    GradientMatching,
    TrajectoryMatching,
)

# Some checks fit fewer rows than the budget, or rows that training cannot help, and are told so.
pytestmark = [
    pytest.mark.usefixtures("quick_fits"),
    pytest.mark.filterwarnings("ignore:n_samples=.*is more than:UserWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning"),
]

FEW = DatasetDistiller(6, max_iter=4, random_state=0)
FEATURES = DatasetDistiller(
    8, objective=FeatureRegression(MLP(64), n_networks=1), max_iter=6, random_state=0
)
NEIGHBOURS = DatasetDistiller(6, objective="nearest_neighbors", max_iter=4, random_state=0)


@all_common_checks(
    [
        DatasetDistiller(max_iter=2, random_state=0),
        DatasetDistiller(4, max_iter=4, random_state=0),
        DatasetDistiller(4, max_iter=2, kernel="linear", random_state=0),
        DatasetDistiller(4, objective="analytic_ridge", max_iter=3, random_state=0),
        DatasetDistiller(
            4,
            objective=DistributionMatching(MLP(8)),
            target_type="classification",
            max_iter=3,
            random_state=0,
        ),
        DatasetDistiller(
            4,
            objective=TrajectoryMatching(MLP(8), n_experts=2, syn_steps=3),
            target_type="classification",
            max_iter=3,
            random_state=0,
        ),
        DatasetDistiller(
            4,
            objective=GradientMatching(MLP(8), inner_loop=2),
            target_type="classification",
            max_iter=3,
            random_state=0,
        ),
        DatasetDistiller(
            4,
            objective=FeatureRegression(MLP(8), pool="trained", max_online_updates=5),
            max_iter=3,
            random_state=0,
        ),
        DatasetDistiller(4, objective="nearest_neighbors", max_iter=5, random_state=0),
        DistilledClassifier(distiller=NEIGHBOURS),
        DistilledRegressor(distiller=NEIGHBOURS),
        DistilledClassifier(distiller=FEATURES),
        DistilledRegressor(distiller=FEATURES),
        DistilledClassifier(distiller=FEW),
        DistilledRegressor(distiller=FEW),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", TRANSFORMER_CHECKS)
def test_checks_that_must_be_called_by_name(name):
    estimator = DatasetDistiller(4, max_iter=2, random_state=0)
    getattr(estimator_checks, name)("DatasetDistiller", estimator)
