"""DistilledClassifier and DistilledRegressor around a distiller that draws uniformly."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from uniform import UniformDistiller

from skdistill.data import DistilledData
from skdistill.meta import DistilledClassifier, DistilledRegressor

IRIS_X, IRIS_Y = load_iris(return_X_y=True)
IRIS_NAMES = load_iris().target_names[IRIS_Y]
BOTH = pytest.mark.parametrize("meta", [DistilledClassifier, DistilledRegressor])


# What is trained on what ---------------------------------------------------------------------


def test_estimator_is_trained_on_the_small_set_with_its_weights():
    distiller = UniformDistiller(50, weighting="unequal")
    model = DistilledClassifier(LogisticRegression(max_iter=1000), distiller).fit(
        IRIS_X, IRIS_NAMES
    )
    small = model.distilled_
    assert small is model.distiller_.distilled_ and len(small) == 50
    expected = LogisticRegression(max_iter=1000).fit(**small.normalized())
    assert_array_equal(model.estimator_.coef_, expected.coef_)
    assert_array_equal(model.predict(IRIS_X), expected.predict(IRIS_X))
    assert_array_equal(model.predict_proba(IRIS_X), expected.predict_proba(IRIS_X))
    assert_array_equal(model.decision_function(IRIS_X), expected.decision_function(IRIS_X))
    assert model.score(IRIS_X, IRIS_NAMES) == expected.score(IRIS_X, IRIS_NAMES)


def test_parameters_are_not_touched():
    distiller, estimator = UniformDistiller(50), LogisticRegression(max_iter=1000)
    model = DistilledClassifier(estimator, distiller).fit(IRIS_X, IRIS_Y)
    assert model.distiller is distiller and not hasattr(distiller, "distilled_")
    assert distiller.target_type == "auto"
    assert model.estimator is estimator and not hasattr(estimator, "coef_")


def test_target_type_is_set_on_the_distiller():
    classifier = DistilledClassifier(GaussianNB(), UniformDistiller()).fit(IRIS_X, IRIS_Y)
    assert classifier.distiller_.target_type == "classification"
    regressor = DistilledRegressor(Ridge(), UniformDistiller()).fit(IRIS_X, IRIS_Y)
    assert regressor.distiller_.target_type == "regression"


@BOTH
def test_sample_weight_reaches_the_distiller(meta):
    weights = np.linspace(1, 2, len(IRIS_Y))
    model = meta(distiller=UniformDistiller(40)).fit(IRIS_X, IRIS_Y, sample_weight=weights)
    assert_array_equal(model.distiller_.sample_weight_seen_, weights)
    assert model.fit(IRIS_X, IRIS_Y).distiller_.sample_weight_seen_ is None


@BOTH
def test_other_metadata_raises(meta):
    with pytest.raises(TypeError, match="groups"):
        meta(distiller=UniformDistiller()).fit(IRIS_X, IRIS_Y, groups=IRIS_Y)


@pytest.mark.parametrize("use_weights", ["auto", True])
def test_an_estimator_without_weights_refuses_unequal_ones(use_weights):
    model = DistilledClassifier(
        KNeighborsClassifier(),
        UniformDistiller(weighting="unequal"),
        use_weights=use_weights,
    )
    with pytest.raises(ValueError, match=r"takes no sample_weight.*use_weights=False"):
        model.fit(IRIS_X, IRIS_Y)
    model.set_params(use_weights=False).fit(IRIS_X, IRIS_Y)


@BOTH
def test_weight_scale(meta):
    """Of mean one, or as they come: beside a penalty the scale matters."""
    classes = meta is DistilledClassifier
    estimator = LogisticRegression(max_iter=1000) if classes else Ridge()
    model = meta(estimator, UniformDistiller(50, weighting="unequal"))
    coef = {}
    for scale in ("mean", "sum"):
        model.set_params(weight_scale=scale).fit(IRIS_X, IRIS_Y)
        small = model.distilled_
        assert small.sample_weight.mean() > 20
        coef[scale] = model.estimator_.coef_
        weight = small.sample_weight / (small.sample_weight.mean() if scale == "mean" else 1)
        expected = clone(estimator).fit(small.X, small.y, sample_weight=weight).coef_
        assert_allclose(coef[scale], expected)
    assert np.abs(coef["mean"]).sum() < 0.99 * np.abs(coef["sum"]).sum()


def test_equal_weights_are_dropped_for_an_estimator_without_them():
    model = DistilledClassifier(KNeighborsClassifier(3), UniformDistiller(60))
    assert cross_val_score(model, IRIS_X, IRIS_Y).mean() > 0.9


def test_use_weights_false_trains_on_equal_rows():
    distiller = UniformDistiller(30, weighting="unequal")
    model = DistilledRegressor(LinearRegression(), distiller, use_weights=False)
    small = model.fit(IRIS_X, IRIS_Y).distilled_
    assert_allclose(model.estimator_.coef_, LinearRegression().fit(small.X, small.y).coef_)


def test_weights_reach_an_inner_pipeline_and_search():
    distiller = UniformDistiller(50, weighting="unequal")
    pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    model = DistilledClassifier(search, distiller).fit(IRIS_X, IRIS_Y)
    small = model.distilled_
    best = clone(pipe).set_params(**model.estimator_.best_params_)
    best.fit(small.X, small.y, logisticregression__sample_weight=small.normalized().sample_weight)
    assert_allclose(model.predict_proba(IRIS_X), best.predict_proba(IRIS_X))


# The predictor of the set itself --------------------------------------------------------------


def test_without_an_estimator_the_predictor_of_the_set_decides():
    model = DistilledClassifier(distiller=UniformDistiller(60)).fit(IRIS_X, IRIS_NAMES)
    scores = model.distiller_.make_predictor().predict(IRIS_X)
    assert_array_equal(model.decision_function(IRIS_X), scores)
    assert_array_equal(model.predict(IRIS_X), model.classes_[scores.argmax(axis=1)])
    proba = model.predict_proba(IRIS_X)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert_array_equal(proba.argmax(axis=1), scores.argmax(axis=1))
    assert_array_equal(np.exp(model.predict_log_proba(IRIS_X)) > 0, proba > 0)
    assert model.score(IRIS_X, IRIS_NAMES) > 0.9


def test_binary_decision_has_one_axis_and_agrees_with_predict():
    y = np.where(IRIS_Y == 1, "yes", "no")
    model = DistilledClassifier(distiller=UniformDistiller(60)).fit(IRIS_X, y)
    decision = model.decision_function(IRIS_X)
    assert decision.shape == (150,)
    assert_array_equal(decision > 0, model.predict(IRIS_X) == "yes")
    proba = model.predict_proba(IRIS_X)[:, 1]
    assert_allclose(proba, np.clip((1 + decision) / 2, 0, 1))


def test_labels_without_an_estimator():
    X, y = make_multilabel_classification(200, n_classes=3, random_state=0)
    model = DistilledClassifier(distiller=UniformDistiller(150)).fit(X / 50, y)
    assert [list(pair) for pair in model.classes_] == [[0, 1]] * 3
    assert model.predict(X / 50).dtype.kind == "i"
    assert_array_equal(model.decision_function(X / 50) > 0, model.predict(X / 50) == 1)
    assert [p.shape for p in model.predict_proba(X / 50)] == [(200, 2)] * 3
    assert model.score(X / 50, y) > 0.5
    sparse_y = sparse.csr_matrix(y)
    again = clone(model).fit(X / 50, sparse_y)
    assert_array_equal(again.predict(X / 50), model.predict(X / 50))


def test_several_class_outputs_need_an_estimator():
    y = np.stack([IRIS_Y, (IRIS_Y + 1) % 3], axis=1)
    with pytest.raises(ValueError, match=r"multiclass-multioutput.*pass an estimator"):
        DistilledClassifier(distiller=UniformDistiller()).fit(IRIS_X, y)
    tree = DistilledClassifier(DecisionTreeClassifier(), UniformDistiller(60)).fit(IRIS_X, y)
    assert tree.predict(IRIS_X).shape == (150, 2)
    assert [len(c) for c in tree.classes_] == [3, 3]
    assert [p.shape for p in tree.predict_proba(IRIS_X)] == [(150, 3)] * 2


@pytest.mark.parametrize("estimator", [None, Ridge()])
def test_regression_of_one_and_several_outputs(estimator):
    X, y = load_diabetes(return_X_y=True)
    model = DistilledRegressor(estimator, UniformDistiller(100))
    assert model.fit(X, y).predict(X).shape == y.shape
    both = np.stack([y, -y], axis=1)
    assert model.fit(X, both).predict(X).shape == both.shape
    assert model.score(X, both) > 0.2


def test_integer_targets_are_real_for_the_regressor():
    model = DistilledRegressor(distiller=UniformDistiller(50)).fit(IRIS_X, IRIS_Y)
    assert model.predict(IRIS_X).dtype == np.float64
    assert model.score(IRIS_X, IRIS_Y) > 0.8


def test_numbers_in_an_object_array_are_targets():
    as_objects = DistilledRegressor(Ridge(), UniformDistiller(50)).fit(
        IRIS_X, IRIS_Y.astype(object)
    )
    as_numbers = DistilledRegressor(Ridge(), UniformDistiller(50)).fit(IRIS_X, IRIS_Y)
    assert_array_equal(as_objects.predict(IRIS_X), as_numbers.predict(IRIS_X))


# Classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=1000),
        SVC(),
        SGDClassifier(loss="log_loss", random_state=0),
        RidgeClassifier(),
        GaussianNB(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("dropped", ["setosa", "versicolor", "virginica"])
def test_classes_missing_from_the_small_set_are_padded(estimator, dropped):
    distiller = UniformDistiller(50, drop=dropped)
    model = DistilledClassifier(estimator, distiller).fit(IRIS_X, IRIS_NAMES)
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    absent = list(model.classes_).index(dropped)
    predicted = model.predict(IRIS_X)
    assert dropped not in predicted
    if hasattr(model, "predict_proba"):
        proba, log_proba = model.predict_proba(IRIS_X), model.predict_log_proba(IRIS_X)
        assert proba.shape == (150, 3)
        assert_array_equal(proba[:, absent], 0.0)
        assert_array_equal(log_proba[:, absent], -np.inf)
        assert_array_equal(model.classes_[proba.argmax(axis=1)], predicted)
    if hasattr(model, "decision_function"):
        decision = model.decision_function(IRIS_X)
        assert decision.shape == (150, 3) and np.isfinite(decision).all()
        assert_array_equal(model.classes_[decision.argmax(axis=1)], predicted)


def test_missing_classes_are_padded_per_output():
    y = np.stack([IRIS_NAMES, IRIS_NAMES[::-1]], axis=1)
    model = DistilledClassifier(RandomForestClassifier(5), FirstRows()).fit(IRIS_X, y)
    proba = model.predict_proba(IRIS_X)
    assert [p.shape for p in proba] == [(150, 3), (150, 3)]
    assert_array_equal(proba[0][:, 2], 0.0)  # virginica comes last in one output,
    assert_array_equal(proba[1][:, 0], 0.0)  # setosa in the other


class FirstRows(UniformDistiller):
    """Takes the first hundred rows, which have two of the three classes."""

    def fit(self, X, y=None, sample_weight=None):
        self.distilled_ = DistilledData(X[:100], y[:100])
        return self


def test_ovo_decisions_that_cannot_be_spread_say_so():
    X = np.vstack([IRIS_X, IRIS_X[:50] + 5])
    y = np.append(IRIS_Y, np.full(50, 3))
    model = DistilledClassifier(SVC(decision_function_shape="ovo"), UniformDistiller(60)).fit(X, y)
    assert model.decision_function(X).shape == (200, 6)
    # Two classes are left: their single decision has a meaning for all four.
    few = UniformDistiller(60, drop=0)
    model.set_params(distiller=few).fit(X, y)
    assert model.decision_function(X).shape == (200, 4)  # three pairs, three classes


def test_one_class_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"one class, 'a'; DistilledClassifier needs at least two"):
        DistilledClassifier(distiller=UniformDistiller()).fit(IRIS_X, ["a"] * 150)


@pytest.mark.parametrize("y", [IRIS_NAMES, IRIS_NAMES.astype(object), pd.Series(IRIS_NAMES)])
def test_labels_keep_their_type(y):
    model = DistilledClassifier(GaussianNB(), UniformDistiller(60)).fit(IRIS_X, y)
    assert set(model.predict(IRIS_X)) == {"setosa", "versicolor", "virginica"}


# Frozen distillers ---------------------------------------------------------------------------


class Unfittable(UniformDistiller):
    """Can be fitted once."""

    def fit(self, X, y=None, sample_weight=None):
        assert not hasattr(self, "distilled_")
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("estimator", [None, LogisticRegression(max_iter=1000)])
def test_a_frozen_distiller_is_used_as_it_is(estimator):
    fitted = Unfittable(60).fit(IRIS_X, IRIS_NAMES)
    model = DistilledClassifier(estimator, FrozenEstimator(fitted))
    model.fit(IRIS_X[::2], IRIS_NAMES[::2])
    assert model.distilled_ is fitted.distilled_
    assert clone(model).fit(IRIS_X, IRIS_NAMES).distilled_ is fitted.distilled_
    assert model.score(IRIS_X, IRIS_NAMES) > 0.9


def test_classes_of_a_frozen_distiller_are_known():
    fitted = UniformDistiller(60).fit(IRIS_X, IRIS_NAMES)
    for estimator in (None, LogisticRegression(max_iter=1000)):
        model = DistilledClassifier(estimator, FrozenEstimator(fitted))
        model.fit(IRIS_X[:100], IRIS_NAMES[:100])
        assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
        assert model.predict_proba(IRIS_X).shape == (150, 3)
    more = np.append(IRIS_NAMES[:-1], "another")
    model.fit(IRIS_X, more)
    assert model.predict_proba(IRIS_X).shape == (150, 4)


@pytest.mark.parametrize(
    ("meta", "fitted_y", "y", "message"),
    [
        (DistilledClassifier, None, IRIS_Y, "fitted without y"),
        (DistilledClassifier, IRIS_X[:, 0], IRIS_Y, "fitted without classes"),
        (DistilledClassifier, IRIS_NAMES, IRIS_Y, "labels of the same type"),
        (DistilledRegressor, IRIS_Y, IRIS_Y, "fitted on classes"),
    ],
)
def test_a_frozen_distiller_of_another_task_says_so(meta, fitted_y, y, message):
    fitted = UniformDistiller(60).fit(IRIS_X, fitted_y)
    with pytest.raises(ValueError, match=message):
        meta(distiller=FrozenEstimator(fitted)).fit(IRIS_X, y)


@BOTH
def test_a_frozen_distiller_of_other_features_says_so(meta):
    fitted = UniformDistiller(60, target_type="regression").fit(IRIS_X, IRIS_Y)
    with pytest.raises(ValueError, match=r"(?s)X has 2 features, but the rows.*have 4"):
        meta(Ridge() if meta is DistilledRegressor else SVC(), FrozenEstimator(fitted)).fit(
            IRIS_X[:, :2], IRIS_Y
        )


@BOTH
def test_an_unfitted_frozen_distiller_says_so(meta):
    with pytest.raises(NotFittedError):
        meta(distiller=FrozenEstimator(UniformDistiller())).fit(IRIS_X, IRIS_Y)


# Bad parameters ------------------------------------------------------------------------------


@BOTH
def test_a_distiller_that_distils_nothing_says_so(meta):
    with pytest.raises(TypeError, match=r"distiller=StandardScaler\(\) has no distilled set"):
        meta(distiller=StandardScaler()).fit(IRIS_X, IRIS_Y, None)


class Bare(UniformDistiller):
    """A distiller without a predictor of its own."""

    make_predictor = property()


@BOTH
def test_no_estimator_needs_a_predictor(meta):
    with pytest.raises(TypeError, match="estimator=None needs a distiller with the method make_"):
        meta(distiller=Bare()).fit(IRIS_X, IRIS_Y)


@BOTH
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("use_weights", "yes"),
        ("use_weights", None),
        ("weight_scale", "max"),
        ("memory", 3),
        ("distiller", "coreset"),
        ("estimator", "logistic"),
        ("estimator", StandardScaler()),
    ],
)
def test_bad_parameters_are_named(meta, parameter, value):
    with pytest.raises(ValueError, match=f"The '{parameter}' parameter"):
        meta(**{parameter: value}).fit(IRIS_X, IRIS_Y)


def test_the_wrong_kind_of_estimator_says_so():
    with pytest.raises(ValueError, match=r"estimator=Ridge\(\) is a regressor.*DistilledRegressor"):
        DistilledClassifier(Ridge(), UniformDistiller()).fit(IRIS_X, IRIS_Y)
    with pytest.raises(ValueError, match=r"estimator=SVC\(\) is a classifier.*DistilledClassifier"):
        DistilledRegressor(SVC(), UniformDistiller()).fit(IRIS_X, IRIS_Y)


@BOTH
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (IRIS_Y[:-1], "inconsistent numbers of samples"),
        (np.where(IRIS_X[:, 0] > 7, np.nan, 1.0), "NaN"),
        (IRIS_Y[:, None, None], "dim 3"),
    ],
)
def test_bad_targets_are_refused(meta, y, message):
    with pytest.raises(ValueError, match=message):
        meta(distiller=UniformDistiller()).fit(IRIS_X, y)


def test_targets_of_the_other_task_are_refused():
    with pytest.raises(ValueError, match="continuous"):
        DistilledClassifier(distiller=UniformDistiller()).fit(IRIS_X, IRIS_X[:, 0])
    with pytest.raises(ValueError, match=r"y must be numbers.*setosa.*DistilledClassifier"):
        DistilledRegressor(distiller=UniformDistiller()).fit(IRIS_X, IRIS_NAMES)


@BOTH
def test_predict_checks_features(meta):
    model = meta(distiller=UniformDistiller())
    with pytest.raises(NotFittedError):
        model.predict(IRIS_X)
    model.fit(IRIS_X, IRIS_Y)
    with pytest.raises(ValueError, match="Reshape your data"):
        model.predict(IRIS_X[0])
    with pytest.raises(ValueError, match=f"2 features, but {meta.__name__} is expecting 4"):
        model.predict(IRIS_X[:, :2])


# scikit-learn around it ----------------------------------------------------------------------


def test_methods_are_those_of_the_estimator():
    assert hasattr(DistilledClassifier(), "predict_proba")
    assert hasattr(DistilledClassifier(SVC()), "decision_function")
    assert not hasattr(DistilledClassifier(SVC()), "predict_proba")
    fitted = DistilledClassifier(GaussianNB(), UniformDistiller()).fit(IRIS_X, IRIS_Y)
    assert not hasattr(fitted, "decision_function")
    assert not hasattr(DistilledRegressor(), "decision_function")
    with pytest.raises(AttributeError, match="predict_proba"):
        getattr(DistilledClassifier(RidgeClassifier()), "predict_proba")  # noqa: B009


@pytest.mark.parametrize(
    ("estimator", "is_sparse", "multi_label"),
    [
        (None, True, True),
        (LogisticRegression(max_iter=1000), True, False),
        (GaussianNB(), False, False),
    ],
)
def test_tags_are_those_of_distiller_and_estimator(estimator, is_sparse, multi_label):
    tags = get_tags(DistilledClassifier(estimator, UniformDistiller()))
    assert tags.input_tags.sparse is is_sparse
    assert tags.classifier_tags.multi_label is multi_label
    assert not tags.input_tags.allow_nan and not tags.target_tags.multi_output
    assert get_tags(DistilledRegressor(Ridge(), UniformDistiller())).target_tags.multi_output
    assert get_tags(DistilledRegressor(distiller=UniformDistiller())).target_tags.multi_output


def test_sparse_rows_reach_the_estimator():
    X = sparse.csr_matrix(np.where(IRIS_X > 2, IRIS_X, 0))
    model = DistilledClassifier(LogisticRegression(max_iter=1000), UniformDistiller(60)).fit(
        X, IRIS_Y
    )
    assert sparse.issparse(model.distilled_.X)
    assert model.score(X, IRIS_Y) > 0.8


def test_frame_rows_reach_the_estimator():
    frame = load_iris(as_frame=True).data.assign(kind=np.where(IRIS_Y == 1, "m", "n"))
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipe = make_pipeline(encoder, LogisticRegression(max_iter=500))
    model = DistilledClassifier(pipe, UniformDistiller(60)).fit(frame, IRIS_NAMES)
    assert isinstance(model.distilled_.X, pd.DataFrame)
    assert_array_equal(model.feature_names_in_, frame.columns)
    assert_array_equal(model.estimator_[0].feature_names_in_, frame.columns)
    assert model.score(frame, IRIS_NAMES) > 0.8
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[frame.columns[::-1]])


def test_memory_distils_once_a_fold(tmp_path):
    distiller = UniformDistiller(50, log=tmp_path / "log")
    model = DistilledClassifier(
        LogisticRegression(max_iter=1000), distiller, memory=str(tmp_path / "cache")
    )
    grid = {"estimator__C": [0.01, 0.1, 1.0, 10.0]}
    GridSearchCV(model, grid, cv=3, refit=False).fit(IRIS_X, IRIS_Y)
    assert (tmp_path / "log").read_text().count("fit") == 3


def test_memory_distils_anew_for_another_distiller_or_data(tmp_path):
    distiller = UniformDistiller(50, log=tmp_path / "log")
    model = DistilledRegressor(Ridge(), distiller, memory=str(tmp_path / "cache"))
    first = model.fit(IRIS_X, IRIS_Y).predict(IRIS_X)
    assert_array_equal(model.fit(IRIS_X, IRIS_Y).predict(IRIS_X), first)
    model.set_params(distiller__n_samples=51).fit(IRIS_X, IRIS_Y)
    model.fit(IRIS_X, IRIS_Y, np.arange(1, 151))
    model.fit(IRIS_X + 1, IRIS_Y)
    assert (tmp_path / "log").read_text().count("fit") == 4


def test_grid_over_distiller_and_estimator_in_a_pipeline():
    model = DistilledClassifier(LogisticRegression(max_iter=1000), UniformDistiller())
    grid = {
        "distilledclassifier__distiller__n_samples": [10, 60],
        "distilledclassifier__estimator__C": [0.1, 1],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, n_jobs=2)
    search.fit(IRIS_X, IRIS_Y)
    assert search.best_score_ > 0.85
    assert len(search.cv_results_["params"]) == 4


def test_metadata_routing_brings_weights_to_the_distiller():
    weights = np.linspace(1, 2, 150)
    with config_context(enable_metadata_routing=True):
        model = DistilledClassifier(LogisticRegression(max_iter=1000), UniformDistiller(60))
        model.set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, model).fit(IRIS_X, IRIS_Y, sample_weight=weights)
    assert_array_equal(pipe[-1].distiller_.sample_weight_seen_, weights)


@pytest.mark.parametrize("estimator", [None, LogisticRegression(max_iter=1000)])
def test_pickle_predicts_the_same(estimator):
    model = DistilledClassifier(estimator, UniformDistiller(60)).fit(IRIS_X, IRIS_NAMES)
    twin = pickle.loads(pickle.dumps(model))
    assert_array_equal(twin.predict_proba(IRIS_X), model.predict_proba(IRIS_X))
    assert repr(twin) == repr(model)


def test_an_estimator_that_survives_one_class_is_padded():
    class OneClass(UniformDistiller):
        def fit(self, X, y=None, sample_weight=None):
            self.distilled_ = DistilledData(X[:5], y[:5])
            return self

    model = DistilledClassifier(DummyClassifier(), OneClass()).fit(IRIS_X, IRIS_Y)
    assert_array_equal(model.predict_proba(IRIS_X), np.tile([1.0, 0, 0], (150, 1)))
