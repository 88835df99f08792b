"""Label solves for several ridges at once are those of each ridge."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose
from small_problems import F64, generator

from skdistill.objectives._ridge import labels
from skdistill.support import Support, all_finite

RIDGES = (1e-7, 1e-4, 1e-2)


def system(m, rank=None):
    """Normal equations of 60 rows and three outputs; K_SS of full rank unless told otherwise."""
    g = generator()
    K = torch.randn(60, m, generator=g, dtype=F64)
    Y = torch.randn(60, 3, generator=g, dtype=F64)
    half = torch.randn(m, rank or m + 2, generator=g, dtype=F64)
    return labels.LabelSystem(K.T @ K / 60, K.T @ Y / 60, K.mean(0), Y.mean(0), half @ half.T)


@pytest.mark.parametrize("m", [1, 5, labels.TOGETHER, labels.TOGETHER + 1])
def test_each_ridge_is_solved_as_alone(m):
    """At 60 rows and 128 coefficients the ridge alone makes the matrix regular."""
    problem = system(m)
    found = problem.solve_each(RIDGES)
    assert len(found) == len(RIDGES)
    for ridge, (a, b) in zip(RIDGES, found, strict=True):
        matrix = problem.A + ridge * problem.K_SS + labels.JITTER * torch.eye(m, dtype=F64)
        assert_allclose(matrix @ a, problem.b, atol=1e-9)
        assert_allclose(b, problem.y_mean - problem.k_mean @ a)


@pytest.mark.parametrize("spoilt", ["indefinite", "not finite"])
def test_a_system_that_fails_together_is_solved_one_by_one(spoilt):
    problem = system(5)
    problem.A[0, 0] = -1e-3 if spoilt == "indefinite" else float("inf")
    for ridge, (a, b) in zip(RIDGES, problem.solve_each(RIDGES), strict=True):
        alone = problem.solve(ridge)
        assert_allclose(a, alone[0])
        assert_allclose(b, alone[1])
        assert all_finite(a) == (spoilt == "indefinite")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("name", ["rows", "labels", "dual", "log_scale"])
def test_whatever_is_not_finite_is_seen(value, name):
    support = Support(
        torch.zeros(3, 2, dtype=F64),
        torch.zeros(3, 1, dtype=F64),
        {"dual": torch.zeros(3, 1, dtype=F64), "log_scale": torch.zeros(2, dtype=F64)},
    )
    assert support.is_finite()
    support[name].view(-1)[1] = value
    assert support.is_finite() == (value == 1e300 and name != "log_scale")


def test_nothing_at_all_is_finite():
    assert all_finite(torch.zeros(0, 3))
