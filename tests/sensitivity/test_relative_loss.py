"""Relative losses: shares, the reference model, what it does not give, callables."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import SensitivityCoreset
from skdistill._input.rows import merge_equal_rows
from skdistill._input.targets import encode_target
from skdistill.sensitivity import relative_loss
from skdistill.sensitivity.relative_loss import callable_losses, model_losses, relative_scores


def losses_of(loss, X, y, estimator=None, weight=None, stratified=True, target_type="auto"):
    target = encode_target(y, target_type)
    rows = merge_equal_rows(X, target.identity, weight)
    strata = rows.spread(target.codes) if stratified and target.codes is not None else None
    rng = np.random.RandomState(0)
    return model_losses(loss, estimator, X, y, target, rows, strata, rng)


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return X[50:], np.array(["a", "b", "c"])[y][50:]  # two classes that overlap


# Shares ----------------------------------------------------------------------------------------


def test_scores_are_shares_of_the_weighted_loss():
    losses, weight = np.array([1.0, 0.0, 3.0]), np.array([2.0, 5.0, 1.0])
    scores = relative_scores(losses, weight)
    assert_allclose(scores.sensitivity, [0.4, 0, 0.6])
    assert_allclose(scores.importance, [0.4, 0, 0.6])
    assert not scores.calibrated
    assert_array_equal(relative_scores(np.zeros(3), weight).sensitivity, np.zeros(3))


@pytest.mark.parametrize("magnitude", [1e-320, 1e-200, 1e45, 1e308])
def test_shares_of_losses_at_the_ends_of_the_range(magnitude):
    scores = relative_scores(np.array([1.0, 0.0, 1.5]) * magnitude, np.array([3.0, 1.0, 2.0]))
    assert_allclose(scores.sensitivity, [0.5, 0, 0.5], rtol=1e-3)
    assert np.isfinite(scores.rank.astype(np.float32)).all()


# Reference models ------------------------------------------------------------------------------


def test_cross_entropy_is_that_of_the_model(iris):
    X, y = iris
    model = FrozenEstimator(LogisticRegression(C=0.01).fit(X, y))
    losses = losses_of("cross_entropy", X, y, model)
    p = model.predict_proba(X)
    expected = [log_loss([y[i]], p[i : i + 1], labels=["b", "c"]) for i in range(len(y))]
    assert_allclose(losses, expected)


def test_squared_error_of_classes_is_the_brier_score(iris):
    X, y = iris
    model = FrozenEstimator(LogisticRegression(C=0.01).fit(X, y))
    one_hot = (y[:, None] == ["b", "c"]).astype(float)
    expected = ((model.predict_proba(X) - one_hot) ** 2).sum(1)
    assert_allclose(losses_of("squared_error", X, y, model), expected)


def test_squared_error_of_a_classifier_without_probabilities(iris):
    X, y = iris
    model = FrozenEstimator(RidgeClassifier().fit(X, y))
    expected = 2.0 * (model.predict(X) != y)
    assert expected.any()
    assert_allclose(losses_of("squared_error", X, y, model), expected)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_squared_error_of_numbers_sums_the_outputs(n_outputs):
    X, y = load_diabetes(return_X_y=True)
    Y = np.column_stack([y * (j + 1) for j in range(n_outputs)])
    Y = Y[:, 0] if n_outputs == 1 else Y
    model = FrozenEstimator(Ridge().fit(X, Y))
    expected = ((model.predict(X) - Y) ** 2).reshape(len(X), -1).sum(1)
    assert_allclose(losses_of("squared_error", X, Y, model), expected)


def test_squared_error_of_multilabel_targets():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = (X[:, :2] + rng.normal(size=(60, 2)) > 0).astype(int)
    losses = losses_of("squared_error", X, Y, LinearRegression())
    expected = ((LinearRegression().fit(X, Y).predict(X) - Y) ** 2).sum(1)
    assert_allclose(losses, expected)


def test_the_model_is_fitted_with_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y, weight = X[:, 0] + rng.normal(size=60), rng.uniform(0.1, 10, 60)
    weight /= weight.mean()
    losses = losses_of("squared_error", X, y, make_pipeline(StandardScaler(), Ridge()), weight)
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, y, ridge__sample_weight=weight)
    assert_allclose(losses, (model.predict(X) - y) ** 2)
    losses = losses_of("squared_error", X, y, KNeighborsRegressor(3), weight)  # takes no weights
    assert_allclose(losses, (KNeighborsRegressor(3).fit(X, y).predict(X) - y) ** 2)


def test_the_estimator_of_the_user_stays_unfitted(iris):
    X, y = iris
    model = LogisticRegression()
    SensitivityCoreset(20, loss="cross_entropy", estimator=model).fit(X, y)
    assert not hasattr(model, "coef_")


def test_pilot_holds_every_class(monkeypatch):
    monkeypatch.setattr(relative_loss, "PILOT_ROWS", 20)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2))
    y = np.zeros(3000, dtype=int)
    y[:2], y[2:5] = 1, 2
    X[:2] += 6
    losses = losses_of("cross_entropy", X, y, LogisticRegression(class_weight="balanced"))
    assert losses.max() < 27  # -log(1e-12), the loss under a model that misses the class


def test_a_class_that_the_model_never_saw_gets_the_largest_loss(iris):
    X, y = load_iris(return_X_y=True)
    model = FrozenEstimator(LogisticRegression().fit(X[50:], y[50:]))
    losses = losses_of("cross_entropy", X, y, model)
    assert_allclose(losses[:50], -np.log(1e-12))
    assert_allclose(losses_of("squared_error", X, y, model)[:50].min(), 1.5, atol=0.5)


def test_a_model_that_knows_more_classes():
    X, y = load_iris(return_X_y=True)
    model = FrozenEstimator(LogisticRegression(C=0.1).fit(X, y))
    keep = y != 1
    column = {0: 0, 2: 2}
    p = model.predict_proba(X[keep])
    expected = -np.log([p[i, column[label]] for i, label in enumerate(y[keep])])
    assert_allclose(losses_of("cross_entropy", X[keep], y[keep], model), expected)
    keep = y != 2  # the extra class sorts last
    p = model.predict_proba(X[keep])
    expected = -np.log(p[np.arange(100), y[keep]])
    assert_allclose(losses_of("cross_entropy", X[keep], y[keep], model), expected)
    hard = FrozenEstimator(RidgeClassifier().fit(X, y))
    predicted = hard.predict(X[keep])
    assert (predicted == 2).any()
    expected = np.where(predicted == y[keep], 0, np.where(predicted == 2, 1, 2))
    assert_allclose(losses_of("squared_error", X[keep], y[keep], hard), expected)


class Overconfident(ClassifierMixin, BaseEstimator):
    """Probabilities a rounding error above one, as averages of many trees may be."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        p = np.zeros((X.shape[0], len(self.classes_)))
        p[:, 0] = 1 + 2e-16
        return p


