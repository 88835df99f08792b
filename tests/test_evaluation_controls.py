"""Controls of an evaluation: random rows with equal labels."""

import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from skdistill import DistilledData, SensitivityCoreset
from skdistill.evaluation import evaluate, evaluate_controls
from skdistill.networks import MLP, NetworkClassifier

QUICK = NetworkClassifier(MLP(16), n_networks=2, n_epochs=15, random_state=0)


def test_scores_are_those_of_evaluate(digits):
    X, X_test, y, y_test = digits
    small = SensitivityCoreset(50, random_state=0).fit_distill(X, y)
    small = DistilledData(small.X, small.y)
    model = KNeighborsClassifier(1)
    found = evaluate_controls(small, X, y, X_test, y_test, model, n_draws=4, random_state=0)
    own = evaluate(small, X_test, y_test, model)[0]
    assert found["own"] == found["hard"] == own
    assert found["random"] == found["random_hard"] < own
    assert found["all_rows"] == model.fit(X, y).score(X_test, y_test)
    hlr, ior = found["hard_label_recovery"], found["improvement_over_random"]
    assert hlr == pytest.approx(found["all_rows"] - own)
    assert ior == pytest.approx(own - found["random"])
    expected = (math.exp(0.5 * ior - 0.5 * hlr) - 1 / math.e) / (math.e - 1 / math.e)
    assert found["label_robust_score"] == pytest.approx(expected)


def test_random_rows_are_no_better_than_random_rows(digits):
    X, X_test, y, y_test = digits
    rng = np.random.RandomState(1)
    index = np.concatenate([rng.permutation(np.flatnonzero(y == c))[:8] for c in range(10)])
    random = DistilledData(X[index], y[index])
    found = evaluate_controls(
        random, X, y, X_test, y_test, KNeighborsClassifier(1), n_draws=8, random_state=0
    )
    assert abs(found["improvement_over_random"]) < 0.05


def test_soft_labels_are_compared_with_those_of_a_teacher(digits):
    X, X_test, y, y_test = digits
    teacher = RandomForestClassifier(30, random_state=0).fit(X, y)
    index = np.random.RandomState(0).permutation(len(X))[:60]
    taught = DistilledData(
        X[index], y[index], targets=teacher.predict_proba(X[index]), classes=np.arange(10)
    )
    with pytest.raises(ValueError, match="teacher=None has no predict_proba"):
        evaluate_controls(taught, X, y, X_test, y_test, QUICK)
    found = evaluate_controls(
        taught, X[:600], y[:600], X_test, y_test, QUICK, teacher=teacher, random_state=0
    )
    assert found["own"] != found["hard"] and found["random"] != found["random_hard"]
    # These are random rows with a teacher's labels: nothing is left once both are the same.
    assert abs(found["improvement_over_random"]) < 0.1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"labels": "hard"}, "labels is no parameter"),
        ({"recovery_weight": 2}, "recovery_weight=2"),
        ({"n_draws": 0}, "n_draws=0"),
    ],
)
def test_what_is_refused(digits, wrong, match):
    X, X_test, y, y_test = digits
    small = DistilledData(X[:30], y[:30])
    with pytest.raises(ValueError, match=match):
        evaluate_controls(small, X, y, X_test, y_test, KNeighborsClassifier(1), **wrong)
    with pytest.raises(ValueError, match="one class a row"):
        evaluate_controls(DistilledData(X[:30], X[:30, 0]), X, y, X_test, y_test)
