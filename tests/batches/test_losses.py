"""Losses that make rows important: the slope of a smoothed 0-1 error, and bounded residuals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skdistill.batches.losses import (
    MARGIN_WIDTH,
    bounded_losses,
    margin_losses,
    margins,
    row_losses,
)
from skdistill.batches.sampler import class_factors, draw_batch, importance_shares

finite = st.floats(-5, 5, allow_nan=False)


def one_hot_rows(n=60, q=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = torch.from_numpy(rng.integers(0, q, n))
    outputs = torch.from_numpy(rng.normal(scale=0.7, size=(n, q)))
    return outputs, torch.nn.functional.one_hot(codes, q).double(), codes


def test_margin_is_minus_the_slope_of_the_smoothed_error():
    """Autograd of erfc(margin / s) / 2 in the output of the true class."""
    outputs, targets, codes = one_hot_rows()
    outputs.requires_grad_()
    z = margins(outputs, targets, codes, "classes")
    error = 0.5 * torch.erfc(z / MARGIN_WIDTH)
    (slope,) = torch.autograd.grad(error.sum(), outputs)
    slope = -slope.gather(1, codes[:, None])[:, 0] * MARGIN_WIDTH * math.sqrt(math.pi)
    found = row_losses("margin", outputs.detach(), 1.0, targets, codes, kind="classes")
    torch.testing.assert_close(found, slope)


def test_smoothed_error_is_nearly_the_error_away_from_the_boundary():
    z = torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64)
    error = 0.5 * torch.erfc(z / MARGIN_WIDTH)
    torch.testing.assert_close(error, (z < 0).double(), atol=3e-4, rtol=0)


def test_margins_are_those_of_a_loop():
    outputs, targets, codes = one_hot_rows()
    found = margins(outputs, targets, codes, "classes")
    for row, code, z in zip(outputs.tolist(), codes.tolist(), found.tolist(), strict=True):
        others = [value for c, value in enumerate(row) if c != code]
        assert z == pytest.approx(row[code] - max(others))


def test_margin_of_several_labels_is_that_of_the_least_sure():
    outputs = torch.tensor([[0.9, 0.2], [0.9, 0.8], [0.1, 0.45]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = margins(outputs, targets, None, "multilabel")
    torch.testing.assert_close(found, torch.tensor([0.6, -0.6, 0.1], dtype=torch.float64))


@given(arrays(np.float64, (12, 3), elements=finite), st.lists(st.integers(0, 2), min_size=12))
def test_margin_shares_are_a_distribution_and_forget_hopeless_rows(outputs, codes):
    outputs, codes = torch.from_numpy(outputs), torch.tensor(codes[:12])
    targets = torch.nn.functional.one_hot(codes, 3).double()
    losses = row_losses("margin", outputs, 1.0, targets, codes, kind="classes")
    assert bool(((losses >= 0) & (losses <= 1)).all())
    shares = importance_shares(losses, torch.ones(12))
    assert float(shares.sum()) == pytest.approx(1)
    z = margins(outputs, targets, codes, "classes").abs()
    nearer = z[:, None] <= z[None, :]
    assert bool((losses[:, None] >= losses[None, :])[nearer].all())


def test_wrong_labels_far_from_the_boundary_get_little_by_margin_and_most_by_cross_entropy():
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.integers(0, 2, 1000))
    sure = torch.from_numpy(rng.uniform(0.8, 1.0, 1000))
    outputs = torch.stack([torch.where(true == c, sure, 1 - sure) for c in (0, 1)], 1)
    wrong = torch.arange(1000) < 100
    outputs[900:] = 0.5 + 0.05 * torch.from_numpy(rng.normal(size=(100, 2)))  # the boundary
    codes = torch.where(wrong, 1 - true, true)
    targets = torch.nn.functional.one_hot(codes, 2).double()

    def share_of_wrong(loss):
        losses = row_losses(loss, outputs, 0.1, targets, codes, kind="classes")
        return float(importance_shares(losses, torch.ones(1000))[wrong].sum())

    assert share_of_wrong("margin") < 0.05
    assert share_of_wrong("cross_entropy") > 0.8


def test_classes_without_boundary_rows_still_appear():
    """The uniform share keeps a class that is classified with certainty in the batches."""
    codes = torch.arange(1000) // 500
    outputs = torch.where(codes == 0, 1.0, 0.5)[:, None] * torch.tensor([1.0, 0.0])
    outputs[codes == 1] = 0.5
    targets = torch.nn.functional.one_hot(codes, 2).double()
    losses = row_losses("margin", outputs, 1.0, targets, codes, kind="classes")
    shares = importance_shares(losses, torch.ones(1000))
    generator = torch.Generator().manual_seed(0)
    uniform = torch.full((1000,), 1e-3, dtype=torch.float64)
    drawn = draw_batch(uniform, shares, 200, 0.1, generator, reweight=False)
    held = torch.bincount(codes[drawn.index], minlength=2)
    assert held[0] >= 8


def test_one_class_has_no_boundary():
    outputs = torch.rand(5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = torch.zeros(5, dtype=torch.int64)
    losses = row_losses("margin", outputs, 1.0, torch.ones(5, 1), codes, kind="classes")
    assert losses.tolist() == [0] * 5
    assert importance_shares(losses, torch.ones(5)).tolist() == pytest.approx([0.2] * 5)


def test_bounded_losses_grow_and_then_forget():
    usual = torch.linspace(0.01, 2, 200, dtype=torch.float64).square()
    squares = torch.cat([usual, torch.tensor([400.0], dtype=torch.float64)])
    found = bounded_losses(squares)
    assert found[100] > found[50] > found[10]
    assert found[-1] < 1e-6 < found[199]


def test_bounded_losses_of_an_exact_fit_are_the_squares():
    squares = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert bounded_losses(squares).tolist() == squares.tolist()


def test_margin_losses_are_even():
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(margin_losses(z), margin_losses(-z))


def test_factors_stand_half_way_to_equal_classes():
    """Where all losses are equal, classes are drawn by the square root of their shares."""
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.permutation(np.repeat([0, 2, 3], [900, 90, 10])))  # 1 has no rows
    weight = torch.from_numpy(rng.uniform(0.5, 2, 1000))
    factors = class_factors(weight, codes)
    for code in (0, 2, 3):
        share = float(weight[codes == code].sum() / weight.sum())
        found = factors[codes == code]
        torch.testing.assert_close(found, torch.full_like(found, (3 * share) ** -0.5))
    shares = importance_shares(factors, weight)
    held = torch.zeros(4, dtype=torch.float64).index_add_(0, codes, shares)
    of_class = torch.zeros(4, dtype=torch.float64).index_add_(0, codes, weight).sqrt()
    torch.testing.assert_close(held, of_class / of_class.sum())
