"""The importance sampler: what it draws, how often, and with which weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_problems import generator

from skdistill.batches.sampler import (
    BatchSampler,
    balanced_weight,
    draw_batch,
    importance_shares,
    stratified_draw,
)


def problem(n=40, seed=0):
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.uniform(0.5, 2, n))
    losses = torch.from_numpy(rng.gamma(0.3, 1.0, n))
    return weight, losses, torch.from_numpy(rng.normal(size=n))


@pytest.mark.parametrize("mixing", [1.0, 0.5, 0.125])
def test_reweighted_sums_are_unbiased(mixing):
    weight, losses, values = problem()
    uniform = weight / weight.sum()
    shares = importance_shares(losses, weight)
    g = generator()
    sums = []
    for _ in range(1500):
        drawn = draw_batch(uniform, shares, 8, mixing, g, reweight=True)
        sums.append(float(drawn.weight @ values[drawn.index]))
    error = np.std(sums) / math.sqrt(len(sums))
    assert abs(np.mean(sums) - float(uniform @ values)) < 4 * error


def test_plain_weights_are_biased_towards_large_losses():
    weight, losses, _ = problem()
    uniform = weight / weight.sum()
    shares = importance_shares(losses, weight)
    g = generator()
    plain = [draw_batch(uniform, shares, 8, 0.25, g, reweight=False) for _ in range(2000)]
    mean = np.mean([float(d.weight @ losses[d.index]) for d in plain])
    expected = float((0.25 * uniform + 0.75 * shares) @ losses)
    assert mean == pytest.approx(expected, rel=0.05)
    assert mean > 2 * float(uniform @ losses)


def test_weights_are_bounded_by_the_uniform_share():
    weight, losses, _ = problem()
    uniform = weight / weight.sum()
    drawn = draw_batch(
        uniform, importance_shares(losses, weight), 16, 0.25, generator(), reweight=True
    )
    assert float(drawn.weight.max()) <= 1 / (0.25 * 16) + 1e-12


def test_shares_are_the_formula():
    weight, losses, _ = problem()
    found = importance_shares(losses, weight)
    expected = weight * losses / (weight * losses).sum()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "losses", [[0.0, 0.0, 0.0], [1.0, math.nan, 1.0], [1.0, math.inf, 1.0], [1.0, -1.0, 1.0]]
)
def test_useless_losses_fall_back_to_the_weights(losses):
    weight = torch.tensor([1.0, 2.0, 1.0])
    found = importance_shares(torch.tensor(losses), weight)
    assert found.tolist() == [0.25, 0.5, 0.25]


def test_shares_within_groups_keep_the_weight_of_each():
    weight, losses, _ = problem()
    groups = torch.arange(40) % 4
    losses = torch.where(groups == 3, torch.zeros_like(losses), losses)  # one group fits perfectly
    found = importance_shares(losses, weight, groups)
    for group in range(4):
        members = groups == group
        expected = weight[members].sum() / weight.sum()
        torch.testing.assert_close(found[members].sum(), expected)


def test_balanced_weight_gives_every_class_the_same():
    weight = torch.tensor([1.0, 1.0, 1.0, 3.0])
    groups = torch.tensor([0, 0, 0, 1])
    assert balanced_weight(weight, groups).tolist() == [1.0, 1.0, 1.0, 3.0]
    assert balanced_weight(torch.ones(4), groups).tolist() == pytest.approx([2 / 3] * 3 + [2.0])


def test_stratified_draw_never_takes_rows_of_no_share():
    shares = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0], dtype=torch.float64)
    drawn = stratified_draw(shares.cumsum(0), 1000, generator())
    assert torch.bincount(drawn, minlength=5).tolist() == [0, 500, 0, 500, 0]


def test_batches_follow_the_losses_after_a_refresh_and_fade_to_uniform():
    losses = torch.zeros(1000)
    losses[7] = 1.0
    sampler = BatchSampler(torch.ones(1000), generator(), mixing=0.5, final_mixing=1.0)
    assert (sampler.draw(100).index == 7).sum() <= 1
    sampler.refresh(lambda index: losses[index])
    assert (sampler.draw(100, 0.0).index == 7).sum() >= 50
    assert (sampler.draw(100, 1.0).index == 7).sum() <= 1


def test_importance_comes_from_a_pool_when_rows_are_many():
    seen = []
    values = torch.randn(1000, generator=generator(1)).double()

    def losses(index):
        seen.append(len(index))
        return values[index].abs()

    sampler = BatchSampler(
        torch.ones(1000), generator(), mixing=0.5, final_mixing=0.5, pool_rows=50
    )
    sums = []
    for _ in range(1500):
        sampler.refresh(losses)
        drawn = sampler.draw(20)
        sums.append(float(drawn.weight @ values[drawn.index]))
    assert max(seen) <= 50
    error = np.std(sums) / math.sqrt(len(sums))
    assert abs(np.mean(sums) - float(values.mean())) < 4 * error


def test_few_rows_are_all_taken_with_their_weights():
    weight = torch.tensor([1.0, 3.0])
    drawn = BatchSampler(weight, generator()).draw(10)
    assert drawn.index.tolist() == [0, 1]
    assert drawn.weight.tolist() == [0.25, 0.75]


def test_same_seed_same_batches():
    draws = []
    for _ in range(2):
        sampler = BatchSampler(torch.ones(500), generator(3))
        sampler.refresh(lambda index: index.double())
        draws.append([sampler.draw(32, t / 10).index for t in range(10)])
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))
