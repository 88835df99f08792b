"""Gradient matching: loops over classes, layers and outputs as oracle; then on digits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import small_problems
import torch
from named import named
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from small_problems import F64, generator, small_batch, small_context, small_start
from torch import nn

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import MLP, ConvNet, NetworkClassifier
from skdistill.objectives import Batch, GradientMatching, gradient_matching
from skdistill.objectives._networks.class_gradients import by_class, class_gradients
from skdistill.objectives.gradient_matching import enlarge, shrink
from skdistill.support import Support


def normed_module(input_shape, n_outputs):
    """Statistics of the batch, a matrix and a normalisation with a scale of two dimensions."""
    return nn.Sequential(
        nn.BatchNorm1d(24), nn.Linear(24, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, n_outputs)
    )


def plain_module(input_shape, n_outputs):
    return nn.Sequential(nn.Linear(24, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, n_outputs))


NETWORKS = {"module": plain_module, **small_problems.NETWORKS}


def make(network, q=3, m=7, **options):
    """Objective, support, batch and weights; classes are of unequal size in both."""
    objective = GradientMatching(network, **options)
    objective.setup(small_context(network, q=q, m=m))
    return objective, objective.start(*small_start(q, m)), *small_batch(q)


def same_draws(objective, seed=11):
    """Let the next loss draw the network and the augmentation that this seed gives."""
    objective._params = None
    objective._context.generator.manual_seed(seed)
    if objective._augmentation is not None:
        objective._augmentation._generator.manual_seed(seed)


def value(objective, support, batch, weights):
    same_draws(objective)
    return objective.batch_loss(support, batch, weights).detach()


# The loss ----------------------------------------------------------------------------------------


def gradient_of_class(architecture, params, rows, targets, weights, c):
    """Gradients of one class's mean loss in one network, row by row; by the name of the layer."""
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    total, mass = 0.0, 0.0
    for row, target, weight in zip(rows, targets, weights, strict=True):
        if target[c] == 1:
            outputs = architecture.outputs(leaves, row[None])[0, 0]
            total = total - weight * (outputs[c] - torch.logsumexp(outputs, 0))
            mass = mass + weight
    found = torch.autograd.grad(total / mass, list(leaves.values()))
    return {name: g[0] for name, g in zip(leaves, found, strict=True)}


def slow_distance(name, real, learnt):
    total = 0.0
    convolutional = any(G.ndim == 4 for G in real.values())
    for key, G in real.items():
        H = learnt[key]
        if G.ndim == 1:
            continue
        if name != "cosine":
            if G.ndim == 4 or not convolutional:
                total += float(((G - H) ** 2).sum() if name == "mse" else (G - H).abs().sum())
            continue
        for g, h in zip(G, H, strict=True):
            g, h = g.flatten(), h.flatten()
            total += 1 - float(g @ h) / (float(g.norm()) * float(h.norm()) + 1e-6)
    return total


