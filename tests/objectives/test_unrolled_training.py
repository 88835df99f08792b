"""Unrolled training: plain autograd through a list of parameters as oracle, and on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_problems import F64, NETWORKS, generator, small_batch, small_context, small_start

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import MLP
from skdistill.objectives import UnrolledTraining
from skdistill.objectives._networks.students import Plan, gradients_by_steps, unrolled_loss
from skdistill.support import Support


def make(network, **options):
    settings = {"unroll_steps": 5, "window": 5, "lr_init": 0.3, **options}
    objective = UnrolledTraining(network, **settings)
    objective.setup(small_context(network))
    return objective, objective.start(*small_start()), *small_batch()


def same_numbers(objective, seed=11):
    objective._context.generator.manual_seed(seed)
    objective._random.manual_seed(seed)
    if objective._augmentation is not None:
        objective._augmentation._generator.manual_seed(seed)


def gradients(objective, support, batch, weights, seed=11):
    same_numbers(objective, seed)
    value, found = objective.gradients(support, batch, weights, ["rows", "log_rate"])
    return value, *found


def cross_entropy(objective, params, rows, targets):
    """Row by row, with logarithms of sums of exponentials written out."""
    losses = []
    for x, t in zip(rows, targets, strict=True):
        logits = objective._architecture.outputs(params, x[None])[0, 0]
        losses.append(logits.exp().sum().log() - (t * logits).sum())
    return torch.stack(losses)


def plain_loss(objective, support, batch, weights, n_steps, n_kept, seed=11):
    """The public optimiser's formula, with autograd through all that is kept."""
    same_numbers(objective, seed)
    start = objective._architecture.initial(1, objective._context.generator, F64)
    theta = {name: p.requires_grad_() for name, p in start.items()}
    velocity = {name: torch.zeros_like(p) for name, p in theta.items()}
    rate = support["log_rate"].exp()
    for n in range(n_steps):
        if n == n_steps - n_kept:  # what came before is given
            theta = {name: p.detach().requires_grad_() for name, p in theta.items()}
            velocity = {name: v.detach() for name, v in velocity.items()}
        loss = cross_entropy(objective, theta, support.rows, support.labels).mean()
        found = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        for (name, p), g in zip(list(theta.items()), found, strict=True):
            velocity[name] = 0.9 * velocity[name] + g + 5e-4 * p
            theta[name] = p - rate * velocity[name]
    return weights @ cross_entropy(objective, theta, batch.rows, batch.targets)


@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_is_that_of_autograd_through_the_whole_training(name, recompute):
    objective, support, batch, weights = make(NETWORKS[name], recompute=recompute)
    value, of_rows, of_rate = gradients(objective, support, batch, weights)
    rows, log_rate = support.rows.requires_grad_(), support["log_rate"].requires_grad_()
    expected = plain_loss(objective, support, batch, weights, 5, 5)
    torch.testing.assert_close(value, expected.detach())
    found = torch.autograd.grad(expected, [rows, log_rate])
    torch.testing.assert_close([of_rows, of_rate], list(found))
    assert of_rows.abs().max() > 1e-6 and abs(of_rate) > 1e-6


@pytest.mark.parametrize("recompute", [True, False])
def test_gradient_stops_at_the_window(recompute):
    objective, support, batch, weights = make(
        NETWORKS["mlp"], unroll_steps=6, window=2, recompute=recompute
    )
    seen = set()
    for seed in range(12):
        value, of_rows, of_rate = gradients(objective, support, batch, weights, seed)
        objective._random.manual_seed(seed)
        n_steps = 2 + int(torch.randint(5, (1,), generator=objective._random))
        seen.add(n_steps)
        rows, log_rate = support.rows.requires_grad_(), support["log_rate"].requires_grad_()
        expected = plain_loss(objective, support, batch, weights, n_steps, 2, seed)
        torch.testing.assert_close(value, expected.detach())
        found = torch.autograd.grad(expected, [rows, log_rate])
        torch.testing.assert_close([of_rows, of_rate], list(found))
        rows.requires_grad_(False)
        log_rate.requires_grad_(False)
    assert seen == {2, 3, 4, 5, 6}  # the window stands anywhere


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.2)])
def test_steps_made_anew_give_the_same_gradient(momentum, weight_decay):
    architecture = MLP(5, activation="tanh").make_architecture(24, None, 3)
    rows, labels = small_start()
    velocity = architecture.initial(1, generator(5), F64)

    def inner(params, rows, step):
        return -(labels * torch.log_softmax(architecture.outputs(params, rows)[0], 1)).mean()

    plan = Plan(
        architecture.initial(1, generator(), F64),
        [(None, None)] * 4,
        lambda params: sum(p.square().sum() for p in params.values()),
        list(velocity.values()),
        momentum,
        weight_decay,
    )
    rate = torch.tensor(0.2, dtype=F64)
    value, *found = gradients_by_steps(inner, rows, rate, plan)
    leaves = [rows.requires_grad_(), rate.requires_grad_()]
    expected = unrolled_loss(inner, *leaves, plan)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(found, list(torch.autograd.grad(expected, leaves)))


@pytest.mark.parametrize("batch_syn", [None, 4])
def test_augmented_gradient_agrees_with_differences(batch_syn):
    objective, support, batch, weights = make(
        NETWORKS["convnet"], augment="auto", batch_syn=batch_syn
    )
    direction = torch.randn(support.rows.shape, generator=generator(4), dtype=F64)

    def at(shift, seed):
        moved = Support(support.rows + shift * direction, support.labels, support.extra)
        return gradients(objective, moved, batch, weights, seed)

    for seed in range(3):
        of_rows, eps = at(0.0, seed)[1], 1e-5
        expected = (at(eps, seed)[0] - at(-eps, seed)[0]) / (2 * eps)
        torch.testing.assert_close((of_rows * direction).sum(), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window=0 of UnrolledTraining must be an integer >= 1"),
        ({"window": 6}, "window=6 of UnrolledTraining is larger than unroll_steps=5"),
        ({"unroll_steps": 2.5}, r"unroll_steps=2\.5"),
        ({"batch_syn": 0}, "batch_syn=0 .* or None"),
        ({"lr_init": -1.0}, r"lr_init=-1\.0 of UnrolledTraining must be a positive number"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make(MLP(9), **options)


def test_digits_are_learnt(digits):
    X, X_test, y, y_test = digits
    distiller = DatasetDistiller(
        10,
        objective=UnrolledTraining(MLP(32), unroll_steps=20, window=10),
        init="uniform",
        max_iter=30,
        batch_size=200,
        learning_rate=0.4,
        random_state=0,
    )
    learnt = DistilledClassifier(distiller=distiller).fit(X, y)
    step_size = learnt.distiller_.objective_.lr_init
    assert abs(step_size / 0.01 - 1) > 0.01
    assert learnt.distiller_.make_predictor().estimator.learning_rate == step_size
    curve = learnt.distiller_.loss_curve_
    assert np.mean(curve[-8:]) < 0.8 * np.mean(curve[:8])
    start = DistilledClassifier(distiller=distiller.set_params(max_iter=0)).fit(X, y)
    assert learnt.score(X_test, y_test) > start.score(X_test, y_test) + 0.05
