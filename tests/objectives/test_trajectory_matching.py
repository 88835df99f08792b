"""Trajectory matching: a loop over lists of parameters as oracle, experts in folders, on digits."""

from __future__ import annotations

import gc
import math
import pickle
from collections import Counter

import numpy as np
import pytest
import small_problems
import torch
from named import named
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from small_problems import F64, generator, small_context, small_start
from torch import nn

from skdistill import DatasetDistiller, DistilledClassifier, _device
from skdistill.batches.feed import Feed
from skdistill.batches.sampler import BatchSampler
from skdistill.networks import MLP, ConvNet, NetworkClassifier
from skdistill.networks._training import Recipe
from skdistill.objectives import Sample, TrainingSet, TrajectoryMatching
from skdistill.objectives._networks import experts as experts_module
from skdistill.objectives._networks import student_technique
from skdistill.objectives._networks.experts import train_experts
from skdistill.objectives._networks.students import (
    Plan,
    RelativeDistance,
    gradients_by_steps,
    unrolled_loss,
)
from skdistill.support import Support


def linear_module(input_shape, n_outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(24, n_outputs))


NETWORKS = {"linear": linear_module, **small_problems.NETWORKS}


def real_rows(n=60, q=3):
    g = generator(1)
    codes = torch.arange(n) % q
    rows = torch.randn(n, 24, generator=g) + 2 * torch.eye(q, 24)[codes]
    targets = torch.eye(q, dtype=F64)[codes]
    return TrainingSet(rows, targets, torch.ones(n, dtype=F64), codes)


def feed(data, importance=False, mixing=0.5, reweight=False, loss=None):
    def losses(outputs, temperature, index):
        log_p = torch.log_softmax(outputs / temperature, 1)
        return -(log_p * data.targets[index]).sum(1) if loss is None else loss(outputs)

    sampler = BatchSampler(
        data.weight, generator(2), importance=importance, mixing=mixing, reweight=reweight
    )
    return Feed(data, sampler, losses)


def make(network, m=6, q=3, **options):
    """Objective with experts, and a support in float64."""
    settings = {"n_experts": 3, "syn_steps": 4, "augment": None, "lr_init": 0.3, "lr_teacher": 0.2}
    objective = TrajectoryMatching(network, **{**settings, **options})
    objective.setup(small_context(network, q=q, m=m, batch_size=16))
    support = objective.start(*small_start(q, m))
    (stage,) = objective.stages(5)
    data = real_rows(q=q)
    everything = torch.arange(len(data))
    objective.begin(stage, support, Sample(data, everything, data.weight, feed(data)))
    return objective, support


def same_numbers(objective, seed=11):
    """Let the next step draw the numbers of the last one."""
    objective._random.manual_seed(seed)
    if objective._augmentation is not None:
        objective._augmentation._generator.manual_seed(seed)


def gradients(objective, support, seed=11):
    same_numbers(objective, seed)
    value, found = objective.gradients(support, None, None, ["rows", "log_rate"])
    return value, *found


# One step ----------------------------------------------------------------------------------------


def plain_loss(objective, support, plan):
    """Equation 2 of the paper, with a list of parameters, row by row."""
    names = list(plan.start)
    theta = [plan.start[name].clone().requires_grad_() for name in names]
    alpha = support["log_rate"].exp()
    for index, _ in plan.steps:
        chosen = range(len(support)) if index is None else index.tolist()
        loss = 0.0
        for i in chosen:
            params = dict(zip(names, theta, strict=True))
            logits = objective._architecture.outputs(params, support.rows[i : i + 1])[0, 0]
            c = int(support.labels[i].argmax())
            loss = loss + (logits.exp().sum().log() - logits[c]) / len(chosen)
        moved = []
        for p, g in zip(theta, torch.autograd.grad(loss, theta, create_graph=True), strict=True):
            moved.append(p - alpha * g)
        theta = moved
    above, below = 0.0, 0.0
    for name, p in zip(names, theta, strict=True):
        above = above + ((p - plan.goal.target[name]) ** 2).sum()
        below = below + ((plan.start[name] - plan.goal.target[name]) ** 2).sum()
    return above / below


