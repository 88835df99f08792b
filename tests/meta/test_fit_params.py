"""Parameters of fit that go to the estimator, and real rows for one that stops early."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_diabetes, make_classification
from sklearn.linear_model import LogisticRegression

from skdistill import DistilledClassifier, DistilledRegressor, SensitivityCoreset


class Watching(ClassifierMixin, BaseEstimator):
    """Keeps what its fit was given."""

    def fit(self, X, y, sample_weight=None, eval_set=None, note=None):
        self.n_rows_, self.eval_set_, self.note_ = len(X), eval_set, note
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class WatchingNumbers(RegressorMixin, BaseEstimator):
    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None):
        self.held_ = X_val, y_val
        return self

    def predict(self, X):
        return np.zeros(len(X))


SMALL = SensitivityCoreset(20, random_state=0)


def test_parameters_of_fit_reach_the_estimator():
    X, y = make_classification(100, random_state=0)
    model = DistilledClassifier(Watching(), SMALL).fit(X, y, note="here")
    assert model.estimator_.note_ == "here" and model.estimator_.n_rows_ == 20


def test_unknown_parameters_are_errors():
    X, y = make_classification(100, random_state=0)
    with pytest.raises(TypeError, match="unknown"):
        DistilledClassifier(Watching(), SMALL).fit(X, y, unknown=1)
    with pytest.raises(TypeError, match=r"\['note'\].*estimator=None"):
        DistilledClassifier(distiller=SMALL).fit(X, y, note=1)


def test_requests_decide_where_routing_is_on():
    X, y = make_classification(100, random_state=0)
    with config_context(enable_metadata_routing=True):
        asked = Watching().set_fit_request(note=True, sample_weight=True)
        model = DistilledClassifier(asked, SMALL).fit(X, y, note="here")
        assert model.estimator_.note_ == "here"
        with pytest.raises(ValueError, match="note"):
            DistilledClassifier(Watching(), SMALL).fit(X, y, note="here")


def test_held_out_rows_are_real_and_take_no_part_in_the_small_set():
    X, y = make_classification(300, weights=[0.8], random_state=0)
    model = DistilledClassifier(Watching(), SMALL, validation="held_out").fit(X, y)
    ((X_val, y_val),) = model.estimator_.eval_set_
    assert X_val.shape == (30, 20) and abs(y_val.mean() - y.mean()) < 0.02
    both = np.vstack([X_val, model.distilled_.X])
    assert len(np.unique(both, axis=0)) == 50
    assert_array_equal(X[model.distilled_.indices], model.distilled_.X)
    assert model.distilled_.sample_weight.sum() == pytest.approx(270)


def test_held_out_rows_under_the_names_of_scikit_learn():
    X, y = load_diabetes(return_X_y=True)
    weight = np.ones(len(y))
    model = DistilledRegressor(WatchingNumbers(), SMALL, validation="held_out")
    model.fit(X, y, sample_weight=weight)
    X_val, y_val = model.estimator_.held_
    assert X_val.shape == (44, 10) and y_val.shape == (44,)
    again = DistilledRegressor(WatchingNumbers(), SMALL, validation="held_out").fit(X, y)
    assert_array_equal(again.estimator_.held_[0], X_val)


def test_an_estimator_that_cannot_watch_is_named():
    X, y = make_classification(100, random_state=0)
    with pytest.raises(ValueError, match="LogisticRegression takes neither"):
        DistilledClassifier(LogisticRegression(), SMALL, validation="held_out").fit(X, y)
    with pytest.raises(ValueError, match="needs an estimator"):
        DistilledClassifier(distiller=SMALL, validation="held_out").fit(X, y)