@pytest.mark.parametrize("distance", ["cosine", "mse", "l1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_that_of_loops(name, distance):
    objective, support, batch, weights = make(NETWORKS[name], distance=distance, augment=None)
    found = value(objective, support, batch, weights)
    same_draws(objective)
    architecture = objective._architecture
    params = architecture.initial(1, objective._context.generator, F64)
    ones = torch.ones(len(support), dtype=F64)
    expected = sum(
        slow_distance(
            distance,
            gradient_of_class(architecture, params, *batch, weights, c),
            gradient_of_class(architecture, params, support.rows, support.labels, ones, c),
        )
        for c in range(3)
    )
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_gradients_of_softmax_regression_by_hand():
    objective, support, batch, weights = make(
        lambda shape, n: nn.Linear(24, n, bias=False), distance="mse"
    )
    found = value(objective, support, batch, weights)
    (W,) = objective._params.values()

    def of_class(rows, targets, weights, c):
        x, v = rows[targets[:, c] == 1], weights[targets[:, c] == 1]
        error = torch.softmax(x @ W[0].T, 1) - torch.eye(3, dtype=F64)[c]
        return (error * (v / v.sum())[:, None]).T @ x

    ones = torch.ones(len(support), dtype=F64)
    expected = sum(
        (of_class(*batch, weights, c) - of_class(support.rows, support.labels, ones, c))
        .square()
        .sum()
        for c in range(3)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"augment": None},
        {"distance": "mse", "augment": None},
        {"augment": "auto"},
        {"augment": "auto", "factor": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_differences(name, options):
    if name != "convnet":
        options = {**options, "factor": 1}
    objective, support, batch, weights = make(NETWORKS[name], **options)
    (learnt,) = objective.rates(None, support)
    point = support[learnt]
    direction = torch.randn(point.shape, generator=generator(3), dtype=F64)
    for seed in range(4 if options["augment"] else 1):  # other operations

        def at(shift, seed=seed):
            same_draws(objective, seed)
            moved = support.clone()
            moved[learnt].add_(shift * direction)
            return objective.gradients(moved, batch, weights, [learnt])

        (gradient,) = at(0.0)[1]
        expected = float(at(1e-5)[0] - at(-1e-5)[0]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_rows_have_no_distance_under_any_draw(name):
    objective, _, batch, _ = make(NETWORKS[name], distance="mse")
    weights = torch.ones(len(batch.rows), dtype=F64)
    for seed in range(6):
        for shift, low, high in ((0.0, 0.0, 1e-20), (0.1, 1e-8, torch.inf)):
            same_draws(objective, seed)
            learnt = Support(batch.rows + shift * batch.rows.flip(0), batch.targets)
            assert low <= objective.batch_loss(learnt, batch, weights).detach() <= high


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_repetitions(name):
    objective, support, batch, _ = make(NETWORKS[name])
    counts = torch.arange(40) % 3
    repeated = Batch(*(part.repeat_interleave(counts, 0) for part in batch))
    heavy = value(objective, support, batch, counts.double())
    long = value(objective, support, repeated, torch.ones(len(repeated.rows), dtype=F64))
    torch.testing.assert_close(heavy, long)
    # The scale of the weights is of no account.
    torch.testing.assert_close(value(objective, support, batch, 7.0 * counts), heavy)


def test_classes_without_rows_do_not_count():
    objective, support, batch, weights = make(NETWORKS["mlp"])
    full = value(objective, support, batch, weights)
    kept = batch.targets[:, 2] == 0
    part = value(objective, support, Batch(batch.rows[kept], batch.targets[kept]), weights[kept])
    two = support.labels[:, 2] == 0
    none = value(objective, Support(support.rows[two], support.labels[two]), batch, weights)
    assert torch.isfinite(part) and 0 < part < full
    torch.testing.assert_close(part, none)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_without_a_learnt_class_moves_nothing(name):
    objective, support, batch, weights = make(NETWORKS[name])
    support.labels = torch.eye(3, dtype=F64)[[0] * 7]
    other = batch.targets[:, 0] == 0
    alien = Batch(batch.rows[other], batch.targets[other])
    loss, (of_rows,) = objective.gradients(support, alien, weights[other], ["rows"])
    assert loss == 0 and (of_rows == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_of_the_classes_add_up(name, monkeypatch):
    objective, support, batch, weights = make(NETWORKS[name])
    whole = value(objective, support, batch, weights)
    monkeypatch.setattr(gradient_matching, "AT_ONCE", {"cpu": 1})
    torch.testing.assert_close(value(objective, support, batch, weights), whole)


def test_fewer_classes_at_a_time_where_memory_runs_out(monkeypatch):
    objective, support, batch, weights = make(MLP(7), augment=None)
    whole = value(objective, support, batch, weights)

    def small_memory(architecture, params, rows, *others, **options):
        if len(rows) > 1:
            raise MemoryError
        return class_gradients(architecture, params, rows, *others, **options)

    monkeypatch.setattr(gradient_matching, "class_gradients", small_memory)
    with pytest.warns(RuntimeWarning, match="Out of memory: going on with blocks of 1 classes"):
        found = value(objective, support, batch, weights)
    torch.testing.assert_close(found, whole)
    again = value(objective, support, batch, weights)  # without a warning
    torch.testing.assert_close(again, whole)


def test_rows_of_a_class_stand_side_by_side():
    targets = torch.eye(4)[torch.tensor([2, 0, 2, 2, 3])]
    weights = torch.tensor([1.0, 5.0, 0.0, 3.0, 2.0])
    found = by_class(targets, weights)
    assert found.present.tolist() == [True, False, True, True]
    assert found.index[[0, 2, 3]].tolist() == [[1, 1, 1], [0, 2, 3], [4, 4, 4]]
    expected = torch.tensor([[1, 0, 0], [0, 0, 0], [0.25, 0, 0.75], [1, 0, 0]])
    torch.testing.assert_close(found.share, expected)


def test_statistics_of_a_batch_see_rows_of_the_class_only():
    # Classes of equal size: nothing is padded, and the oracle sees the class as one batch.
    objective, support, batch, _ = make(normed_module, m=6)
    rows, targets = batch.rows[:12], torch.eye(3, dtype=F64)[torch.arange(12) % 3]
    found = value(objective, support, Batch(rows, targets), torch.ones(12, dtype=F64))
    architecture, params = objective._architecture, objective._params
    expected = 0.0
    for c in range(3):
        grads = []
        for x, y in ((rows, targets), (support.rows, support.labels)):
            leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
            outputs = architecture.outputs(leaves, x[y[:, c] == 1])[0]
            loss = -torch.log_softmax(outputs, 1)[:, c].mean()
            found_here = torch.autograd.grad(loss, list(leaves.values()))
            grads.append({name: g[0] for name, g in zip(leaves, found_here, strict=True)})
        expected += slow_distance("cosine", *grads)
    assert float(found) == pytest.approx(expected, rel=1e-6)


# The network between steps -----------------------------------------------------------------------


def test_the_network_is_trained_on_the_learnt_rows_and_drawn_anew():
    objective, support, batch, weights = make(NETWORKS["mlp"], outer_loop=3, inner_loop=2)
    drawn = []
    for step in range(6):
        objective.batch_loss(support, batch, weights)
        drawn.append({name: p.clone() for name, p in objective._params.items()})
        objective.after_step(support)
        assert (objective._params is None) == (step % 3 == 2)
    assert not torch.equal(drawn[0]["0.weight"], drawn[3]["0.weight"])
    # Two epochs of plain gradient descent, rate 0.01.
    leaves = {name: p.clone().requires_grad_() for name, p in drawn[0].items()}
    for _ in range(2):
        outputs = objective._architecture.outputs(leaves, support.rows)[0]
        loss = nn.functional.cross_entropy(outputs, support.labels.argmax(1))
        found = torch.autograd.grad(loss, list(leaves.values()))
        leaves = {
            name: (p - 0.01 * g).detach().requires_grad_()
            for (name, p), g in zip(leaves.items(), found, strict=True)
        }
    for name, p in drawn[1].items():
        torch.testing.assert_close(p, leaves[name].detach())


def test_training_on_real_rows_heeds_their_weights():
    params = []
    for heavy in (0.0, 30.0):
        objective, support, batch, weights = make(NETWORKS["mlp"], train_on="real", inner_loop=40)
        weights[:20] *= heavy
        same_draws(objective)
        for _ in range(2):
            objective.batch_loss(support, batch, weights)
            objective.after_step(support)
        outputs = objective._architecture.outputs(objective._params, batch.rows)[0]
        losses = nn.functional.cross_entropy(outputs, batch.targets.argmax(1), reduction="none")
        params.append((losses[:20].mean(), losses[20:].mean()))
    (early_light, late_light), (early_heavy, late_heavy) = params
    assert early_heavy < 0.7 * early_light and late_light < 0.7 * late_heavy


@pytest.mark.parametrize(
    ("m", "options", "expected"),
    [
        (3, {}, (1, 50)),
        (30, {}, (10, 50)),
        (150, {}, (50, 10)),
        (600, {}, (50, 2)),
        (30, {"train_on": "real"}, (100, 1)),
        (30, {"outer_loop": 4, "inner_loop": 7}, (4, 7)),
    ],
)
def test_loops_of_the_papers(m, options, expected):
    objective, *_ = make(NETWORKS["mlp"], m=m, **options)
    assert objective._loops == expected


# Small images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "factor"), [((1, 4, 6), 2), ((3, 28, 28), 3), ((2, 5, 7), 4)])
def test_small_images(shape, factor):
    size = shape[0] * shape[1] * shape[2]
    small = shrink(torch.rand(5, size, generator=generator(), dtype=F64), shape, factor)
    assert small.shape == (5, shape[0] * -(-shape[1] // factor) * -(-shape[2] // factor))
    large = enlarge(small, shape, factor)
    assert large.shape == (5, size)
    # Constant images stay what they are, and channels do not mix.
    level = torch.arange(shape[0], dtype=F64).repeat_interleave(shape[1] * shape[2])[None]
    torch.testing.assert_close(enlarge(shrink(level, shape, factor), shape, factor), level)


def test_rows_with_a_factor_are_enlarged_images(digits):
    X, _, y, _ = digits
    distiller = quick(augment=None, factor=2, max_iter=5).fit(X, y)
    assert distiller.distilled_.X.shape == (20, 64)
    units = distiller._map.units
    rows = torch.from_numpy((distiller.distilled_.X - units.shift) * units.factor)
    basis = enlarge(torch.eye(16, dtype=F64), (1, 8, 8), 2)  # of 16 free numbers
    solution = torch.linalg.lstsq(basis.T, rows.T).solution
    torch.testing.assert_close(basis.T @ solution, rows.T, atol=1e-5, rtol=0)


# Through the distiller ---------------------------------------------------------------------------


def quick(n_samples=20, network=None, **options):
    own = ("distance", "augment", "train_on", "outer_loop", "inner_loop", "factor", "lr_net")
    settings = {name: options.pop(name) for name in own if name in options}
    objective = GradientMatching(network or ConvNet(8), **settings)
    options = {"image_shape": (1, 8, 8), "max_iter": 30, "batch_size": 200, **options}
    return DatasetDistiller(n_samples, objective=objective, random_state=0, **options)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 8, 8), {"augment": None}),
        (None, {}),
        ((1, 8, 8), {"augment": None, "distance": "mse", "train_on": "real", "outer_loop": 10}),
    ],
    ids=["images", "vectors", "real"],
)
def test_loss_falls_on_digits(digits, shape, options):
    X, X_test, y, y_test = digits
    network = MLP(64) if shape is None else ConvNet(16)
    distiller = quick(
        10,
        network=network,
        image_shape=shape,
        max_iter=80 if shape else 150,
        init="uniform",
        batch_sampling="uniform",  # other losses of other rows are not comparable
        **options,
    )
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-15:]) < 0.9 * np.mean(curve[:15])
    start = DistilledClassifier(distiller=clone(distiller).set_params(max_iter=0)).fit(X, y)
    assert model.score(X_test, y_test) > start.score(X_test, y_test) + 0.03
    assert model.distilled_.X.shape == (10, 64)
    assert (np.bincount(model.distilled_.y) == 1).all()


@pytest.mark.parametrize(
    "options",
    [
        {"init": "sensitivity_kmeans"},
        {"batch_sampling": "uniform"},
        {"reweight": True},
        {"class_balance": False, "n_samples": 23},
        {"distance": "mse"},
        {"train_on": "real"},
        {"augment": None},
        {"factor": 3},
        {"network": "auto", "image_shape": None, "batch_size": "auto"},
        {"network": named(plain_module), "image_shape": None, "features": 24},
    ],
    ids=str,
)
def test_options(digits, options):
    X, _, y, _ = digits
    options = dict(options)
    X = X[:400, : options.pop("features", 64)]
    distiller = quick(**options, max_iter=4).fit(X, y[:400])
    assert np.isfinite(distiller.distilled_.X).all()
    assert len(distiller.loss_curve_) == distiller.n_iter_ == 4


def test_by_name():
    X, y = load_digits(n_class=2, return_X_y=True)
    distiller = DatasetDistiller(2, objective="gradient_matching", max_iter=2, random_state=0)
    assert distiller.fit(X, y).n_iter_ == 2


def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits):
    X, X_test, y, _ = digits
    state = torch.get_rng_state()
    first, second = quick(max_iter=4).fit(X, y), quick(max_iter=4).fit(X, y)
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
    weighted = quick(max_iter=4).fit(X, y, sample_weight=weight)
    repeated = quick(max_iter=4).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.distilled_.X, repeated.distilled_.X)