@pytest.mark.parametrize("batch_syn", [None, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_and_gradient_are_those_of_a_plain_loop(name, batch_syn):
    objective, support = make(NETWORKS[name], batch_syn=batch_syn)
    value, of_rows, of_rate = gradients(objective, support)
    same_numbers(objective)
    plan = objective._plan(support)
    assert len(plan.steps) == 4
    if batch_syn is not None:  # each pass goes over all rows
        assert sorted(torch.cat([index for index, _ in plan.steps[:2]]).tolist()) == list(range(6))
    rows, log_rate = support.rows.requires_grad_(), support["log_rate"].requires_grad_()
    expected = plain_loss(objective, support, plan)
    torch.testing.assert_close(value, expected.detach())
    found = torch.autograd.grad(expected, [rows, log_rate])
    torch.testing.assert_close([of_rows, of_rate], list(found))
    assert of_rows.abs().max() > 1e-6 and abs(of_rate) > 1e-6


@pytest.mark.parametrize("augment", [None, "auto"])
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_differences(name, recompute, augment):
    objective, support = make(NETWORKS[name], recompute=recompute, augment=augment)
    direction = torch.randn(support.rows.shape, generator=generator(4), dtype=F64)

    def at(of_rows, of_rate, seed):
        moved = Support(support.rows + of_rows * direction, support.labels)
        moved.extra["log_rate"] = support["log_rate"] + of_rate
        return gradients(objective, moved, seed)

    for seed in range(3):  # other experts, epochs and operations
        _, rows, log_rate = at(0.0, 0.0, seed)
        eps = 1e-5
        by_rows = (at(eps, 0.0, seed)[0] - at(-eps, 0.0, seed)[0]) / (2 * eps)
        by_rate = (at(0.0, eps, seed)[0] - at(0.0, -eps, seed)[0]) / (2 * eps)
        torch.testing.assert_close((rows * direction).sum(), by_rows, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(log_rate, by_rate, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_recomputation_gives_the_same_gradient(name, monkeypatch):
    options = {"augment": "auto", "batch_syn": 4}
    kept, support = make(NETWORKS[name], recompute=False, **options)
    expected = gradients(kept, support)
    anew, _ = make(NETWORKS[name], recompute=True, **options)
    torch.testing.assert_close(gradients(anew, support), expected)
    some, _ = make(NETWORKS[name], **options)
    monkeypatch.setattr(student_technique, "KEPT", 1)  # the activations of the first step
    torch.testing.assert_close(gradients(some, support), expected)
    same_numbers(some)
    loss = some.batch_loss(support, None, None)  # by autograd through all steps
    torch.testing.assert_close(loss, expected[0])


class Idle(nn.Module):
    """Linear network with a parameter that does nothing."""

    def __init__(self, input_shape, n_outputs):
        super().__init__()
        self.linear = nn.Linear(24, n_outputs)
        self.idle = nn.Parameter(torch.ones(2))

    def forward(self, rows):
        return self.linear(rows)


def saved_elements(function, rows):
    """Largest number of elements that graphs hold at a time while a function runs."""
    held, most = Counter(), [0]

    class Packed:
        def __init__(self, tensor):
            self.tensor = tensor
            held["now"] += tensor.numel()
            most[0] = max(most[0], held["now"])

        def __del__(self):
            held["now"] -= self.tensor.numel()

    with torch.autograd.graph.saved_tensors_hooks(Packed, lambda packed: packed.tensor):
        function(rows)
    gc.collect()
    return most[0]


def test_activations_of_one_step_are_in_memory():
    architecture = MLP(32).make_architecture(24, None, 3)
    start = architecture.initial(1, generator(), F64)
    target = architecture.initial(1, generator(1), F64)
    rows = torch.randn(200, 24, generator=generator(2), dtype=F64)  # activations, not parameters

    def inner(params, rows, step):
        return torch.log_softmax(architecture.outputs(params, rows)[0], 1)[:, 0].mean()

    def peak(n_steps, function):
        plan = Plan(start, [(None, None)] * n_steps, RelativeDistance(start, target))
        return saved_elements(lambda rows: function(inner, rows, torch.tensor(0.1), plan), rows)

    def with_graph(inner, rows, rate, plan):
        unrolled_loss(inner, rows.clone().requires_grad_(), rate, plan).backward()

    assert peak(10, gradients_by_steps) < 1.05 * peak(1, gradients_by_steps)
    assert peak(10, with_graph) > 7 * peak(1, with_graph)


def test_activations_are_kept_while_there_is_room():
    architecture = MLP(32).make_architecture(24, None, 3)
    start, target = (architecture.initial(1, generator(seed), F64) for seed in (0, 1))
    rows = torch.randn(200, 24, generator=generator(2), dtype=F64)
    plan = Plan(start, [(None, None)] * 10, RelativeDistance(start, target))
    calls = []

    def inner(params, rows, step):
        calls.append(None)
        return torch.log_softmax(architecture.outputs(params, rows)[0], 1)[:, 0].mean()

    def count(budget):
        calls.clear()
        gradients_by_steps(inner, rows, torch.tensor(0.1), plan, budget)
        return len(calls)

    activations = 200 * 32 * 8  # bytes of what one layer makes
    assert (count(0), count(1), count(math.inf)) == (20, 19, 10)
    assert 11 < count(20 * activations) < 19


def test_parameters_without_effect_stay():
    objective, support = make(Idle, recompute=True)
    kept, _ = make(Idle, recompute=False)
    torch.testing.assert_close(gradients(objective, support), gradients(kept, support))


def epochs_seen(objective, support, done, n_steps):
    """Experts and epochs that students start from after some of the steps."""
    objective._done, objective._n_steps = done, n_steps
    experts, places = objective._experts, {}
    n_epochs = objective.max_start_epoch + objective.expert_epochs
    for number in range(3):
        for epoch in range(n_epochs):
            places[float(experts.at(number, epoch)["0.weight"].sum())] = (number, epoch)
    assert len(places) == 3 * n_epochs
    seen = set()
    for seed in range(150):
        same_numbers(objective, seed)
        plan = objective._plan(Support(support.rows.float(), support.labels, support.extra))
        number, epoch = places[float(plan.start["0.weight"].sum())]
        target = places[float(plan.goal.target["0.weight"].sum())]
        assert target == (number, epoch + objective.expert_epochs)
        seen.add((number, epoch))
    assert {number for number, _ in seen} == {0, 1, 2}
    return {epoch for _, epoch in seen}


def test_start_epochs_and_experts_are_all_seen():
    objective, support = make(NETWORKS["mlp"], max_start_epoch=3, expert_epochs=1)
    for done in (0, 10):
        assert epochs_seen(objective, support, done, 10) == {0, 1, 2}


@pytest.mark.parametrize(
    ("difficulty", "first", "middle", "last"),
    [("growing", {0, 1}, {0, 1, 2}, {0, 1, 2, 3}), ((1, 2), {1}, {1, 2}, {1, 2, 3})],
    ids=str,
)
def test_range_of_epochs_grows(difficulty, first, middle, last):
    objective, support = make(
        NETWORKS["mlp"], max_start_epoch=4, expert_epochs=1, difficulty=difficulty
    )
    # The first half of the steps takes it to its end.
    for done, expected in ((0, first), (5, middle), (10, last), (20, last)):
        assert epochs_seen(objective, support, done, 20) == expected
    objective._done = 0
    objective.after_step(support)
    assert objective._done == 1


@pytest.mark.parametrize("difficulty", [(2, 2), (0, 5), (-1, 2), (0.5, 2), "late", 3, (1, 2, 3)])
def test_wrong_difficulty_is_named(difficulty):
    with pytest.raises(ValueError, match=r"difficulty=.* of TrajectoryMatching must be None, 'gro"):
        make(MLP(9), max_start_epoch=4, difficulty=difficulty)


# Experts -----------------------------------------------------------------------------------------


def trained(data, *, count=2, n_epochs=2, rate=0.1, size=60, seed=0, network=None, **options):
    architecture = (network or MLP(6)).make_architecture(24, None, 3)
    recipe = Recipe(n_epochs, rate, momentum=0, weight_decay=0, batch_size=size)
    return train_experts(
        architecture, count, feed(data, **options), recipe, lambda g: None, generator(seed)
    )


def test_experts_are_gradient_descent_on_the_real_rows():
    data = real_rows()
    epochs = trained(data)
    assert len(epochs) == 3
    for k in range(2):
        W0, b0, W1, b1, W2, b2 = (epochs[0][name][k].clone() for name in epochs[0])
        for epoch in epochs[1:]:  # one batch of all rows is an epoch
            leaves = [p.requires_grad_() for p in (W0, b0, W1, b1, W2, b2)]
            hidden = torch.relu(torch.relu(data.rows @ W0.T + b0) @ W1.T + b1)
            loss = nn.functional.cross_entropy(hidden @ W2.T + b2, data.codes)
            found = torch.autograd.grad(loss, leaves)
            moved = [(p - 0.1 * g).detach() for p, g in zip(leaves, found, strict=True)]
            W0, b0, W1, b1, W2, b2 = moved
            for own, p in zip(moved, epoch.values(), strict=True):
                torch.testing.assert_close(p[k], own)


def test_epoch_draws_as_many_rows_as_there_are():
    data, sizes = real_rows(), []

    class Watched(Feed):
        def apart(self, generator):
            return self

        def draw(self, size, dtype, progress=0.0):
            sizes.append((size, progress))
            return super().draw(size, dtype, progress)

    source = feed(data)
    watched = Watched(data, source._sampler, None)
    recipe = Recipe(2, 0.1, momentum=0, weight_decay=0, batch_size=25)
    architecture = MLP(6).make_architecture(24, None, 3)
    train_experts(architecture, 2, watched, recipe, lambda g: None, generator())
    assert [size for size, _ in sizes] == [25] * 6
    np.testing.assert_allclose([progress for _, progress in sizes], np.arange(6) / 6)


def test_weights_of_experts_rows_are_repetitions():
    data = real_rows()
    counts = torch.arange(60) % 3
    heavy = TrainingSet(data.rows, data.targets, counts.double(), data.codes)
    index = torch.arange(60).repeat_interleave(counts)
    long = data.subset(index)
    for a, b in zip(trained(heavy), trained(long, size=len(index)), strict=True):
        torch.testing.assert_close(a, b)


def test_experts_are_fed_by_importance():
    data = real_rows(600)
    drawn, genuine = [], Feed.draw

    def watched(self, size, dtype, progress=0.0):
        batch, weights = genuine(self, size, dtype, progress)
        drawn.append((batch.rows.clone(), weights))
        return batch, weights

    # Rows far out on one side are important.
    far = data.rows[:, 0].clamp_min(0.01)

    def losses(outputs):
        return far[: len(outputs)]

    means = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Feed, "draw", watched)
        for reweight in (None, False, True):
            drawn.clear()
            importance = reweight is not None
            trained(
                data,
                n_epochs=6,
                size=100,
                importance=importance,
                reweight=bool(reweight),
                mixing=0.2,
                loss=losses,
            )
            second = drawn[6:12]  # the second epoch, before batches fade to uniform ones
            means[reweight] = float(torch.stack([rows[:, 0].mean() for rows, _ in second]).mean())
            weighted = float(torch.stack([w @ rows[:, 0] for rows, w in second]).mean())
            if reweight:
                assert weighted == pytest.approx(float(data.rows[:, 0].mean()), abs=0.25)
    assert means[False] > means[None] + 0.5 and means[True] > means[None] + 0.5


def test_the_feed_of_the_loop_stays_as_it_was():
    data = real_rows()
    source, untouched = feed(data, importance=True), feed(data, importance=True)
    recipe = Recipe(3, 0.1, momentum=0, weight_decay=0, batch_size=16)
    architecture = MLP(6).make_architecture(24, None, 3)
    train_experts(architecture, 2, source, recipe, lambda g: None, generator())
    for _ in range(3):
        found, expected = source.draw(16, F64)[0], untouched.draw(16, F64)[0]
        torch.testing.assert_close(found.rows, expected.rows)


def test_experts_that_diverge_are_an_error():
    with pytest.raises(ValueError, match=r"use a smaller lr_teacher than 1e\+30"):
        trained(real_rows(), rate=1e30, n_epochs=4)


@pytest.mark.parametrize("rate", [1e-30, 1e-12, 1e-9])
@pytest.mark.parametrize("name", NETWORKS)
def test_experts_that_stand_still_are_an_error(name, rate):
    # Parameters that start at zero move by any rate, the others are rounded back.
    with pytest.raises(ValueError, match=f"lr_teacher={rate!r} of .* Use a larger lr_teacher"):
        make(NETWORKS[name], lr_teacher=rate)


def test_an_expert_that_stops_on_the_way_is_an_error():
    def stopping(first, count):
        moving = [{"w": torch.full((1, 3), float(t))} for t in range(4)]
        return [moving[t] for t in (0, 1, 2, 3, 3, 3)]

    experts = experts_module.Experts(1, stopping, None, "", {"w": torch.zeros(1, 3)}, 5)
    experts.check_ways(3, 0.1)
    with pytest.raises(
        ValueError, match=r"by 0\.0e\+00 in 2 epochs.* 5\.2e\+00: .*another network"
    ):
        experts.check_ways(2, 0.1)


def test_scarce_memory_trains_fewer_experts_at_a_time(monkeypatch):
    genuine = experts_module.train_experts

    def scarce(architecture, count, *others):
        if count > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return genuine(architecture, count, *others)

    monkeypatch.setattr("skdistill.objectives.trajectory_matching.train_experts", scarce)
    with pytest.warns(RuntimeWarning, match="Out of memory: going on with blocks of 1 experts"):
        objective, support = make(NETWORKS["mlp"])
    sums = {float(objective._experts.at(k, 0)["0.weight"].sum()) for k in range(3)}
    assert len(sums) == 3 and torch.isfinite(gradients(objective, support)[0])


# Through the distiller ---------------------------------------------------------------------------


def technique(network=None, **options):
    small = {"n_experts": 3, "syn_steps": 5, "max_start_epoch": 2, "lr_teacher": 0.05}
    return TrajectoryMatching(network or MLP(16), **{**small, **options})


def quick(n_samples=10, objective=None, **options):
    options = {"image_shape": (1, 8, 8), "max_iter": 4, "random_state": 0, **options}
    return DatasetDistiller(n_samples, objective=objective or technique(), **options)


@pytest.fixture
def counted(monkeypatch):
    """Counts the experts trained."""
    genuine, counts = experts_module.train_experts, []

    def counting(architecture, count, *others):
        counts.append(count)
        return genuine(architecture, count, *others)

    monkeypatch.setattr("skdistill.objectives.trajectory_matching.train_experts", counting)
    return counts


@pytest.mark.parametrize("shape", [(1, 8, 8), None])
def test_loss_falls_on_digits(digits, shape):
    X, X_test, y, y_test = digits
    network = MLP(32) if shape is None else ConvNet(6)
    objective = technique(network, max_start_epoch=5, expert_epochs=3, augment=None, syn_steps=10)
    distiller = quick(
        objective=objective, image_shape=shape, max_iter=40, init="uniform", learning_rate=0.4
    )
    model = DistilledClassifier(distiller=distiller).fit(X, y)
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-10:]) < 0.75 * np.mean(curve[:10])
    start = DistilledClassifier(distiller=clone(distiller).set_params(max_iter=0)).fit(X, y)
    assert model.score(X_test, y_test) > start.score(X_test, y_test) + 0.05
    assert model.distilled_.X.shape == (10, 64)
    assert (np.bincount(model.distilled_.y) == 1).all()


def test_step_size_is_learnt_and_used(digits):
    X, _, y, _ = digits
    objective = technique(augment=None, lr_init=0.02)
    distiller = quick(objective=objective, max_iter=20).fit(X, y)
    learnt = distiller.objective_.lr_init
    assert learnt > 0 and abs(learnt / 0.02 - 1) > 0.01
    assert objective.lr_init == 0.02 and distiller.objective.lr_init == 0.02
    predictor = distiller.make_predictor()
    assert predictor.estimator.learning_rate == learnt
    # The rows and the step size give a plain network the same predictor.
    center, deviation = X.mean(), X.std()
    network = NetworkClassifier(
        MLP(16),
        image_shape=(1, 8, 8),
        learning_rate=learnt,
        standardize=False,
        random_state=distiller._seed,
    ).fit((distiller.distilled_.X - center) / deviation, distiller.distilled_.y)
    expected = network.predict_proba((X - center) / deviation)
    # Rounding of the rows grows from step to step.
    assert np.abs(predictor.predict(X) - expected).mean() < 0.01
    fixed = quick(objective=clone(objective).set_params(learn_lr=False)).fit(X, y)
    assert fixed.objective_.lr_init == 0.02


@pytest.mark.parametrize(
    "options",
    [
        {"init": "sensitivity_kmeans"},
        {"batch_sampling": "uniform"},
        {"reweight": True},
        {"batch_loss": named(lambda targets, outputs: np.abs(targets - outputs).sum(1))},
        {"class_balance": False},
        {"optimizer": "sgd"},
        {"batch_size": 64},
        {"standardize": False, "learning_rate": 1.0},
        {"objective": technique("auto", syn_steps=2)},
        {"objective": technique(batch_syn=3, recompute=False)},
        {
            "objective": technique(
                named(lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, n)))
            )
        },
        {"objective": technique("auto"), "image_shape": None},
    ],
    ids=str,
)
def test_options(digits, options):
    X, _, y, _ = digits
    distiller = quick(**options).fit(X[:400], y[:400])
    assert np.isfinite(distiller.distilled_.X).all()
    assert np.isfinite(distiller.loss_curve_).all()
    assert len(distiller.loss_curve_) == distiller.n_iter_ == 4
    assert distiller.validation_scores_ == []


