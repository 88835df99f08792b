"""Same seed, same rows; nothing outside is touched; what merges and shuffles changes nothing."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, make_blobs
from threadpoolctl import threadpool_limits

from skdistill import DatasetDistiller, SensitivityCoreset
from skdistill._input import rows as input_rows
from skdistill.kernels import nystroem
from skdistill.networks import MLP, ConvFeatures, NetworkClassifier
from skdistill.objectives import FeatureRegression
from skdistill.sensitivity import kernel_ridge, kmeans

N_BLOBS = 8000
LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def blobs():
    """Beyond one tile and beyond the exact scores; a fifth of the rows are repeated."""
    X, y = make_blobs(N_BLOBS, 30, centers=12, cluster_std=2.0, random_state=0)
    again = N_BLOBS // 4
    return np.vstack([X, X[:again]]), np.append(y, y[:again])


def content(coreset):
    """Rows, labels and weights that were chosen, in their order."""
    small = coreset.distilled_
    rows = small.X.toarray() if sp.issparse(small.X) else small.X
    return np.column_stack([rows, small.y, small.sample_weight])


def in_common(a, b):
    """Share of the rows of `a` that `b` chose too."""
    rows = {tuple(row[:-1].tolist()) for row in content(b)}
    return np.mean([tuple(row[:-1].tolist()) in rows for row in content(a)])


# Seeds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sampling", ["systematic", "iid"])
def test_same_seed_same_bits(digits, loss, sampling):
    coreset = SensitivityCoreset(60, loss=loss, sampling=sampling, random_state=3)
    first = content(coreset.fit(*digits))
    sensitivities, features = coreset.sensitivities_, coreset.transform(digits[0])
    assert_array_equal(content(coreset.fit(*digits)), first)
    assert_array_equal(coreset.sensitivities_, sensitivities)
    assert_array_equal(coreset.transform(digits[0]), features)
    generator = np.random.RandomState(3)
    assert_array_equal(content(coreset.set_params(random_state=generator).fit(*digits)), first)
    assert content(coreset.fit(*digits)).tolist() != first.tolist()  # the generator went on


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_same_seed_same_bits_on_larger_data(blobs, loss):
    coreset = SensitivityCoreset(100, loss=loss, random_state=0)
    assert_array_equal(content(coreset.fit(*blobs)), content(coreset.fit(*blobs)))


def test_other_seeds_other_rows(digits):
    chosen = [SensitivityCoreset(50, random_state=seed).fit(*digits).indices_ for seed in range(4)]
    assert len({tuple(indices.tolist()) for indices in chosen}) == 4
    unseeded = [SensitivityCoreset(50).fit(*digits).indices_ for _ in range(2)]
    assert unseeded[0].tolist() != unseeded[1].tolist()


def test_hashes_are_the_same_in_every_process(digits, forking):
    program = (
        "from sklearn.datasets import load_digits\n"
        "from skdistill import SensitivityCoreset\n"
        "X, y = load_digits(return_X_y=True)\n"
        "print(SensitivityCoreset(30, random_state=0).fit(X, y).indices_.tolist())"
    )
    done = forking.run(program)  # with another seed of Python's own hashes
    here = SensitivityCoreset(30, random_state=0).fit(*digits).indices_.tolist()
    assert done.stdout.strip() == str(here)


# Nothing outside is touched ----------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_global_state_is_left_alone(digits, loss):
    X, y = digits
    copies = X.copy(), y.copy()
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    random.seed(7)
    before = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    settings = (
        torch.get_num_threads(),
        torch.get_num_interop_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
    )
    for seed in (0, None):
        coreset = SensitivityCoreset(30, loss=loss, random_state=seed).fit(X, y)
        coreset.transform(X)
        coreset.make_predictor().predict(X)
        if seed == 0:
            state = np.random.get_state()[1]  # noqa: NPY002
            assert_array_equal(state, before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]
    assert settings == (
        torch.get_num_threads(),
        torch.get_num_interop_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
    )
    assert_array_equal(X, copies[0])
    assert_array_equal(y, copies[1])


# Threads, blocks, devices ------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_number_of_threads_changes_rounding_only(blobs, loss):
    X, y = blobs
    coreset = SensitivityCoreset(100, loss=loss, random_state=0)
    results = []
    threads = torch.get_num_threads()
    try:
        # More threads than cores wait for each other: of one loss they are enough.
        for number in (1, 2, 4) if loss == "kmeans" else (1, 2):
            torch.set_num_threads(number)
            with threadpool_limits(number):
                coreset.fit(X, y)
                results.append((coreset.sensitivities_, content(coreset)))
    finally:
        torch.set_num_threads(threads)
    (expected, chosen), *others = results
    for sensitivities, rows in others:
        assert_allclose(sensitivities, expected, rtol=1e-3, atol=1e-6)
        assert np.mean([row in chosen[:, 0] for row in rows[:, 0]]) >= 0.97


def test_fits_at_once_do_not_disturb_each_other(digits):
    X, y = digits

    def fit(seed):
        coreset = SensitivityCoreset(50, loss="kernel_ridge", random_state=seed)
        learnt = DatasetDistiller(12, max_iter=5, early_stopping=False, random_state=seed)
        return coreset.fit_distill(X, y).X, learnt.fit_distill(X[:500], y[:500]).X

    alone = [fit(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as executor:
        for together, expected in zip(executor.map(fit, range(2)), alone, strict=True):
            assert_allclose(together[0], expected[0])
            assert_allclose(together[1], expected[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_size_of_blocks_changes_rounding_only(blobs, loss, monkeypatch):
    X, y = blobs
    coreset = SensitivityCoreset(100, loss=loss, random_state=0)
    expected = coreset.fit(X, y).sensitivities_
    chosen, features = content(coreset), coreset.transform(X[:2000])
    for size in (64, len(X)):
        monkeypatch.setattr(nystroem, "tile_rows", lambda columns, device, size=size: size)
        assert_allclose(coreset.transform(X[:2000]), features, atol=1e-9)
    for size in (64, len(X)):
        for module in (kmeans, kernel_ridge):
            monkeypatch.setattr(module, "tile_rows", lambda columns, device, size=size: size)
        coreset.fit(X, y)
        assert_allclose(coreset.sensitivities_, expected, rtol=1e-3, atol=1e-6)
        assert np.mean([row in chosen[:, 0] for row in content(coreset)[:, 0]]) >= 0.97


@pytest.mark.parametrize("rows", [[0], [5, 3], slice(100, 150)])
def test_features_of_a_row_do_not_depend_on_its_company(digits, rows):
    X, y = digits
    coreset = SensitivityCoreset(50, random_state=0).fit(X, y)
    assert_allclose(coreset.transform(X)[rows], coreset.transform(X[rows]), atol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cuda_agrees_with_the_cpu(blobs, loss, dtype):
    X, y = blobs[0].astype(dtype), blobs[1]
    on_cpu = SensitivityCoreset(100, loss=loss, device="cpu", random_state=0).fit(X, y)
    on_cuda = SensitivityCoreset(100, loss=loss, device="cuda", random_state=0).fit(X, y)
    assert on_cuda.device_.startswith("cuda")
    assert_allclose(on_cuda.sensitivities_, on_cpu.sensitivities_, rtol=1e-2, atol=1e-5)
    assert in_common(on_cpu, on_cuda) >= 0.95
    on_cpu.device = "cuda"
    there = on_cpu.transform(X[:500])
    on_cpu.device = "cpu"
    assert_allclose(there, on_cpu.transform(X[:500]), atol=1e-6 if dtype is np.float64 else 5e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("loss", LOSSES)
def test_cuda_repeats_itself(blobs, loss):
    coreset = SensitivityCoreset(100, loss=loss, device="cuda", random_state=0)
    assert_array_equal(content(coreset.fit(*blobs)), content(coreset.fit(*blobs)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear", "polynomial", "nngp", "ntk"])
def test_every_kernel_on_cuda(digits, kernel):
    X, y = digits
    coreset = SensitivityCoreset(30, loss="kernel_ridge", kernel=kernel, device="cuda")
    features = coreset.fit_transform(X, y)
    assert np.isfinite(features).all()


# Order and repetition ----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
def test_order_of_the_rows_changes_nothing(digits, loss, sampling):
    X, y = digits
    shuffled = np.random.default_rng(0).permutation(len(X))
    coreset = SensitivityCoreset(60, loss=loss, sampling=sampling, random_state=0)
    straight = coreset.fit(X, y).sensitivities_
    chosen = content(coreset)
    mixed = coreset.fit(X[shuffled], y[shuffled]).sensitivities_
    assert_allclose(mixed, straight[shuffled], rtol=1e-6)
    assert_array_equal(content(coreset)[:, :-1], chosen[:, :-1])
    assert_allclose(content(coreset)[:, -1], chosen[:, -1], rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_many_rows_changes_little(blobs, loss):
    """Beyond one tile the order of sums follows the input."""
    X, y = blobs
    shuffled = np.random.default_rng(0).permutation(len(X))
    coreset = SensitivityCoreset(100, loss=loss, random_state=0)
    straight = coreset.fit(X, y).sensitivities_
    chosen = content(coreset)
    mixed = coreset.fit(X[shuffled], y[shuffled]).sensitivities_
    assert_allclose(mixed, straight[shuffled], rtol=2e-3, atol=1e-6)
    assert np.mean([row in chosen[:, 0] for row in content(coreset)[:, 0]]) >= 0.95


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
def test_weight_is_repetition(digits, loss, sampling):
    X, y = digits[0][:600], digits[1][:600]
    times = np.random.default_rng(0).integers(0, 4, 600)
    coreset = SensitivityCoreset(60, loss=loss, sampling=sampling, random_state=0)
    weighted = content(coreset.fit(X, y, sample_weight=times.astype(float)))
    features = coreset.transform(X)
    repeated = content(coreset.fit(np.repeat(X, times, axis=0), np.repeat(y, times)))
    assert_array_equal(weighted[:, :-1], repeated[:, :-1])
    assert_allclose(weighted[:, -1], repeated[:, -1], rtol=1e-9)
    assert_allclose(coreset.transform(X), features, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_weight_is_repetition_on_larger_data(blobs, loss):
    X, y = blobs
    coreset = SensitivityCoreset(100, loss=loss, random_state=0)
    repeated = coreset.fit(X, y).sensitivities_
    chosen = content(coreset)
    again = N_BLOBS // 4
    weight = np.ones(N_BLOBS)
    weight[:again] = 2
    coreset.fit(X[:N_BLOBS], y[:N_BLOBS], sample_weight=weight)
    expected = repeated[:N_BLOBS].copy()
    expected[:again] += repeated[N_BLOBS:]
    assert_allclose(coreset.sensitivities_, expected, rtol=1e-6)
    assert_array_equal(content(coreset)[:, :-1], chosen[:, :-1])
    assert_allclose(content(coreset)[:, -1], chosen[:, -1], rtol=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 1), st.integers(1, 3)),
        min_size=2,
        max_size=25,
        unique_by=lambda row: row[:3],
    ),
    st.sampled_from(LOSSES[:2]),
    st.sampled_from(["systematic", "iid", "medoids"]),
    st.integers(0, 3),
)
def test_weight_repetition_and_order_on_any_table(table, loss, sampling, seed):
    X = np.array([row[:2] for row in table], dtype=float)
    y = np.array([row[2] for row in table])
    times = np.array([row[3] for row in table])
    budget = max(len(np.unique(y)), len(X) // 2)
    coreset = SensitivityCoreset(budget, loss=loss, sampling=sampling, random_state=seed)
    weighted = content(coreset.fit(X, y, sample_weight=times.astype(float)))
    total = coreset.total_sensitivity_
    assert ((coreset.sensitivities_ >= 0) & (coreset.sensitivities_ <= 1)).all()
    repeated = np.repeat(np.arange(len(X)), times)
    repeated = np.random.default_rng(seed).permutation(repeated)
    again = content(coreset.fit(X[repeated], y[repeated]))
    assert_array_equal(weighted[:, :-1], again[:, :-1])
    assert_allclose(weighted[:, -1], again[:, -1], rtol=1e-6)
    assert coreset.total_sensitivity_ == pytest.approx(total, rel=1e-6)


def test_merging_large_tables_depends_on_no_block(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (5000, 4)).astype(np.float32)
    whole = input_rows.merge_equal_rows(X, None, None)
    monkeypatch.setattr(input_rows, "CPU_TILE_ELEMENTS", 64)
    monkeypatch.setattr(input_rows, "_COMPARE_ROWS", 3)
    parts = input_rows.merge_equal_rows(X, None, None)
    order = np.argsort(parts.key)
    assert_array_equal(parts.key[order], whole.key)
    assert_array_equal(parts.weight[order], whole.weight)
    assert_allclose(input_rows.weighted_moments(X, None).mean, X.astype(float).mean(0), rtol=1e-5)


# Files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "use"),
    [
        (NetworkClassifier(MLP(64), n_epochs=2), lambda fitted, X: fitted.predict_proba(X)),
        (ConvFeatures((1, 8, 8), 16), lambda fitted, X: fitted.transform(X)),
        (SensitivityCoreset(20), lambda fitted, X: fitted.transform(X)),
        (
            DatasetDistiller(20, max_iter=0),
            lambda fitted, X: fitted.make_predictor().predict(X),
        ),
        (
            DatasetDistiller(20, objective=FeatureRegression(MLP(64)), max_iter=2),
            lambda fitted, X: fitted.make_predictor().predict(X),
        ),
    ],
    ids=["network", "features", "coreset", "kernel", "feature_regression"],
)
def test_mapped_files_predict_the_same_in_silence(digits, tmp_path, estimator, use):
    X, y = digits
    fitted = estimator.set_params(random_state=0).fit(X[:200], y[:200])
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    mapped = joblib.load(tmp_path / "fitted.joblib", mmap_mode="r")  # its arrays are read-only
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        assert_array_equal(use(mapped, X[200:]), use(fitted, X[200:]))
    finally:
        torch.set_warn_always(always)
