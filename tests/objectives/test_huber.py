"""Huber's loss of kernel ridge rows: against a dense oracle, and on a target with outliers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from skdistill import DatasetDistiller
from skdistill.batches.training_set import Sample, TrainingSet
from skdistill.objectives import KernelRidge
from skdistill.objectives._ridge import huber
from skdistill.objectives._ridge.rbf import rbf


def problem(n=120, m=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 2))
    y = np.sin(3 * X[:, :1]) + 0.05 * rng.normal(size=(n, 1))
    y[:8] += 5 * rng.choice([-1, 1], (8, 1))
    weight = rng.uniform(0.5, 2, n)
    tensors = [torch.from_numpy(a) for a in (X, y, weight / weight.sum())]
    return *tensors, torch.from_numpy(X[-m:].copy())


def test_weighted_median_is_that_of_repeated_values():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=15), rng.integers(1, 5, 15)
    found = huber.weighted_median(torch.from_numpy(values), torch.from_numpy(counts).double())
    assert float(found) in np.quantile(
        np.repeat(values, counts), 0.5, method="inverted_cdf", keepdims=True
    )


def test_rounds_lead_to_the_minimiser_of_the_loss(monkeypatch):
    """At a fixed threshold; scipy minimises the loss itself."""
    monkeypatch.setattr(huber, "ROUNDS", 100)
    X, y, weight, V = problem()
    K, K_SS = rbf(X, V), rbf(V, V)
    mu = 1e-3
    held = huber.batch_weights(K, K_SS, y, weight, mu)
    factor = held / weight
    assert float(factor[:8].max()) < 0.2 < float(factor[8:].median())
    # The weights at the end are those of the coefficients they give, with a ridge to match.
    weighted = K * held[:, None]
    system = huber.LabelSystem(
        weighted.T @ K / held.sum(),
        weighted.T @ y / held.sum(),
        weighted.sum(0) / held.sum(),
        held @ y / held.sum(),
        K_SS,
    )
    a, b = system.solve(mu)
    size = (K @ a + b - y)[:, 0].abs()
    delta = huber.EPSILON * huber.USUAL * float(huber.weighted_median(size, weight))
    ridge = mu * float(held.sum())

    def loss(z):
        r = np.abs(K.numpy() @ z[:-1] + z[-1] - y.numpy()[:, 0])
        h = np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))
        return weight.numpy() @ h + ridge / 2 * z[:-1] @ K_SS.numpy() @ z[:-1]

    ours = np.append(a.numpy()[:, 0], b.numpy())
    best = minimize(loss, ours, method="BFGS", options={"gtol": 1e-10}).fun
    assert loss(ours) == pytest.approx(best, rel=1e-6)


def test_a_sample_gets_the_weights_of_a_batch():
    X, y, weight, V = problem()
    data = TrainingSet(X, y, weight)
    sample = Sample(data, torch.arange(len(X)), weight)
    found = huber.reweighted_sample(lambda rows: rbf(rows, V), rbf(V, V), sample, 1e-3)
    expected = huber.batch_weights(rbf(X, V), rbf(V, V), y, weight, 1e-3)
    torch.testing.assert_close(found.weight, expected)


def test_rows_that_fit_exactly_keep_their_weights():
    residual = torch.tensor([[0.0], [0.0], [0.0], [9.0]], dtype=torch.float64)
    assert huber.huber_factors(residual, torch.ones(4).double()).tolist() == [1, 1, 1, 1]


def test_absolute_score_is_one_less_the_share_of_the_absolute_error():
    y = torch.tensor([[0.0], [1.0], [2.0], [30.0]], dtype=torch.float64)
    data = TrainingSet(y, y, torch.ones(4, dtype=torch.float64))
    assert huber.absolute_score(y, data) == 1
    assert huber.absolute_score(torch.ones_like(y), data) == 0
    assert huber.absolute_score(torch.full_like(y, float("nan")), data) == -float("inf")


def test_outliers_cost_the_squared_error_more():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2400, 3))
    clean = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
    y = clean + 0.1 * rng.normal(size=len(X))
    y[rng.random(len(X)) < 0.05] += 8 * clean.std()  # on one side: means move
    errors = {}
    for loss in ("squared_error", "huber"):
        distiller = DatasetDistiller(
            15, objective=KernelRidge(loss=loss), gamma=0.3, max_iter=60, random_state=0
        )
        outputs = distiller.fit(X, y).make_predictor().predict(X)
        errors[loss] = float(np.mean((outputs.ravel() - clean) ** 2))
    assert errors["huber"] < 0.25 * errors["squared_error"]


@pytest.mark.parametrize("kernel", ["laplacian", "linear"])
def test_other_kernels_take_it(kernel):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    distiller = DatasetDistiller(
        5, objective=KernelRidge(loss="huber"), kernel=kernel, max_iter=5, random_state=0
    )
    assert len(distiller.fit_distill(X, X @ [1.0, 2.0, 3.0])) == 5


def test_it_is_for_numbers_with_solved_labels():
    X, y = np.arange(20.0)[:, None], np.arange(20) % 2
    distiller = DatasetDistiller(4, objective=KernelRidge(loss="huber"))
    with pytest.raises(ValueError, match="loss='huber' of KernelRidge needs numbers"):
        distiller.fit(X, y)
    with pytest.raises(ValueError, match="loss='huber' of KernelRidge solves the labels"):
        distiller.set_params(learn_labels=True).fit(X, X[:, 0])
