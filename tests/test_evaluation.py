"""What models see that `evaluate` trains on a small set, and what is said where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from skdistill import DatasetDistiller, DistilledClassifier, DistilledData, SensitivityCoreset
from skdistill.evaluation import evaluate
from skdistill.networks import MLP, ConvNet, NetworkClassifier, NetworkRegressor

QUICK = NetworkClassifier(MLP(32), n_networks=3, n_epochs=40, random_state=0)


@pytest.fixture(scope="module")
def small(digits):
    X, _, y, _ = digits
    return SensitivityCoreset(100, random_state=0).fit_distill(X, y)


@pytest.fixture(scope="module")
def numbers():
    X, y = load_diabetes(return_X_y=True)
    return train_test_split(X, y, random_state=0)


def test_scores_are_those_of_each_network(digits, small):
    X, X_test, _, y_test = digits
    scores = evaluate(small, X_test, y_test, QUICK, X_train=X)
    shift = X.mean(0)
    factor = np.divide(1, X.std(0), where=X.std(0) > 0, out=np.zeros(64))
    networks = clone(QUICK).set_params(standardize=False)
    networks.fit(((small.X - shift) * factor).astype(np.float32), small.y, small.sample_weight)
    outputs = networks._outputs(((X_test - shift) * factor).astype(np.float32)).numpy()
    expected = (outputs.argmax(2) == y_test).mean(1)
    assert scores.shape == (3,) and len(set(scores)) > 1
    np.testing.assert_allclose(scores, expected, atol=2 / len(y_test))


@pytest.mark.parametrize(
    "distiller",
    [
        SensitivityCoreset(30, random_state=0),
        SensitivityCoreset(30, loss="kernel_ridge", random_state=0),
        DatasetDistiller(20, max_iter=10, early_stopping=False, random_state=0),
    ],
    ids=["medoids", "sample", "learnt"],
)
@pytest.mark.parametrize("dtype", [int, bool])
def test_several_labels_are_scored_as_the_meta_estimator_scores_them(distiller, dtype):
    X = np.random.default_rng(0).normal(size=(300, 4))
    y = (X[:, :3] > [0, 0.3, 9]).astype(dtype)  # of the last label no row is positive
    X, X_test, y, y_test = X[:200], X[200:], y[:200], y[200:]
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    for distilled in (model, model.distiller_, distiller.fit(X, y)):
        found = evaluate(distilled, X_test, y_test, "kernel_ridge")
        assert found == model.score(X_test, y_test) > 0.6
    network = NetworkClassifier(MLP(32), n_networks=2, n_epochs=50, random_state=0)
    for distilled in (distiller, distiller.distilled_):
        for labels in ("auto", "hard"):
            scores = evaluate(distilled, X_test, y_test, network, labels=labels)
            assert scores.shape == (2,) and scores.min() > 0.45
        assert evaluate(distilled, X_test, y_test, "kernel_ridge") > 0.5
        assert evaluate(distilled, X_test, y_test, DecisionTreeClassifier(random_state=0)) > 0.4


def test_public_protocol_is_the_default(digits, small):
    _, X_test, _, y_test = digits
    options = {"image_shape": (1, 8, 8), "n_networks": 1, "random_state": 3}
    scores = evaluate(small, X_test, y_test, network=ConvNet(4), **options)
    recipe = NetworkClassifier(ConvNet(4), n_epochs=300, learning_rate=0.01, **options)
    np.testing.assert_array_equal(scores, evaluate(small, X_test, y_test, recipe))
    assert scores.min() > 0.7


def test_same_seed_same_scores_and_nothing_is_changed(digits, small):
    _, X_test, _, y_test = digits
    before, state = repr(QUICK), torch.get_rng_state()
    rows = small.X.copy()
    first, second = (evaluate(small, X_test, y_test, QUICK) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert repr(QUICK) == before and not hasattr(QUICK, "params_")
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(small.X, rows)


def test_units_of_real_rows_matter_where_rows_are_few(digits):
    # Two rows of a class each: their own mean and deviation would hide where they lie.
    X = np.array([[10.0, 0.0], [11.0, 0.0]])
    rng = np.random.default_rng(0)
    X_train = rng.normal(scale=10, size=(500, 2))
    network = NetworkClassifier(MLP(8), n_epochs=1, learning_rate=1e-12, random_state=0)
    seen = {}

    def record(model, X, y):
        seen["rows"] = X
        return 0.0

    small = DistilledData(X, [0, 1])
    evaluate(small, X, [0, 1], network, X_train=X_train, scoring=record)
    np.testing.assert_allclose(
        seen["rows"], (X - X_train.mean(0)) / X_train.std(0), rtol=1e-5, atol=1e-6
    )
    evaluate(small, X, [0, 1], network, scoring=record)
    np.testing.assert_allclose(seen["rows"], [[-1, 0], [1, 0]], atol=1e-6)
    evaluate(small, X, [0, 1], clone(network).set_params(standardize=False), scoring=record)
    np.testing.assert_allclose(seen["rows"], X)


def test_a_fitted_distiller_knows_units_and_shape(digits):
    X, X_test, y, y_test = digits
    distiller = DatasetDistiller(
        20,
        objective="distribution_matching",
        image_shape=(1, 8, 8),
        max_iter=2,
        batch_size=100,
        random_state=0,
    ).fit(X, y)
    options = {"network": ConvNet(4), "n_networks": 1, "random_state": 0}
    found = evaluate(distiller, X_test, y_test, **options)
    told = {"image_shape": (1, 8, 8), **options}
    same = evaluate(distiller.distilled_, X_test, y_test, X_train=X, **told)
    np.testing.assert_allclose(found, same, atol=2 / len(y_test))
    # Its own predictor is a network; kernel ridge is on its rows and kernel all the same.
    assert 0.4 < evaluate(distiller, X_test, y_test, "kernel_ridge")[0] < 1


@pytest.mark.parametrize("labels", ["auto", "hard", "soft"])
def test_soft_labels_are_trained_on(labels):
    # The rows say the opposite of their targets, so that the score tells which was seen.
    rng = np.random.default_rng(0)
    X_test = rng.normal(size=(200, 2))
    y_test = np.where(X_test[:, 0] > 0, "right", "left")
    X = np.array([[-1.0, 0.0], [1.0, 0.0]])
    targets = [[0.9, -0.2], [-0.2, 0.9]]
    small = DistilledData(X, ["right", "left"], targets=targets, classes=["left", "right"])
    network = NetworkClassifier(MLP(64), n_networks=2, random_state=0)
    for protocol in (network, "kernel_ridge"):
        scores = evaluate(small, X_test, y_test, protocol, labels=labels)
        assert (scores < 0.2).all() if labels == "hard" else (scores > 0.8).all()


def test_one_hot_targets_are_classes(digits, small):
    _, X_test, _, y_test = digits
    targets = np.eye(10)[small.y]
    same = DistilledData(small.X, small.y, small.sample_weight, targets=targets)
    np.testing.assert_array_equal(
        evaluate(same, X_test, y_test, QUICK), evaluate(small, X_test, y_test, QUICK)
    )


def test_weights_count_unless_they_are_left_out():
    X = np.array([[0.0], [0.1], [1.0]])
    small = DistilledData(X, [0, 1, 1], [100.0, 1e-3, 1.0])
    seen = []
    for use in ("auto", False):
        evaluate(
            small,
            X,
            [0, 1, 1],
            NetworkClassifier(MLP(16), n_epochs=200, random_state=0),
            use_weights=use,
            scoring=lambda model, X, y: seen.append(model.predict_proba(X)[1, 1]) or 0.0,
        )
    assert seen[0] < 0.4 < seen[1]


def test_kernel_ridge_is_the_predictor_that_rows_were_learnt_for(digits):
    X, X_test, y, y_test = digits
    distiller = DatasetDistiller(20, max_iter=30, random_state=0).fit(X, y)
    model = DistilledClassifier(distiller=FrozenEstimator(distiller)).fit(X, y)
    expected = model.score(X_test, y_test)
    for distilled in (distiller, distiller.distilled_):
        assert evaluate(distilled, X_test, y_test, "kernel_ridge") == pytest.approx([expected])
    loss = evaluate(distiller.distilled_, X_test, y_test, "kernel_ridge", scoring="neg_log_loss")
    assert -loss[0] == pytest.approx(log_loss(y_test, model.predict_proba(X_test)), rel=1e-6)


def test_kernel_ridge_of_any_set(digits, small):
    X, X_test, _, y_test = digits
    for options in ({}, {"X_train": X}, {"use_weights": False}):
        (score,) = evaluate(small, X_test, y_test, "kernel_ridge", **options)
        assert score > 0.8
    # A row of weight zero is no row.
    more = DistilledData(
        np.vstack([small.X, X[:1] + 50]), [*small.y, 0], [*small.sample_weight, 0.0]
    )
    np.testing.assert_array_equal(
        evaluate(more, X_test, y_test, "kernel_ridge", X_train=X),
        evaluate(small, X_test, y_test, "kernel_ridge", X_train=X),
    )


def test_estimators_and_scorers(digits, small):
    _, X_test, _, y_test = digits
    forest = RandomForestClassifier(20, random_state=0)
    scores = evaluate(small, X_test, y_test, forest, scoring="balanced_accuracy")
    expected = clone(forest).fit(**small)
    assert scores.shape == (1,) and scores[0] == pytest.approx(
        np.mean([(expected.predict(X_test[y_test == k]) == k).mean() for k in range(10)])
    )
    with pytest.raises(AttributeError):
        forest.classes_  # noqa: B018


def test_numbers(numbers):
    X, X_test, y, y_test = numbers
    distiller = DatasetDistiller(20, max_iter=30, random_state=0).fit(X, y)
    network = NetworkRegressor(MLP(16), n_networks=2, n_epochs=100, random_state=0)
    scores = evaluate(distiller, X_test, y_test, network)
    assert scores.shape == (2,)
    (ridge,) = evaluate(distiller.distilled_, X_test, y_test, "kernel_ridge")
    outputs = distiller.distilled_.make_predictor().predict(X_test)
    assert ridge == pytest.approx(r2_score(y_test, outputs))
    plain = DistilledData(X, y)
    assert evaluate(plain, X_test, y_test, "kernel_ridge") > 0.3
    assert evaluate(plain, X_test, y_test, network=MLP(16), n_networks=1) > 0.2


def test_whole_numbers_are_numbers_where_the_distiller_says_so(numbers):
    X, X_test, y, y_test = numbers
    coreset = SensitivityCoreset(150, target_type="regression", random_state=0)
    coreset.fit(X, y.astype(int))
    assert coreset.distilled_.y.dtype.kind == "i"
    assert evaluate(coreset, X_test, y_test, "kernel_ridge") > 0.2
    assert evaluate(coreset, X_test, y_test, network=MLP(16), n_networks=1, random_state=0) > 0.1


def test_a_distiller_inside_others_is_found(digits):
    X, X_test, y, y_test = digits
    learnt = DatasetDistiller(10, objective="distribution_matching", max_iter=3, random_state=0)
    frozen = FrozenEstimator(learnt.fit(X, y))
    model = DistilledClassifier(RandomForestClassifier(5), frozen).fit(X, y)
    expected = evaluate(learnt, X_test, y_test, QUICK)
    for distilled in (frozen, model):
        np.testing.assert_array_equal(evaluate(distilled, X_test, y_test, QUICK), expected)
    # What it was fitted with counts, not what the next fit will use.
    learnt.set_params(objective="kernel_ridge")
    np.testing.assert_array_equal(evaluate(learnt, X_test, y_test, QUICK), expected)
    assert (expected != evaluate(learnt.distilled_, X_test, y_test, QUICK)).any()


def test_frames_and_classes_that_the_set_lacks(digits):
    pandas = pytest.importorskip("pandas")
    X, X_test, y, y_test = digits
    names = [f"p{k}" for k in range(64)]
    frame, test = pandas.DataFrame(X, columns=names), pandas.DataFrame(X_test, columns=names)
    part = DistilledData(frame[y < 5], y[y < 5], classes=range(10))
    assert 0.3 < evaluate(part, test, y_test, QUICK, X_train=frame).min() < 0.6
    assert 0.3 < evaluate(part, test, y_test, "kernel_ridge")[0] < 0.6


def test_bad_input(digits, small):
    X, X_test, _, y_test = digits
    coreset = SensitivityCoreset(20, random_state=0)
    cases = [
        (small, {"protocol": "convnet"}, ValueError, "protocol"),
        (small, {"labels": "fuzzy"}, ValueError, "labels"),
        (small, {"labels": "soft"}, ValueError, "needs a set with targets"),
        (small, {"X_test": X_test[:, :9]}, ValueError, "X_test has shape .*, 9"),
        (small, {"X_test": X_test[0]}, ValueError, "X_test has shape .64,"),
        (small, {"image_shape": (3, 8, 8)}, ValueError, "has 192 values"),
        (small, {"network": "vgg"}, ValueError, "network='vgg' is unknown"),
        (small, {"n_networks": 0}, ValueError, "n_networks"),
        (coreset, {}, TypeError, "fit the distiller first"),
        (SensitivityCoreset(20, random_state=0).fit(X), {}, ValueError, "no labels"),
        ("small.npz", {}, ValueError, "distilled"),
        (
            DistilledData([[0.0] * 64] * 2, [[0, 2], [1, 1]]),
            {},
            ValueError,
            "several columns of classes",
        ),
    ]
    for distilled, options, error, message in cases:
        arguments = {"X_test": X_test, "y_test": y_test, **options}
        with pytest.raises(error, match=message):
            evaluate(distilled, **arguments)