def test_without_steps_no_expert_is_trained(digits, counted):
    X, _, y, _ = digits
    distiller = quick(max_iter=0, init="uniform").fit(X, y)
    assert counted == [] and distiller.objective_.lr_init == pytest.approx(0.01)
    for row in distiller.distilled_.X:
        assert np.abs(X - row).max(1).min() < 1e-4


def test_importance_changes_the_experts(digits):
    X, _, y, _ = digits
    fits = [quick(batch_sampling=name).fit(X, y) for name in ("importance", "uniform")]
    assert fits[0].loss_curve_ != fits[1].loss_curve_


@pytest.mark.parametrize("folder", [False, True])
def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits, folder, tmp_path):
    X, X_test, y, _ = digits
    state = torch.get_rng_state()
    # The second fit finds the experts of the first.
    objective = technique(expert_folder=tmp_path if folder else None, augment=None)
    first, second = (quick(objective=objective).fit(X, y) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first.distilled_.X, second.distilled_.X)
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)
    assert first.objective_.lr_init == second.objective_.lr_init
    pickled = pickle.dumps(first)
    assert len(pickled) < 100_000
    assert b"torch" not in pickled.replace(b"_torch", b"")
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.transform(X_test), first.transform(X_test))
    np.testing.assert_array_equal(
        again.make_predictor().predict(X_test), first.make_predictor().predict(X_test)
    )


