"""Scores of weighted held-out rows, with every kind of scorer."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from skdistill import _device
from skdistill.selection.judge import Judge, repeated
from skdistill.selection.part import Part, sampled


class NoWeights(ClassifierMixin, BaseEstimator):
    """A model whose own score takes no weights."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def score(self, X, y):
        return accuracy_score(y, self.predict(X))


@pytest.fixture(scope="module")
def part():
    X, codes = make_classification(6000, 5, weights=[0.97], class_sep=0.5, random_state=0)
    return Part(
        X, codes, lambda rows: rows, np.arange(6000), X, codes, None, np.ones(6000), codes, 0
    )


def test_sampled_stands_for_all_and_keeps_rare_classes(part):
    rare = (part.codes == 1).sum()
    sample, positions = sampled(part, 1000, np.random.RandomState(0))
    assert len(sample) == len(positions)
    assert (sample.codes == 1).sum() == rare  # a few more would be wanted
    assert (sample.codes == 0).sum() == pytest.approx(500 * (1 - rare / 6000 + 0.5), abs=1)
    assert sample.weight[sample.codes == 1] == pytest.approx(1)
    for code in (0, 1):
        own = sample.codes == code
        assert sample.weight[own].sum() == pytest.approx((part.codes == code).sum(), rel=0.01)
    np.testing.assert_array_equal(sample.labels, part.labels[positions])
    assert sampled(part, 6000, np.random.RandomState(0))[0] is part


@pytest.mark.parametrize(
    ("model", "scoring", "weighs"),
    [
        (LogisticRegression(), None, True),
        (make_pipeline(StandardScaler(), LogisticRegression()), None, True),
        (LogisticRegression(), "accuracy", True),
        (NoWeights(), None, False),
        (make_pipeline(StandardScaler(), NoWeights()), None, False),
        (GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2), None, False),
        (LogisticRegression(), lambda m, X, y: accuracy_score(y, m.predict(X)), False),
    ],
)
def test_scores_of_a_weighted_sample_are_near_to_those_of_all(part, model, scoring, weighs):
    judge = Judge(model, scoring, 0)
    assert judge.weighs is weighs
    small = part.small_set(np.arange(500), np.ones(500))
    trained = judge.fit(small, False)
    held, _ = sampled(part, 3000, np.random.RandomState(1))
    assert judge.score_of(trained, held) == pytest.approx(judge.score_of(trained, part), abs=0.01)


def test_repeated_counts_rows_by_weight(part):
    weight = np.random.default_rng(0).uniform(0, 3, len(part))
    rows = repeated(replace(part, weight=weight), 0)
    assert len(rows) == pytest.approx(len(part), abs=1)
    times = np.bincount(rows.index, minlength=len(part))
    assert np.abs(times - weight / weight.mean()).max() < 1 + 1e-9


class Asks(NoWeights):
    """A model that notes how many threads the libraries may use for it."""

    def fit(self, X, y):
        self.threads_ = threads()
        return super().fit(X, y)

    def score(self, X, y):
        self.threads_ |= threads()
        return super().score(X, y)


def threads():
    return {library["num_threads"] for library in threadpool_info()}


def test_small_fits_stay_on_one_core(part, monkeypatch):
    some = part.take(np.arange(0, 6000, 2), 0)
    small = some.small_set(np.arange(0, 3000, 10), np.ones(300))
    with threadpool_limits(2):
        judge = Judge(Asks(), None, 0)
        model = judge.fit(small, False)
        judge.score_of(model, some)
        assert model.threads_ == {1} and threads() == {2}
        monkeypatch.setattr(_device, "SMALL_TABLE", 1000)  # of 300 x 5 values
        assert judge.fit(small, False).threads_ == {2}
