"""Distribution matching: loops over classes, networks and rows as oracle; then on digits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import small_problems
import torch
from named import named
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from small_problems import F64, generator, linear_module, small_batch, small_context, small_start
from torch import nn

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.batches.sampler import draw_batch
from skdistill.networks import MLP, ConvNet, NetworkClassifier
from skdistill.objectives import Batch, DistributionMatching
from skdistill.objectives.distribution_matching import class_shares
from skdistill.support import Support

NETWORKS = {"linear": linear_module, **small_problems.NETWORKS}


def make(network, kind="classes", q=3, m=6, **options):
    """Objective, support, batch and weights."""
    objective = DistributionMatching(network, **options)
    objective.setup(small_context(network, kind, q, m))
    support = objective.start(*small_start(q, m))
    batch, weights = small_batch(q)
    if kind == "none":
        return objective, Support(support.rows), Batch(batch.rows, None), weights
    return objective, support, batch, weights


def same_networks(objective):
    """Let the next loss draw the networks of the last one."""
    objective._context.generator.manual_seed(11)
    if objective._augmentation is not None:
        objective._augmentation._generator.manual_seed(11)


def value(objective, support, batch, weights):
    same_networks(objective)
    return objective.batch_loss(support, batch, weights)


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_that_of_loops(name, n_networks):
    objective, support, batch, weights = make(NETWORKS[name], n_networks=n_networks, augment=None)
    found = value(objective, support, batch, weights)
    same_networks(objective)
    params = objective._architecture.initial(n_networks, objective._context.generator, F64)
    expected = 0.0
    for k in range(n_networks):
        own = {key: p[k : k + 1] for key, p in params.items()}

        def phi(row, own=own):
            return objective._architecture.features(own, row[None])[0, 0]

        for c in range(3):
            total, mass, count, learnt = 0.0, 0.0, 0, 0.0
            for row, target, weight in zip(batch.rows, batch.targets, weights, strict=True):
                if target[c] == 1:
                    total, mass = total + weight * phi(row), mass + weight
            for row, label in zip(support.rows, support.labels, strict=True):
                if label[c] == 1:
                    learnt, count = learnt + phi(row), count + 1
            expected += float((total / mass - learnt / count).square().sum()) / n_networks
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("augment", [None, "auto"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_differences(name, augment):
    objective, support, batch, weights = make(NETWORKS[name], augment=augment)
    direction = torch.randn(support.rows.shape, generator=generator(3), dtype=F64)
    for seed in range(4 if augment and name == "convnet" else 1):  # other operations

        def at(shift, seed=seed):
            objective._context.generator.manual_seed(seed)
            if objective._augmentation is not None:
                objective._augmentation._generator.manual_seed(seed)
            moved = Support(support.rows + shift * direction, support.labels)
            return objective.gradients(moved, batch, weights, ["rows"])

        (gradient,) = at(0.0)[1]
        expected = float(at(1e-5)[0] - at(-1e-5)[0]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_weights_are_repetitions():
    objective, support, batch, _ = make(NETWORKS["convnet"])
    counts = torch.arange(40) % 3
    repeated = Batch(*(part.repeat_interleave(counts, 0) for part in batch))
    heavy = value(objective, support, batch, counts.double())
    long = value(objective, support, repeated, torch.ones(len(repeated.rows), dtype=F64))
    torch.testing.assert_close(heavy, long)
    # The scale of the weights is of no account.
    torch.testing.assert_close(value(objective, support, batch, 7.0 * counts), heavy)


def test_reweighted_importance_batches_keep_the_gradient():
    objective, support, data, _ = make(NETWORKS["mlp"])
    data = Batch(data.rows.repeat(10, 1), data.targets.repeat(10, 1))
    n = len(data.rows)
    uniform = torch.full((n,), 1 / n, dtype=F64)
    importance = data.rows[:, 0].exp()  # rows far out on one side
    importance = importance / importance.sum()

    def gradient(index, weights):
        same_networks(objective)
        batch = Batch(data.rows[index], data.targets[index])
        return objective.gradients(support, batch, weights, ["rows"])[1][0]

    exact = gradient(torch.arange(n), uniform)
    errors = {}
    for reweight in (True, False):
        g, found = generator(5), 0.0
        for _ in range(240):
            draw = draw_batch(uniform, importance, 200, 0.3, g, reweight=reweight)
            found = found + gradient(draw.index, draw.weight) / 240
        errors[reweight] = float((found - exact).norm() / exact.norm())
    assert errors[True] < 0.05 and errors[False] > 3 * errors[True]


def test_fewer_rows_at_a_time_where_memory_runs_out(monkeypatch):
    objective, support, batch, weights = make(MLP(7), augment=None)
    whole = value(objective, support, batch, weights)
    features = objective._architecture.features

    def small_memory(params, rows):
        if len(rows) > 20:
            raise MemoryError
        return features(params, rows)

    monkeypatch.setattr(objective._architecture, "features", small_memory)
    with pytest.warns(RuntimeWarning, match="Out of memory: going on with blocks of 20 rows"):
        found = value(objective, support, batch, weights)
    torch.testing.assert_close(found, whole)
    again = value(objective, support, batch, weights)  # without a warning
    torch.testing.assert_close(again, whole)


def test_classes_without_rows_do_not_count():
    objective, support, batch, weights = make(NETWORKS["mlp"])
    full = value(objective, support, batch, weights)
    kept = batch.targets[:, 2] == 0
    part = value(objective, support, Batch(batch.rows[kept], batch.targets[kept]), weights[kept])
    none = value(
        objective, Support(support.rows, support.labels * torch.tensor([1, 1, 0])), batch, weights
    )
    assert torch.isfinite(part) and 0 < part < full
    torch.testing.assert_close(part, none)


def test_shares_of_one_class():
    weights = torch.tensor([1.0, 3.0])
    torch.testing.assert_close(class_shares(weights, None), torch.tensor([[0.25, 0.75]]))


def test_without_a_target_all_rows_are_one_class():
    objective, support, batch, weights = make(NETWORKS["mlp"], kind="none", q=1)
    one = Batch(batch.rows, torch.ones(40, 1, dtype=F64))
    labelled = Support(support.rows, torch.ones(6, 1, dtype=F64))
    torch.testing.assert_close(
        value(objective, support, batch, weights), value(objective, labelled, one, weights)
    )


def test_soft_labels_of_a_start_become_classes():
    objective, *_ = make(NETWORKS["mlp"])
    soft = torch.tensor([[0.2, 0.5, 0.3], [0.9, -0.1, 0.2]], dtype=F64)
    labels = objective.start(torch.zeros(2, 24, dtype=F64), soft).labels
    assert labels.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_predictor_is_ridge_regression_on_features():
    objective, support, batch, _ = make(NETWORKS["convnet"])
    predict = objective.predictor(support)
    F, G = (
        objective._architecture.features(objective._judges, rows.float())
        .transpose(0, 1)
        .flatten(1)
        .double()
        for rows in (support.rows, batch.rows)
    )
    K, mean = F @ F.T, support.labels.mean(0)
    ridge = 1e-3 * K.diagonal().mean() * torch.eye(6, dtype=F64)
    expected = mean + G @ F.T @ torch.linalg.inv(K + ridge) @ (support.labels - mean)
    torch.testing.assert_close(predict(batch.rows).double(), expected, atol=1e-4, rtol=1e-4)


def test_predictor_is_a_network_trained_on_the_rows(digits):
    X, X_test, y, y_test = digits
    kept = (y != 3) | (np.arange(len(y)) % 7 == 0)
    X, y = X[kept], np.array([f"digit {label}" for label in y[kept]])
    weight = np.arange(len(X)) % 2 + 1.0
    model = DistilledClassifier(distiller=quick(augment=None)).fit(X, y, sample_weight=weight)
    distiller, small = model.distiller_, model.distilled_
    # The same network on the same rows in the units of all rows, which are those of its channel.
    share = weight / weight.sum()
    mean = share @ X.mean(1)
    deviation = np.sqrt(share @ ((X - mean) ** 2).mean(1))
    network = NetworkClassifier(
        ConvNet(8), image_shape=(1, 8, 8), standardize=False, random_state=distiller._seed
    ).fit((small.X - mean) / deviation, small.y, small.sample_weight)
    found = model.predict_proba(X_test)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found, network.predict_proba((X_test - mean) / deviation), atol=2e-3)
    assert (model.predict(X_test) == [f"digit {label}" for label in y_test]).mean() > 0.75
    # Made anew, and from a pickle, it is the same.
    again = pickle.loads(pickle.dumps(distiller)).make_predictor()
    np.testing.assert_array_equal(again.predict(X_test), distiller.make_predictor().predict(X_test))


def test_no_predictor_without_a_target(digits):
    with pytest.raises(ValueError, match="no target"):
        quick(max_iter=1).fit(digits[0]).make_predictor()


# Through the distiller ---------------------------------------------------------------------------


def quick(n_samples=20, network=None, augment="auto", **options):
    objective = DistributionMatching(network or ConvNet(8), augment)
    options = {"image_shape": (1, 8, 8), "max_iter": 30, "batch_size": 200, **options}
    return DatasetDistiller(n_samples, objective=objective, random_state=0, **options)


@pytest.mark.parametrize("shape", [(1, 8, 8), None])
def test_loss_falls_on_digits(digits, shape):
    X, X_test, y, y_test = digits
    network = MLP(64) if shape is None else ConvNet(8)
    distiller = quick(network=network, image_shape=shape, max_iter=40, init="uniform")
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-15:]) < 0.7 * np.mean(curve[:15])
    start = DistilledClassifier(distiller=clone(distiller).set_params(max_iter=0)).fit(X, y)
    assert model.score(X_test, y_test) > start.score(X_test, y_test) + 0.03
    assert model.distilled_.X.shape == (20, 64)
    assert (np.bincount(model.distilled_.y) == 2).all()


@pytest.mark.parametrize(
    "options",
    [
        {"init": "sensitivity_kmeans"},
        {"reweight": True},
        {"class_balance": False},
        {"batch_sampling": "uniform"},
        {"optimizer": "sgd"},
        {"batch_size": "auto", "max_iter": 2},
        {"standardize": False},
        {"early_stopping": False},
        {"network": "auto"},
        {"network": named(lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, n)))},
    ],
    ids=str,
)
def test_options(digits, options):
    X, _, y, _ = digits
    distiller = quick(**{"max_iter": 6, **options}).fit(X[:400], y[:400])
    assert np.isfinite(distiller.distilled_.X).all()
    assert len(distiller.loss_curve_) == distiller.n_iter_


def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits):
    X, X_test, y, _ = digits
    state = torch.get_rng_state()
    first, second = quick(max_iter=6).fit(X, y), quick(max_iter=6).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.distilled_.X, second.distilled_.X)
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)
    pickled = pickle.dumps(first)
    assert len(pickled) < 100_000
    assert b"torch" not in pickled.replace(b"_torch", b"")
    np.testing.assert_array_equal(pickle.loads(pickled).transform(X_test), first.transform(X_test))


def test_repeated_rows_of_the_data_are_weights(digits):
    X, _, y, _ = digits
    X, y = X[:150], y[:150]
    weight = np.arange(150) % 3
    weighted = quick(max_iter=6).fit(X, y, sample_weight=weight)
    repeated = quick(max_iter=6).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.distilled_.X, repeated.distilled_.X)


def test_one_class_without_a_target(digits):
    X = digits[0]
    distiller = quick(max_iter=60, init="uniform").fit(X)
    assert distiller.distilled_.y is None
    assert np.mean(distiller.loss_curve_[-10:]) < 0.7 * np.mean(distiller.loss_curve_[:10])
    assert distiller.validation_scores_ == []


def test_its_own_parameters_can_be_searched(digits):
    X, _, y, _ = digits
    grid = GridSearchCV(
        DistilledClassifier(KNeighborsClassifier(1), quick(max_iter=3), use_weights=False),
        {
            "distiller__objective__network__width": [4],
            "distiller__objective__augment": ["crop", None],
        },
        cv=2,
        refit=False,
    ).fit(X[:300], y[:300])
    assert grid.best_score_ > 0.5


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (DistributionMatching(n_networks=0), {}, "n_networks=0 of DistributionMatching"),
        (DistributionMatching(augment="blur"), {}, "augment='blur' is unknown"),
        (
            DistributionMatching(augment="crop"),
            {"image_shape": None},
            "augment='crop' needs images",
        ),
        (DistributionMatching("convnet"), {"image_shape": None}, "give image_shape"),
        (DistributionMatching("vgg"), {}, "network='vgg' is unknown"),
        (DistributionMatching(ConvNet(width=0)), {}, "width=0 of ConvNet"),
    ],
)
def test_bad_parameters_are_named(digits, objective, options, message):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=message):
        quick(**options).set_params(objective=objective).fit(X, y)


def test_regression_and_labels_are_refused():
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.stack([y > 100, y > 200], axis=1)):
        with pytest.raises(ValueError, match="use objective='kernel_ridge'"):
            DatasetDistiller(5, objective="distribution_matching").fit(X, target)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda(digits):
    X, _, y, _ = digits
    distiller = quick(max_iter=60, init="uniform", device="cuda").fit(X, y)
    assert distiller.device_.startswith("cuda")
    assert np.mean(distiller.loss_curve_[-10:]) < 0.7 * np.mean(distiller.loss_curve_[:10])
