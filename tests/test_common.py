"""scikit-learn's common checks: every loss, every kernel, budgets small enough to matter."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from common_checks import TRANSFORMER_CHECKS, all_common_checks
from named import named
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import estimator_checks

from skdistill import SensitivityCoreset

pytestmark = pytest.mark.filterwarnings(
    # The checks fit tables of 20 to 50 rows with the default budget of 100.
    "ignore:n_samples=.* is more than the:UserWarning"
)


@named
def distance_to_the_mean(X, y):
    """A callable loss."""
    X = X.toarray() if hasattr(X, "toarray") else X
    return ((X - X.mean(0)) ** 2).sum(1)


@named
def cauchy(A, B):
    """A callable kernel."""
    return 1 / (1 + euclidean_distances(A, B, squared=True))


def instances():
    yield SensitivityCoreset()
    yield SensitivityCoreset(5, random_state=0, stratify=False)
    yield SensitivityCoreset(0.5, sampling="iid", random_state=0)
    yield SensitivityCoreset(8, sampling="iid", stratify=False, calibrate=True)
    yield SensitivityCoreset(7, sampling="medoids", random_state=0)
    for n_samples in (100, 6):
        for loss in ("kernel_ridge", "cross_entropy", "squared_error", distance_to_the_mean):
            yield SensitivityCoreset(n_samples, loss=loss)
    for kernel in ("laplacian", "linear", "polynomial", "nngp", "ntk", cauchy):
        yield SensitivityCoreset(7, loss="kernel_ridge", kernel=kernel)


@all_common_checks(list(instances()))
def test_estimator_checks(estimator, check):
    check(estimator)


# Checks that check_estimator leaves out -----------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMER_CHECKS)
@pytest.mark.parametrize(
    "estimator",
    [
        SensitivityCoreset(),
        SensitivityCoreset(6, loss="kernel_ridge"),
        SensitivityCoreset(6, loss="cross_entropy"),
    ],
    ids=["default", "kernel_ridge", "cross_entropy"],
)
def test_checks_by_name(estimator, name):
    if name == "check_dataframe_column_names_consistency" and estimator.loss == "cross_entropy":
        estimator = SensitivityCoreset(6, loss="squared_error")
    with warnings.catch_warnings():
        # These checks give a frame to fit and an array to transform, and the other way round.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        getattr(estimator_checks, name)(type(estimator).__name__, estimator)


ARRAY_API = """
import warnings
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import SkipTestWarning, check_estimator
from skdistill import AutoDistiller, DatasetDistiller, DistilledClassifier, SensitivityCoreset

warnings.filterwarnings("ignore", "n_samples=", UserWarning)
warnings.filterwarnings("ignore", category=SkipTestWarning)
check_estimator(SensitivityCoreset(6))
X, y = load_iris(return_X_y=True)
for distiller in (
    SensitivityCoreset(15, random_state=0),
    AutoDistiller(15, candidates=[(SensitivityCoreset(), True)], n_exchanges=1, random_state=0),
    DatasetDistiller(15, max_iter=20, early_stopping=False, random_state=0),
):
    model = DistilledClassifier(LogisticRegression(), distiller).fit(X, y)
    assert model.score(X, y) > 0.8
    model.distiller_.transform(X)
"""


def test_array_api_dispatch():
    """With the switch that turns scipy's and scikit-learn's dispatch on."""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", ARRAY_API], check=True, env=environment)


def test_torch_tensors_come_back_as_arrays():
    X = torch.arange(60.0).reshape(20, 3)
    small = SensitivityCoreset(5, random_state=0).fit_distill(X)
    assert isinstance(small.X, np.ndarray)
