"""Kernels against scikit-learn and written-out recursions; small ridge solves against refits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from oracles import kernel_matrix, no_shift, relu_kernels, ridge_leverage
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise
from sklearn.svm import SVR

from skdistill import _torch as torch
from skdistill.kernels import KERNELS, Kernel, resolve_kernel
from skdistill.kernels.nystroem import NystroemMap
from skdistill.kernels.ridge import (
    RELATIVE_ALPHAS,
    cholesky_with_jitter,
    fit_weighted_ridge,
    ridge_for_effective_dimension,
)


def resolved(kernel, gamma="scale", degree=3, coef0=1, params=None, n_features=4, variance=1.0):
    return resolve_kernel(kernel, gamma, degree, coef0, params, n_features, variance)


def sklearn_kernel(name, A, B, gamma, degree, coef0):
    if name == "rbf":
        return pairwise.rbf_kernel(A, B, gamma=gamma)
    if name == "laplacian":
        return pairwise.laplacian_kernel(A, B, gamma=gamma)
    if name == "polynomial":
        return pairwise.polynomial_kernel(A, B, degree=degree, gamma=gamma, coef0=coef0)
    return pairwise.linear_kernel(A, B)


@pytest.fixture
def two_blocks():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(7, 4))
    B = np.vstack([rng.normal(size=(5, 4)), A[:1], -A[1:2], 2 * A[2:3], np.zeros((1, 4))])
    return A, B


# Kernel functions ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rbf", "laplacian", "linear", "polynomial"])
@pytest.mark.parametrize("sparse", [False, True])
def test_kernels_equal_scikit_learn(name, sparse, two_blocks):
    A, B = two_blocks
    kernel = resolved(name, gamma=0.3, degree=2, coef0=0.5)
    expected = sklearn_kernel(name, A, B, 0.3, 2, 0.5)
    if sparse:
        A, B = sp.csr_matrix(A), sp.csr_matrix(B)
    assert_allclose(kernel_matrix(kernel, A, B), expected, rtol=1e-12, atol=1e-13)
    if sparse:  # as large tables have them
        A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
        assert_allclose(kernel_matrix(kernel, A, B), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("sparse", [False, True])
def test_network_kernels_equal_their_recursion(depth, sparse, two_blocks):
    A, B = two_blocks
    expected = dict(zip(("nngp", "ntk"), relu_kernels(A, B, depth), strict=True))
    if sparse:
        A, B = sp.csr_matrix(A), sp.csr_matrix(B)
    for name in ("nngp", "ntk"):
        kernel = resolved(name, params={"depth": depth})
        assert_allclose(kernel_matrix(kernel, A, B), expected[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", ["nngp", "ntk"])
def test_gradients_of_network_kernels(name, depth, two_blocks):
    """Slopes by hand equal difference quotients; parallel and opposite rows have finite ones."""
    A, B = (torch.from_numpy(M).requires_grad_() for M in two_blocks)
    kernel = resolved(name, params={"depth": depth})
    torch.autograd.gradcheck(kernel, (A, B[:5]))
    for block in (B, B.detach().float().requires_grad_()):
        (gradient,) = torch.autograd.grad(kernel(A.to(block), block).sum(), [block])
        assert gradient.isfinite().all()
    (gradient,) = torch.autograd.grad(kernel(A, B).sum(), [B], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):  # and not a wrong one
        gradient.sum().backward()


def test_nngp_is_the_covariance_of_random_networks():
    rng = np.random.default_rng(0)
    X, width = rng.normal(size=(6, 5)), 4000
    h = np.maximum(X @ rng.normal(size=(5, width)) / np.sqrt(5), 0) * np.sqrt(2)
    nngp = kernel_matrix(resolved("nngp", params={"depth": 1}, n_features=5), X)
    scale = np.sqrt(np.outer(np.diag(nngp), np.diag(nngp)))
    assert np.abs(h @ h.T / width - nngp).max() < 0.06 * scale.max()
    h = np.maximum(h @ rng.normal(size=(width, width)) / np.sqrt(width), 0) * np.sqrt(2)
    nngp = kernel_matrix(resolved("nngp", params={"depth": 2}, n_features=5), X)
    assert np.abs(h @ h.T / width - nngp).max() < 0.06 * scale.max()


def test_ntk_is_the_gradient_kernel_of_random_networks():
    rng = np.random.default_rng(0)
    X, width = rng.normal(size=(6, 5)), 200_000
    W, a = rng.normal(size=(5, width)), rng.normal(size=width)
    u = X @ W / np.sqrt(5)  # f(x) = sqrt(2 / width) a . relu(W x / sqrt(d))
    h, on = np.maximum(u, 0), (u > 0) * a
    gradient_kernel = 2 / width * (h @ h.T + (on @ on.T) * (X @ X.T) / 5)
    ntk = kernel_matrix(resolved("ntk", params={"depth": 1}, n_features=5), X)
    assert np.abs(gradient_kernel - ntk).max() < 0.02 * np.abs(ntk).max()


def test_callable_kernel_gets_its_parameters(two_blocks):
    A, B = two_blocks

    def cauchy(P, Q, *, width):
        return 1 / (1 + pairwise.euclidean_distances(P, Q, squared=True) / width)

    kernel = resolved(cauchy, params={"width": 2.0})
    assert_allclose(kernel_matrix(kernel, A, B), cauchy(A, B, width=2.0))
    assert_allclose(kernel.diagonal(torch.from_numpy(A)).numpy(), np.ones(7))
    sparse = kernel_matrix(kernel, sp.csr_matrix(A), sp.csr_matrix(B))
    assert_allclose(sparse, cauchy(A, B, width=2.0))


@pytest.mark.parametrize("shape", [(7,), (7, 8), (9, 7)])
def test_callable_kernel_of_the_wrong_shape_is_named(shape, two_blocks):
    A, B = two_blocks
    with pytest.raises(
        ValueError, match=r"must return an array of shape \(7, 9\).*pairwise_kernels"
    ):
        kernel_matrix(resolved(lambda P, Q: np.zeros(shape)), A, B)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_diagonal_is_the_diagonal(name, sparse, dtype, two_blocks):
    A = two_blocks[1].astype(dtype)
    kernel = resolved(name, gamma=0.3)
    if sparse:
        diagonal, K = kernel.diagonal(sp.csr_matrix(A)), kernel_matrix(kernel, sp.csr_matrix(A))
    else:
        diagonal, K = kernel.diagonal(torch.from_numpy(A)), kernel_matrix(kernel, A)
    assert diagonal.shape == (len(A),)
    tolerance = 1e-6 if dtype is np.float64 else 2e-3  # arccos near 1 keeps half the digits
    assert_allclose(diagonal.numpy(), np.diag(K), rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_leave_their_input_alone_and_are_positive(name, two_blocks):
    A = torch.from_numpy(np.vstack(two_blocks))
    before = A.clone()
    kernel = resolved(name)
    K = kernel(A, A).numpy()
    kernel.diagonal(A)
    assert_array_equal(A.numpy(), before.numpy())
    assert_allclose(K, K.T, atol=1e-12)
    assert scipy.linalg.eigvalsh(K).min() > -1e-8 * np.trace(K)
    assert kernel(A.float(), A.float()).dtype == torch.float32


@pytest.mark.parametrize("n_odd", [1, 2, 4])
@pytest.mark.parametrize("sparse", [False, True])
def test_mirror_rbf_is_a_mean_over_both_signs(n_odd, sparse, two_blocks):
    A, B = two_blocks
    sign = np.where(np.arange(4) < 4 - n_odd, 1, -1)
    kernel = resolved("mirror_rbf", gamma=0.3, params={"n_odd": n_odd})
    assert kernel.n_odd == n_odd
    blocks = [sp.csr_matrix(M) if sparse else M for M in (A, B, A * sign, B * sign)]
    found = kernel_matrix(kernel, blocks[0], blocks[1])
    expected = np.zeros((len(A), len(B)))
    for i, j in np.ndindex(expected.shape):
        for mirrored in (B[j], B[j] * sign):
            expected[i, j] += np.exp(-0.3 * np.sum((A[i] - mirrored) ** 2)) / 2
    assert_allclose(found, expected, rtol=1e-12)
    for changed in ((blocks[2], blocks[1]), (blocks[0], blocks[3]), (blocks[2], blocks[3])):
        assert_allclose(kernel_matrix(kernel, *changed), found, rtol=1e-12)


def test_half_of_the_features_of_mirror_rbf_are_odd():
    assert [resolved("mirror_rbf", n_features=d).n_odd for d in (1, 4, 7)] == [1, 2, 3]
    assert resolved("rbf").n_odd == 0


def test_rbf_of_a_row_with_itself_is_one_far_from_the_origin():
    X = np.random.default_rng(0).normal(size=(5, 3)) + 1e6
    K = kernel_matrix(resolved("rbf", gamma=1.0), X)
    assert (K <= 1).all()


# Parameters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["nngp", "ntk"])
def test_network_kernels_of_parallel_rows_are_exact_in_float32(name, sparse):
    """An angle of zero is the root of what rounding leaves: 3e-4 where it is not computed wider."""
    A = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    A = np.vstack([A, 3 * A])
    kernel = resolved(name, n_features=3)
    exact = kernel(*[torch.from_numpy(A.astype(float))] * 2)
    block = sp.csr_matrix(A) if sparse else torch.from_numpy(A)
    found = kernel(block, block)
    assert found.dtype == torch.float32
    assert_allclose(found, exact, rtol=2e-6, atol=2e-6 * float(exact.abs().max()))


def test_gamma_means_what_it_means_in_scikit_learn():
    X = np.random.default_rng(0).normal(size=(30, 4)) * [1, 2, 3, 4]
    assert resolved("rbf", "scale", variance=X.var()).gamma == pytest.approx(
        SVR(gamma="scale").fit(X, X[:, 0])._gamma
    )
    assert resolved("rbf", "auto").gamma == resolved("rbf", None).gamma == 0.25
    assert resolved("rbf", 0.7).gamma == 0.7
    assert resolved("rbf", "scale", variance=0.0).gamma == 1.0


def test_network_kernels_scale_by_the_number_of_features():
    assert resolved("ntk", gamma=7.0).gamma == 0.25
    assert resolved("nngp").params == {"depth": 3}


@pytest.mark.parametrize("gamma", [0, -1.0, np.inf, np.nan, "small"])
def test_bad_gamma_is_named(gamma):
    with pytest.raises(ValueError, match="gamma="):
        resolved("rbf", gamma)


@pytest.mark.parametrize(
    ("kernel", "params"),
    [
        ("nngp", {"depth": 0}),
        ("nngp", {"depth": 1.5}),
        ("ntk", {"width": 3}),
        ("nngp", {"depth": np.nan}),
        ("mirror_rbf", {"n_odd": 0}),
        ("mirror_rbf", {"n_odd": 5}),
        ("mirror_rbf", {"n_odd": 1.5}),
        ("mirror_rbf", {"signs": 2}),
        ("rbf", {"gamma": 1}),
        ("linear", {"depth": 2}),
    ],
)
def test_bad_kernel_parameters_are_named(kernel, params):
    with pytest.raises(ValueError, match="kernel_params="):
        resolved(kernel, params=params)


def test_kernel_parameters_of_the_caller_stay_as_they_are():
    params = {"depth": 2}
    resolved("ntk", params=params)
    assert params == {"depth": 2}
    empty: dict = {}
    resolved("ntk", params=empty)
    assert empty == {}


def test_unknown_kernel_is_named():
    with pytest.raises(ValueError, match="kernel='cosine' is unknown; use one of"):
        resolved("cosine")


def test_only_distances_are_shift_invariant():
    assert {name for name in KERNELS if Kernel(name).shift_invariant} == {"rbf", "laplacian"}


# Weighted kernel ridge -------------------------------------------------------------------------


@pytest.fixture
def ridge_problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = np.column_stack([np.sin(X[:, 0]) + 3, X[:, 1] ** 2 - 5]) + 0.3 * rng.normal(size=(40, 2))
    return X, Y, rng.uniform(0.2, 30, 40)


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e8])
def test_ridge_equals_scikit_learn(ridge_problem, scale):
    X, Y, weight = ridge_problem
    weight = weight * scale
    K = pairwise.rbf_kernel(X, gamma=0.5)
    fit = fit_weighted_ridge(K, Y, weight)
    intercept = np.average(Y, axis=0, weights=weight)
    assert_allclose(fit.intercept, intercept)
    # scikit-learn weighs the squared errors as we do, so its alpha is ours.
    expected = KernelRidge(alpha=fit.alpha, kernel="precomputed").fit(
        K, Y - intercept, sample_weight=weight
    )
    assert_allclose(K @ fit.dual_coef, expected.predict(K), rtol=1e-6, atol=1e-8)


def test_ridge_is_the_best_by_leaving_one_out(ridge_problem):
    X, Y, weight = ridge_problem
    K = pairwise.rbf_kernel(X, gamma=0.5)
    Z = Y - np.average(Y, axis=0, weights=weight)
    root = np.sqrt(weight / weight.mean())
    largest = scipy.linalg.eigvalsh(root[:, None] * K * root)[-1]
    alphas = RELATIVE_ALPHAS * largest * weight.mean()
    errors = []
    for alpha in alphas:
        total = 0.0
        for i in range(len(K)):
            rest = np.delete(np.arange(len(K)), i)
            model = KernelRidge(alpha=alpha, kernel="precomputed")
            model.fit(K[np.ix_(rest, rest)], Z[rest], sample_weight=weight[rest])
            total += weight[i] * ((model.predict(K[i : i + 1, rest]) - Z[i]) ** 2).sum()
        errors.append(total)
    best = int(np.argmin(errors))
    assert 0 < best < len(alphas) - 1  # an inner minimum, or the choice would mean nothing
    assert fit_weighted_ridge(K, Y, weight).alpha == pytest.approx(alphas[best])


@pytest.mark.parametrize("K", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0, 0])])
def test_ridge_of_degenerate_kernels_is_finite(K):
    fit = fit_weighted_ridge(K, np.array([[1.0], [2.0], [4.0]]), np.ones(3))
    assert np.isfinite(fit.dual_coef).all()
    assert np.isfinite(fit.alpha)


# Effective dimension, roots, factors -----------------------------------------------------------


@pytest.mark.parametrize("target", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_ridge_reaches_the_effective_dimension(target, scale):
    eigenvalues = np.sort(np.exp(-0.2 * np.arange(50))) * scale
    alpha = ridge_for_effective_dimension(eigenvalues, target)
    assert (eigenvalues / (eigenvalues + alpha)).sum() == pytest.approx(target, rel=1e-6)


def test_effective_dimension_is_the_sum_of_leverage_scores():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(30, 2)), rng.uniform(0.5, 4, 30)
    K = pairwise.rbf_kernel(X)
    root = np.sqrt(weight)[:, None]
    alpha = ridge_for_effective_dimension(scipy.linalg.eigvalsh(root * K * root.T), 6.0)
    assert ridge_leverage(K, weight, alpha).sum() == pytest.approx(6)


def test_effective_dimension_stays_below_the_rank():
    eigenvalues = np.array([-1e-18, 0.0, 0.0, 1.0, 2.0])
    alpha = ridge_for_effective_dimension(eigenvalues, 100)
    assert (eigenvalues / (eigenvalues + alpha)).sum() == pytest.approx(1.8, rel=1e-6)
    assert ridge_for_effective_dimension(np.zeros(4), 2) == 1.0


def inverse_square_root(landmarks):
    """Normalisation of the linear kernel, whose matrix is X X^T."""
    return NystroemMap(Kernel("linear"), landmarks, no_shift(landmarks.shape[1])).normalization


@pytest.mark.parametrize("equal", [True, False])
def test_predictor_and_features_share_a_decomposition(equal, monkeypatch):
    calls, eigh = [], scipy.linalg.eigh
    monkeypatch.setattr(scipy.linalg, "eigh", lambda A: calls.append(1) or eigh(A))
    A, Y = np.random.default_rng(0).normal(size=(9, 3)), np.ones((9, 1))
    Y[:4] = -1
    weight = np.full(9, 0.1) if equal else np.arange(1.0, 10)
    landmarks = NystroemMap(Kernel("rbf"), A, no_shift(3))
    fit, expected = (
        landmarks.ridge(Y, weight),
        fit_weighted_ridge(pairwise.rbf_kernel(A, gamma=1), Y, weight),
    )
    assert_allclose(fit.dual_coef, expected.dual_coef, rtol=1e-6)
    root = landmarks.normalization
    assert len(calls) == (2 if equal else 3)  # one of them the expected one's
    assert_allclose(root @ landmarks.landmark_kernel() @ root, np.eye(9), atol=1e-8)


def test_inverse_square_root_and_its_cut():
    A = np.random.default_rng(0).normal(size=(6, 6))
    root = inverse_square_root(A)
    assert_allclose(root, root.T)
    assert_allclose(root @ A @ A.T @ root, np.eye(6), atol=1e-8)
    root = inverse_square_root(A[:, :2])
    assert_allclose(root @ root, np.linalg.pinv(A[:, :2] @ A[:, :2].T), rtol=1e-6, atol=1e-8)
    # In single precision a direction of 1e-8 is noise, in double precision it is not.
    landmarks = np.diag([1.0, 1e-4])
    assert np.linalg.matrix_rank(inverse_square_root(landmarks.astype(np.float32))) == 1
    assert np.linalg.matrix_rank(inverse_square_root(landmarks)) == 2
    assert_array_equal(inverse_square_root(np.zeros((2, 2))), np.zeros((2, 2)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sparse_landmarks", [False, True])
@pytest.mark.parametrize("sparse_rows", [False, True])
def test_products_with_landmarks(dtype, sparse_landmarks, sparse_rows):
    rng = np.random.default_rng(0)
    X, landmarks = rng.normal(size=(50, 3)).astype(dtype), rng.normal(size=(6, 3)).astype(dtype)
    right = rng.normal(size=(6, 2))
    kernel = resolved("polynomial", gamma=0.3)
    expected = pairwise.polynomial_kernel(X, landmarks, gamma=0.3) @ right
    landmark_map = NystroemMap(
        kernel, sp.csr_matrix(landmarks) if sparse_landmarks else landmarks, no_shift(3)
    )
    rows = sp.csr_matrix(X) if sparse_rows else X
    product = landmark_map.product(rows, right, np.dtype(dtype), "cpu")
    assert product.dtype == dtype
    assert_allclose(product, expected, rtol=1e-10 if dtype is np.float64 else 1e-4, atol=1e-4)


def test_cholesky_jitters_a_matrix_that_just_fails():
    K = np.ones((4, 4)) - 1e-13 * np.eye(4)
    with pytest.warns(scipy.linalg.LinAlgWarning, match="not positive definite"):
        factor = cholesky_with_jitter(K)
    assert_allclose(factor @ factor.T, K, atol=1e-9)
    positive = np.diag([1.0, 2.0])
    assert_allclose(cholesky_with_jitter(positive), np.sqrt(positive))
