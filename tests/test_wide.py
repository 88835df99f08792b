"""Thousands of classes or features: memory and work follow the data, not its width squared."""

from __future__ import annotations

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skdistill import SensitivityCoreset
from skdistill._device import blas_threads, one_blas_thread, set_blas_threads, threads_for
from skdistill._input.targets import encode_target
from skdistill.learning import coordinates
from skdistill.learning.coordinates import robust_coordinates
from skdistill.sensitivity.kernel_ridge import Centred
from skdistill.sensitivity.kmeans import restrict


def test_classes_are_kept_as_codes():
    n, n_classes = 4000, 2000
    X, y = np.random.default_rng(0).normal(size=(n, 2)), np.arange(n) % n_classes
    tracemalloc.start()
    coreset = SensitivityCoreset(2500, sampling="systematic", random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2500 * n_classes  # a dense target would take eight times that
    assert len(pickle.dumps(coreset)) < 500_000
    few = SensitivityCoreset(30, random_state=0).fit(X[:200], y[:200] % 3)
    assert few.make_predictor().predict(X[:5]).shape == (5, 3)


def test_kernel_ridge_scores_see_classes_block_by_block():
    y, weight = np.arange(50) % 7, np.random.default_rng(0).uniform(size=50)
    one_hot = np.eye(7)[y]
    expected = one_hot - np.average(one_hot, axis=0, weights=weight)
    for target in (encode_target(y, "classification"), one_hot):
        found = Centred(target, weight)
        assert found.shape == (50, 7)
        assert_allclose(found[:], expected)
        assert_allclose(found[10:20], expected[10:20])
    assert not Centred(None, weight)[:].any()


@pytest.mark.parametrize(("n", "d"), [(40, 300), (300, 40), (60, 60)])
def test_directions_are_those_of_the_larger_side(n, d, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) + 0.01 * rng.normal(size=(n, d))
    weight = rng.uniform(0.5, 2, n)
    found = robust_coordinates(X, weight, explained=0.97)
    share = weight / weight.sum()
    centered = (X - share @ X) / found.scale
    values, vectors = np.linalg.eigh((centered * share[:, None]).T @ centered)
    q = found.basis.shape[1]
    assert values[::-1][:q].sum() >= 0.97 * values.sum() > values[::-1][: q - 1].sum()
    assert_allclose(found.basis.T @ found.basis, np.eye(q), atol=1e-10)
    leading = vectors[:, ::-1][:, :q]
    assert_allclose(found.basis @ found.basis.T, leading @ leading.T, atol=1e-8)


def test_of_many_rows_and_features_a_part_gives_the_directions(monkeypatch):
    monkeypatch.setattr(coordinates, "_MOST_DIRECTIONS", 50)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 120))
    basis = robust_coordinates(X, np.ones(200), explained=0.999).basis
    assert basis.shape == (120, 4)
    centered = X - X.mean(0)
    assert_allclose(basis @ (basis.T @ basis) @ basis.T, basis @ basis.T, atol=1e-10)
    assert centered.shape == (200, 120)


def test_columns_of_csr_rows():
    X = sp.random(30, 1000, 0.02, random_state=0, format="csr")
    columns = np.unique(X[:10].indices)
    assert_array_equal(restrict(X, columns).toarray(), X[:, columns].toarray())


@pytest.mark.parametrize("classes", [None, 2])
def test_kmeans_of_millions_of_columns_costs_what_its_entries_do(classes):
    rng = np.random.default_rng(0)
    n, d, nnz = 400, 3_000_000, 10
    indices = np.sort(rng.integers(0, d, (n, nnz)), axis=1).ravel()
    X = sp.csr_matrix((rng.uniform(1, 2, n * nnz), indices, np.arange(0, n * nnz + 1, nnz)), (n, d))
    y = None if classes is None else rng.integers(0, classes, n)  # then medoids are chosen
    tracemalloc.start()
    coreset = SensitivityCoreset(40, n_clusters=20, random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 8 * d  # a few vectors of all columns, and no matrix of them
    narrow = restrict(X, np.unique(X.indices))
    # The same rows in fewer columns: other hashes and another order, but as many clusters' worth.
    found = SensitivityCoreset(40, n_clusters=20, random_state=0).fit(narrow, y)
    assert coreset.total_sensitivity_ == pytest.approx(found.total_sensitivity_, rel=0.2)


# Settings of the process ---------------------------------------------------------------------


@pytest.fixture
def two_threads():
    """Two threads for BLAS and PyTorch: with one there would be no limit to restore."""
    import torch

    before = torch.get_num_threads(), blas_threads()
    torch.set_num_threads(2)
    set_blas_threads([2] * len(before[1]))
    yield
    torch.set_num_threads(before[0])
    set_blas_threads(before[1])


@pytest.mark.usefixtures("two_threads")
def test_threads_leave_the_limit_as_it_was():
    """The first to come goes first, and lives on: as a thread of a pool does."""
    before, found = blas_threads(), []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(one_blas_thread().__enter__).result()
        with one_blas_thread():
            found.append(blas_threads())
            executor.submit(one_blas_thread().__exit__).result()
            found.append(blas_threads())  # the second is not done yet
        found.append(blas_threads())
    ones = [1] * len(before)
    assert found == [ones, ones, before]


@pytest.mark.usefixtures("two_threads")
def test_small_work_takes_one_thread_and_large_work_what_there_is():
    import torch

    cpu, before = torch.device("cpu"), 2
    with threads_for(1e3, cpu):
        assert torch.get_num_threads() == 1
    with threads_for(1e12, cpu):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before
