"""Characteristic functions against complex exponentials in numpy, and on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from small_problems import F64, NETWORKS, generator, small_batch, small_context, small_start

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import MLP
from skdistill.objectives import CharacteristicFunctionMatching
from skdistill.objectives.characteristic_function_matching import (
    TINY,
    characteristic_distance,
    characteristic_function,
)
from skdistill.support import Support


def make(network, **options):
    objective = CharacteristicFunctionMatching(network, n_frequencies=16, **options)
    objective.setup(small_context(network))
    return objective, objective.start(*small_start()), *small_batch()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_distance_is_that_of_complex_numbers(alpha):
    rng = np.random.default_rng(0)
    phases = [rng.normal(size=(2, n, 7)) for n in (20, 6)]
    members = [rng.integers(0, 3, n) for n in (20, 6)]
    weights = [rng.uniform(0.5, 2, 20), np.ones(6)]
    shares, functions = [], []
    for phase, member, weight in zip(phases, members, weights, strict=True):
        mass = np.stack([np.where(member == c, weight, 0) for c in range(3)])
        shares.append(mass / mass.sum(1, keepdims=True))
        functions.append(np.einsum("qb,nbk->nqk", shares[-1], np.exp(1j * phase)))
    P, Q = functions
    angle = np.angle(P) - np.angle(Q)
    squared = alpha * (abs(P) - abs(Q)) ** 2
    squared += (1 - alpha) * 2 * abs(P) * abs(Q) * (1 - np.cos(angle))
    expected = np.sqrt(squared + TINY).mean(2).sum(1).mean()
    parts = [
        characteristic_function(torch.from_numpy(phase), torch.from_numpy(share))
        for phase, share in zip(phases, shares, strict=True)
    ]
    assert_allclose(float(characteristic_distance(*parts, alpha)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_differences(name):
    objective, support, batch, weights = make(NETWORKS[name], augment=None)
    direction = torch.randn(support.rows.shape, generator=generator(3), dtype=F64)

    def at(shift):
        objective._context.generator.manual_seed(0)
        moved = Support(support.rows + shift * direction, support.labels)
        return objective.gradients(moved, batch, weights, ["rows"])

    (gradient,) = at(0.0)[1]
    expected = float(at(1e-5)[0] - at(-1e-5)[0]) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_equal_rows_have_no_distance_and_a_finite_gradient():
    objective, _, batch, _ = make(MLP(9), augment=None)
    support = Support(batch.rows.clone(), batch.targets)
    ones = torch.ones(len(batch.rows), dtype=F64)
    loss, (gradient,) = objective.gradients(support, batch, ones, ["rows"])
    assert float(loss) < 1e-4 and torch.isfinite(gradient).all()


def test_weights_are_repetitions():
    objective, support, batch, _ = make(NETWORKS["mlp"], frequency_scale=0.7)
    counts = torch.arange(40) % 3
    repeated = type(batch)(*(part.repeat_interleave(counts, 0) for part in batch))
    objective._context.generator.manual_seed(0)
    heavy = objective.batch_loss(support, batch, counts.double())
    objective._context.generator.manual_seed(0)
    long = objective.batch_loss(support, repeated, torch.ones(len(repeated.rows), dtype=F64))
    torch.testing.assert_close(heavy, long)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_frequencies": 0}, "n_frequencies=0"),
        ({"frequency_scale": 0.0}, r"frequency_scale=0\.0"),
        ({"amplitude_weight": 1.5}, r"amplitude_weight=1\.5"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    objective = CharacteristicFunctionMatching(MLP(9)).set_params(**options)
    with pytest.raises(ValueError, match=message):
        objective.setup(small_context(MLP(9)))


def test_digits_are_learnt(digits):
    X, X_test, y, y_test = digits
    technique = CharacteristicFunctionMatching(MLP(64), n_frequencies=128)
    distiller = DatasetDistiller(
        10, objective=technique, init="uniform", max_iter=150, random_state=0
    )
    learnt = DistilledClassifier(distiller=distiller).fit(X, y)
    start = DistilledClassifier(distiller=distiller.set_params(max_iter=0)).fit(X, y)
    assert learnt.score(X_test, y_test) > start.score(X_test, y_test) + 0.05