def test_what_is_trained_in_the_end(digits):
    X, _, y, _ = digits
    network = ConvNet(8)
    predictor = quick(network=network, augment=None, max_iter=2).fit(X, y).make_predictor()
    assert isinstance(predictor.estimator, NetworkClassifier)
    assert predictor.estimator.augment is None
    assert predictor.estimator.network.width == 8


def test_its_own_parameters_can_be_searched(digits):
    X, _, y, _ = digits
    grid = GridSearchCV(
        DistilledClassifier(
            KNeighborsClassifier(1), quick(max_iter=0, augment=None), use_weights=False
        ),
        {"distiller__objective__network__width": [4], "distiller__objective__factor": [1, 8]},
        cv=2,
    ).fit(X[:300], y[:300])
    assert grid.best_params_["distiller__objective__factor"] == 1


def test_a_class_of_a_single_row_is_drawn_again_and_again(digits):
    X, _, y, _ = digits
    kept = (y != 3) | (np.cumsum(y == 3) == 1)
    with pytest.warns(UserWarning, match="class 3 has 1 row and a share of 20 in a batch of 200"):
        distiller = quick(max_iter=3).fit(X[kept], y[kept])
    assert (np.bincount(distiller.distilled_.y) > 0).all()
    assert np.isfinite(distiller.loss_curve_).all()


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (GradientMatching(distance="l3"), {}, "distance='l3' of GradientMatching is unknown"),
        (GradientMatching(train_on="all"), {}, "train_on='all' of GradientMatching is unknown"),
        (GradientMatching(outer_loop=0), {}, "outer_loop=0 of .* must be 'auto' or a positive"),
        (GradientMatching(inner_loop="x"), {}, "inner_loop='x' of .* must be 'auto' or a pos"),
        (GradientMatching(factor="auto"), {}, "factor='auto' of .* must be a positive integer"),
        (GradientMatching(factor=9), {}, "factor=9 of GradientMatching is larger than a side"),
        (GradientMatching(factor=2), {"image_shape": None}, "factor=2 of .* needs images"),
        (GradientMatching(lr_net=0), {}, "lr_net=0 of GradientMatching"),
        (GradientMatching(augment="crop"), {"image_shape": None}, "augment='crop' needs images"),
        (GradientMatching("vgg"), {}, "network='vgg' is unknown"),
        (GradientMatching(), {"n_samples": 8}, "n_samples=8"),
    ],
)
def test_bad_parameters_are_named(digits, objective, options, message):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=message):
        quick().set_params(objective=objective, **options).fit(X, y)