def test_repeated_rows_of_the_data_are_weights(digits):
    X, _, y, _ = digits
    X, y = X[:150], y[:150]
    weight = np.arange(150) % 3
    weighted = quick().fit(X, y, sample_weight=weight)
    repeated = quick().fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.distilled_.X, repeated.distilled_.X)


# Folders -----------------------------------------------------------------------------------------


def test_experts_of_a_folder_are_trained_once(digits, counted, tmp_path):
    X, _, y, _ = digits
    folder = tmp_path / "new" / "experts"
    objective = technique(expert_folder=str(folder))
    kept = quick(objective=objective).fit(X, y)
    in_memory = quick(objective=technique()).fit(X, y)
    np.testing.assert_array_equal(kept.distilled_.X, in_memory.distilled_.X)
    assert counted == [3, 3] and len(list(folder.iterdir())) == 3
    # What does not concern experts may change, the seed included.
    quick(12, objective=objective, random_state=5, init="kmeans", max_iter=2).fit(X, y)
    quick(objective=clone(objective).set_params(syn_steps=2, lr_init=0.1)).fit(X, y)
    assert counted == [3, 3]
    quick(objective=clone(objective).set_params(n_experts=5)).fit(X, y)
    assert counted == [3, 3, 2] and len(list(folder.iterdir())) == 5
    starts = {float(np.load(path)["0"].sum()) for path in folder.iterdir()}
    assert len(starts) == 5  # none is trained twice from the same start


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "found"])
def test_a_device_with_room_reads_each_file_once(trained, digits, tmp_path, monkeypatch):
    X, _, y, _ = digits
    objective = technique(expert_folder=tmp_path)
    expected = quick(objective=objective).fit(X, y).distilled_.X
    reads = []
    read = experts_module.Experts._read
    monkeypatch.setattr(
        experts_module.Experts,
        "_read",
        lambda self, *which: reads.append(which) or read(self, *which),
    )
    monkeypatch.setattr(experts_module, "near", lambda n_bytes, device: True)
    if trained:
        for path in tmp_path.iterdir():
            path.unlink()
    np.testing.assert_array_equal(quick(objective=objective).fit(X, y).distilled_.X, expected)
    if trained:
        assert reads == []
    else:
        n_epochs = objective.max_start_epoch + objective.expert_epochs - 1
        # Of each file its last epoch first, to see whether it is of use.
        drawn = {k for k, t in reads if t == 0}
        whole = Counter((k, t) for k in drawn for t in range(n_epochs + 1))
        assert Counter(reads) == whole + Counter((k, n_epochs) for k in range(3))


