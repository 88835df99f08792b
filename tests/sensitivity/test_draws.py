"""From scores to a weighted sample: probabilities, both draws, calibration, pools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import distinct_rows

from skdistill.sensitivity.draws import (
    calibrate_to_mass,
    draw_pool,
    iid_draw,
    inclusion_probabilities,
    mix_with_uniform,
    systematic_draw,
)

DRAWS = 4000  # of the Monte-Carlo tests: a missing weight is tens of standard errors off


def heavy_tailed(n, seed=0):
    scores = np.random.default_rng(seed).pareto(1.0, n) + 1e-3
    return scores / scores.sum()


@st.composite
def instances(draw):
    """Importance, a budget, and classes or none; every class may have a row of its own."""
    n = draw(st.integers(2, 40))
    value = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.floats(1e3, 1e9))
    importance = np.array(draw(st.lists(value, min_size=n, max_size=n)))
    if not importance.any():
        importance[draw(st.integers(0, n - 1))] = 1.0
    importance /= importance.sum()
    strata = None
    if draw(st.booleans()):
        strata = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    least = 1 if strata is None else len(np.unique(strata))
    return importance, draw(st.integers(least, n)), strata


# Importance ------------------------------------------------------------------------------------


def test_mixing_is_the_formula():
    scores, weight = np.array([1.0, 3.0, 0.0]), np.array([2.0, 1.0, 1.0])
    expected = 0.7 * scores / 4 + 0.3 * weight / 4
    assert_allclose(mix_with_uniform(scores, weight, 0.3), expected)
    assert_allclose(mix_with_uniform(scores, weight, 0.0), scores / 4)
    assert_allclose(mix_with_uniform(scores, weight, 1.0), weight / 4)


@pytest.mark.parametrize(
    "scores", [np.zeros(3), np.array([1, np.nan, 1]), np.array([1, np.inf, 1])]
)
def test_mixing_without_usable_scores_is_uniform(scores):
    weight = np.array([2.0, 1.0, 1.0])
    assert_allclose(mix_with_uniform(scores, weight, 0.1), weight / 4)


# Inclusion probabilities -----------------------------------------------------------------------


@given(instances())
def test_inclusion_probabilities_meet_the_budget(instance):
    importance, budget, strata = instance
    p = inclusion_probabilities(importance, budget, strata)
    assert (p >= 0).all()
    assert (p <= 1).all()
    assert p.sum() == pytest.approx(budget, rel=1e-6)
    if strata is not None:
        mass = np.bincount(strata, weights=p)
        assert (mass[np.unique(strata)] >= 1 - 1e-6).all()


@given(instances())
def test_inclusion_probabilities_are_proportional_below_one(instance):
    importance, budget, strata = instance
    p = inclusion_probabilities(importance, budget, strata)
    for code in [0] if strata is None else np.unique(strata):
        inside = np.ones(len(p), bool) if strata is None else strata == code
        open_ = inside & (p < 1) & (importance > 0)
        if open_.any() and not (inside & (importance == 0) & (p > 0)).any():
            factor = p[open_] / importance[open_]
            assert_allclose(factor, factor[0], rtol=1e-6)
            # What is taken for certain would have had at least as much.
            sure = inside & (p >= 1)
            assert (importance[sure] * factor[0] >= 1 - 1e-6).all()


def test_inclusion_probabilities_of_one_dominant_row():
    p = inclusion_probabilities(np.array([0.97, 0.01, 0.01, 0.01]), 2)
    assert_allclose(p, [1, 1 / 3, 1 / 3, 1 / 3])


def test_inclusion_probabilities_fill_up_with_rows_of_no_importance():
    p = inclusion_probabilities(np.array([0.5, 0.5, 0.0, 0.0, 0.0, 0.0]), 3)
    assert_allclose(p, [1, 1, 0.25, 0.25, 0.25, 0.25])


def test_inclusion_probabilities_survive_importance_at_the_end_of_the_range():
    importance = np.array([1.0, 1e-310, 2e-310, 1e-310])
    p = inclusion_probabilities(importance, 2)
    assert_allclose(p, [1, 0.25, 0.5, 0.25], rtol=1e-6)
    p = inclusion_probabilities(np.array([1.0, 0, 0, 1e-320, 1e-320]), 2, np.array([0, 0, 0, 1, 1]))
    assert p[0] == pytest.approx(1)
    assert_allclose(p[3:], 0.5)


def test_a_rare_class_is_raised_to_one_row():
    strata = np.repeat([0, 1, 2], [100, 50, 2])
    importance = np.ones(152) / 152
    p = inclusion_probabilities(importance, 10, strata)
    mass = np.bincount(strata, weights=p)
    assert mass[2] == pytest.approx(1)
    assert mass[0] / mass[1] == pytest.approx(2)


def test_a_budget_of_all_rows_takes_all_rows():
    assert_array_equal(inclusion_probabilities(heavy_tailed(5), 5), np.ones(5))
    assert_array_equal(inclusion_probabilities(heavy_tailed(5), 9), np.ones(5))


# Systematic draw -------------------------------------------------------------------------------


@given(instances(), st.integers(0, 10_000))
def test_systematic_draw_has_the_budget_without_repeats(instance, seed):
    importance, budget, strata = instance
    p = inclusion_probabilities(importance, budget, strata)
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(p))
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    drawn = systematic_draw(p, order, rng)
    assert len(drawn) == budget
    assert len(np.unique(drawn)) == budget
    assert (p[drawn] > 0).all()
    assert np.isin(np.flatnonzero(p == 1), drawn).all()
    if strata is not None:
        assert_array_equal(np.unique(strata[drawn]), np.unique(strata))


def test_systematic_draw_has_the_given_probabilities():
    p = inclusion_probabilities(heavy_tailed(30), 8)
    rng = np.random.RandomState(0)
    order = rng.permutation(30)
    counts = np.zeros(30)
    for _ in range(DRAWS):
        counts[systematic_draw(p, order, rng)] += 1
    error = np.sqrt(p * (1 - p) / DRAWS)
    assert (np.abs(counts / DRAWS - p) <= 5 * error + 1e-12).all()


def test_systematic_draw_spreads_over_the_order():
    rng = np.random.RandomState(0)
    drawn = systematic_draw(np.full(100, 0.1), np.arange(100), rng)
    assert_array_equal(np.diff(np.sort(drawn)), np.full(9, 10))


@pytest.mark.parametrize("budget", [7, 12])
def test_every_class_has_a_row_at_the_smallest_budget(budget):
    rng = np.random.RandomState(0)
    strata = np.sort(np.concatenate([np.arange(7), rng.randint(0, 7, 300)]))
    importance = heavy_tailed(len(strata))
    for _ in range(300):
        p = inclusion_probabilities(importance, budget, strata)
        drawn = systematic_draw(p, np.arange(len(strata)), rng)
        assert len(np.unique(strata[drawn])) == 7
        drawn, _ = iid_draw(importance, budget, rng, strata)
        assert len(np.unique(strata[drawn])) == 7


# Unbiasedness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["systematic", "iid"])
@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("budget", [6, 25])
def test_weighted_sums_are_unbiased(sampling, stratified, budget):
    rng = np.random.RandomState(1)
    n = 60
    strata = np.sort(np.append(rng.randint(0, 3, n - 1), 3)) if stratified else None
    weight = rng.uniform(0.5, 2, n)
    importance = mix_with_uniform(rng.pareto(1.0, n), weight, 0.2)
    values = np.column_stack(
        [np.ones(n), rng.normal(size=n), np.arange(n), rng.exponential(size=n), np.eye(n)[5]]
    )
    truth = weight @ values
    sums = np.empty((DRAWS, values.shape[1]))
    p = inclusion_probabilities(importance, budget, strata)
    order = np.arange(n)
    for i in range(DRAWS):
        if sampling == "iid":
            drawn, multiplier = iid_draw(importance, budget, rng, strata)
        else:
            drawn = systematic_draw(p, order, rng)
            multiplier = 1 / p[drawn]
        sums[i] = (weight[drawn] * multiplier) @ values[drawn]
    error = sums.std(0) / np.sqrt(DRAWS)
    z = np.abs(sums.mean(0) - truth) / np.maximum(error, 1e-12 * np.abs(truth).max())
    assert (z < 5).all()
    # The test can tell: weights of the same sum that forget the probabilities are far off.
    forgetful = weight * p @ values * (weight.sum() / (weight @ p))
    assert (np.abs(forgetful - truth)[1:] / error[1:]).max() > 8


def test_iid_multipliers_count_repeats():
    importance = np.array([0.5, 0.25, 0.125, 0.125])
    rng = np.random.RandomState(0)
    for _ in range(20):
        drawn, multiplier = iid_draw(importance, 3, rng, None)
        assert len(np.unique(drawn)) == len(drawn) <= 3
        times = multiplier * 3 * importance[drawn]
        assert_allclose(times, np.round(times))
        assert times.sum() == pytest.approx(3)


def test_iid_shares_of_classes_are_whole_and_near_their_importance():
    strata = np.repeat([0, 1, 2, 3], [50, 30, 19, 1])
    importance = np.repeat([0.5 / 50, 0.3 / 30, 0.2 / 19, 0.0], [50, 30, 19, 1])
    drawn, multiplier = iid_draw(importance, 40, np.random.RandomState(0), strata)
    times = np.array([(strata[drawn] == code).sum() for code in range(4)])
    assert (times >= 1).all()
    # With uniform importance inside a class the weights of a class sum to its size.
    sums = np.bincount(strata[drawn], weights=multiplier)
    assert_allclose(sums[:2], [50, 30])
    assert sums[3] == pytest.approx(1)


# Calibration -----------------------------------------------------------------------------------


def test_calibration_gives_each_cell_its_mass():
    weight = np.array([1.0, 2.0, 3.0, 4.0])
    calibrated = calibrate_to_mass(weight, np.array([0, 0, 1, 2]), np.array([6.0, 1.5, 8.0]))
    assert_allclose(calibrated, [2, 4, 1.5, 8])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(1e-3, 1e3)), min_size=1, max_size=20),
    st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=6),
)
def test_calibration_keeps_the_total_mass(sample, mass):
    cell, weight = np.array([c for c, _ in sample]), np.array([w for _, w in sample])
    mass = np.array(mass)
    calibrated = calibrate_to_mass(weight, cell, mass)
    assert calibrated.sum() == pytest.approx(mass.sum())
    assert (calibrated > 0).all()
    sums = np.bincount(cell, weights=calibrated, minlength=6)
    met = np.isin(np.arange(6), cell)
    # Cells keep their proportions among themselves, whoever takes over the mass of missing cells.
    assert_allclose(sums[met] / mass[met], (sums[met] / mass[met])[0])


# Pools -----------------------------------------------------------------------------------------


def test_pool_of_few_rows_is_all_of_them():
    rows = distinct_rows(np.arange(10.0)[:, None], np.arange(1.0, 11))
    pool, weight = draw_pool(rows, 10, np.random.RandomState(0))
    assert_array_equal(np.sort(pool), np.arange(10))
    assert_allclose(weight, rows.weight[pool])


def test_pool_weights_are_unbiased_and_classes_complete():
    rng = np.random.RandomState(0)
    X = np.arange(200.0)[:, None]
    strata = np.repeat([0, 1, 2], [120, 79, 1])
    rows = distinct_rows(X, rng.pareto(1.5, 200) + 0.1)
    codes = strata[rows.index]
    sums = []
    for _ in range(2000):
        pool, weight = draw_pool(rows, 30, rng, codes)
        assert len(np.unique(pool)) == len(pool) == 30
        assert len(np.unique(codes[pool])) == 3
        sums.append([weight.sum(), weight @ X[rows.index[pool], 0]])
    truth = np.array([rows.weight.sum(), rows.weight @ X[rows.index, 0]])
    error = np.std(sums, axis=0) / np.sqrt(2000)
    assert (np.abs(np.mean(sums, axis=0) - truth) < 5 * error + 1e-9 * truth).all()


def test_front_of_the_pool_is_a_random_part_of_it():
    rows = distinct_rows(np.arange(100.0)[:, None])
    rng = np.random.RandomState(0)
    front = np.concatenate([draw_pool(rows, 50, rng)[0][:10] for _ in range(400)])
    counts = np.bincount(front, minlength=100)
    assert np.abs(counts - 40).max() < 5 * np.sqrt(40)
