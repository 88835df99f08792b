"""AutoDistiller: which kind wins, what is handed out, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, make_classification
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdistill import (
    AutoDistiller,
    DatasetDistiller,
    DistilledClassifier,
    DistilledRegressor,
    SensitivityCoreset,
)

QUICK = {"n_rounds": 1, "n_exchanges": 0, "random_state": 0}


@pytest.fixture(scope="module")
def rare():
    """Two classes, 5 % positive, and a test part."""
    X, y = make_classification(
        3000, 8, n_informative=5, weights=[0.95], class_sep=0.7, flip_y=0, random_state=3
    )
    return X[:2000], y[:2000], X[2000:], y[2000:]


def test_rows_for_a_balanced_score_are_better_than_uniform_ones(rare):
    X, y, X_test, y_test = rare
    tree = DecisionTreeClassifier(max_depth=5, random_state=0)
    auto = AutoDistiller(60, scoring="balanced_accuracy", random_state=0)
    model = DistilledClassifier(tree, auto).fit(X, y)
    assert len(model.distilled_) == 60
    found = balanced_accuracy_score(y_test, model.predict(X_test))
    drawn = []
    for seed in range(5):
        uniform = SensitivityCoreset(60, uniform_mixing=1, sampling="systematic", random_state=seed)
        rows = uniform.fit(X, y).indices_
        predicted = clone(tree).fit(X[rows], y[rows]).predict(X_test)
        drawn.append(balanced_accuracy_score(y_test, predicted))
    assert found > np.mean(drawn) + 2 * np.std(drawn, ddof=1) / np.sqrt(5)


def test_scores_are_a_table_with_uniform_rows_first(rare):
    pd = pytest.importorskip("pandas")
    X, y, *_ = rare
    auto = AutoDistiller(30, estimator=DecisionTreeClassifier(), **QUICK).fit(X[:500], y[:500])
    table = pd.DataFrame(auto.candidate_scores_)
    assert table.candidate[0] == "uniform" and table.gain[0] == 0
    assert (table.failure == "").all() and table.mean_score.between(0, 1).all()
    best = table.loc[table.gain.idxmax()]
    assert auto.best_candidate_ == best.candidate
    assert np.ptp(auto.distilled_.sample_weight) == 0 or best.use_weights


def test_the_meta_estimator_hands_its_model_over():
    X, y = make_classification(200, random_state=0)
    model = LogisticRegression(C=0.5)
    fitted = DistilledClassifier(model, AutoDistiller(20, **QUICK)).fit(X, y)
    assert fitted.distiller_.estimator.C == 0.5
    given = DecisionTreeClassifier()
    fitted = DistilledClassifier(model, AutoDistiller(20, estimator=given, **QUICK)).fit(X, y)
    assert isinstance(fitted.distiller_.estimator, DecisionTreeClassifier)


def test_same_seed_same_rows_and_other_order_too():
    X, y = make_classification(150, random_state=0)
    auto = AutoDistiller(20, estimator=DecisionTreeClassifier(), n_rounds=2, random_state=0)
    one = clone(auto).fit(X, y)
    again = clone(auto).fit(X, y)
    assert_array_equal(one.distilled_.X, again.distilled_.X)
    order = np.random.default_rng(0).permutation(150)
    shuffled = clone(auto).fit(X[order], y[order])
    assert_array_equal(one.distilled_.X, shuffled.distilled_.X)


def test_weight_is_repetition():
    X, y = make_classification(100, random_state=0)
    weight = np.random.default_rng(0).integers(0, 4, 100)
    auto = AutoDistiller(15, estimator=LogisticRegression(), **QUICK)
    weighted = clone(auto).fit_distill(X, y, sample_weight=weight)
    repeated = clone(auto).fit_distill(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_array_equal(weighted.X, repeated.X)
    assert_allclose(weighted.sample_weight, repeated.sample_weight)


def test_numbers_and_several_outputs():
    X, y = load_diabetes(return_X_y=True)
    ridge = make_pipeline(StandardScaler(), Ridge())
    model = DistilledRegressor(ridge, AutoDistiller(40, **QUICK)).fit(X, y)
    assert model.score(X, y) > 0.3
    X, y = X[:150], y[:150]
    both = np.column_stack([y, -y])
    assert AutoDistiller(30, **QUICK).fit_distill(X, both).y.shape == (30, 2)
    labels = (both > np.median(both, axis=0)).astype(int)
    small = AutoDistiller(30, **QUICK).fit_distill(X, labels)
    assert small.y.dtype == labels.dtype and set(np.unique(small.y)) == {0, 1}


def test_a_model_without_weights_gets_rows_it_can_use():
    X, y = make_classification(300, random_state=0)
    model = DistilledClassifier(KNeighborsClassifier(3), AutoDistiller(30, **QUICK)).fit(X, y)
    assert np.ptp(model.distilled_.sample_weight) == 0
    assert not model.distiller_.candidate_scores_["use_weights"].any()


def test_weights_are_not_tried_where_the_meta_estimator_drops_them():
    X, y = make_classification(200, random_state=0)
    auto = AutoDistiller(20, **QUICK)
    model = DistilledClassifier(LogisticRegression(), auto, use_weights=False).fit(X, y)
    assert not model.distiller_.candidate_scores_["use_weights"].any()


def test_nearest_neighbours_are_offered_learnt_prototypes():
    X, y = make_classification(300, 4, n_redundant=0, random_state=0)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
    fitted = DistilledClassifier(model, AutoDistiller(10, **QUICK)).fit(X, y)
    table = fitted.distiller_.candidate_scores_
    assert table["mean_score"][list(table["candidate"]).index("learnt prototypes")] > 0.5
    fitted = DistilledClassifier(LogisticRegression(), AutoDistiller(10, **QUICK)).fit(X, y)
    assert "learnt prototypes" not in fitted.distiller_.candidate_scores_["candidate"]


def test_learnt_rows_may_win():
    X, y = make_classification(300, 4, n_redundant=0, random_state=0)
    learnt = DatasetDistiller(objective="nearest_neighbors", max_iter=60)
    auto = AutoDistiller(
        10, candidates=[(learnt, False)], estimator=OnlyLearnt(), n_rounds=2, random_state=0
    ).fit(X, y)
    assert auto.best_candidate_ == repr(learnt) and len(auto.distilled_) == 10
    assert not hasattr(auto, "indices_")


class OnlyLearnt(ClassifierMixin, BaseEstimator):
    """Predicts the truth where its rows are no rows of the data, which it knows, else nothing."""

    def fit(self, X, y):
        known, labels = make_classification(300, 4, n_redundant=0, random_state=0)
        real = (X[:, None] == known).all(axis=2).any()
        self.classes_ = np.unique(labels)
        self.model_ = KNeighborsClassifier(1).fit(known, np.zeros(300, int) if real else labels)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_own_candidates_and_uniform_rows():
    X, y = make_classification(300, random_state=0)
    own = [(SensitivityCoreset(loss="cross_entropy"), True), (SensitivityCoreset(), False)]
    auto = AutoDistiller(30, candidates=own, estimator=LogisticRegression(), **QUICK).fit(X, y)
    names = auto.candidate_scores_["candidate"]
    assert list(names) == ["uniform", repr(own[0][0]), repr(own[1][0])]
    assert_array_equal(auto.candidate_scores_["use_weights"], [False, True, False])


@pytest.mark.parametrize(
    "candidates", [[], [SensitivityCoreset()], [(1, True)], [(SensitivityCoreset(), "yes")]]
)
def test_candidates_of_a_wrong_form_are_named(candidates):
    X, y = make_classification(50, random_state=0)
    with pytest.raises((TypeError, ValueError), match=r"candidates=.* pairs"):
        AutoDistiller(5, candidates=candidates).fit(X, y)


class Failing(ClassifierMixin, BaseEstimator):
    """Refuses sets with fewer than `least` rows of the rare class."""

    def __init__(self, least=0):
        self.least = least

    def fit(self, X, y):
        if np.bincount(y)[1] < self.least:
            raise RuntimeError("too few")
        self.model_ = DecisionTreeClassifier(random_state=0).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_a_model_that_fails_on_some_sets_is_served_by_the_others(rare):
    X, y, *_ = rare
    with pytest.warns(UserWarning, match="left out: uniform: RuntimeError: too few"):
        model = DistilledClassifier(Failing(10), AutoDistiller(40, **QUICK)).fit(X, y)
    assert np.bincount(model.distilled_.y)[1] >= 10


def test_a_model_that_always_fails_says_why(rare):
    X, y, *_ = rare
    with pytest.raises(
        ValueError, match=r"Every candidate failed\. uniform: RuntimeError: too few"
    ):
        DistilledClassifier(Failing(1000), AutoDistiller(40, **QUICK)).fit(X, y)


def test_more_rows_than_there_are_are_all_rows():
    X, y = make_classification(40, random_state=0)
    with pytest.warns(UserWarning, match="more than the 40 distinct rows"):
        small = AutoDistiller(100).fit_distill(X, y)
    assert len(small) == 40


@pytest.mark.parametrize(
    ("n", "m", "classes"), [(4, 2, True), (4, 2, False), (8, 2, True), (30, 1, False)]
)
def test_few_rows_are_no_failure(n, m, classes):
    X = np.random.default_rng(0).normal(size=(n, 2))
    y = np.arange(n) % m if classes else X[:, 0]
    auto = AutoDistiller(m, n_rounds=1, n_exchanges=1, random_state=0)
    assert len(auto.fit_distill(X, y)) == m
    assert auto.best_candidate_ in auto.candidate_scores_["candidate"]


def test_a_target_is_needed():
    with pytest.raises(ValueError, match="requires y"):
        AutoDistiller(5).fit(np.eye(20))


def test_sparse_rows_and_frames_keep_their_form():
    sp = pytest.importorskip("scipy.sparse")
    pd = pytest.importorskip("pandas")
    X, y = make_classification(200, random_state=0)
    small = AutoDistiller(20, estimator=LogisticRegression(), **QUICK).fit_distill(
        sp.csr_matrix(np.where(X > 0, X, 0)), y
    )
    assert sp.issparse(small.X) and small.X.shape == (20, 20)
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(20)])
    small = AutoDistiller(20, estimator=LogisticRegression(), **QUICK).fit_distill(frame, y)
    assert list(small.X.columns) == list(frame.columns)


@pytest.mark.parametrize("distiller", [None, AutoDistiller(60, **QUICK)], ids=["default", "given"])
def test_a_mixed_frame_needs_no_words(distiller):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(300) < 0.1, np.nan, rng.exponential(size=300)),
            "place": rng.choice(["north", "south", None], 300),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, 300), "D"),
        }
    )
    y = np.where(frame["place"].eq("north") ^ (frame["size"] > 1), "yes", "no")
    encoder = make_column_transformer(
        (SimpleImputer(), ["size"]), (OneHotEncoder(handle_unknown="ignore"), ["place"])
    )
    frame["place"] = frame["place"].astype("category")
    tree = make_pipeline(encoder, DecisionTreeClassifier(random_state=0))
    model = DistilledClassifier(tree, distiller).fit(frame, y)
    assert list(model.distilled_.X.dtypes) == list(frame.dtypes)
    assert model.score(frame, y) > 0.8


def test_in_a_grid_search_inside_a_pipeline():
    X, y = make_classification(200, random_state=0)
    model = DistilledClassifier(LogisticRegression(), AutoDistiller(**QUICK))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {"distilledclassifier__distiller__n_samples": [10, 40]},
        cv=ShuffleSplit(1, random_state=0),
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.7


def test_many_rows_are_judged_by_a_sample(monkeypatch):
    from skdistill import auto

    monkeypatch.setattr(auto, "POOL_ROWS", 300)
    X, y = make_classification(2000, weights=[0.97], flip_y=0, random_state=0)
    fitted = AutoDistiller(30, estimator=LogisticRegression(), **QUICK).fit(X, y)
    assert len(fitted.distilled_) == 30 and fitted.distilled_.sample_weight.sum() > 1900


def test_the_global_generator_is_untouched():
    X, y = make_classification(100, random_state=0)
    before = np.random.mtrand._rand.get_state()[1].copy()
    AutoDistiller(10, estimator=LogisticRegression(), **QUICK).fit(X, y)
    assert_array_equal(before, np.random.mtrand._rand.get_state()[1])