def test_only_a_gpu_with_room_holds_what_is_in_files(monkeypatch):
    monkeypatch.setattr(_device, "free_memory", lambda device: 1000)
    cuda = torch.device("cuda")
    assert experts_module.near(500, cuda) and not experts_module.near(501, cuda)
    assert not experts_module.near(1, torch.device("cpu"))


@pytest.mark.parametrize(
    "change",
    [
        {"objective__lr_teacher": 0.02},
        {"objective__expert_epochs": 1},
        {"objective__augment": "crop"},
        {"objective__network__width": 8},
        {"objective__network__activation": "tanh"},
        {"batch_size": 100},
        {"batch_sampling": "uniform"},
        {"uniform_mixing": 0.2},
        {"reweight": True},
        {"batch_loss": "squared_error"},
        {"class_balance": False},
        {"standardize": False, "learning_rate": 1.0},
        {"image_shape": None},
    ],
    ids=str,
)
def test_experts_of_other_training_are_not_used(digits, counted, tmp_path, change):
    X, _, y, _ = digits
    objective = technique(expert_folder=tmp_path, augment=None)
    distiller = quick(objective=objective, max_iter=1, batch_loss="cross_entropy").fit(X, y)
    distiller.set_params(**change).fit(X, y)
    assert counted == [3, 3]


