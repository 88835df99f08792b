"""The training loop: with a toy technique, with kernel ridge, and when things go wrong."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from small_problems import generator

from skdistill.batches.sampler import BatchSampler
from skdistill.kernels import Kernel
from skdistill.learning.coordinates import robust_coordinates
from skdistill.learning.folds import average_checks, best_stop, train_in_folds
from skdistill.learning.kernel_search import landmark_count, search_rbf
from skdistill.learning.trainer import Check, Stop, Trainer, TrainingOptions, finish, train
from skdistill.objectives import Context, KernelRidge, Objective, Stage, TrainingSet
from skdistill.optimizers import make_optimizer

CPU = torch.device("cpu")
F64 = torch.float64


def waves(n=600, seed=0):
    """One output that depends on two of three features."""
    g = generator(seed)
    rows = torch.rand(n, 3, generator=g) * 2 - 1
    y = torch.sin(4 * rows[:, :1]) * rows[:, 1:2]
    return TrainingSet(rows, (y / y.std()).double(), torch.ones(n))


def rings(n=800, seed=0):
    """Three classes by distance from the origin."""
    g = generator(seed)
    rows = torch.randn(n, 2, generator=g)
    codes = torch.bucketize(rows.norm(dim=1), torch.tensor([0.8, 1.5]))
    return TrainingSet(rows, torch.eye(3)[codes], torch.ones(n), codes)


class MeanMatching(Objective):
    """Each class's rows learn the mean of random features of its real rows: a toy technique.

    Like techniques over networks it draws a new feature map each step, learns rows and a rate of
    its own, and induces a predictor that has nothing to do with its loss.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})

    def __init__(self, width=32):
        self.width = width

    def stages(self, max_iter):
        return [Stage("match", 200 if max_iter is None else max_iter, 128, torch.float32, 20)]

    def begin(self, stage, support, sample):
        support.extra["shrink"] = torch.zeros(1)
        return super().begin(stage, support, sample)

    def rates(self, stage, support):
        return {"rows": self._context.learning_rate, "shrink": 0.01}

    def batch_loss(self, support, batch, weights):
        g = self._context.generator
        W = torch.randn(support.rows.shape[1], self.width, generator=g)
        real = batch.targets.T @ (torch.tanh(batch.rows @ W) * weights[:, None])
        share = support.labels / support.labels.sum(0)
        learnt = share.T @ torch.tanh(support.rows @ W) * torch.exp(-support["shrink"])
        mass = batch.targets.T @ weights
        return (real - learnt * mass[:, None]).square().sum() + support["shrink"].square().sum()

    def after_step(self, support):
        support["shrink"].clamp_(min=0)

    def predictor(self, support):
        def nearest_row(rows):
            return -torch.cdist(rows, support.rows) @ support.labels

        return nearest_row


def toy_problem(n_classes=3):
    g = generator(5)
    codes = torch.randint(n_classes, (900,), generator=g)
    rows = torch.randn(900, 4, generator=g) * 0.5 + 3 * torch.eye(n_classes, 4)[codes]
    return TrainingSet(rows, torch.eye(n_classes)[codes], torch.ones(900), codes)


def trainer(objective, data, start, held, *, options=None, importance=False, seed=0, **context):
    """Trainer with the rows at `held` held out; none if that is None."""
    g = generator(seed)
    n, q = data.targets.shape
    kind = "numbers" if data.codes is None else "classes"
    kernel = context.pop("kernel", Kernel("rbf", 1.0))
    keep_all = context.pop("keep_all", False)
    objective.setup(Context(kind, len(start), data.rows.shape[1], q, kernel, g, CPU, **context))
    kept = torch.ones(n, dtype=torch.bool)
    if held is not None:
        kept[held] = False
    fit = data.subset(torch.nonzero(kept)[:, 0])
    support = objective.start(data.rows[start].clone(), data.targets[start].clone())

    def losses(outputs, temperature, index):
        if kind == "classes":
            return -(torch.log_softmax(outputs / temperature, 1) * fit.targets[index]).sum(1)
        return (outputs - fit.targets[index]).square().sum(1)

    return Trainer(
        objective,
        support,
        fit,
        BatchSampler(fit.weight, g, importance=importance),
        options or TrainingOptions(max_iter=200),
        held_out=None if held is None else data.subset(held),
        losses=losses,
        keep_all=keep_all,
    )


