"""Sensitivities of kernel ridge regression: exact scores, the supremum, landmarks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles import (
    CPU,
    distinct_rows,
    kernel_matrix,
    no_shift,
    ridge_leverage,
    ridge_loss,
    ridge_sensitivities,
    ridge_solution,
)

from skdistill._input.rows import Units
from skdistill.kernels import resolve_kernel
from skdistill.sensitivity import kernel_ridge
from skdistill.sensitivity.kernel_ridge import exact_scores, kernel_ridge_scores, landmark_scores

KERNEL = resolve_kernel("rbf", 0.5, 3, 1, None, 3, 1.0)


def problem(n=60, n_outputs=2, seed=0, heavy=True):
    """Distinct rows, an rbf kernel matrix, centred targets, unequal weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(2, size=(n, 3)) if heavy else rng.normal(size=(n, 3))
    Y = np.column_stack([np.sin(X[:, 0] * (j + 1)) for j in range(n_outputs)])
    Y += rng.standard_t(3, size=Y.shape) * 0.3
    rows = distinct_rows(X, rng.pareto(2, n) + 0.2)
    Y = Y[rows.index]
    Y -= np.average(Y, axis=0, weights=rows.weight)
    return rows, kernel_matrix(KERNEL, X[rows.index]), Y


# Exact scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_exact_scores_equal_the_formula(alpha, n_outputs):
    rows, K, Y = problem(n_outputs=n_outputs)
    leverage, share = exact_scores(K, Y, rows.weight, alpha)
    expected_leverage, expected_share = ridge_sensitivities(K, Y, rows.weight, alpha)
    assert_allclose(leverage, expected_leverage, rtol=1e-7, atol=1e-10)
    assert_allclose(share, expected_share, rtol=1e-6, atol=1e-12)


def test_total_is_the_effective_dimension_plus_one_less_the_penalty():
    rows, K, Y = problem()
    alpha = 0.3
    leverage, share = exact_scores(K, Y, rows.weight, alpha)
    A = ridge_solution(K, Y, rows.weight, alpha)
    optimum = ridge_loss(K, A, Y, rows.weight, alpha)
    root = np.sqrt(rows.weight)[:, None]
    values = scipy.linalg.eigvalsh(root * K * root.T)
    dimension = (values / (values + alpha)).sum()
    penalty = alpha * np.trace(A.T @ K @ A) / optimum
    assert leverage.sum() + share.sum() == pytest.approx(dimension + 1 - penalty)


def test_input_of_exact_scores_is_left_alone():
    rows, K, Y = problem()
    copies = K.copy(), Y.copy()
    exact_scores(K, Y, rows.weight, 0.1)
    assert (K == copies[0]).all()
    assert (Y == copies[1]).all()


def shares(K, A, Y, weight, alpha):
    """Share of each row in L(f), f = sum_j A_j k(x_j, .)."""
    return weight * ((K @ A - Y) ** 2).sum(1) / ridge_loss(K, A, Y, weight, alpha)


@pytest.mark.parametrize("alpha", [1e-3, 0.3, 30.0])
def test_scores_are_the_supremum(alpha):
    """The closed-form maximiser f* + (L* / |R_i|^2) R_i g_i reaches every score."""
    rows, K, Y = problem(40)
    w, n = rows.weight, len(K)
    s = sum(exact_scores(K, Y, w, alpha))
    best = ridge_solution(K, Y, w, alpha)
    optimum = ridge_loss(K, best, Y, w, alpha)
    R = K @ best - Y
    # g_i represents the value at x_i under G(g) = sum w |g(x)|^2 + alpha |g|^2.
    representers = np.linalg.inv(np.diag(w) @ K + alpha * np.eye(n))
    for i in range(n):
        A = best + np.outer(representers[:, i], R[i]) * optimum / (R[i] @ R[i])
        assert shares(K, A, Y, w, alpha)[i] == pytest.approx(s[i], rel=1e-6)