def test_functions_of_one_name_may_make_different_networks(digits, counted, tmp_path):
    X, _, y, _ = digits

    def factory(activation):
        return lambda shape, n: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), activation(), nn.Linear(8, n)
        )

    for activation in (nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.ReLU):
        objective = technique(factory(activation), expert_folder=tmp_path, augment=None)
        quick(objective=objective, max_iter=1).fit(X, y)
    assert counted == [3, 3, 3]


def test_balance_tells_experts_of_equal_classes_apart(digits, counted, tmp_path):
    X, _, y, _ = digits
    index = np.concatenate([np.flatnonzero(y == label)[:40] for label in range(10)])
    distiller = quick(
        objective=technique(expert_folder=tmp_path), max_iter=1, batch_sampling="importance"
    )
    for balance in ("auto", False):
        distiller.set_params(class_balance=balance).fit(X[index], y[index])
    assert counted == [3, 3]


def test_numbers_of_numpy_find_the_same_files(digits, counted, tmp_path):
    X, _, y, _ = digits
    for real, integer in ((float, int), (np.float64, np.int64)):
        objective = technique(
            expert_folder=tmp_path, lr_teacher=real(0.05), expert_epochs=integer(2)
        )
        quick(objective=objective, max_iter=1, batch_size=integer(200)).fit(X, y)
    assert counted == [3]


