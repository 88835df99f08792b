"""Kernel ridge objective: dense float64 oracles for losses, label solves and gradients."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from small_problems import CPU, F64, generator

from skdistill.kernels import Kernel
from skdistill.objectives import AnalyticRidge, Batch, Context, KernelRidge, Sample, TrainingSet
from skdistill.objectives._ridge import rbf as rbf_module
from skdistill.objectives._ridge.dropout import Dropout

KERNELS = [
    Kernel("rbf", 0.7),
    Kernel("mirror_rbf", 0.7, params={"n_odd": 2}),
    Kernel("laplacian", 0.5),
    Kernel("polynomial", 0.5, 2, 1.0),
    Kernel("linear"),
    Kernel("nngp", 0.3, params={"depth": 2}),
    Kernel("ntk", 0.3, params={"depth": 2}),
]


SCALED = KERNELS[:2]  # whose scales are learnt


def random_set(n=60, d=3, q=2, kind="numbers", seed=0):
    g = generator(seed)
    rows = torch.randn(n, d, generator=g, dtype=F64)
    if kind == "none":
        targets = None
    elif kind == "classes":
        codes = torch.randint(q, (n,), generator=g)
        targets = torch.eye(q, dtype=F64)[codes]
    else:
        targets = torch.randn(n, q, generator=g, dtype=F64)
    weight = torch.rand(n, generator=g, dtype=F64) + 0.1
    return TrainingSet(rows, targets, weight)


def make(kind="numbers", kernel=KERNELS[0], m=5, q=2, d=3, reg=1e-2, stage=0, **changes):
    """Objective at the start of a stage, its support, and data."""
    data = random_set(kind=kind, q=q, d=d)
    loss = changes.pop("loss", "auto")
    objective = KernelRidge(reg=reg, loss=loss)
    context = Context(kind, m, d, q, kernel, generator(), CPU, **changes)
    objective.setup(context)
    g = generator(1)
    rows = torch.randn(m, d, generator=g, dtype=F64)
    labels = None if kind == "none" else data.targets[:m] + 0.1
    scale = None
    if kernel in SCALED:
        scale = torch.rand(d, generator=g, dtype=F64) + 0.5
    support = objective.start(rows, labels, scale)
    weight = data.weight / data.weight.sum()
    sample = Sample(data, torch.arange(len(data)), weight)
    support = objective.begin(objective.stages(None)[stage], support, sample).to(F64)
    return objective, support, data, sample


def plain_kernel(objective, support, rows):
    """Kernel block written out: no expansion of the square."""
    if "log_scale" not in support.extra:
        return objective._context.kernel(rows, support.rows)
    return written_out(rows * support["log_scale"].exp(), support.rows, objective)


def support_kernel(objective, support):
    if "log_scale" not in support.extra:
        return objective._context.kernel(support.rows, support.rows)
    return written_out(support.rows, support.rows, objective)


def written_out(U, V, objective):
    """Mean over both signs of the last columns, where there are such."""
    sign = torch.ones(V.shape[1], dtype=F64)
    sign[V.shape[1] - objective._context.kernel.n_odd :] = -1
    blocks = [torch.exp(-(U[:, None] - W[None]).square().sum(-1)) for W in (V, V * sign)]
    return (blocks[0] + blocks[1]) / 2


def ridge_loss(objective, support, batch, v, mu):
    """Value of the label problem at its solution, through a stacked least-squares problem."""
    K, K_SS = plain_kernel(objective, support, batch.rows), support_kernel(objective, support)
    root = v.sqrt()[:, None]
    values, vectors = torch.linalg.eigh(K_SS)
    half = vectors * values.clamp(min=0).sqrt() @ vectors.T
    design = torch.cat(
        [torch.cat([root * K, root], 1), torch.cat([mu**0.5 * half, half[:, :1] * 0], 1)]
    )
    target = torch.cat(
        [root * batch.targets, torch.zeros(len(K_SS), batch.targets.shape[1]).to(F64)]
    )
    solution = torch.linalg.lstsq(design, target, driver="gelsd").solution
    return 0.5 * (design @ solution - target).square().sum(), solution


def numeric_gradient(function, tensor, step=1e-5):
    gradient = torch.zeros_like(tensor)
    for i in np.ndindex(*tensor.shape):
        keep = tensor[i].item()
        values = []
        for sign in (1, -1):
            tensor[i] = keep + sign * step
            values.append(float(function()))
        tensor[i] = keep
        gradient[i] = (values[0] - values[1]) / (2 * step)
    return gradient


def check_gradients(objective, support, batch, v, names, rtol=1e-5):
    _, found = objective.gradients(support, batch, v, names)
    found = [g.clone() for g in found]
    for name, gradient in zip(names, found, strict=True):
        expected = numeric_gradient(
            lambda: objective.gradients(support, batch, v, names)[0], support[name]
        )
        tolerance = rtol * float(expected.abs().max()) + 1e-9
        torch.testing.assert_close(gradient, expected, rtol=0, atol=tolerance, msg=name)


@pytest.fixture(params=[False, True], ids=["one tile", "small tiles"])
def tiles(request, monkeypatch):
    """The same numbers whatever the tiles."""
    if request.param:
        monkeypatch.setattr(rbf_module, "_TILE_ELEMENTS", 35)
        monkeypatch.setattr(rbf_module, "_MIN_TILE_ROWS", 7)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_solved_labels_against_least_squares(kernel, tiles):
    objective, support, data, sample = make(kernel=kernel)
    objective.solve(support, sample)
    objective.choose(support, 1e-2)
    value, solution = ridge_loss(
        objective, support, Batch(data.rows, data.targets), sample.weight, 1e-2
    )
    K = plain_kernel(objective, support, data.rows)
    expected = K @ solution[:-1] + solution[-1]
    torch.testing.assert_close(
        objective.predictor(support)(data.rows), expected, rtol=1e-5, atol=1e-6
    )
    names = ["rows"]
    found, _ = objective.gradients(support, Batch(data.rows, data.targets), sample.weight, names)
    torch.testing.assert_close(found, value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize("total", [1.0, 0.6])
def test_envelope_gradient_of_solved_labels(kernel, total, tiles):
    # The numeric derivative solves the labels anew at every shifted support. Weights that undo the
    # bias of a draw sum to 1 in expectation alone.
    objective, support, data, sample = make(kernel=kernel)
    names = ["rows", "log_scale"] if kernel in SCALED else ["rows"]
    batch, weight = Batch(data.rows, data.targets), total * sample.weight
    check_gradients(objective, support, batch, weight, names, 1e-4)
    found, _ = objective.gradients(support, batch, weight, names)
    expected, _ = ridge_loss(objective, support, batch, sample.weight, float(support["ridge"]))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("one_scale", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kernel", SCALED, ids=lambda k: k.name)
def test_gradients_of_cross_entropy(kernel, smoothing, one_scale, tiles):
    objective, support, data, sample = make("classes", kernel, q=3, stage=1)
    if one_scale:
        support.extra["log_scale"] = support["log_scale"][:1].clone()
    objective._smoothing = smoothing
    names = ["rows", "log_scale", "dual", "intercept", "log_temperature"]
    batch = Batch(data.rows, data.targets)
    check_gradients(objective, support, batch, sample.weight, names)
    value, _ = objective.gradients(support, batch, sample.weight, names)
    K = plain_kernel(objective, support, data.rows)
    outputs = (K @ support["dual"] + support["intercept"]) / support["log_temperature"].exp()
    smooth = data.targets * (1 - smoothing) + smoothing / 3
    expected = -(sample.weight @ (torch.log_softmax(outputs, 1) * smooth).sum(1))
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("kernel", KERNELS[2:], ids=lambda k: k.name)
def test_gradients_of_cross_entropy_by_autograd(kernel):
    objective, support, data, sample = make("classes", kernel, q=3, stage=1)
    names = ["rows", "dual", "intercept", "log_temperature"]
    check_gradients(objective, support, Batch(data.rows, data.targets), sample.weight, names)


@pytest.mark.parametrize("kernel", KERNELS[:3], ids=lambda k: k.name)
@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_gradients_through_labels(kind, kernel, tiles):
    objective, support, data, sample = make(kind, kernel, learn_labels=True)
    names = ["rows", "labels"]
    names += ["log_scale"] * (kernel in SCALED) + ["log_temperature"] * (kind == "classes")
    batch = Batch(data.rows, data.targets)
    check_gradients(objective, support, batch, sample.weight, names, 1e-4)
    if kind == "numbers":
        value, _ = objective.gradients(support, batch, sample.weight, names)
        K_SS = support_kernel(objective, support) + 1e-2 * torch.eye(5, dtype=F64)
        outputs = (
            plain_kernel(objective, support, data.rows) @ torch.linalg.inv(K_SS) @ support.labels
        )
        expected = 0.5 * (sample.weight @ (outputs - data.targets).square()).sum()
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("one_scale", [True, False])
@pytest.mark.parametrize("kernel", KERNELS[:4], ids=lambda k: k.name)
def test_nystroem_error_and_its_gradients(kernel, one_scale, tiles):
    objective, support, data, sample = make("none", kernel)
    names = ["rows", "log_scale"] if kernel in SCALED else ["rows"]
    if kernel in SCALED and one_scale:
        support.extra["log_scale"] = support["log_scale"][:1].clone()
    batch = Batch(data.rows, None)
    check_gradients(objective, support, batch, sample.weight, names, 1e-4)
    value, _ = objective.gradients(support, batch, sample.weight, names)
    K = plain_kernel(objective, support, data.rows)
    K_SS = support_kernel(objective, support) + 1e-2 * torch.eye(5, dtype=F64)
    explained = (K @ torch.linalg.inv(K_SS) * K).sum(1)
    diagonal = objective._context.kernel.diagonal(data.rows)
    if kernel in SCALED:
        scaled = data.rows * support["log_scale"].exp()
        diagonal = written_out(scaled, scaled, objective).diagonal()
    expected = sample.weight @ (diagonal - explained)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("kernel", SCALED, ids=lambda k: k.name)
def test_rbf_is_that_of_the_kernels_package(kernel):
    objective, support, data, _ = make(kernel=kernel)
    support = objective.start(support.rows, support.labels)
    found = objective._steps.kernel(data.rows, support)
    expected = kernel(data.rows, objective.rows(support))
    torch.testing.assert_close(found, expected)


def test_rows_are_the_way_back_from_start():
    objective, _, data, _ = make()
    support = objective.start(
        data.rows[:5], data.targets[:5], torch.tensor([0.5, 2.0, 3.0]).to(F64)
    )
    torch.testing.assert_close(objective.rows(support), data.rows[:5])


def test_integer_weights_are_repetitions():
    objective, support, data, _ = make()
    counts = torch.arange(len(data)) % 3 + 1
    heavy = Sample(data, torch.arange(len(data)), counts / counts.sum())
    repeated = data.subset(torch.repeat_interleave(torch.arange(len(data)), counts))
    long = Sample(
        repeated, torch.arange(len(repeated)), torch.full((len(repeated),), 1 / len(repeated))
    )
    found = []
    for sample in (heavy, long):
        objective.solve(support, sample)
        objective.choose(support, 1e-3)
        found.append(objective.predictor(support)(data.rows))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_repeated_support_rows_are_solved():
    objective, support, data, sample = make(reg=1e-12)
    support.rows[1:] = support.rows[0]
    batch = Batch(data.rows, data.targets)
    value, gradients = objective.gradients(support, batch, sample.weight, ["rows"])
    assert torch.isfinite(value) and torch.isfinite(gradients[0]).all()


def test_dropout_leaves_lengths_and_is_that_of_the_generator():
    objective, support, data, sample = make("classes", q=3, stage=1)
    objective.dropout = 0.25
    batch = Batch(data.rows, data.targets)
    dropped = objective._dropped(Batch(torch.ones(4000, 3).to(F64), None)).rows
    assert dropped.unique().tolist() == pytest.approx([0.0, 0.75**-0.5])
    assert float(dropped.square().mean()) == pytest.approx(1, abs=0.03)
    names = ["rows", "dual"]
    objective._context.generator.manual_seed(7)
    value, gradients = objective.gradients(support, batch, sample.weight, names)
    objective._context.generator.manual_seed(7)
    same = objective._dropped(batch)
    assert not torch.equal(same.rows, batch.rows)
    objective.dropout = 0.0
    expected, plain = objective.gradients(support, same, sample.weight, names)
    torch.testing.assert_close(value, expected)
    for found, other in zip(gradients, plain, strict=True):
        torch.testing.assert_close(found, other)


def test_dropout_follows_the_share_and_the_size_of_batches():
    dropout = Dropout(generator())
    for share, shape in ((0.5, (300, 4)), (0.2, (300, 4)), (0.2, (500, 7)), (0.2, (10, 3))):
        rows = torch.ones(shape, dtype=F64)
        first = dropout(rows, share).clone()
        assert first.shape == shape
        assert first.unique().tolist() == pytest.approx([0.0, (1 - share) ** -0.5])
        if len(rows) > 100:
            assert float((first == 0).to(F64).mean()) == pytest.approx(share, abs=0.05)
            assert not torch.equal(first, dropout(rows, share))  # others the next time


@pytest.mark.parametrize(
    ("given", "unit_rows", "m", "expected"),
    [
        ("auto", True, 50, 0.2),
        ("auto", True, 49, 0.0),
        ("auto", False, 50, 0.0),
        (0.1, True, 10, 0.1),
        (0.0, True, 50, 0.0),
    ],
)
def test_dropout_is_for_rows_of_length_one(given, unit_rows, m, expected):
    objective, *_ = make("classes", q=3, stage=1)
    objective.dropout = given
    objective._context = dataclasses.replace(objective._context, unit_rows=unit_rows, n_support=m)
    assert objective._share_dropped == expected


@pytest.mark.parametrize("several", [False, True])
def test_ridge_of_classes_is_chosen_by_squared_error(several):
    ridges = (1e-6, 1e-2, 1.0, 100.0)
    objective, support, _, sample = make(
        "classes", reg="auto", ridges=ridges, several_parts=several, loss="squared_error", q=3
    )
    objective.solve(support, sample)
    held_out = random_set(n=40, kind="classes", q=3, seed=3)
    found = objective.scores(support, held_out)
    errors, hits = {}, {}
    share = held_out.weight / held_out.weight.sum()
    for ridge in ridges:
        objective.choose(support, ridge)
        outputs = objective.predictor(support)(held_out.rows)
        errors[ridge] = float(share @ (outputs - held_out.targets).square().sum(1))
        right = outputs.argmax(1) == held_out.targets.argmax(1)
        hits[ridge] = float(share @ right.double())
    chosen = min(errors, key=errors.get)
    assert len(set(hits.values())) > 1 and chosen not in (ridges[0], max(hits, key=hits.get))
    expected = hits if several else {chosen: hits[chosen]}
    assert found == pytest.approx(expected)


def test_smoothing_follows_the_gap_between_errors():
    objective, *_ = make("classes", stage=1)
    objective.expect(0.8)
    for hits, expected in ((100.0, 0.1), (90.0, 0.05), (70.0, 0.0)):
        objective._hits, objective._seen = hits, 100
        objective._adapt_smoothing()
        assert objective._smoothing == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"reg": 0.0}, "numbers", "reg=0.0 of KernelRidge must be"),
        ({"reg": math.nan}, "numbers", "reg=nan"),
        ({"reg": "small"}, "numbers", "reg='small'"),
        ({"loss": "hinge"}, "classes", "loss='hinge' of KernelRidge is unknown"),
        ({"loss": "cross_entropy"}, "numbers", "needs classes as y"),
        ({"dropout": 1.0}, "classes", "dropout=1.0 of KernelRidge must be"),
        ({"dropout": "much"}, "classes", "dropout='much'"),
    ],
)
def test_bad_parameters(parameters, kind, message):
    context = Context(kind, 5, 3, 2, KERNELS[0], generator(), CPU)
    with pytest.raises(ValueError, match=message):
        KernelRidge(**parameters).setup(context)


def test_callable_kernels_have_no_gradient():
    context = Context("numbers", 5, 3, 2, Kernel(np.dot), generator(), CPU)
    with pytest.raises(ValueError, match="has no gradient in the rows"):
        KernelRidge().setup(context)


def analytic(kernel, m, kind="numbers", reg=1e-3, d=3):
    data = random_set(n=80, d=d, kind=kind)
    objective = AnalyticRidge(reg)
    objective.setup(Context(kind, m, d, 2, kernel, generator(), CPU))
    support = objective.start(data.rows[:m].clone(), data.targets[:m])
    weight = data.weight / data.weight.sum()
    objective.solve(support, Sample(data, torch.arange(len(data)), weight))
    return objective, support, data, weight


@pytest.mark.parametrize("m", [2, 3, 10])
def test_analytic_rows_carry_the_linear_solution_of_all_rows(m):
    objective, support, data, weight = analytic(Kernel("linear"), m)
    Z = data.rows - weight @ data.rows
    Y = data.targets - weight @ data.targets
    A = (Z * weight[:, None]).T @ Z + (1e-3 + 1e-10) * torch.eye(3, dtype=F64)
    W = torch.linalg.solve(A, (Z * weight[:, None]).T @ Y)
    expected = Z @ W + weight @ data.targets
    torch.testing.assert_close(
        objective.predictor(support)(data.rows), expected, rtol=1e-6, atol=1e-8
    )


def test_analytic_rows_stay_where_they_can():
    # Rows that span the space carry any solution as they are.
    _, support, data, _ = analytic(Kernel("linear"), 10)
    torch.testing.assert_close(support.rows, data.rows[:10], rtol=1e-3, atol=1e-3)


def test_analytic_labels_for_other_kernels():
    objective, support, data, _ = analytic(Kernel("rbf", 0.5), 10)
    torch.testing.assert_close(support.rows, data.rows[:10])
    error = (objective.predictor(support)(data.rows) - data.targets).square().mean()
    assert error < data.targets.var()


def test_analytic_needs_a_target():
    context = Context("none", 5, 3, 0, Kernel("linear"), generator(), CPU)
    with pytest.raises(ValueError, match="kernel_ridge"):
        AnalyticRidge().setup(context)
    with pytest.raises(ValueError, match="reg=-1"):
        AnalyticRidge(-1).setup(Context("numbers", 5, 3, 2, Kernel("linear"), generator(), CPU))
