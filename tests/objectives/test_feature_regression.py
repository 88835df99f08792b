"""Feature regression: loops over rows and networks as oracle; then on digits and numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import small_problems
import torch
from named import named
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from small_problems import (
    CPU,
    F64,
    generator,
    linear_module,
    small_batch,
    small_context,
    small_start,
)
from torch import nn

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor
from skdistill.batches.training_set import Sample
from skdistill.evaluation import evaluate
from skdistill.networks import MLP, ConvFeatures, ConvNet
from skdistill.objectives import OBJECTIVES, Batch, FeatureRegression, TrainingSet
from skdistill.objectives._networks.features import features_of
from skdistill.objectives._networks.pool import TrainedPool

NETWORKS = {
    "linear": linear_module,
    **small_problems.NETWORKS,
    "map": ConvFeatures(n_filters=6, patch_size=2, stride=1, n_components=12, random_state=0),
}
NETWORKS["signed map"] = clone(NETWORKS["map"]).set_params(mirror="signed")


def make(network, kind="classes", q=3, m=6, **options):
    """Objective, support, batch and weights, with labels that are no classes any more."""
    objective = FeatureRegression(network, **options)
    objective.setup(small_context(network, kind, q, m))
    rows, _ = small_start(q, m)
    support = objective.start(rows, torch.randn(m, q, generator=generator(4), dtype=F64))
    batch, weights = small_batch(q)
    weights = weights / 20
    data = TrainingSet(batch.rows.float(), batch.targets, torch.ones(40, dtype=F64))
    objective.begin(objective.stages(10)[0], support, Sample(data, torch.arange(40), weights))
    return objective, support, batch, weights


def same_networks(objective):
    """Let the next loss draw the networks of the last one."""
    objective._context.generator.manual_seed(11)


def value(objective, support, batch, weights):
    same_networks(objective)
    return objective.batch_loss(support, batch, weights)


def row_features(objective, n_networks):
    """Features of one row at a time, a list with one vector for each network."""
    same_networks(objective)
    if objective._pool is None:
        function = objective._map.torch_function("cpu", F64)
        return lambda row: [function(row[None])[0]]
    params = objective._pool.lend(F64)
    architecture = objective._pool.architecture
    own = [{key: p[k : k + 1] for key, p in params.items()} for k in range(n_networks)]
    return lambda row: [architecture.features(one, row[None])[0, 0] for one in own]


def oracle(objective, support, batch, weights, n_networks):
    """Loss by loops over rows, and an inverse."""
    phi = row_features(objective, n_networks)

    def k(a, b):
        if objective._map is not None:
            n_odd = objective._map.n_odd_
            sign = torch.tensor([1.0] * (len(b[0]) - n_odd) + [-1.0] * n_odd, dtype=F64)
            distances = [(a[0] - other).square().sum() for other in (b[0], b[0] * sign)]
            return float(sum((-objective.gamma * d).exp() for d in distances) / 2)
        return sum(float(u @ v) for u, v in zip(a, b, strict=True)) / n_networks

    of_support = [phi(row) for row in support.rows]
    K = torch.tensor([[k(a, b) for b in of_support] for a in of_support], dtype=F64)
    ridge = objective.reg * K.diagonal().mean() * torch.eye(len(K), dtype=F64)
    offset = 1 / 3 if objective._context.kind == "classes" else objective._offset
    dual = torch.linalg.inv(K + ridge) @ (support.labels - offset)
    total = 0.0
    for row, target, weight in zip(batch.rows, batch.targets, weights, strict=True):
        a = phi(row)
        f = offset + sum(k(a, b) * d for b, d in zip(of_support, dual, strict=True))
        if objective._cross_entropy:
            scaled = f / float(support["log_temperature"].exp())
            loss = scaled.logsumexp(0) - scaled[target.argmax()]
        else:
            loss = 0.5 * (f - target).square().sum()
        total += float(weight * loss)
    return total


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize(
    ("name", "pool", "n_networks"),
    [
        ("linear", "random", 1),
        ("mlp", "random", 3),
        ("convnet", "random", 2),
        ("convnet", "trained", 2),
        ("map", "random", 1),
        ("signed map", "random", 1),
    ],
)
def test_loss_is_that_of_loops(name, pool, n_networks, loss):
    objective, support, batch, weights = make(
        NETWORKS[name], n_networks=n_networks, pool=pool, loss=loss, reg=1e-3
    )
    found = value(objective, support, batch, weights)
    expected = oracle(objective, support, batch, weights, n_networks)
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_differences(name, loss):
    objective, support, batch, weights = make(NETWORKS[name], loss=loss, n_networks=2)
    # The ridge follows the kernel, without a gradient of its own: that is of its own small size.
    names = list(objective.rates(objective.stages(1)[0], support))
    assert names[:2] == ["rows", "labels"]
    for k, learnable in enumerate(names):
        direction = torch.randn(support[learnable].shape, generator=generator(3), dtype=F64)

        def at(shift, learnable=learnable, direction=direction):
            moved = support.clone()
            moved[learnable].add_(shift * direction)
            same_networks(objective)
            return objective.gradients(moved, batch, weights, names)

        gradient = at(0.0)[1][k]
        expected = float(at(1e-5)[0] - at(-1e-5)[0]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_weights_are_repetitions():
    objective, support, batch, _ = make(NETWORKS["convnet"])
    counts = torch.arange(40) % 3
    repeated = Batch(*(part.repeat_interleave(counts, 0) for part in batch))
    heavy = value(objective, support, batch, counts.double())
    long = value(objective, support, repeated, torch.ones(len(repeated.rows), dtype=F64))
    torch.testing.assert_close(heavy, long)


@pytest.mark.parametrize("pool", ["random", "trained"])
def test_networks_of_a_step(pool):
    objective, support, *_ = make(
        NETWORKS["mlp"], pool=pool, n_networks=1, pool_size=3, max_online_updates=4
    )
    seen = []
    for _ in range(30):
        params = objective._pool.lend(F64)
        seen.append(float(params["0.weight"].sum()))
        objective.after_step(support)
    assert len(set(seen)) == 30  # none as it was


def test_pool_is_trained_on_the_current_set_and_renewed():
    objective, support, *_ = make(NETWORKS["mlp"], pool="trained", q=3)
    labels = (support.labels - objective._offset).float()
    rows = support.rows.float()
    pool = TrainedPool(objective._pool.architecture, 1, 1, 60, 6, generator())

    def error():
        outputs = pool.architecture.outputs(pool.lend(torch.float32), rows)
        return float((outputs - labels).square().mean())

    error()
    pool.update(rows, labels)  # ages are spread: the first member has a single step
    errors = [error()]
    for _ in range(59):
        pool.update(rows, labels)
        errors.append(error())
    assert errors[-1] < 0.7 * errors[0]
    pool.update(rows, labels)  # its 60th step
    assert error() > 1.3 * errors[-1]


def test_pool_goes_through_many_rows_in_parts():
    architecture = make(NETWORKS["mlp"])[0]._pool.architecture
    g = generator(2)
    rows = torch.randn(250, 24, generator=g)
    targets = (rows[:, :3] > 0).float() - 0.5
    pool, seen = TrainedPool(architecture, 1, 1, 200, 250, generator()), []
    params = architecture.initial(2, g)
    outputs = architecture.outputs
    architecture.outputs = lambda p, x: (seen.append(x), outputs(p, x))[1]
    trained = pool.trained(params, rows, targets)
    assert len(seen) == 123  # 0.618 of the 200 steps, while the second network has 47
    assert [len(x) for x in seen[:3]] == [100, 100, 50]
    assert len(torch.unique(torch.cat(seen[:3]), dim=0)) == 250
    before, after = ((outputs(p, rows) - targets).square().mean((1, 2)) for p in (params, trained))
    assert after[0] < 0.6 * before[0]
    assert after[0] < after[1] < before[1]


def test_predictor_is_ridge_regression_on_features():
    objective, support, batch, _ = make(NETWORKS["convnet"], reg=1e-2)
    predict = objective.predictor(support)
    architecture, params = objective._pool.architecture, objective._judges
    F, G = (
        architecture.features(params, rows.float()).double().transpose(0, 1).flatten(1) / 8**0.5
        for rows in (support.rows, batch.rows)
    )
    K = F @ F.T
    ridge = 1e-2 * K.diagonal().mean() * torch.eye(6, dtype=F64)
    expected = 1 / 3 + G @ F.T @ torch.linalg.inv(K + ridge) @ (support.labels - 1 / 3)
    torch.testing.assert_close(predict(batch.rows).double(), expected, atol=1e-4, rtol=1e-4)
    # What is stored is the same in NumPy.
    stored = pickle.loads(pickle.dumps(objective.stored_predictor(support)))
    outputs = stored.predict(batch.rows.numpy(), CPU)
    np.testing.assert_allclose(outputs, expected, atol=1e-4, rtol=1e-4)
    assert all(isinstance(p, np.ndarray) for p in stored.params.values())


def test_mirror_images_are_predicted_alike():
    objective, support, batch, _ = make(NETWORKS["signed map"])
    assert objective._map.n_odd_ == 6
    mirrored = batch.rows.reshape(-1, *small_problems.IMAGE).flip(-1).reshape(batch.rows.shape)
    assert (
        float((objective._map.transform(mirrored) - objective._map.transform(batch.rows)).max())
        > 0.1
    )
    stored = pickle.loads(pickle.dumps(objective.stored_predictor(support)))
    for rows in (batch.rows, mirrored):
        expected = objective.predictor(support)(rows)
        torch.testing.assert_close(objective.predictor(support)(batch.rows), expected)
        outputs = stored.predict(rows.numpy(), CPU)
        np.testing.assert_allclose(outputs, expected, atol=1e-4, rtol=1e-4)


def test_importances_of_many_rows_take_two_networks():
    objective, support, batch, _ = make(NETWORKS["mlp"], predictor_networks=5)
    data = TrainingSet(batch.rows, batch.targets, torch.ones(40, dtype=F64))

    def n_networks():
        seen = []
        original = objective._pool.architecture.features
        objective._pool.architecture.features = lambda params, rows: (
            seen.append(len(params["0.weight"])),
            original(params, rows),
        )[1]
        objective.predictor(support)(batch.rows)
        objective._pool.architecture.features = original
        return set(seen)

    objective.solve(support, Sample(data, torch.arange(20), torch.ones(20)))
    assert n_networks() == {2}
    objective.scores(support, data)
    assert n_networks() == {5}
    objective.solve(support, Sample(data, torch.arange(40), torch.ones(40)))
    assert n_networks() == {5}
    assert len(objective.stored_predictor(support).params["0.weight"]) == 5


def test_blocks_are_halved_when_memory_runs_out(monkeypatch):
    objective, _, batch, _ = make(NETWORKS["mlp"])
    expected = features_of(objective._features, objective._judges, batch.rows.float())

    class Small:
        most = 100

        def block_rows(self, device):
            return 32

        def __call__(self, params, rows):
            if len(rows) > 10:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return objective._features(params, rows)

    with pytest.warns(RuntimeWarning, match="going on with blocks of"):
        small = Small()
        found = features_of(small, objective._judges, batch.rows.float())
    torch.testing.assert_close(found, expected)
    again = features_of(small, objective._judges, batch.rows.float())  # without a warning
    torch.testing.assert_close(again, expected)


# Through the distiller ---------------------------------------------------------------------------


def quick(n_samples=10, network=None, **options):
    own = {k: options.pop(k) for k in list(options) if k in FeatureRegression().get_params()}
    objective = FeatureRegression(network or ConvNet(8), **own)
    options = {"image_shape": (1, 8, 8), "max_iter": 30, "batch_size": 200, **options}
    return DatasetDistiller(n_samples, objective=objective, random_state=0, **options)


SMALL_MAP = ConvFeatures(n_filters=32, patch_size=3, stride=1, n_components=64)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (ConvNet(8), {}),
        (ConvNet(8), {"loss": "squared_error"}),
        (ConvNet(8), {"pool": "trained", "max_online_updates": 20}),
        (MLP(256), {"image_shape": None}),
        (SMALL_MAP, {}),
    ],
    ids=["random", "squared_error", "trained", "vectors", "map"],
)
def test_loss_falls_on_digits(digits, network, options):
    X, X_test, y, y_test = digits
    distiller = quick(network=network, max_iter=45, init="uniform", **options)
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-15:]) < 0.8 * np.mean(curve[:15])
    start = DistilledClassifier(distiller=clone(distiller).set_params(max_iter=0)).fit(X, y)
    assert model.score(X_test, y_test) > start.score(X_test, y_test) + 0.05
    assert model.distilled_.X.shape == (10, 64)
    # Labels are learnt; probabilities are calibrated on held-out rows.
    targets = model.distilled_.targets
    assert np.abs(targets - targets.round()).max() > 0.01
    assert log_loss(y_test, model.predict_proba(X_test)) < 0.8 * log_loss(
        y_test, start.predict_proba(X_test)
    )


def test_vectors_of_numbers():
    X, y = load_diabetes(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    for targets, test in (
        (y, y_test),
        (np.stack([y, -2 * y], 1), np.stack([y_test, -2 * y_test], 1)),
    ):
        distiller = quick(20, MLP(64), image_shape=None, max_iter=60)
        model = DistilledRegressor(distiller=distiller).fit(X, targets)
        assert model.predict(X_test).shape == test.shape
        assert model.score(X_test, test) > 0.25


def test_several_labels(digits):
    X, X_test, y, y_test = digits
    labels, test = (np.stack([v % 2 == 0, v > 4], axis=1).astype(int) for v in (y, y_test))
    model = DistilledClassifier(distiller=quick(20, max_iter=60)).fit(X, labels)
    assert (model.predict(X_test) == test).mean() > 0.75


@pytest.mark.parametrize(
    "options",
    [
        {"init": "sensitivity"},
        {"init": "sensitivity_kmeans"},
        {"reweight": False},
        {"class_balance": True},
        {"batch_sampling": "uniform"},
        {"optimizer": "sgd"},
        {"batch_size": "auto", "max_iter": 2},
        {"standardize": False},
        {"early_stopping": False},
        {"network": "auto"},
        {
            "network": named(
                lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, n))
            )
        },
        {"pool": "trained", "n_networks": 3, "pool_size": 3, "max_online_updates": 9},
    ],
    ids=str,
)
def test_options(digits, options):
    X, _, y, _ = digits
    distiller = quick(**{"max_iter": 3, **options}).fit(X[:300], y[:300])
    assert np.isfinite(distiller.distilled_.X).all()
    assert len(distiller.loss_curve_) == distiller.n_iter_


def test_labels_stay_where_asked(digits):
    X, _, y, _ = digits
    distiller = quick(learn_labels=False, init="uniform", max_iter=8).fit(X, y)
    targets = distiller.distilled_.targets
    np.testing.assert_allclose(targets, np.eye(10)[targets.argmax(1)], atol=1e-6)


@pytest.mark.parametrize("pool", ["random", "trained"])
def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits, pool):
    X, X_test, y, _ = digits
    state = torch.get_rng_state()
    first, second = (
        DistilledClassifier(distiller=quick(pool=pool, max_online_updates=5, max_iter=4)).fit(X, y)
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.distilled_.X, second.distilled_.X)
    np.testing.assert_array_equal(first.distilled_.targets, second.distilled_.targets)
    np.testing.assert_array_equal(first.distiller_.loss_curve_, second.distiller_.loss_curve_)
    pickled = pickle.dumps(first)
    assert b"torch" not in pickled.replace(b"_torch", b"")
    loaded = pickle.loads(pickled)
    np.testing.assert_array_equal(loaded.predict_proba(X_test), first.predict_proba(X_test))
    np.testing.assert_array_equal(second.predict_proba(X_test), first.predict_proba(X_test))
    # Made anew from the distiller, it is the same predictor.
    again = pickle.loads(pickle.dumps(first.distiller_)).make_predictor()
    np.testing.assert_array_equal(again.predict(X_test), first.estimator_.predictor.predict(X_test))


def test_evaluation_takes_the_same_predictor(digits):
    X, X_test, y, y_test = digits
    model = DistilledClassifier(distiller=quick(max_iter=5)).fit(X, y)
    (found,) = evaluate(model.distiller_, X_test, y_test, "kernel_ridge")
    assert found == model.score(X_test, y_test)


def test_frozen_map_in_the_pickle(digits):
    X, X_test, y, _ = digits
    model = DistilledClassifier(distiller=quick(network=SMALL_MAP, max_iter=5)).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X_test), model.predict_proba(X_test))
    assert not hasattr(SMALL_MAP, "map_")  # the parameter itself is not fitted


def test_repeated_rows_of_the_data_are_weights(digits):
    X, _, y, _ = digits
    X, y = X[:150], y[:150]
    weight = np.arange(150) % 3
    weighted = quick().fit(X, y, sample_weight=weight)
    repeated = quick().fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.distilled_.X, repeated.distilled_.X)
    np.testing.assert_allclose(weighted.distilled_.targets, repeated.distilled_.targets)


def test_name_and_object_are_the_same(digits):
    X, _, y, _ = digits
    options = {"max_iter": 2, "init": "sensitivity", "image_shape": (1, 8, 8), "random_state": 0}
    by_name, by_object = (
        DatasetDistiller(10, objective=objective, **options).fit(X[:300], y[:300])
        for objective in ("feature_regression", OBJECTIVES["feature_regression"]())
    )
    np.testing.assert_array_equal(by_name.distilled_.X, by_object.distilled_.X)


class Failing(FeatureRegression):
    """Its loss is not a number from some step on."""

    def batch_loss(self, support, batch, weights):
        self._seen = getattr(self, "_seen", 0) + 1
        loss = super().batch_loss(support, batch, weights)
        return loss * float("nan") if self._seen > 60 else loss


def test_loss_that_is_not_finite_keeps_the_last_good_set(digits):
    X, X_test, y, y_test = digits
    objective = Failing(ConvNet(8))
    distiller = quick(max_iter=120).set_params(objective=objective)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model = DistilledClassifier(distiller=distiller).fit(X, y)
    assert np.isfinite(model.distilled_.X).all() and np.isfinite(model.distilled_.targets).all()
    assert model.distiller_.n_iter_ < 120
    assert model.score(X_test, y_test) > 0.7


def test_its_own_parameters_can_be_searched(digits):
    X, _, y, _ = digits
    grid = GridSearchCV(
        DistilledClassifier(distiller=quick(max_iter=3)),
        {"distiller__objective__network__width": [4, 8], "distiller__objective__reg": [1e-6, 1e-2]},
        cv=2,
    ).fit(X[:300], y[:300])
    assert grid.best_score_ > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_networks": 0}, "n_networks=0 of FeatureRegression"),
        ({"pool_size": 1.5}, "pool_size=1.5 of FeatureRegression"),
        ({"max_online_updates": 0}, "max_online_updates=0 of FeatureRegression"),
        ({"predictor_networks": -1}, "predictor_networks=-1 of FeatureRegression"),
        ({"pool": "frozen"}, "pool='frozen' of FeatureRegression is unknown"),
        ({"pool": "trained", "n_networks": 11}, "more than pool_size=10"),
        ({"loss": "hinge"}, "loss='hinge' of FeatureRegression is unknown"),
        ({"reg": 0}, "reg=0 of FeatureRegression must be positive"),
        ({"gamma": float("nan")}, "gamma=nan of FeatureRegression must be positive"),
        ({"learn_labels": "solve"}, "use learn_labels=True"),
        ({"network": "vgg"}, "network='vgg' is unknown"),
        ({"network": ConvNet(8), "image_shape": None}, "give image_shape"),
        ({"network": SMALL_MAP, "image_shape": None}, "image_shape=None; give the same"),
        ({"network": ConvFeatures((1, 4, 16))}, r"image_shape=\(1, 4, 16\), but the distiller"),
    ],
)
def test_bad_parameters_are_named(digits, options, message):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=message):
        quick(**options).fit(X, y)


def test_fitted_map_is_refused(digits):
    X, _, y, _ = digits
    frozen = FrozenEstimator(ConvFeatures((1, 8, 8), 8, patch_size=3).fit(X))
    with pytest.raises(ValueError, match="pass it as it was before `fit`"):
        quick(network=frozen).fit(X, y)


def test_targets_that_do_not_fit_are_refused(digits):
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="needs classes as y, got numbers"):
        quick(loss="cross_entropy", network=MLP(8), image_shape=None).fit(X, y)
    with pytest.raises(ValueError, match="use objective='kernel_ridge'"):
        quick().fit(digits[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("network", [ConvNet(16), SMALL_MAP], ids=["networks", "map"])
@pytest.mark.parametrize("pool", ["random", "trained"])
def test_on_cuda(digits, network, pool):
    X, X_test, y, _ = digits
    distiller = quick(max_iter=60, init="uniform", device="cuda", network=network, pool=pool)
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-10:]) < 0.8 * np.mean(curve[:10])
    # The predictor works without the device.
    on_cuda = model.decision_function(X_test)
    model.distiller_.set_params(device="cpu")
    np.testing.assert_allclose(model.decision_function(X_test), on_cuda, atol=1e-2)