def test_experts_of_other_data_are_not_used(digits, counted, tmp_path):
    X, _, y, _ = digits
    distiller = quick(objective=technique(expert_folder=tmp_path), max_iter=1).fit(X, y)
    distiller.fit(X[:-1], y[:-1])
    distiller.fit(X, np.roll(y, 1))
    distiller.fit(X, y, sample_weight=np.arange(len(X)) % 2 + 1)
    assert counted == [3, 3, 3, 3]
    distiller.fit(X[::-1], y[::-1])  # the same rows in another order
    assert counted == [3, 3, 3, 3]


def test_units_of_many_rows_do_not_depend_on_the_seed(digits, counted, tmp_path):
    X, _, y, _ = digits
    X = np.concatenate([X + k / 1000 for k in range(9)])  # more than units are taken from
    y = np.tile(y, 9)
    assert len(X) > 10_000
    objective = technique(expert_folder=tmp_path, n_experts=1, max_start_epoch=1, expert_epochs=1)
    for seed in (0, 1):
        quick(objective=objective, random_state=seed, max_iter=1, batch_sampling="uniform").fit(
            X, y
        )
    assert counted == [1]


def test_files_of_others_are_left_alone(digits, counted, tmp_path):
    X, _, y, _ = digits
    (tmp_path / "expert-0000.npz").write_text("mine")
    (tmp_path / "notes").mkdir()
    distiller = quick(objective=technique(expert_folder=tmp_path))
    distiller.fit(X, y)
    distiller.fit(X, y)
    assert counted == [3]
    assert (tmp_path / "expert-0000.npz").read_text() == "mine"
    assert sum(path.is_file() for path in tmp_path.iterdir()) == 4


def spoil(path, how):
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:200])
    elif how == "text":
        path.write_text("no expert")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other arrays":
        np.savez(path, weight=np.ones(3))
    elif how == "of another expert":
        path.write_bytes(min(path.parent.iterdir()).read_bytes())
    elif how in ("altered", "epochs exchanged", "without checksums"):
        with np.load(path) as file:
            arrays = dict(file)
        if how == "altered":
            arrays["0"][7] += np.float32(1e-3)
        elif how == "epochs exchanged":
            for name in ("0", "checksum 0"):
                other = name.replace("0", "1")
                arrays[name], arrays[other] = arrays[other], arrays[name]
        else:
            arrays = {name: values for name, values in arrays.items() if name.isdigit()}
        np.savez(path, **arrays)
    else:
        size = len(np.load(path)["0"])
        values = {
            "shape": np.ones(size - 1, np.float32),
            "dtype": np.ones(size),
            "nan": np.full(size, np.nan, np.float32),
            "pickled": np.full(size, None),
        }[how]
        np.savez(path, **{str(epoch): values for epoch in range(6)})


def test_files_that_are_no_experts_are_named(digits, counted, tmp_path):
    X, _, y, _ = digits
    distiller = quick(objective=technique(expert_folder=tmp_path), max_iter=1).fit(X, y)
    path = sorted(tmp_path.iterdir())[1]
    genuine = path.read_bytes()
    kinds = ["cut off", "text", "empty", "other arrays", "shape", "dtype", "nan", "pickled"]
    for how in [*kinds, "altered", "of another expert", "epochs exchanged", "without checksums"]:
        spoil(path, how)
        message = rf"{path.name}' of expert_folder holds no .* delete it"
        with pytest.raises(ValueError, match=message):
            distiller.fit(X, y)
        path.write_bytes(genuine)
    assert counted == [3]
    path.unlink()
    distiller.fit(X, y)
    assert counted == [3, 1]


