"""Shapes, dtypes, scales, weights and options at random: a right set, or an error that says why.

What is right: finite numbers, rows of X bit for bit, a row of weight two like a row that stands
twice.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdistill import DatasetDistiller, SensitivityCoreset

FEW = settings(suppress_health_check=list(HealthCheck))
# Learning takes a hundred times as long as choosing.
FEWER = settings(
    max_examples=max(5, settings.default.max_examples // 2),
    suppress_health_check=list(HealthCheck),
)
# What an error names: a parameter, or what was passed, and the value or the kind that is wrong.
NAMES = re.compile(
    r"\b(X|y|sample_weight|n_samples|degree|kernel|loss|alpha|gamma|coef0|objective|stratify|"
    r"target_type|The kernel matrix|Sample weights|learn_labels|batch_loss|init)\b"
)

# A ridge of 1e-8 beside weights of 1e8 is below rounding, and said to be.
pytestmark = pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
DTYPES = (np.float64, np.float32, np.float16, np.int64, np.uint8, bool)


@st.composite
def problems(draw, most_rows=40):
    """Rows with repeats, constant columns and outliers, in any type and unit, with a target."""
    n, d = draw(st.integers(1, most_rows)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, d))
    if draw(st.booleans()):
        X = np.round(X)
    if draw(st.booleans()):
        X[:, 0] = draw(st.sampled_from([0.0, 1.0, -3.0]))
    if draw(st.booleans()):
        X[rng.integers(n), rng.integers(d)] = draw(st.sampled_from([1e3, -1e6, 1e12]))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "f" and dtype.itemsize > 2:
        X = X * 10.0 ** draw(st.integers(-20, 20))
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = np.clip(X, -6e4, 6e4).astype(dtype) if dtype.itemsize < 4 else X.astype(dtype)
    y = {
        "none": None,
        "classes": rng.integers(0, draw(st.integers(1, 4)), n),
        "texts": rng.choice(["a", "b"], n),
        "numbers": rng.normal(size=n) * 10.0 ** draw(st.integers(-20, 20)),
        "outputs": rng.normal(size=(n, 2)),
        "labels": rng.integers(0, 2, (n, 2)),
    }[draw(st.sampled_from(["none", "classes", "texts", "numbers", "outputs", "labels"]))]
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 3, n) * 10.0 ** draw(st.integers(-30, 30))
    return X, y, weight


COMMON = {
    "n_samples": st.one_of(st.integers(1, 12), st.floats(0.05, 0.9)),
    "kernel": st.sampled_from(["rbf", "laplacian", "linear", "polynomial", "nngp", "ntk"]),
    "gamma": st.sampled_from(["scale", "auto", 1e-3, 1.0, 1e3]),
    "degree": st.sampled_from([1, 2, 3, 2.5]),
    "coef0": st.sampled_from([0, 1, -1]),
    "random_state": st.integers(0, 3),
}
CORESETS = st.fixed_dictionaries(
    {
        **COMMON,
        "loss": st.sampled_from(["kmeans", "kernel_ridge", "cross_entropy", "squared_error"]),
        "sampling": st.sampled_from(["systematic", "iid", "medoids"]),
        "calibrate": st.sampled_from(["auto", True, False]),
        "stratify": st.sampled_from(["auto", False]),
        "alpha": st.sampled_from(["auto", 1e-8, 1.0]),
    }
)
DISTILLERS = st.fixed_dictionaries(
    {
        **COMMON,
        "objective": st.sampled_from(["kernel_ridge", "analytic_ridge", "distribution_matching"]),
        "init": st.sampled_from(["auto", "uniform", "kmeans", "sensitivity"]),
        "optimizer": st.sampled_from(["adam", "sgd"]),
        "learning_rate": st.sampled_from([0.1, 10.0, 1e4]),
        "early_stopping": st.booleans(),
        "standardize": st.booleans(),
        "max_iter": st.integers(0, 8),
        "batch_size": st.sampled_from(["auto", 7]),
    }
)


def rows_of(text):
    return np.array([row.split() for row in text.split(";")], dtype=float)


def fitted(estimator, X, y, weight):
    """The estimator, or None if it says by name what it cannot work with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # budgets above n, training that diverges
        try:
            return estimator.fit(X, y, sample_weight=weight)
        except (ValueError, TypeError) as error:
            assert NAMES.search(str(error)), error
            return None