def test_scores_are_approached_where_the_residual_is_zero():
    rows, K, _ = problem(30)
    w, alpha = rows.weight, 0.3
    # A target that f* = k(x_3, .) fits exactly at row 7 alone: any Y is f* + alpha W^-1 A.
    A = np.random.default_rng(0).normal(size=(30, 1))
    A[7] = 0
    Y = (K + alpha * np.diag(1 / w)) @ A
    leverage, share = exact_scores(K, Y, w, alpha)
    assert share[7] == pytest.approx(0, abs=1e-20)
    representer = np.linalg.inv(np.diag(w) @ K + alpha * np.eye(30))[:, [7]]
    got = [shares(K, A + t * representer, Y, w, alpha)[7] for t in (1, 1e3, 1e6)]
    assert got[0] < got[1] < leverage[7]
    assert got[2] == pytest.approx(leverage[7], rel=1e-4)


@given(st.integers(0, 10**6), st.floats(-3, 2), st.integers(1, 3))
def test_no_function_gives_a_row_more_than_its_score(seed, log_alpha, n_outputs):
    alpha = 10.0**log_alpha
    rows, K, Y = problem(15, n_outputs, seed)
    w = rows.weight
    leverage, share = exact_scores(K, Y, w, alpha)
    assert ((leverage >= 0) & (leverage <= 1)).all()
    assert ((share >= 0) & (share <= 1)).all()
    bound = leverage + share
    rng = np.random.default_rng(seed)
    best = ridge_solution(K, Y, w, alpha)
    for step in (1e-2, 1.0, 1e2):
        A = best + step * rng.normal(size=best.shape)
        assert (shares(K, A, Y, w, alpha) <= bound * (1 + 1e-6) + 1e-9).all()
    inverse = np.linalg.inv(np.diag(w) @ K + alpha * np.eye(len(K)))
    for i in range(0, len(K), 4):
        A = best + rng.normal() * np.outer(inverse[:, i], rng.normal(size=n_outputs))
        assert (shares(K, A, Y, w, alpha) <= bound * (1 + 1e-6) + 1e-9).all()


def test_no_target_leaves_leverage_scores():
    rows, K, _ = problem()
    leverage, share = exact_scores(K, np.zeros((len(K), 1)), rows.weight, 0.2)
    assert_allclose(leverage, ridge_leverage(K, rows.weight, 0.2))
    assert (share == 0).all()


# Through the front -----------------------------------------------------------------------------


def front(rows, Y, alpha, budget=20, kernel=KERNEL, units=None, seed=0):
    units = no_shift(rows.X.shape[1]) if units is None else units
    rng = np.random.RandomState(seed)
    return kernel_ridge_scores(rows, Y, kernel, units, alpha, budget, CPU, rng)


def test_targets_are_centred_by_weight():
    rows, K, Y = problem()
    fit = front(rows, Y + np.array([100.0, -7.0]), 0.2)
    leverage, share = ridge_sensitivities(K, Y, rows.weight, 0.2)
    assert_allclose(fit.leverage, leverage, rtol=1e-7)
    assert_allclose(fit.residual, share, rtol=1e-6, atol=1e-12)
    assert_allclose(fit.scores().sensitivity, np.minimum(leverage + share, 1), rtol=1e-6)


@pytest.mark.parametrize("budget", [2, 20, 50])
def test_auto_alpha_gives_half_the_budget_as_effective_dimension(budget):
    rows, K, Y = problem()
    fit = front(rows, Y, "auto", budget)
    assert ridge_leverage(K, rows.weight, fit.alpha).sum() == pytest.approx(budget / 2, rel=1e-6)


def test_auto_alpha_on_a_pool_is_near_that_of_all_rows(monkeypatch):
    monkeypatch.setattr(kernel_ridge, "SPECTRUM_ROWS", (200, 300))
    rows, K, Y = problem(900, heavy=False)
    fit = front(rows, Y, "auto", 40)
    assert ridge_leverage(K, rows.weight, fit.alpha).sum() == pytest.approx(20, rel=0.25)