def test_an_unwritable_folder_is_known_before_training(digits, counted, tmp_path, monkeypatch):
    X, _, y, _ = digits
    occupied = tmp_path / "file"
    occupied.write_text("")
    for folder in (occupied, occupied / "below"):
        with pytest.raises(ValueError, match=r"expert_folder='.*file.*' cannot be written to"):
            quick(objective=technique(expert_folder=folder)).fit(X, y)

    def refuse(*args, **options):
        raise PermissionError("Permission denied")

    monkeypatch.setattr(experts_module.tempfile, "TemporaryFile", refuse)
    with pytest.raises(ValueError, match=r"Permission denied.*use expert_folder=None"):
        quick(objective=technique(expert_folder=tmp_path)).fit(X, y)
    assert counted == []


def test_a_full_disk_leaves_no_part_of_an_expert(digits, tmp_path, monkeypatch):
    X, _, y, _ = digits

    def full(path, **arrays):
        path.write_bytes(b"the first half")
        raise OSError("No space left on device")

    monkeypatch.setattr(experts_module.np, "savez", full)
    with pytest.raises(ValueError, match="No space left on device"):
        quick(objective=technique(expert_folder=tmp_path)).fit(X, y)
    assert list(tmp_path.iterdir()) == []


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_experts": 0}, "n_experts=0 of TrajectoryMatching must be an integer >= 1"),
        ({"n_experts": 2.5}, r"n_experts=2\.5"),
        ({"expert_epochs": 0}, "expert_epochs=0"),
        ({"max_start_epoch": 0}, "max_start_epoch=0 of TrajectoryMatching .* >= 1"),
        ({"syn_steps": 0}, "syn_steps=0"),
        ({"batch_syn": 0}, "batch_syn=0 .* >= 1, or None"),
        ({"lr_teacher": 0}, "lr_teacher=0 of TrajectoryMatching must be a positive number"),
        ({"lr_teacher": float("inf")}, "lr_teacher=inf"),
        ({"lr_init": -0.1}, r"lr_init=-0\.1"),
        ({"lr_init": "auto"}, "lr_init='auto'"),
        ({"augment": "blur"}, "augment='blur' is unknown"),
        ({"network": "vgg"}, "network='vgg' is unknown"),
        ({"lr_teacher": 1e-20}, "lr_teacher=1e-20 of .* Use a larger lr_teacher, such as 0.01"),
        ({"lr_teacher": 1e30}, "Experts diverged; use a smaller lr_teacher"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(digits, options, message):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=message):
        quick(objective=TrajectoryMatching(**{"network": MLP(8), **options})).fit(X, y)


def test_steps_that_are_too_large_keep_the_last_good_rows(digits):
    X, _, y, _ = digits
    with pytest.warns(ConvergenceWarning, match="Use a smaller learning_rate"):
        distiller = quick(learning_rate=1e6, max_iter=10).fit(X, y)
    assert np.isfinite(distiller.distilled_.X).all()
    assert distiller.objective_.lr_init == pytest.approx(0.01)


def test_targets_without_classes_are_refused():
    X, y = load_diabetes(return_X_y=True)
    for target in (y, np.stack([y > 100, y > 200], axis=1), None):
        with pytest.raises(ValueError, match="use objective='kernel_ridge'"):
            DatasetDistiller(5, objective="trajectory_matching").fit(X, target)


def test_one_class_is_refused(digits):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=r"y has one class.*use objective='distribution_matching'"):
        quick().fit(X, y * 0)
    few = DatasetDistiller(3, objective="distribution_matching", max_iter=2, random_state=0)
    assert len(few.fit_distill(X, y * 0)) == 3


def test_its_own_parameters_can_be_searched(digits):
    X, _, y, _ = digits
    grid = GridSearchCV(
        DistilledClassifier(
            KNeighborsClassifier(1),
            quick(objective=technique(augment=None), max_iter=2, batch_size=100),
            use_weights=False,
        ),
        {
            "distiller__objective__network__width": [8, 16],
            "distiller__objective__syn_steps": [2, 4],
        },
        cv=2,
    ).fit(X[:300], y[:300])
    assert grid.best_score_ > 0.4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("folder", [False, True])
def test_on_cuda(digits, folder, tmp_path):
    X, _, y, _ = digits
    objective = technique(
        ConvNet(8), max_start_epoch=5, expert_epochs=3, expert_folder=tmp_path if folder else None
    )
    distiller = quick(objective=objective, max_iter=60, init="uniform", device="cuda").fit(X, y)
    assert distiller.device_.startswith("cuda")
    assert np.mean(distiller.loss_curve_[-15:]) < 0.8 * np.mean(distiller.loss_curve_[:15])
