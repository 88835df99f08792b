"""Controls of an evaluation: random rows with equal labels."""

import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from skdistill import DatasetDistiller, DistilledData, SensitivityCoreset
from skdistill.evaluation import _controls, evaluate
from skdistill.networks import MLP, ConvNet, NetworkClassifier
from skdistill.objectives import UnrolledTraining

QUICK = NetworkClassifier(MLP(16), n_networks=2, n_epochs=15, random_state=0)


def test_scores_are_those_of_evaluate(digits):
    X, X_test, y, y_test = digits
    small = SensitivityCoreset(50, random_state=0).fit_distill(X, y)
    small = DistilledData(small.X, small.y)
    model = KNeighborsClassifier(1)
    found = evaluate(small, X_test, y_test, model, X_train=X, y_train=y, controls=4, random_state=0)
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
    found = evaluate(
        random,
        X_test,
        y_test,
        KNeighborsClassifier(1),
        X_train=X,
        y_train=y,
        controls=8,
        random_state=0,
    )
    assert abs(found["improvement_over_random"]) < 0.05


def test_soft_labels_are_compared_with_those_of_a_teacher(digits):
    X, X_test, y, y_test = digits
    teacher = RandomForestClassifier(30, random_state=0).fit(X, y)
    index = np.random.RandomState(0).permutation(len(X))[:60]
    taught = DistilledData(
        X[index], y[index], targets=teacher.predict_proba(X[index]), classes=np.arange(10)
    )
    options = {"X_train": X[:600], "y_train": y[:600], "controls": True, "random_state": 0}
    with pytest.raises(ValueError, match="teacher=None has no predict_proba"):
        evaluate(taught, X_test, y_test, QUICK, **options)
    found = evaluate(taught, X_test, y_test, QUICK, teacher=teacher, **options)
    assert found["own"] != found["hard"] and found["random"] != found["random_hard"]
    # These are random rows with a teacher's labels: nothing is left once both are the same.
    assert abs(found["improvement_over_random"]) < 0.1
    # The teacher's labels asked for by name are the ones that the set has.
    plain = DistilledData(X[index], y[index])
    again = evaluate(
        plain, X_test, y_test, QUICK, labels="teacher", teacher=teacher, X_train=X[:600]
    )
    assert again.mean() == pytest.approx(found["own"], abs=0.02)


def test_labels_of_a_teacher_are_those_of_estimators_too(digits):
    X, X_test, y, y_test = digits
    wrong = KNeighborsClassifier(1).fit(X, (y + 1) % 10)
    small = DistilledData(X[:60], y[:60], classes=np.arange(10))
    model = KNeighborsClassifier(1)
    (found,) = evaluate(small, X_test, y_test, model, labels="teacher", teacher=wrong)
    assert found == model.fit(X[:60], (y[:60] + 1) % 10).score(X_test, y_test)
    ridge = evaluate(small, X_test, y_test, "kernel_ridge", labels="teacher", teacher=wrong)
    assert ridge[0] < 0.1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"controls": True}, "give X_train and y_train"),
        ({"labels": "teacher"}, "teacher=None has no predict_proba"),
        ({"controls": 0.5}, "'controls' parameter"),
        ({"labels": "good"}, "'labels' parameter"),
    ],
)
def test_what_is_refused(digits, wrong, match):
    X, X_test, y, y_test = digits
    small = DistilledData(X[:30], y[:30])
    with pytest.raises(ValueError, match=match):
        evaluate(small, X_test, y_test, KNeighborsClassifier(1), **wrong)


def test_controls_want_one_class_a_row(digits):
    X, X_test, y, y_test = digits
    numbers = DistilledData(X[:30], X[:30, 0])
    with pytest.raises(ValueError, match="one class a row"):
        evaluate(numbers, X_test, y_test, X_train=X, y_train=y, controls=True)


def test_a_distiller_hands_on_its_network_and_step_size(digits, monkeypatch):
    X, X_test, y, y_test = digits
    made = []
    fit = NetworkClassifier.fit

    def watched(self, X, y, sample_weight=None):
        made.append(self.get_params(deep=False))
        return fit(self.set_params(n_epochs=2), X, y, sample_weight)

    monkeypatch.setattr(NetworkClassifier, "fit", watched)
    objective = UnrolledTraining(ConvNet(4), unroll_steps=2, window=1, lr_init=0.02)
    distiller = DatasetDistiller(
        10, objective=objective, image_shape=(1, 8, 8), max_iter=2, batch_size=50, random_state=0
    ).fit(X[:200], y[:200])
    options = {"X_train": X[:100], "y_train": y[:100], "controls": 1, "n_networks": 1}
    evaluate(distiller, X_test, y_test, random_state=0, **options)
    learnt = distiller.objective_.lr_init
    assert learnt != 0.02
    assert [p["learning_rate"] for p in made] == [learnt, 0.01, 0.01]
    assert all(repr(p["network"]) == "ConvNet(width=4)" for p in made)
    assert all(p["image_shape"] == (1, 8, 8) for p in made)
    assert [p["n_epochs"] for p in made] == ["auto", "auto", 300]
    made.clear()
    evaluate(distiller, X_test, y_test, "dc", learning_rate=0.1, network=MLP(4), n_networks=1)
    evaluate(distiller, X_test, y_test, "dsa", network=MLP(4), n_networks=1)
    assert [(p["augment"], p["learning_rate"]) for p in made] == [("dc", 0.1), ("auto", learnt)]


def test_all_rows_get_a_number_of_steps_that_ends(digits, monkeypatch):
    X, X_test, y, y_test = digits
    monkeypatch.setattr(_controls, "ALL_ROWS_STEPS", 12)
    epochs = []
    fit = NetworkClassifier.fit

    def watched(self, X, y, sample_weight=None):
        epochs.append(self.n_epochs)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(NetworkClassifier, "fit", watched)
    small = DistilledData(X[:30], y[:30])
    evaluate(small, X_test, y_test, QUICK, X_train=X[:600], y_train=y[:600], controls=1)
    assert epochs == [15, 15, 4]  # three batches of 256 are an epoch of 600 rows