def test_cross_entropy_is_never_negative(iris):
    X, y = iris
    losses = losses_of("cross_entropy", X, y, Overconfident())
    assert (losses >= 0).all()
    assert not np.signbit(losses).any()  # the walk orders losses by their bits
    forest = losses_of("cross_entropy", X, y, RandomForestClassifier(random_state=0))
    assert not np.signbit(forest).any()


def test_a_regressor_cannot_tell_classes(iris):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"estimator.*classes.*target_type='regression'"):
        losses_of("squared_error", X, y, Ridge())
    assert np.isfinite(losses_of("squared_error", X, y, Ridge(), target_type="regression")).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_sparse_rows_lose_what_dense_rows_lose(loss, iris):
    X, y = iris
    # A scale only and no shift, so that both forms see the same features.
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    dense, sparse = losses_of(loss, X, y, model), losses_of(loss, sp.csr_matrix(X), y, model)
    assert_allclose(sparse, dense, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_default_reference_model_learns(loss, offset, iris):
    X, y = iris
    losses = losses_of(loss, X + offset, y)
    assert losses.mean() < (0.4 if loss == "cross_entropy" else 0.25)


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_change_nothing(block, iris, monkeypatch):
    X, y = iris
    whole = losses_of("cross_entropy", np.tile(X, (6, 1)), np.tile(y, 6))
    monkeypatch.setattr(relative_loss, "CPU_TILE_ELEMENTS", 4)
    assert_allclose(losses_of("cross_entropy", np.tile(X, (6, 1)), np.tile(y, 6)), whole)


# Callables -------------------------------------------------------------------------------------


def test_callable_gets_features_and_target(iris):
    X, y = iris
    seen = {}

    def loss(features, target):
        seen["X"], seen["y"] = features, target
        return np.arange(len(features))

    coreset = SensitivityCoreset(20, loss=loss, random_state=0).fit(X, y)
    assert_array_equal(seen["X"], X)
    assert_array_equal(seen["y"], y)
    assert coreset.total_sensitivity_ == pytest.approx(1)
    SensitivityCoreset(20, loss=loss, random_state=0).fit(X)
    assert seen["y"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 1)), r"shape \(5,\), but returned shape \(5, 1\)"),
        (np.zeros(4), r"shape \(5,\), but returned shape \(4,\)"),
        (0.0, r"returned shape \(\)"),
        (-np.ones(5), "non-negative"),
        (np.full(5, np.nan), "finite"),
        (np.full(5, np.inf), "finite"),
    ],
)
def test_bad_callable_is_named(values, message):
    def quirky(X, y):
        return values

    with pytest.raises(ValueError, match=rf"loss=.*quirky.*{message}"):
        callable_losses(quirky, np.ones((5, 2)), None)


# What cannot be scored -------------------------------------------------------------------------


def test_losses_that_need_a_target_name_it():
    X = np.arange(20.0)[:, None]
    for loss in ("cross_entropy", "squared_error"):
        with pytest.raises(ValueError, match=rf"loss='{loss}' needs .*y is None"):
            SensitivityCoreset(5, loss=loss).fit(X)


def test_cross_entropy_names_what_it_cannot_take():
    X = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match="got multilabel; use loss='squared_error'"):
        losses_of("cross_entropy", X, (X > 0).astype(int))
    for loss in ("cross_entropy", "squared_error"):
        with pytest.raises(ValueError, match="at least two classes, but y holds 1 class"):
            losses_of(loss, X, np.ones(20, dtype=int))
        with pytest.raises(ValueError, match=r"1 class of positive weight, .*1"):
            losses_of(loss, X, np.arange(20) % 2, weight=np.arange(20) % 2 + 0.0)
    with pytest.raises(ValueError, match="predict_proba"):
        losses_of("cross_entropy", X, (X[:, 0] > 0).astype(int), RidgeClassifier())
