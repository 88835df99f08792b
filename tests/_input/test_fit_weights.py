"""How weights find their way into estimators of estimators."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_selection import RFE, RFECV
from sklearn.linear_model import LinearRegression, LogisticRegression, RANSACRegressor, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skdistill._input.fit_weights import all_equal, fit_weighted, learner_name, weight_keyword

LOGISTIC = LogisticRegression()
KNN = KNeighborsClassifier()
SEARCHED = {"n_neighbors": [1, 2]}


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps the weights of its last fit."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.sample_weight_ = sample_weight
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


@pytest.mark.filterwarnings("ignore:The scoring:UserWarning")  # scores have no weights here
@pytest.mark.parametrize(
    ("estimator", "keyword"),
    [
        (LOGISTIC, "sample_weight"),
        (KNN, None),
        (make_pipeline(LOGISTIC), "logisticregression__sample_weight"),
        (make_pipeline(StandardScaler(), LOGISTIC), "logisticregression__sample_weight"),
        (make_pipeline(StandardScaler(), KNN), None),
        (make_pipeline(StandardScaler(), "passthrough"), None),
        (
            make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), LOGISTIC)),
            "pipeline__logisticregression__sample_weight",
        ),
        (GridSearchCV(LOGISTIC, {"C": [1]}), "sample_weight"),
        (RandomizedSearchCV(KNN, SEARCHED), None),
        (
            GridSearchCV(make_pipeline(MinMaxScaler(), LOGISTIC), {}),
            "logisticregression__sample_weight",
        ),
        (
            make_pipeline(MinMaxScaler(), GridSearchCV(LOGISTIC, {"C": [1]})),
            "gridsearchcv__sample_weight",
        ),
        (GridSearchCV(GridSearchCV(LOGISTIC, {"C": [1]}), {}), "sample_weight"),
        (TransformedTargetRegressor(), "sample_weight"),
        (TransformedTargetRegressor(KNeighborsRegressor()), None),
        (
            TransformedTargetRegressor(make_pipeline(StandardScaler(), Ridge())),
            "ridge__sample_weight",
        ),
        (RFE(LOGISTIC), "sample_weight"),
        (VotingClassifier([("a", LOGISTIC), ("b", "drop")]), "sample_weight"),
        (VotingClassifier([("a", LOGISTIC), ("b", KNN)]), None),
        (VotingClassifier([("a", make_pipeline(LOGISTIC))]), None),
        (StackingClassifier([("a", LOGISTIC)]), "sample_weight"),
        (StackingClassifier([("a", LOGISTIC)], final_estimator=KNN), None),
        (CalibratedClassifierCV(LOGISTIC), "sample_weight"),
    ],
    ids=lambda value: None if value is None or isinstance(value, str) else type(value).__name__,
)
def test_keyword_reaches_what_learns(estimator, keyword):
    assert weight_keyword(estimator) == keyword
    if keyword is not None:
        # The keyword is not only known here: fit takes it, and the weights change the fit.
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 4))
        y = (X[:, 0] + rng.normal(size=40) > 0).astype(int)
        with np.errstate(all="ignore"):
            clone(estimator).fit(X, y, **{keyword: rng.uniform(size=40)})


def test_weights_arrive_in_the_last_step_of_a_nested_search():
    search = GridSearchCV(make_pipeline(StandardScaler(), Recorder()), {}, cv=2)
    weights = np.arange(1.0, 9.0)
    fit_weighted(search, np.eye(8), np.arange(8) % 2, weights, "auto")
    assert_array_equal(search.best_estimator_[-1].sample_weight_, weights)


def around(estimator):
    return make_pipeline(StandardScaler(), estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        CalibratedClassifierCV(around(LOGISTIC)),  # would go on without them
        AdaBoostClassifier(around(LOGISTIC)),
        OneVsRestClassifier(LOGISTIC),
        RFECV(LOGISTIC),
        RANSACRegressor(KNeighborsRegressor(), min_samples=5, residual_threshold=1.0),
        MultiOutputClassifier(KNN),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_weights_that_would_not_arrive_are_the_usual_error(estimator):
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    y = y[:, None] if isinstance(estimator, MultiOutputClassifier) else y
    with pytest.raises(ValueError, match=r"takes no sample_weight in fit.*use_weights=False"):
        fit_weighted(estimator, X, y, np.arange(1.0, 41.0), True)
    if not isinstance(estimator, AdaBoostClassifier):  # which cannot do without weights
        fit_weighted(estimator, X, y, np.arange(1.0, 41.0), False)


def test_weights_do_not_follow_a_sampler():
    pipeline = pytest.importorskip("imblearn.pipeline")
    sampling = pytest.importorskip("imblearn.over_sampling")
    scaled = pipeline.make_pipeline(StandardScaler(), LOGISTIC)
    assert weight_keyword(scaled) == "logisticregression__sample_weight"
    assert weight_keyword(pipeline.make_pipeline(sampling.RandomOverSampler(), LOGISTIC)) is None


def test_requests_are_heard_wherever_they_stand():
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    weights = np.arange(1.0, 41.0)
    with config_context(enable_metadata_routing=True):
        asks = LogisticRegression().set_fit_request(sample_weight=True)
        for estimator, target in [
            (OneVsRestClassifier(asks), y),
            (ClassifierChain(asks), np.column_stack([y, 1 - y])),
            (VotingClassifier([("a", make_pipeline(asks))]), y),
            (StackingClassifier([("a", asks)], final_estimator=asks), y),
        ]:
            fit_weighted(estimator, X, target, weights, True)
        got = fit_weighted(OneVsRestClassifier(asks), X, y, weights, True).estimators_[0]
    assert_allclose(got.coef_, LogisticRegression().fit(X, y, weights).coef_)


def test_unequal_weights_without_a_taker_are_an_error_that_names_the_way_out():
    arguments = (KNN, np.eye(4), [0, 1, 0, 1], np.array([1.0, 2.0, 3.0, 4.0]))
    for use_weights in ("auto", True):
        with pytest.raises(ValueError, match=r"^KNeighborsClassifier takes no") as caught:
            fit_weighted(*arguments, use_weights)
        for way_out in ("use_weights=False", "uniform_mixing=1", "medoids", "AutoDistiller"):
            assert way_out in str(caught.value)
    fit_weighted(*arguments, False)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (KNN, "KNeighborsClassifier"),
        (make_pipeline(StandardScaler(), KNN), "KNeighborsClassifier (in Pipeline)"),
        (
            GridSearchCV(make_pipeline(StandardScaler(), KNN), {}),
            "KNeighborsClassifier (in GridSearchCV)",
        ),
        (
            TransformedTargetRegressor(KNeighborsRegressor()),
            "KNeighborsRegressor (in TransformedTargetRegressor)",
        ),
        (VotingClassifier([("a", LOGISTIC), ("b", KNN)]), "VotingClassifier"),
    ],
)
def test_errors_name_the_class_that_learns(estimator, name):
    assert learner_name(estimator) == name


def test_equal_weights_may_be_dropped_by_auto_alone():
    arguments = (KNN, np.eye(4), [0, 1, 0, 1], np.full(4, 2.5) * (1 + 1e-12 * np.arange(4)))
    fit_weighted(*arguments, "auto")
    with pytest.raises(ValueError, match="use_weights=True"):
        fit_weighted(*arguments, True)


def test_equal_weights_are_passed_where_they_are_taken():
    recorder = fit_weighted(Recorder(), np.eye(2), [0, 1], np.full(2, 3.0), "auto")
    assert_array_equal(recorder.sample_weight_, [3.0, 3.0])
    recorder = fit_weighted(Recorder(), np.eye(2), [0, 1], np.full(2, 3.0), False)
    assert recorder.sample_weight_ is None


@pytest.mark.parametrize(
    ("weights", "equal"),
    [([1.0], True), ([2.0, 2.0], True), ([1.0, 1.0 + 1e-8], False), ([0.0, 1e-12], False)],
)
def test_all_equal_allows_for_rounding_only(weights, equal):
    assert all_equal(np.array(weights)) is equal


def test_metadata_routing_lets_the_requests_decide():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, 2.0] + rng.normal(size=60)
    weights = rng.uniform(0.1, 10.0, size=60)
    weighted = LinearRegression().fit(X, y, weights).coef_
    with config_context(enable_metadata_routing=True):
        asks = make_pipeline(LinearRegression().set_fit_request(sample_weight=True))
        assert_allclose(fit_weighted(asks, X, y, weights, "auto")[-1].coef_, weighted)
        declines = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            LinearRegression().set_fit_request(sample_weight=False),
        )
        scaler, got = fit_weighted(declines, X, y, weights, "auto")
        assert_allclose(scaler.mean_, np.average(X, axis=0, weights=weights))
        assert_allclose(got.coef_, LinearRegression().fit(scaler.transform(X), y).coef_)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            fit_weighted(make_pipeline(LinearRegression()), X, y, weights, "auto")
        # An estimator that is no router needs no request.
        assert_allclose(fit_weighted(LinearRegression(), X, y, weights, True).coef_, weighted)


def test_forest_in_voting_gets_weights():
    members = [("a", RandomForestClassifier(5, random_state=0)), ("b", Recorder())]
    weights = np.arange(1.0, 9.0)
    voting = fit_weighted(VotingClassifier(members), np.eye(8), np.arange(8) % 2, weights, True)
    assert_array_equal(voting.estimators_[1].sample_weight_, weights)