def test_other_targets_are_refused():
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.stack([y > 100, y > 200], axis=1), None):
        with pytest.raises(ValueError, match="use objective='kernel_ridge'"):
            DatasetDistiller(5, objective="gradient_matching").fit(X, target)


def test_steps_that_are_too_large_keep_the_start(digits):
    X, _, y, _ = digits
    with pytest.warns(ConvergenceWarning, match="smaller learning_rate"):
        wild = quick(learning_rate=1e38, max_iter=24).fit(X, y)
    assert np.isfinite(wild.distilled_.X).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("train_on", ["synthetic", "real"])
def test_on_cuda(digits, train_on):
    X, _, y, _ = digits
    distiller = quick(max_iter=60, init="uniform", train_on=train_on, device="cuda").fit(X, y)
    assert distiller.device_.startswith("cuda")
    assert np.mean(distiller.loss_curve_[-10:]) < 0.9 * np.mean(distiller.loss_curve_[:10])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_loss_on_cuda_is_that_on_the_cpu():
    objective, support, batch, weights = make(NETWORKS["convnet"], augment=None)
    expected = value(objective, support, batch, weights)
    params = {name: p.cuda() for name, p in objective._params.items()}
    objective._params = params
    moved = Support(support.rows.cuda(), support.labels.cuda())
    found = objective.batch_loss(moved, Batch(*(part.cuda() for part in batch)), weights.cuda())
    torch.testing.assert_close(found.cpu(), expected)