def test_the_unit_of_weights_does_not_matter_with_auto_alpha():
    rows, _, Y = problem()
    heavy = distinct_rows(rows.X[rows.index], rows.weight * 1e6)
    order = [rows.key.tolist().index(k) for k in heavy.key.tolist()]
    assert_allclose(
        front(heavy, Y[order], "auto").scores().sensitivity,
        front(rows, Y, "auto").scores().sensitivity[order],
        rtol=1e-6,
    )


# Landmarks -------------------------------------------------------------------------------------


def by_landmarks(rows, Y, alpha, size, kernel=KERNEL, units=None, seed=0):
    units = no_shift(rows.X.shape[1]) if units is None else units
    landmarks = np.random.RandomState(seed).permutation(len(rows))[:size]
    fit = landmark_scores(rows, Y, kernel, units, alpha, landmarks, 5, CPU)
    return fit, landmarks


@pytest.mark.parametrize("size", [10, 60, 200])
@pytest.mark.parametrize("alpha", [1e-3, 0.3, 10.0])
@pytest.mark.parametrize("heavy", [False, True])
def test_landmark_bound_is_at_least_the_exact_leverage(size, alpha, heavy):
    rows, K, Y = problem(400, heavy=heavy)
    fit, landmarks = by_landmarks(rows, Y, alpha, size)
    exact = ridge_leverage(K, rows.weight, alpha)
    assert (fit.leverage >= exact - 1e-3).all()
    assert (fit.leverage <= 1).all()
    # It is the formula, and not merely something large.
    K_SS = K[np.ix_(landmarks, landmarks)] + alpha * np.diag(1 / rows.weight[landmarks])
    K_nS = K[:, landmarks]
    schur = np.diag(K) - np.einsum("ij,ji->i", K_nS, np.linalg.solve(K_SS, K_nS.T))
    assert_allclose(fit.leverage, np.clip(rows.weight * schur / alpha, 0, 1), atol=6e-3)


@pytest.mark.parametrize("size", [10, 60, 200])
@pytest.mark.parametrize("alpha", [1e-3, 0.3, 10.0])
def test_landmark_estimate_is_within_its_factor_of_the_exact_leverage(size, alpha):
    rows, K, Y = problem(400)
    fit, landmarks = by_landmarks(rows, Y, alpha, size)
    exact = ridge_leverage(K, rows.weight, alpha)
    K_nS, K_SS = K[:, landmarks], K[np.ix_(landmarks, landmarks)]
    error = K - K_nS @ np.linalg.pinv(K_SS, rcond=1e-12, hermitian=True) @ K_nS.T
    root = np.sqrt(rows.weight)[:, None]
    kappa = scipy.linalg.eigvalsh(root * error * root.T)[-1] / alpha
    assert (fit.leverage_estimate >= exact / max(2, 1 + 2 * kappa) - 1e-3).all()
    assert (fit.leverage_estimate <= fit.leverage + 1e-12).all()
    assert (fit.leverage_estimate >= 0).all()


def test_all_rows_as_landmarks_are_exact():
    rows, K, Y = problem(150)
    for alpha, tolerance in ((1e-4, 1e-6), (0.3, 5e-3)):  # in double, in single precision
        fit, _ = by_landmarks(rows, Y, alpha, 150)
        leverage, share = ridge_sensitivities(K, Y, rows.weight, alpha)
        assert_allclose(fit.leverage, leverage, atol=tolerance)
        assert_allclose(fit.leverage_estimate, leverage, atol=tolerance)
        assert_allclose(fit.residual, share, atol=tolerance)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 0.3, 3.0])
@pytest.mark.parametrize("size", [20, 120])
def test_residuals_are_those_of_the_best_function_of_the_landmarks(alpha, size):
    rows, K, Y = problem(300)
    fit, landmarks = by_landmarks(rows, Y, alpha, size)
    w = rows.weight
    K_nS, K_SS = K[:, landmarks], K[np.ix_(landmarks, landmarks)]
    normal = K_nS.T @ (w[:, None] * K_nS) + alpha * K_SS
    b = np.linalg.lstsq(normal, K_nS.T @ (w[:, None] * Y), rcond=1e-14)[0]
    A = np.zeros_like(Y)
    A[landmarks] = b
    loss = ridge_loss(K, A, Y, w, alpha)
    assert loss >= ridge_loss(K, ridge_solution(K, Y, w, alpha), Y, w, alpha) * (1 - 1e-9)
    expected = shares(K, A, Y, w, alpha)
    if alpha <= 1e-2:
        assert_allclose(fit.residual, expected, rtol=1e-4, atol=1e-9)
    else:  # single precision leaves directions out, which costs little
        assert fit.residual.sum() == pytest.approx(expected.sum(), rel=0.05)
        assert np.corrcoef(fit.residual, expected)[0, 1] > 0.98


