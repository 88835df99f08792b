"""Bad input gets an error that names the parameter and the way out; odd input works."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from oracles import CPU, distinct_rows, no_shift

from skdistill import SensitivityCoreset
from skdistill._device import for_each_block, resolve_device, tile_rows
from skdistill._input import rows as input_rows
from skdistill.kernels import KERNELS, Kernel
from skdistill.sensitivity import kernel_ridge, kmeans

LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
y = np.arange(40) % 3
NUMBERS = X[:, 0] + 0.1 * rng.normal(size=40)


def refuses(message, *args, error=ValueError, **params):
    fit_args = args or (X, y)
    with pytest.raises(error, match=message):
        SensitivityCoreset(**{"n_samples": 10, "random_state": 0, **params}).fit(*fit_args)


# Parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", 0),
        ("n_samples", -3),
        ("n_samples", 1.5),
        ("n_samples", 1.0),
        ("n_samples", 0.0),
        ("n_samples", np.nan),
        ("n_samples", "ten"),
        ("n_samples", None),
        ("loss", "hinge"),
        ("loss", None),
        ("n_clusters", 0),
        ("n_clusters", 2.5),
        ("n_clusters", "some"),
        ("alpha", 0),
        ("alpha", -1.0),
        ("alpha", np.nan),
        ("alpha", np.inf),
        ("alpha", "best"),
        ("approx_factor", 0),
        ("approx_factor", -1),
        ("approx_factor", np.inf),
        ("estimator", "ridge"),
        ("uniform_mixing", -0.1),
        ("uniform_mixing", 1.1),
        ("uniform_mixing", np.nan),
        ("sampling", "bernoulli"),
        ("calibrate", "yes"),
        ("stratify", "yes"),
        ("preprocessor", "scale"),
        ("kernel", "cosine"),
        ("gamma", 0),
        ("gamma", -1.0),
        ("gamma", np.nan),
        ("gamma", np.inf),
        ("gamma", "wide"),
        ("degree", 0),
        ("degree", -1),
        ("coef0", "zero"),
        ("kernel_params", [3]),
        ("kernel_params", {"width": 3}),
        ("target_type", "classes"),
        ("device", "tpu"),
        ("device", "cuda:99"),
        ("device", None),
        ("device", 3),
        ("random_state", "seed"),
        ("verbose", "loud"),
    ],
)
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_bad_parameters_are_named(name, value, loss):
    refuses(name, **{"loss": loss, name: value})


def test_errors_list_what_is_known():
    refuses("kmeans", loss="hinge")
    refuses("laplacian", kernel="cosine")
    refuses("systematic", sampling="bernoulli")


def test_unknown_device_names_the_way_out():
    refuses("device='tpu' is unknown; use 'auto', 'cpu', 'cuda'", device="tpu")
    refuses("device='meta' is not supported; use 'auto', 'cpu' or 'cuda'", device="meta")


def test_cuda_without_one_names_the_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuses("device='cuda' was asked for.*use device='auto' or device='cpu'", device="cuda")
    assert resolve_device("auto") == torch.device("cpu")


def test_fewer_rows_than_classes():
    refuses(
        "n_samples=2 gives 2 rows, fewer than the 3 classes.*at least 3, or stratify=False",
        n_samples=2,
    )
    refuses("n_samples=0.01 gives 1 rows, fewer than the 3 classes", n_samples=0.01)
    # Classes whose rows have no weight need no row.
    weight = (y != 2).astype(float)
    assert len(SensitivityCoreset(2, random_state=0).fit(X, y, weight).distilled_) == 2


def test_stratify_without_classes():
    for target in (None, NUMBERS, np.column_stack([y % 2, y // 2])):
        refuses("stratify=True needs a target of classes; use stratify=", X, target, stratify=True)


def test_an_indefinite_kernel_is_named():
    def indefinite(A, B):
        return -np.exp(-((A[:, None] - B[None]) ** 2).sum(2))

    refuses("kernel", X, NUMBERS, loss="kernel_ridge", kernel=indefinite, alpha=1e-3)


# Data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nan_and_infinity_in_features(bad, loss, dtype):
    broken = X.astype(dtype)
    broken[3, 1] = bad
    refuses("Input X contains (NaN|infinity)", broken, y, loss=loss)
    refuses("Input X contains (NaN|infinity)", sp.csr_matrix(broken), y, loss=loss)
    refuses("Input X contains (NaN|infinity)", pd.DataFrame(broken), y, loss=loss)
    fitted = SensitivityCoreset(5, random_state=0).fit(X.astype(dtype), y)
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        fitted.transform(broken)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error"])
def test_nan_and_infinity_in_targets(bad, loss):
    broken = NUMBERS.copy()
    broken[3] = bad
    refuses("Input y contains (NaN|infinity)", X, broken, loss=loss)
    refuses("Input y contains (NaN|infinity)", X, np.column_stack([NUMBERS, broken]), loss=loss)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.where(np.arange(40) == 3, np.nan, 1.0), "sample_weight contains NaN"),
        (np.where(np.arange(40) == 3, np.inf, 1.0), "sample_weight contains infinity"),
        (np.where(np.arange(40) == 3, -1.0, 1.0), "Negative values in.*sample_weight"),
        (np.zeros(40), "sample_weight is zero for every row|at least one non-zero"),
        (np.ones(39), "sample_weight.shape"),
        (np.ones((40, 2)), "Sample weights must be 1D"),
        (["a"] * 40, "could not convert|sample_weight"),
    ],
)
def test_bad_weights(weight, message):
    refuses(message, X, y, weight)


def test_wrong_lengths():
    refuses("inconsistent numbers of samples", X, y[:-1])
    refuses("inconsistent numbers of samples", X, NUMBERS[:-1])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (X[:, 0], ValueError, "(?s)Expected 2D array.*Reshape your data"),
        (3.0, ValueError, "Expected 2D array"),
        (np.zeros((40, 2, 2, 3)), ValueError, r"X of shape \(40, 2, 2, 3\).*X.reshape\(40, 12\)"),
        (np.zeros((40, 2, 3)), ValueError, r"X.reshape\(40, 6\)"),
        (np.zeros((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.zeros((40, 0)), ValueError, r"0 feature\(s\)"),
        (X + 1j, ValueError, "Complex data not supported"),
        (np.array([["a", "b", "c"]] * 40), ValueError, "Convert"),
        (pd.DataFrame({"t": ["a", "b"] * 20, "n": range(40)}), ValueError, "convert"),
    ],
)
def test_tables_of_the_wrong_kind(table, error, message):
    labels = y[:0] if getattr(table, "shape", (1,))[:1] == (0,) else y
    refuses(message, table, labels, error=error)
    refuses(message, table, error=error)


def test_a_sparse_target_is_refused():
    refuses("[Ss]parse", X, sp.csr_matrix(np.eye(40)[:, :2]), error=TypeError)


def test_missing_targets_are_named():
    for loss in ("cross_entropy", "squared_error"):
        refuses(f"loss='{loss}' needs a target", X, None, loss=loss)


def test_classes_in_several_columns_name_the_way_out():
    refuses("several columns of classes.*Distil each column", X, np.column_stack([y, y]))
    refuses("target_type='regression'", X, np.column_stack([y, y]))


def test_text_is_no_number():
    labels = np.array(["a", "b", "c"])[y]
    refuses("target_type='regression' needs a numeric y", X, labels, target_type="regression")


def test_numbers_are_no_classes():
    refuses("continuous", X, NUMBERS, loss="cross_entropy")


def test_unseen_number_of_features():
    fitted = SensitivityCoreset(5, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
        fitted.transform(X[:, :2])


# Works and stays finite ------------------------------------------------------------------------


def fits(table, target=None, weight=None, *, loss="kmeans", n_samples=8, **params):
    """Fit, check that everything is finite, return the estimator."""
    coreset = SensitivityCoreset(n_samples, loss=loss, random_state=0, **params)
    small = coreset.fit(table, target, sample_weight=weight).distilled_
    assert (small.sample_weight > 0).all()
    assert np.isfinite(small.sample_weight).all()
    assert np.isfinite(coreset.sensitivities_).all()
    assert ((coreset.sensitivities_ >= 0) & (coreset.sensitivities_ <= 1)).all()
    assert np.isfinite(coreset.transform(table)).all()
    if target is not None:
        assert np.isfinite(coreset.make_predictor().predict(table)).all()
    return coreset


@pytest.mark.parametrize("loss", LOSSES)
def test_constant_features(loss):
    table = X.copy()
    table[:, 1] = 7.0
    assert len(fits(table, y, loss=loss).distilled_) == 8
    only = np.full((40, 2), 3.0)
    with pytest.warns(UserWarning, match="distinct rows"):
        coreset = fits(only, y, loss=loss)
    assert_allclose(np.sort(coreset.distilled_.sample_weight), [13, 13, 14])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_rows_of_zeros(kernel, loss):
    with pytest.warns(UserWarning, match="1 distinct row"):
        fits(np.zeros((10, 3)), loss=loss, kernel=kernel)
    table = np.vstack([np.zeros((20, 3)), X])
    fits(table, np.append(np.zeros(20), NUMBERS), loss=loss, kernel=kernel)


@pytest.mark.parametrize("loss", LOSSES)
def test_duplicates(loss):
    table, labels = np.repeat(X[:12], 30, axis=0), np.repeat(y[:12], 30)
    coreset = fits(table, labels, loss=loss)
    assert len(np.unique(coreset.distilled_.X, axis=0)) == 8
    assert coreset.distilled_.sample_weight.min() >= 30 * (1 - 1e-9) or loss == "kmeans"


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error"])
@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
def test_one_row(loss, sampling):
    coreset = fits(X[:1], NUMBERS[:1], loss=loss, n_samples=1, sampling=sampling)
    assert_array_equal(coreset.distilled_.X, X[:1])
    assert_allclose(coreset.distilled_.sample_weight, 1)
    assert len(fits(X, NUMBERS, loss=loss, n_samples=1, sampling=sampling).distilled_) == 1
    assert len(fits(X[:2], NUMBERS[:2], loss=loss, n_samples=0.5).distilled_) == 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e12, 1e-12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scales(loss, scale, dtype):
    coreset = fits((X * scale).astype(dtype), y, loss=loss)
    expected = fits(X.astype(dtype), y, loss=loss)
    assert coreset.total_sensitivity_ == pytest.approx(expected.total_sensitivity_, rel=0.3)
    assert coreset.kernel_.gamma * scale**2 == pytest.approx(expected.kernel_.gamma, rel=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [1e12, 1e-12])
def test_scales_with_every_kernel(kernel, scale):
    fits(X * scale, NUMBERS, loss="kernel_ridge", kernel=kernel)


@pytest.mark.parametrize("scale", [1e12, 1e-12])
@pytest.mark.parametrize("loss", ["kernel_ridge", "squared_error"])
def test_scales_of_the_target(loss, scale):
    coreset, expected = fits(X, NUMBERS * scale, loss=loss), fits(X, NUMBERS, loss=loss)
    assert_allclose(coreset.sensitivities_, expected.sensitivities_, rtol=1e-3, atol=1e-6)
    predicted, wanted = (c.make_predictor().predict(X) for c in (coreset, expected))
    if coreset.indices_.tolist() == expected.indices_.tolist():
        assert_allclose(predicted / scale, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_offset(loss, dtype):
    steps = np.round(X * 64) / 64  # so that the offset costs single precision no bit
    far = fits((steps * 16 + 1e6).astype(dtype), y, loss=loss)
    near = fits((steps * 16).astype(dtype), y, loss=loss)
    assert far.kernel_.gamma == pytest.approx(near.kernel_.gamma, rel=1e-2)
    assert far.total_sensitivity_ == pytest.approx(near.total_sensitivity_, rel=0.3)
    if loss == "kernel_ridge" and dtype is np.float64:
        assert_allclose(far.sensitivities_, near.sensitivities_, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("loss", LOSSES)
def test_scales_of_the_weights(loss, scale):
    weight = np.random.default_rng(0).uniform(0.5, 2, 40)
    coreset, expected = fits(X, y, weight * scale, loss=loss), fits(X, y, weight, loss=loss)
    assert_allclose(coreset.sensitivities_, expected.sensitivities_, rtol=1e-5)
    assert_array_equal(coreset.indices_, expected.indices_)
    assert_allclose(
        coreset.distilled_.sample_weight / scale, expected.distilled_.sample_weight, rtol=1e-5
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int8, bool, ">f8", np.longdouble])
def test_unusual_numbers(loss, dtype):
    table = np.round(np.abs(X * 50)).astype(dtype)
    coreset = fits(table, y, loss=loss, n_samples=3 if dtype is bool else 7)
    assert coreset.distilled_.X.dtype == table.dtype


def layouts():
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((80, 9))
    wide[::2, ::3] = X
    return {
        "fortran": np.asfortranarray(X),
        "read-only": read_only,
        "strided": wide[::2, ::3],
        "reversed": np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    }


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", ["fortran", "read-only", "strided", "reversed"])
def test_layouts_in_memory(loss, layout):
    table = layouts()[layout]
    assert_array_equal(table, X)
    before = table.copy()
    coreset, expected = fits(table, y, loss=loss), fits(X, y, loss=loss)
    assert_array_equal(table, before)
    assert_array_equal(coreset.indices_, expected.indices_)
    assert_allclose(coreset.sensitivities_, expected.sensitivities_, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_maps(loss, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    coreset = fits(mapped, y, loss=loss)
    assert_array_equal(coreset.indices_, fits(X, y, loss=loss).indices_)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_class_with_one_row_and_rows_without_weight(loss):
    labels, weight = y.copy(), np.ones(40)
    labels[5] = 9
    weight[10:20] = 0
    coreset = fits(X, labels, weight, loss=loss)
    assert 9 in coreset.distilled_.y
    assert not np.isin(coreset.indices_, np.arange(10, 20)).any()


def test_a_single_class_has_no_loss_to_share():
    for loss in ("cross_entropy", "squared_error"):
        refuses(f"loss='{loss}' needs at least two classes", X, np.zeros(40, dtype=int), loss=loss)


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_a_single_class(loss):
    coreset = fits(X, np.zeros(40, dtype=int), loss=loss)
    assert_array_equal(coreset.classes_, [0])
    assert_allclose(coreset.make_predictor().predict(X), 1)


@pytest.mark.parametrize("loss", ["kernel_ridge", "squared_error"])
def test_a_constant_target(loss):
    coreset = fits(X, np.full(40, 3.5), loss=loss)
    assert_allclose(coreset.make_predictor().predict(X), 3.5)


def test_losses_of_zero_leave_uniform_draws():
    coreset = fits(X, loss=lambda X, y: np.zeros(len(X)), uniform_mixing=0.0)
    assert_allclose(coreset.distilled_.sample_weight, 5)


def test_losses_on_one_row_alone():
    def spike(X, y):
        return (np.arange(len(X)) == 3) * 1e300

    coreset = fits(X, loss=spike, uniform_mixing=0.0)
    assert 3 in coreset.indices_
    assert coreset.distilled_.sample_weight[coreset.indices_ == 3] == pytest.approx(1)
    coreset = fits(X, loss=spike, uniform_mixing=0.0, sampling="iid")
    assert_array_equal(coreset.indices_, [3])


# Out of memory -----------------------------------------------------------------------------------


def exhausted():
    return [
        MemoryError("Unable to allocate 3 GiB"),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("not enough memory: you tried to allocate 8 bytes"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ]


@pytest.mark.parametrize("error", exhausted(), ids=lambda error: type(error).__name__)
def test_blocks_shrink_until_they_fit(error):
    done = []

    def work(start, stop):
        if stop - start > 10:
            raise error
        done.extend(range(start, stop))

    with pytest.warns(RuntimeWarning, match="Out of memory: going on with blocks of"):
        block = for_each_block(work, 101, 64)
    assert done == list(range(101))
    assert block == 8
    assert for_each_block(work, 101, block) == 8  # without a warning


def test_other_errors_and_a_hopeless_one_come_through():
    def broken(start, stop):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        for_each_block(broken, 10, 5)

    def hopeless(start, stop):
        raise MemoryError("no")

    with pytest.raises(MemoryError), pytest.warns(RuntimeWarning):
        for_each_block(hopeless, 10, 4)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_blocks_in_threads_cover_every_row_once(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        seen = np.zeros(103, dtype=int)

        def work(start, stop):
            seen[start:stop] += 1

        def broken(start, stop):
            if start <= 70 < stop:
                raise RuntimeError("not about memory")

        for_each_block(work, 103, 8, parallel=True)
        assert (seen == 1).all()
        assert torch.get_num_threads() == n_threads
        with pytest.raises(RuntimeError, match="not about memory"):
            for_each_block(broken, 103, 8, parallel=True)
    finally:
        torch.set_num_threads(before)


def test_tiles_are_never_empty():
    for columns in (0, 1, 10**9):
        assert tile_rows(columns, CPU) >= 256


@pytest.fixture
def scarce_memory(monkeypatch):
    """Let blocks of more than 700 rows fail when they become tensors; gives the failures."""
    failures = []
    genuine = input_rows.Units.load

    def failing(units, block, dtype, device):
        if block.shape[0] > 700:
            failures.append(block.shape)
            raise MemoryError("Unable to allocate a block")
        return genuine(units, block, dtype, device)

    def start():
        monkeypatch.setattr(input_rows.Units, "load", failing)
        return failures

    return start


def test_assignment_out_of_memory(scarce_memory):
    table = np.random.default_rng(0).normal(size=(3000, 8))
    rows, centres = distinct_rows(table), table[:5].astype(np.float32)
    expected = kmeans.assign(rows, centres, no_shift(8), CPU)
    failures = scarce_memory()
    with pytest.warns(RuntimeWarning, match="Out of memory"):
        label, distance2 = kmeans.assign(rows, centres, no_shift(8), CPU)
    assert failures
    assert_array_equal(label, expected[0])
    assert_allclose(distance2, expected[1], rtol=1e-5)


def landmark_problem():
    table = np.random.default_rng(0).normal(size=(2000, 3))
    rows = distinct_rows(table)
    target = table[rows.index, :1] ** 2
    landmarks = np.arange(0, 2000, 40)
    return kernel_ridge.landmark_scores(
        rows, target - target.mean(), Kernel("rbf", 0.5), no_shift(3), 0.1, landmarks, 5, CPU
    )


def assert_same_scores(scores, expected):
    assert_allclose(scores.leverage, expected.leverage, atol=1e-4)
    assert_allclose(scores.leverage_estimate, expected.leverage_estimate, atol=1e-4)
    assert_allclose(scores.residual, expected.residual, rtol=1e-3, atol=1e-8)


def test_landmark_scores_out_of_memory(scarce_memory):
    expected = landmark_problem()
    failures = scarce_memory()
    with pytest.warns(RuntimeWarning, match="Out of memory"):
        scores = landmark_problem()
    assert failures
    assert_same_scores(scores, expected)


def test_a_block_that_fails_late_leaves_nothing_behind(monkeypatch):
    """The sums over all rows: a block done again must not count twice."""
    expected = landmark_problem()
    genuine, failures = torch.Tensor.__matmul__, []

    def failing(A, B):
        if A.shape[0] == B.shape[1] and A.shape[1] > 300:  # psi^T W psi of a large block
            failures.append(A.shape)
            raise torch.OutOfMemoryError("out of memory")
        return genuine(A, B)

    monkeypatch.setattr(torch.Tensor, "__matmul__", failing)
    with pytest.warns(RuntimeWarning, match="Out of memory"):
        scores = landmark_problem()
    assert failures
    assert_same_scores(scores, expected)


def test_transform_out_of_memory(scarce_memory):
    table = np.random.default_rng(0).normal(size=(5000, 4))
    coreset = fits(table, table[:, 0], n_samples=50)
    features, predicted = coreset.transform(table), coreset.make_predictor().predict(table)
    failures = scarce_memory()
    with pytest.warns(RuntimeWarning, match="Out of memory"):
        assert_allclose(coreset.transform(table), features, atol=1e-12)
    with pytest.warns(RuntimeWarning, match="Out of memory"):
        assert_allclose(coreset.make_predictor().predict(table), predicted, atol=1e-9)
    assert failures