def run(objective, data, start, **changes):
    """Train with a third of the rows held out."""
    return train(trainer(objective, data, start, torch.arange(len(data) // 3), **changes))


def test_toy_technique_needs_nothing_but_the_protocol():
    data = toy_problem()
    wrong = torch.tensor([torch.nonzero(data.codes == c)[0, 0] for c in (0, 1, 2)])
    objective = MeanMatching()
    start = data.rows[wrong].roll(1, 0)  # each class starts on another class's row
    data.rows[wrong] = start
    result = run(objective, data, wrong, importance=True)
    assert result.status == "finished" and result.n_iter == 200
    assert result.checks[0].scores[None] < 0.1
    assert result.best is not None and result.checks[-1].scores[None] > 0.95
    assert sum(result.loss_curve[-20:]) < 0.2 * sum(result.loss_curve[:20])
    assert float(result.support["shrink"]) >= 0


def test_loss_falls_and_score_rises_for_numbers():
    result = run(KernelRidge(), waves(), torch.arange(20), options=TrainingOptions(max_iter=150))
    assert sum(result.loss_curve[-10:]) < 0.2 * sum(result.loss_curve[:10])
    first, best = (
        max(c.scores.values()) for c in (result.checks[0], max(result.checks, key=_best))
    )
    assert best > first + 0.1 and best > 0.94


def _best(check):
    return max(check.scores.values())


@pytest.mark.parametrize("name", ["laplacian", "polynomial", "linear", "nngp", "ntk"])
def test_other_kernels_learn(name):
    params = {"depth": 2} if name in ("nngp", "ntk") else {}
    kernel = Kernel(name, 0.5, 3, 1.0, params)
    result = run(
        KernelRidge(),
        waves(),
        torch.arange(12),
        kernel=kernel,
        options=TrainingOptions(max_iter=60),
    )
    assert result.status == "finished"
    assert result.support.is_finite()
    if name != "linear":  # any rows that span the space make the best linear predictor
        assert sum(result.loss_curve[-5:]) < 0.99 * sum(result.loss_curve[:5])


@pytest.mark.parametrize("importance", [False, True])
def test_classes_pass_through_both_stages(importance):
    data = rings()
    result = run(
        KernelRidge(),
        data,
        torch.arange(9),
        options=TrainingOptions(max_iter=400),
        importance=importance,
    )
    assert {check.stage for check in result.checks} == {0, 1}
    assert result.best is not None and result.best.stage == 1
    assert max(c.scores[None] for c in result.checks if c.stage == 1) > 0.93


class SpoilsCrossEntropy(KernelRidge):
    """Turns its predictor upside down in the last stage, and then hardly moves."""

    def __init__(self, reg="auto", loss="auto", dropout=0.0, interrupt=False):
        super().__init__(reg, loss, dropout)
        self.interrupt = interrupt

    def begin(self, stage, support, sample):
        support = super().begin(stage, support, sample)
        if stage.name == "dual":
            support.extra["dual"].neg_()
            if self.interrupt:
                raise KeyboardInterrupt
        return support

    def rates(self, stage, support):
        return dict.fromkeys(super().rates(stage, support), 1e-9 if stage.name == "dual" else 0.02)


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_stage_that_improves_nothing_is_left_out(interrupt):
    data = rings()
    objective = SpoilsCrossEntropy(interrupt=interrupt)
    result = run(objective, data, torch.arange(9), options=TrainingOptions(max_iter=120))
    first = [_best(c) for c in result.checks if c.stage == 0]
    assert result.best is not None and result.best.stage == 0
    found = _best(next(c for c in result.checks if c[:2] == result.best[:2]))
    assert max(first) - 0.05 < found <= max(first)  # a standard error is left to chance
    support = finish(objective, result, data, data.weight)
    assert not torch.equal(support["dual"], result.support["dual"])  # solved anew, on all rows
    hits = objective.predictor(support)(data.rows.double()).argmax(1) == data.codes
    assert hits.double().mean() > 0.9


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_fixed_and_learnt_labels(labels, loss):
    data = rings()
    start = torch.cat([torch.nonzero(data.codes == c)[:3, 0] for c in range(3)])
    result = run(KernelRidge(loss=loss), data, start, learn_labels=labels)
    moved = not torch.equal(result.support.labels, data.targets[start].double())
    assert moved == labels
    assert _best(max(result.checks, key=_best)) > _best(result.checks[0])


def test_frozen_columns_do_not_move():
    data = waves()
    objective = KernelRidge()
    g = generator()
    objective.setup(Context("numbers", 8, 3, 1, Kernel("rbf", 1.0), g, CPU))
    support = objective.start(data.rows[:8], data.targets[:8])
    support.rows[:, 2], support.free = 0, 2
    batches = BatchSampler(data.weight, g)
    result = train(Trainer(objective, support, data, batches, TrainingOptions(max_iter=30)))
    assert (result.support.rows[:, 2] == 0).all()
    assert not torch.equal(result.support.rows[:, :2], support.rows[:, :2])


def test_same_seed_same_bits():
    one, other = (run(KernelRidge(), rings(), torch.arange(6), importance=True) for _ in range(2))
    assert one.loss_curve == other.loss_curve
    assert torch.equal(one.support.rows, other.support.rows)


def test_global_generator_is_left_alone():
    state = torch.get_rng_state()
    run(KernelRidge(), rings(), torch.arange(6), options=TrainingOptions(max_iter=20))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_steps_give_the_start():
    data = waves()
    result = run(KernelRidge(), data, torch.arange(10), options=TrainingOptions(max_iter=0))
    assert result.n_iter == 0 and result.loss_curve == []
    torch.testing.assert_close(result.support.rows.float(), data.rows[:10])
    assert result.best is not None and math.isfinite(_best(result.checks[0]))


def test_absurd_rate_keeps_the_best():
    result = run(KernelRidge(), waves(), torch.arange(10), learning_rate=1e4)
    assert result.support.is_finite()
    assert result.best is not None
    best = next(c for c in result.checks if c.step == result.best.step)
    assert _best(best) == max(map(_best, result.checks)) >= _best(result.checks[0])


class Breaks(MeanMatching):
    """Loses its numbers, or its patience, at a step."""

    def __init__(self, at=50, interrupt=False):
        super().__init__()
        self.at, self.interrupt, self.steps = at, interrupt, 0

    def batch_loss(self, support, batch, weights):
        self.steps += 1
        if self.steps == self.at and self.interrupt:
            raise KeyboardInterrupt
        loss = super().batch_loss(support, batch, weights)
        return loss * math.nan if self.steps >= self.at else loss


@pytest.mark.parametrize(("interrupt", "status"), [(False, "diverged"), (True, "interrupted")])
def test_trouble_keeps_the_best_set(interrupt, status):
    data = toy_problem()
    result = run(Breaks(interrupt=interrupt), data, torch.arange(9))
    assert result.status == status
    assert result.support.is_finite()
    assert result.best is not None and result.best.step <= 40
    assert result.n_iter < 70


def test_trouble_in_folds_is_told():
    data = toy_problem()
    start = torch.arange(9)
    whole = trainer(MeanMatching(), data, start, None)
    for at, status in ((50, "diverged"), (10**6, "finished")):
        parts = [
            trainer(Breaks(at), data, start, torch.arange(k, len(data), 3), keep_all=True)
            for k in range(3)
        ]
        result = train_in_folds(whole, parts)
        assert result.status == status and result.support.is_finite()
        whole = trainer(MeanMatching(), data, start, None)


class WrongShapes(MeanMatching):
    """Returns what no technique should."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def batch_loss(self, support, batch, weights):
        loss = super().batch_loss(support, batch, weights)
        wrong = {"vector": loss * weights, "number": 1.0, "constant": loss.detach()}
        return wrong.get(self.what, loss)

    def predictor(self, support):
        predict = super().predictor(support)
        return (lambda rows: predict(rows)[:, 0]) if self.what == "column" else predict


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "vector",
            r"WrongShapes.batch_loss returned a tensor of shape \(\d+,\); it must return one",
        ),
        ("number", "WrongShapes.batch_loss returned a float; it must return one number"),
        ("constant", "does not depend on what is learnt"),
        ("column", r"predictor of WrongShapes gives a tensor of shape \(300,\) for 300 rows"),
    ],
)
def test_wrong_shapes_name_the_method(what, message):
    with pytest.raises(ValueError, match=message):
        run(WrongShapes(what), toy_problem(), torch.arange(9))


def test_a_wrong_predictor_is_named_without_held_out_rows():
    with pytest.raises(ValueError, match="predictor of WrongShapes"):
        train(trainer(WrongShapes("column"), toy_problem(), torch.arange(9), None, importance=True))


def test_early_stopping():
    options = TrainingOptions(max_iter=5000, patience=3, tol=0.5)
    result = run(MeanMatching(), toy_problem(), torch.arange(9), options=options)
    assert result.status == "stopped_early"
    assert result.n_iter == 60


def test_report_is_called_at_each_look():
    seen = []
    options = TrainingOptions(max_iter=60, report=seen.append)
    result = run(MeanMatching(), toy_problem(), torch.arange(9), options=options)
    assert [look.step for look in seen] == [0, 20, 40, 60] == [c.step for c in result.checks]
    assert [look.score for look in seen] == [max(c.scores.values()) for c in result.checks]
    assert {(look.part, look.n_steps) for look in seen} == {("", 60)}


def folds(objective, data, start, n_parts=3, **changes):
    """Train on all rows, with stops found on parts."""
    options = changes.pop("options", TrainingOptions(max_iter=120, adapt=False))
    parts = [
        trainer(type(objective)(), data, start, held, options=options, keep_all=True, **changes)
        for held in torch.arange(len(data)).chunk(n_parts)
    ]
    whole = trainer(objective, data, start, None, options=options, **changes)
    return whole, parts, train_in_folds(whole, parts)


def test_few_rows_train_on_all_of_them_up_to_the_best_step():
    data = rings(150)
    whole, parts, result = folds(KernelRidge(), data, torch.arange(9))
    assert result.status == "finished"
    assert result.best is not None
    assert len(whole.data) == 150 and {len(part.data) for part in parts} == {100}
    assert whole.result.n_iter < parts[0].result.n_iter
    best = max(c.scores[k] for c in result.checks for k in c.scores)
    assert best == best_stop(result.checks)[1] > 0.85
    stages = {
        check.stage: best_stop([c for c in result.checks if c.stage == check.stage])
        for check in result.checks
    }
    reached = sum(stop.step for stop, _ in stages.values() if stop.stage <= result.best.stage)
    assert result.n_iter == reached


def test_folds_of_a_technique_that_breaks():
    data = toy_problem()
    _, _, result = folds(Breaks(), data, torch.arange(9))
    assert result.support.is_finite()
    assert result.best is not None and result.best.step <= 40


def test_scores_are_averaged_over_parts():
    one = [Check(0, 0, {"a": 0.5, "b": 0.1}), Check(0, 1, {"a": 0.6, "b": 0.9})]
    other = [Check(0, 0, {"a": 0.5, "b": 0.9})]
    assert average_checks([one, other], [1.0, 3.0]) == [
        Check(0, 0, {"a": 0.5, "b": pytest.approx(0.7)})
    ]
    assert best_stop(one) == (Stop(0, 1, "b"), 0.9)
    assert best_stop([Check(0, 0, {"a": -math.inf})]) == (None, -math.inf)


def test_trainers_return_only_to_what_they_kept():
    with pytest.raises(RuntimeError, match="keep_all=True"):
        trainer(KernelRidge(), rings(), torch.arange(6), None).return_to(Stop(0, 0, None))


def test_finish_solves_labels_on_all_rows():
    data = waves()
    objective = KernelRidge()
    result = run(objective, data, torch.arange(20))
    support = finish(objective, result, data, data.weight)
    outputs = [objective.predictor(s)(data.rows) for s in (result.support, support)]
    errors = [float((o - data.targets).square().mean()) for o in outputs]
    assert errors[1] <= errors[0] * (1 + 1e-6)
    assert torch.equal(support.rows, result.support.rows)


@pytest.mark.parametrize("rotated", [False, True])
def test_scikit_learn_reproduces_the_predictor_on_rows_in_the_users_units(rotated):
    rng = np.random.default_rng(0)
    X = (
        rng.normal(size=(900, 4)) @ rng.normal(size=(4, 20))
        if rotated
        else rng.normal(size=(900, 4))
    )
    X = X * 50 + 1000 if rotated else X * [1e3, 1, 1e-3, 5] + [1e4, 0, 7, 7]
    coordinates = robust_coordinates(
        X, np.ones(900), per_feature=not rotated, explained=0.9999 if rotated else None
    )
    assert (coordinates.basis is not None) == rotated
    rows = coordinates.load(X, torch.float32, CPU)
    codes = (rows[:, 0] * rows[:, 1] > 0).long()
    data = TrainingSet(rows, torch.eye(2)[codes], torch.ones(900), codes)
    objective, g = KernelRidge(), generator()
    objective.setup(Context("classes", 20, coordinates.width, 2, Kernel("rbf", 0.5), g, CPU))
    start = rows[:20].double()
    start[:, coordinates.free :] = 0
    scale = torch.full((1 if rotated else 4,), 0.7, dtype=F64)
    support = objective.start(start, data.targets[:20].double(), scale)
    support.free = coordinates.free
    options = TrainingOptions(max_iter=200)
    batches = BatchSampler(data.weight, g)
    result = train(Trainer(objective, support, data, batches, options, held_out=data))
    small = finish(objective, result, data, data.weight).to(F64)

    small_X = coordinates.restore(objective.rows(small))
    length_scale = coordinates.scale / (math.sqrt(2) * small["log_scale"].exp().numpy())
    if rotated:  # one scale for all features: gamma of the plain kernel
        gamma = 0.5 / length_scale[0] ** 2
        model = SklearnKernelRidge(kernel="rbf", gamma=gamma, alpha=1e-6)
        K = rbf_kernel(small_X, gamma=gamma)
    else:
        model = SklearnKernelRidge(kernel=RBF(length_scale), alpha=1e-6)
        K = RBF(length_scale)(small_X)
    targets = (K + 1e-6 * np.eye(20)) @ small["dual"].numpy()
    found = model.fit(small_X, targets).predict(X) + small["intercept"].numpy()
    exact = coordinates.load(X, F64, CPU)
    np.testing.assert_allclose(found, objective.predictor(small)(exact).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_optimizers_reach_the_minimum(name):
    x = torch.tensor([3.0, -2.0])
    optimizer = make_optimizer(name, [x], [0.1])
    for step in range(300):
        optimizer.step([2 * x * torch.tensor([1.0, 1.5])], 1 - step / 300)
    assert float(x.abs().max()) < 0.05


def test_adam_is_that_of_torch():
    g = generator()
    ours, theirs = (torch.ones(4, dtype=F64), torch.ones(4, dtype=F64, requires_grad=True))
    optimizer = make_optimizer("adam", [ours], [0.1])
    reference = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), eps=0)
    for _ in range(20):
        gradient = torch.randn(4, generator=g, dtype=F64)
        optimizer.step([gradient], 1.0)
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(ours, theirs.detach())


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="optimizer='lion' is unknown"):
        make_optimizer("lion", [], [])


def test_kernel_search_finds_the_scale_of_the_data():
    data = waves(900)
    order = torch.randperm(900, generator=generator())
    splits = [(order[300:], order[:300])]
    found = search_rbf(data, splits, 10, "numbers")
    assert 0.25 <= found.gamma <= 4
    assert found.score > 0.97
    shrunk = TrainingSet(data.rows / 4, data.targets, data.weight)
    assert search_rbf(shrunk, splits, 10, "numbers").gamma >= 8 * found.gamma


def test_kernel_search_with_signs_that_do_not_matter():
    rows = torch.randn(900, 3, generator=generator(), dtype=torch.float64) / 3**0.5
    targets = torch.sin(4 * rows[:, :1]) * (rows[:, 1:2] * rows[:, 2:])
    data = TrainingSet(rows, targets, torch.ones(900, dtype=torch.float64))
    order = torch.randperm(900, generator=generator())
    splits = [(order[300:], order[:300])]
    plain = search_rbf(data, splits, 3, "numbers")
    assert search_rbf(data, splits, 3, "numbers", n_odd=2).score > plain.score + 0.03


@pytest.mark.parametrize(
    ("m", "n", "expected"),
    [(2, 10**5, 50), (10, 10**5, 200), (900, 10**5, 900), (20, 240, 60), (50, 30, 30)],
)
def test_landmark_count(m, n, expected):
    assert landmark_count(m, n) == expected


def test_missing_pieces_say_so():
    objective = Objective()
    with pytest.raises(NotImplementedError, match="batch_loss"):
        objective.batch_loss(None, None, None)
    with pytest.raises(NotImplementedError, match="predictor"):
        objective.predictor(None)
    with pytest.raises(ValueError, match="is of kind 'numbers'; use objective='kernel_ridge'"):
        objective.setup(Context("numbers", 5, 3, 1, Kernel("rbf"), generator(), CPU))