def check_numbers(estimator, X):
    small = estimator.distilled_
    for values in (small.sample_weight, small.targets, getattr(estimator, "sensitivities_", None)):
        assert values is None or np.isfinite(values).all()
    try:
        Z = estimator.transform(X)
    except ValueError as error:
        assert NAMES.search(str(error)), error
    else:
        assert Z.shape == (len(X), len(small)) and np.isfinite(Z).all()


# Features that are numbers of double precision only.
@example(
    (np.array([[1e20]], dtype=np.float32), None, None),
    {"n_samples": 1, "kernel": "polynomial", "degree": 2, "coef0": 0},
)
@FEW
@given(problems(), CORESETS)
def test_chosen_rows(problem, options):
    X, y, weight = problem
    coreset = fitted(SensitivityCoreset(**options), X, y, weight)
    if coreset is None:
        return
    small = coreset.distilled_
    assert_array_equal(small.X, X[coreset.indices_])
    assert small.X.dtype == X.dtype
    if y is not None:
        assert_array_equal(small.y, y[coreset.indices_])
    assert len(np.unique(coreset.indices_)) == len(small)
    assert (small.sample_weight > 0).all()
    scores = coreset.sensitivities_
    assert scores.shape == (len(X),) and (scores >= 0).all() and (scores <= 1 + 1e-9).all()
    check_numbers(coreset, X)


# A class whose rows all have weight zero, which the twin does not know.
@example(
    (
        np.array([[0.0], [0.0], [1], [0], [-1], [0], [1], [1], [-1], [-1]]),
        np.array([1, 3, 2, 0, 1, 3, 2, 0, 3, 2]),
        None,
    ),
    {"n_samples": 5, "loss": "kmeans", "sampling": "iid", "random_state": 2},
)
@example(
    (
        rows_of(
            "0 1 -2 0; 0 -1 -2 0; 1 -1 -1 -2; 1 0 0 0; 0 1 -1 1; "
            "-2 1 0 1; -1 -1 -1 0; 0 0 0 1; 0 1 0 1; 0 -2 -1 0"
        ),
        np.array([2, 3, 2, 0, 2, 2, 2, 1, 3, 0]),
        None,
    ),
    {"n_samples": 5, "loss": "kmeans", "sampling": "iid", "random_state": 2},
)
# What a reference model makes of half precision, and labels beyond the range of int64.
@example(
    (np.array([[0.1], [-0.1], [-6e4]], dtype=np.float16), np.array([0, 1, 1]), None),
    {"n_samples": 2, "loss": "cross_entropy"},
)
@example(
    (np.zeros((2, 1)), np.array([1.0, -6.4e19]), None), {"n_samples": 1, "loss": "cross_entropy"}
)
@FEW
@given(problems(), CORESETS)
def test_weight_is_repetition_for_chosen_rows(problem, options):
    X, y, _ = problem
    times = np.random.default_rng(len(X)).integers(0, 4, len(X))
    assume(times.any())
    repeated = np.repeat(np.arange(len(X)), times)
    weighted = fitted(SensitivityCoreset(**options), X, y, times.astype(float))
    twin = fitted(SensitivityCoreset(**options), X[repeated], y if y is None else y[repeated], None)
    # An error may be of one alone: a class that only has rows of weight zero is known to the other.
    if weighted is None or twin is None:
        return
    assert_array_equal(weighted.distilled_.X, twin.distilled_.X)
    assert_allclose(weighted.distilled_.sample_weight, twin.distilled_.sample_weight, rtol=1e-6)


@FEW
@given(problems(), CORESETS)
def test_sparse_rows_are_chosen_too(problem, options):
    X, y, weight = problem
    coreset = fitted(SensitivityCoreset(**options), sp.csr_matrix(X.astype(float)), y, weight)
    if coreset is not None:
        assert_array_equal(coreset.distilled_.X.toarray(), X[coreset.indices_].astype(float))
        assert np.isfinite(coreset.sensitivities_).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@FEWER
@given(problems(24), DISTILLERS)
def test_learnt_rows(problem, options):
    X, y, weight = problem
    distiller = fitted(DatasetDistiller(**options), X, y, weight)
    if distiller is None:
        return
    small = distiller.distilled_
    assert small.X.dtype == (X.dtype if X.dtype in (np.float32, np.float64) else small.X.dtype)
    assert np.isfinite(small.X).all()
    check_numbers(distiller, X)
    if y is not None and options["objective"] != "distribution_matching":
        known = X if weight is None else X[weight > 0]  # of others the fit knows nothing
        outputs = distiller.make_predictor().predict(known)
        assert len(outputs) == len(known) and np.isfinite(outputs).all()