def test_blocks_of_any_size_give_the_same_landmark_scores(monkeypatch):
    rows, _, Y = problem(500)
    whole, _ = by_landmarks(rows, Y, 0.1, 50)
    monkeypatch.setattr(kernel_ridge, "tile_rows", lambda columns, device: 37)
    parts, _ = by_landmarks(rows, Y, 0.1, 50)
    for name in ("leverage", "leverage_estimate", "residual"):
        assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-4)
    assert (parts.cell == whole.cell).mean() > 0.98


@pytest.mark.parametrize("alpha", [1e-5, 9e-4])  # dense rows too are scored in double precision
def test_sparse_rows_score_as_dense_rows(alpha):
    X = sp.random(200, 12, 0.3, format="csr", random_state=0)
    Y = np.random.default_rng(0).normal(size=(200, 1))
    sparse, dense = distinct_rows(X), distinct_rows(X.toarray())
    kernel = resolve_kernel("rbf", 0.8, 3, 1, None, 12, 1.0)
    assert (sparse.index == dense.index).all()
    Y = Y[sparse.index]
    for size in (30, 150):
        a, _ = by_landmarks(sparse, Y, alpha, size, kernel)
        b, _ = by_landmarks(dense, Y, alpha, size, kernel)
        assert_allclose(a.leverage_estimate, b.leverage_estimate, rtol=1e-6)
        assert_allclose(a.residual, b.residual, rtol=1e-5, atol=1e-12)
    a, b = front(sparse, Y, alpha, kernel=kernel), front(dense, Y, alpha, kernel=kernel)
    assert_allclose(a.leverage, b.leverage, rtol=1e-8)


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "laplacian", "nngp", "ntk"])
def test_landmark_bound_holds_for_every_kernel(kernel):
    rows, _, Y = problem(300, heavy=False)
    kernel = resolve_kernel(kernel, 0.3, 2, 1, None, 3, 1.0)
    K = kernel_matrix(kernel, rows.X[rows.index])
    alpha = 0.02 * np.trace(K) / len(K)
    exact = ridge_leverage(K, rows.weight, alpha)
    for size in (8, 60):
        fit, _ = by_landmarks(rows, Y, alpha, size, kernel)
        assert (fit.leverage >= exact - 1e-3).all()
        assert np.isfinite(fit.residual).all()


def test_many_rows_go_by_landmarks_and_agree_with_the_exact_scores(monkeypatch):
    rows, K, Y = problem(700)
    exact = front(rows, Y, 0.5, budget=100)
    monkeypatch.setattr(kernel_ridge, "EXACT_ROWS", 500)
    near = front(rows, Y, 0.5, budget=100)
    assert_allclose(exact.leverage, ridge_leverage(K, rows.weight, 0.5), rtol=1e-7)
    assert (near.leverage >= exact.leverage - 1e-3).all()
    ratio = near.leverage_estimate.sum() / exact.leverage.sum()
    assert 0.8 < ratio < 1.6
    assert np.corrcoef(near.residual, exact.residual)[0, 1] > 0.9


def test_features_are_centred_before_they_are_rounded():
    """Single precision at an offset of 1e6 would see no difference between rows."""
    rows, K, Y = problem(300, heavy=False)
    far = distinct_rows(rows.X[rows.index] + 1e6, rows.weight)
    units = Units(np.full(3, 1e6))
    fit, _ = by_landmarks(far, Y[far.index], 0.5, 300, units=units)
    exact = ridge_leverage(K, rows.weight, 0.5)
    assert_allclose(fit.leverage, exact[far.index], atol=5e-3)
