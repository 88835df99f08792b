"""DistilledClassifier and DistilledRegressor around a SensitivityCoreset, on real data."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdistill import DistilledClassifier, DistilledRegressor, SensitivityCoreset


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, stratify=y, random_state=0)


@pytest.fixture(scope="module")
def diabetes():
    return train_test_split(*load_diabetes(return_X_y=True), random_state=0)


class Counted(SensitivityCoreset):
    """Counts the fits of all its objects."""

    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        Counted.n_fits += 1
        return super().fit(X, y, sample_weight)


# The examples of the user guide ----------------------------------------------------------------


def test_coreset_in_a_pipeline_gives_features_of_all_rows(digits):
    X, X_test, y, y_test = digits
    pipe = make_pipeline(StandardScaler(), SensitivityCoreset(100), RidgeClassifier())
    search = GridSearchCV(pipe, {"sensitivitycoreset__n_samples": [50, 200]}, cv=3).fit(X, y)
    assert search.best_params_ == {"sensitivitycoreset__n_samples": 200}
    assert search.score(X_test, y_test) > 0.9


def test_grid_over_distiller_and_estimator(digits):
    X, X_test, y, y_test = digits
    model = DistilledClassifier(LogisticRegression(max_iter=1000), SensitivityCoreset(200))
    grid = {
        "distilledclassifier__distiller__n_samples": [50, 200],
        "distilledclassifier__estimator__C": [0.1, 1],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=2).fit(X, y)
    assert search.best_params_["distilledclassifier__distiller__n_samples"] == 200
    assert search.score(X_test, y_test) > 0.85


# Scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "cross_entropy"])
def test_digits_from_two_hundred_rows(digits, loss):
    X, X_test, y, y_test = digits
    coreset = SensitivityCoreset(200, loss=loss, random_state=0)
    kernel = DistilledClassifier(distiller=coreset).fit(X, y)
    linear = DistilledClassifier(LogisticRegression(max_iter=1000), coreset).fit(X, y)
    assert len(kernel.distilled_) == len(linear.distilled_) == 200
    assert kernel.score(X_test, y_test) > 0.9
    assert linear.score(X_test, y_test) > 0.85


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error"])
def test_diabetes_from_a_hundred_rows(diabetes, loss):
    X, X_test, y, y_test = diabetes
    scores = []
    for seed in range(4):
        coreset = SensitivityCoreset(100, loss=loss, random_state=seed)
        models = DistilledRegressor(distiller=coreset), DistilledRegressor(Ridge(0.1), coreset)
        scores.append([model.fit(X, y).score(X_test, y_test) for model in models])
    kernel, linear = np.mean(scores, axis=0)
    assert kernel > 0.1  # a hundred rows of noisy targets
    assert linear > 0.8 * Ridge(0.1).fit(X, y).score(X_test, y_test)


def test_predictor_is_the_one_of_the_coreset(diabetes):
    X, X_test, y, _ = diabetes
    model = DistilledRegressor(distiller=SensitivityCoreset(80, random_state=0)).fit(X, y)
    by_hand = SensitivityCoreset(80, target_type="regression", random_state=0).fit(X, y)
    assert_array_equal(model.distilled_.indices, by_hand.indices_)
    assert_array_equal(model.predict(X_test), by_hand.make_predictor().predict(X_test)[:, 0])


def test_probabilities_and_decisions_agree_with_predictions(digits):
    X, X_test, y, _ = digits
    model = DistilledClassifier(distiller=SensitivityCoreset(60, random_state=0)).fit(X, y)
    predicted = model.predict(X_test)
    proba, decision = model.predict_proba(X_test), model.decision_function(X_test)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert (proba >= 0).all() and (proba == 0).any()
    assert_array_equal(model.classes_[proba.argmax(axis=1)], predicted)
    assert_array_equal(model.classes_[decision.argmax(axis=1)], predicted)
    even = model.fit(X, y % 2 == 0)
    assert even.decision_function(X_test).shape == (len(X_test),)
    assert_array_equal(even.decision_function(X_test) > 0, even.predict(X_test))


@pytest.mark.parametrize("estimator", [None, RandomForestClassifier(random_state=0)])
def test_labels(estimator):
    X, y = make_multilabel_classification(400, n_classes=3, random_state=0)
    X = X / X.max()
    coreset = SensitivityCoreset(150, loss="kernel_ridge", random_state=0)
    model = DistilledClassifier(estimator, coreset).fit(X[:300], y[:300])
    predicted = model.predict(X[300:])
    assert (predicted == y[300:]).mean() > 0.75
    for column, proba in zip(predicted.T, model.predict_proba(X[300:]), strict=True):
        assert proba.shape == (100, 2)
        assert_array_equal(proba[:, 1] > 0.5, column == 1)


@pytest.mark.parametrize("estimator", [None, Ridge(0.1)])
def test_regression_of_several_outputs(diabetes, estimator):
    X, X_test, y, y_test = diabetes
    model = DistilledRegressor(estimator, SensitivityCoreset(100, random_state=0))
    model.fit(X, np.stack([y, 1000 - 2 * y], axis=1))
    predicted = model.predict(X_test)
    assert predicted.shape == (len(X_test), 2)
    assert_allclose(1000 - 2 * predicted[:, 0], predicted[:, 1], rtol=1e-6)
    assert model.score(X_test, np.stack([y_test, 1000 - 2 * y_test], axis=1)) > 0.2


# Weights ---------------------------------------------------------------------------------------


def test_weight_is_repetition(diabetes):
    X, X_test, y, _ = diabetes
    times = np.random.default_rng(0).integers(0, 4, size=len(y))
    for estimator in (None, Ridge(0.1)):
        model = DistilledRegressor(estimator, SensitivityCoreset(80, random_state=0))
        weighted = model.fit(X, y, times).predict(X_test)
        repeated = model.fit(X.repeat(times, axis=0), y.repeat(times)).predict(X_test)
        assert_allclose(weighted, repeated, rtol=1e-6)


def test_weights_of_the_rows_reach_the_estimator(digits):
    X, _, y, _ = digits
    coreset = SensitivityCoreset(100, loss="kernel_ridge", random_state=0)
    model = DistilledClassifier(LogisticRegression(max_iter=1000), coreset).fit(X, y)
    small = model.distilled_.normalized()
    assert np.ptp(small.sample_weight) > 0
    assert_array_equal(model.estimator_.coef_, LogisticRegression(max_iter=1000).fit(**small).coef_)
    unweighted = model.set_params(use_weights=False).fit(X, y).estimator_.coef_
    assert np.abs(unweighted - LogisticRegression(max_iter=1000).fit(**small).coef_).max() > 1e-3


def test_neighbours_take_no_weights(digits):
    X, X_test, y, y_test = digits
    model = DistilledClassifier(KNeighborsClassifier(1), SensitivityCoreset(300, random_state=0))
    with pytest.raises(ValueError, match="use_weights=False"):
        model.fit(X, y)
    assert model.set_params(use_weights=False).fit(X, y).score(X_test, y_test) > 0.85
    # All rows, each with weight 1: nothing is lost without weights.
    model.set_params(use_weights="auto", distiller__n_samples=len(np.unique(X, axis=0)))
    assert model.fit(X, y).score(X_test, y_test) > 0.97


# Tables ----------------------------------------------------------------------------------------


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "area": rng.lognormal(4, 1, n),
            "town": rng.choice(["north", "south", "west"], n),
            "kind": pd.Categorical(rng.choice(["flat", "house"], n)),
            "rooms": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 6, n)),
        },
        index=rng.permutation(n) + 1000,
    )
    price = np.log(frame["area"]) + (frame["town"] == "north") + (frame["kind"] == "house")
    return frame, price.to_numpy()


def encoder():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town", "kind"]),
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
        sparse_threshold=0,
    )


def test_mixed_columns_reach_the_estimator(table):
    frame, price = table
    coreset = SensitivityCoreset(100, loss="kernel_ridge", preprocessor=encoder(), random_state=0)
    for estimator in (None, make_pipeline(encoder(), Ridge())):
        model = DistilledRegressor(estimator, coreset).fit(frame, price)
        rows = model.distilled_.X
        pd.testing.assert_frame_equal(rows, frame.loc[rows.index])
        assert_array_equal(model.feature_names_in_, frame.columns)
        assert model.score(frame, price) > 0.7
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[frame.columns[::-1]])
    boosting = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20)
    numbers = frame.assign(town=frame["town"].astype("category"))
    model = DistilledRegressor(boosting, coreset).fit(numbers, price)
    assert model.score(numbers, price) > 0.3


def test_labels_of_a_table_are_text(table):
    frame, price = table
    dear = np.where(price > np.median(price), "dear", "cheap")
    model = DistilledClassifier(
        distiller=SensitivityCoreset(100, preprocessor=encoder(), random_state=0)
    )
    predicted = cross_val_predict(model, frame, dear, cv=3)
    assert set(predicted) == {"dear", "cheap"}
    assert (predicted == dear).mean() > 0.8


def test_sparse_rows(digits):
    X, X_test, y, y_test = digits
    coreset = SensitivityCoreset(200, random_state=0)
    for estimator in (None, LogisticRegression(max_iter=1000)):
        model = DistilledClassifier(estimator, coreset).fit(sparse.csr_matrix(X), y)
        assert sparse.issparse(model.distilled_.X)
        assert model.score(sparse.csr_matrix(X_test), y_test) > 0.85


# scikit-learn's tools --------------------------------------------------------------------------


def test_a_frozen_coreset_is_not_fitted_again(digits):
    X, X_test, y, y_test = digits
    coreset = SensitivityCoreset(200, random_state=0).fit(X, y)
    for estimator in (None, LogisticRegression(max_iter=1000)):
        model = DistilledClassifier(estimator, FrozenEstimator(coreset)).fit(X, y)
        assert model.distilled_ is coreset.distilled_
        assert model.score(X_test, y_test) > 0.85


def test_memory_distils_once_a_fold(digits, tmp_path):
    X, _, y, _ = digits
    model = DistilledClassifier(RidgeClassifier(), Counted(100, random_state=0))
    search = GridSearchCV(model, {"estimator__alpha": [0.1, 1.0, 10.0]}, cv=3)
    Counted.n_fits = 0
    search.fit(X, y)
    assert Counted.n_fits == 10  # nine candidates and the refit
    search.set_params(estimator__memory=str(tmp_path))
    Counted.n_fits = 0
    search.fit(X, y)
    assert Counted.n_fits == 4  # three folds and the refit


def test_pickled_models_predict_the_same(diabetes):
    X, X_test, y, _ = diabetes
    for estimator in (None, Ridge()):
        model = DistilledRegressor(estimator, SensitivityCoreset(60, random_state=0)).fit(X, y)
        content = pickle.dumps(model)
        assert_array_equal(pickle.loads(content).predict(X_test), model.predict(X_test))


def test_default_distiller_makes_fits_agree(digits):
    X, _, y, _ = digits
    first, second = (DistilledClassifier().fit(X, y).distilled_.indices for _ in range(2))
    assert_array_equal(first, second)


def test_fewer_rows_than_classes_says_so(digits):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match="n_samples=5"):
        DistilledClassifier(distiller=SensitivityCoreset(5)).fit(X, y)


def test_a_class_without_distilled_rows_is_padded(digits):
    X, X_test, y, _ = digits
    few = SensitivityCoreset(12, stratify=False, random_state=0)
    model = DistilledClassifier(LogisticRegression(), few).fit(X, y)
    known = np.unique(model.distilled_.y)
    assert len(known) < 10
    proba = model.predict_proba(X_test)
    assert proba.shape == (len(X_test), 10)
    assert_array_equal(np.flatnonzero(proba.any(axis=0)), known)
    assert DistilledClassifier(distiller=few).fit(X, y).predict_proba(X_test).shape[1] == 10
