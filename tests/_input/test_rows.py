"""Distinct rows: hashes, merging, canonical order, moments, units."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles import CPU

from skdistill import _torch as torch
from skdistill._input import rows as input_rows
from skdistill._input.rows import (
    Units,
    as_tensor,
    float_type,
    long_block,
    merge_equal_rows,
    row_hashes,
)
from skdistill._input.rows import weighted_moments as moments_of

DTYPES = (np.float64, np.float32, np.float16, np.uint8, np.int64, bool)


def merged_by_hand(X, y, weight):
    """{(row, target): [total weight, first position of positive weight]}."""
    X = X.toarray() if sp.issparse(X) else X
    weight = np.ones(len(X)) if weight is None else weight
    found: dict = {}
    for i in range(len(X)):
        if weight[i] > 0:
            target = () if y is None else tuple(np.atleast_1d(y[i]).tolist())
            entry = found.setdefault((tuple(X[i].tolist()), target), [0.0, i])
            entry[0] += weight[i]
    return found


def assert_merged(X, y, weight):
    rows = merge_equal_rows(X, y, weight)
    dense = X.toarray() if sp.issparse(X) else X
    expected = merged_by_hand(X, y, weight)
    assert len(rows) == len(expected)
    assert rows.weight.dtype == np.float64
    for position, total in zip(rows.index, rows.weight, strict=True):
        target = () if y is None else tuple(np.atleast_1d(y[position]).tolist())
        by_hand = expected[tuple(dense[position].tolist()), target]
        assert position == by_hand[1]
        assert total == pytest.approx(by_hand[0])
    if rows.inverse is not None:
        for i, group in enumerate(rows.inverse):
            if weight is not None and weight[i] == 0:
                # Its twins may be there, but then it shares nothing of their score.
                continue
            assert_array_equal(dense[rows.index[group]], dense[i])
            assert y is None or np.array_equal(y[rows.index[group]], y[i])
    return rows


# Merging -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [1, 2, 3])
@pytest.mark.parametrize("form", ["dense", "csr", "fortran", "reversed"])
def test_merging_equals_a_dictionary(dtype, n_features, form):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (80, n_features)).astype(dtype)
    X = {"dense": X, "csr": None, "fortran": np.asfortranarray(X), "reversed": X[::-1, ::-1]}[form]
    if X is None:
        # scipy has no sparse half precision
        sparse_type = np.float32 if dtype is np.float16 else dtype
        X = sp.csr_matrix(rng.integers(0, 3, (80, n_features)).astype(sparse_type))
    weight = rng.integers(0, 3, 80).astype(float)
    for y in (None, rng.integers(0, 2, 80), rng.integers(0, 2, (80, 2)).astype(float)):
        for w in (None, weight):
            assert_merged(X, y, w)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    ).filter(lambda table: any(row[3] for row in table))
)
def test_merging_equals_a_dictionary_on_any_table(table):
    X = np.array([row[:2] for row in table], dtype=float)
    y = np.array([row[2] for row in table])
    assert_merged(X, y, np.array([row[3] for row in table], dtype=float))


def test_merging_beyond_one_tile_keeps_memory_order():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60_000, 10)).astype(np.float32)
    X[50_000:] = X[:10_000]
    weight = rng.uniform(0.5, 2, len(X))
    weight[::7] = 0
    rows = merge_equal_rows(X, None, weight)
    assert len(rows) * X.shape[1] > input_rows.CPU_TILE_ELEMENTS / 2
    expected = merged_by_hand(X, None, weight)
    assert len(rows) == len(expected)
    assert rows.weight.sum() == pytest.approx(weight.sum())
    for j in range(0, len(rows), 501):
        assert rows.weight[j] == pytest.approx(expected[tuple(X[rows.index[j]].tolist()), ()][0])
    X = rng.normal(size=(60_000, 10))
    rows = merge_equal_rows(X, None, None)
    assert rows.inverse is None
    assert_array_equal(rows.index, np.arange(60_000))


def test_negative_zero_is_zero():
    assert len(merge_equal_rows(np.array([[0.0, 1.0], [-0.0, 1.0]]), None, None)) == 1
    stored = sp.csr_matrix((np.array([-0.0, 1.0, 1.0]), [0, 1, 1], [0, 2, 3]), shape=(2, 2))
    assert len(merge_equal_rows(stored, None, None)) == 1
    y = np.array([0.0, -0.0])
    assert len(merge_equal_rows(np.ones((2, 1)), y, None)) == 1


def test_rows_that_differ_only_in_the_target_stay_apart():
    X, y = np.array([[1.0], [1.0], [2.0]]), np.array([1.0, 2.0, 1.0])
    rows = merge_equal_rows(X, y, None)
    assert len(rows) == 3
    assert len(np.unique(rows.key)) == 3  # a feature and a target do not swap places either


def test_equal_hashes_are_compared(monkeypatch):
    monkeypatch.setattr(input_rows, "row_hashes", lambda X, salt=0: np.zeros(X.shape[0], np.uint64))
    X = np.arange(40.0).reshape(20, 2)
    assert len(merge_equal_rows(X, None, None)) == 20
    assert len(merge_equal_rows(sp.csr_matrix(X), None, None)) == 20
    assert len(merge_equal_rows(np.ones((20, 2)), np.arange(20.0), None)) == 20
    assert len(merge_equal_rows(np.ones((20, 2)), np.ones((20, 2)), None)) == 1


def test_integers_beyond_double_precision_are_one_row_where_features_are_equal():
    X = np.array([[2**53], [2**53 + 1], [2**53 + 2]])
    assert len(merge_equal_rows(X, None, None)) == 2


@pytest.mark.parametrize("n_features", [2, 20_000])
def test_order_of_input_leaves_no_trace(n_features):
    rng = np.random.default_rng(2)
    X = rng.integers(0, 4, (25, n_features)).astype(float)
    weight = rng.uniform(size=25)
    shuffled = rng.permutation(25)
    first = merge_equal_rows(X, None, weight)
    second = merge_equal_rows(X[shuffled], None, weight[shuffled])
    assert_array_equal(first.take(np.arange(len(first))), second.take(np.arange(len(second))))
    assert_array_equal(first.key, second.key)
    assert_allclose(first.weight, second.weight, rtol=1e-15)


# Hashes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int64])  # float32 packs pairs
@pytest.mark.parametrize("n_features", [1, 4, 5])
def test_sparse_rows_hash_as_dense_rows(dtype, n_features):
    rng = np.random.default_rng(0)
    X = (rng.integers(-2, 3, (50, n_features)) * rng.integers(0, 2, (50, n_features))).astype(dtype)
    assert_array_equal(row_hashes(sp.csr_matrix(X)), row_hashes(X))
    assert_array_equal(row_hashes(sp.csr_matrix(X), salt=1), row_hashes(X, salt=1))
    assert (row_hashes(X, salt=1) != row_hashes(X)).any()


def near_collisions():
    grid = np.indices((6,) * 5, dtype=float).reshape(5, -1).T
    yield "small integers", grid, DTYPES[:5]
    signs = np.indices((3,) * 8, dtype=float).reshape(8, -1).T - 1
    yield "signs", signs, (np.float64, np.float32, np.float16, np.int64)
    yield "powers of two", np.ldexp(1.0, np.arange(-60, 60))[:, None], (np.float64, np.float32)
    neighbours = np.full((60, 60), 1.0) + np.finfo(np.float64).eps * np.eye(60)
    yield "last bit", neighbours, (np.float64,)
    neighbours = np.full((60, 60), 1, np.float32) + np.finfo(np.float32).eps * np.eye(60)
    yield "last single bit", neighbours, (np.float32,)
    one_hot = np.vstack([np.eye(300), 2 * np.eye(300), -np.eye(300), 1 - np.eye(300)])
    yield "one hot", one_hot, (np.float64, np.float32, np.int64)
    pairs = np.indices((256, 256)).reshape(2, -1).T
    yield "pairs of bytes", pairs, (np.float64, np.float32, np.uint8)
    yield "large integers", pairs + 2.0**52, (np.float64,)


@pytest.mark.parametrize(
    ("name", "X", "dtype"),
    [(name, X, dtype) for name, X, dtypes in near_collisions() for dtype in dtypes],
    ids=lambda value: getattr(value, "__name__", value) if not hasattr(value, "shape") else "",
)
def test_rows_that_are_nearly_alike_hash_apart(name, X, dtype):
    X = X.astype(dtype)
    distinct = len(np.unique(X, axis=0))
    assert len(np.unique(row_hashes(X))) == distinct


def test_walk_draws_on_all_bits_of_the_hash():
    """The draw walks by hash: its high bits must be spread too."""
    X = np.indices((8,) * 4, dtype=float).reshape(4, -1).T
    share = row_hashes(X).astype(float) / 2.0**64
    counts = np.histogram(share, bins=16, range=(0, 1))[0]
    assert counts.min() > 0.7 * len(X) / 16
    assert counts.max() < 1.3 * len(X) / 16


# Order of the walk, splitting, blocks -----------------------------------------------------------


def test_walk_orders_by_stratum_cell_rank_and_content():
    rng = np.random.default_rng(3)
    rows = merge_equal_rows(rng.normal(size=(300, 2)), None, None)
    strata, cell = rng.integers(0, 3, 300), rng.integers(0, 5, 300)
    rank = rng.choice([0.0, 1e-30, 0.5, 7.0, 1e30], 300)
    expected = np.lexsort((rows.key, rank.astype(np.float32), cell, strata))
    assert_array_equal(rows.walk(strata, cell, rank), expected)
    assert_array_equal(rows.walk(), np.argsort(rows.key))
    assert_array_equal(rows.walk(strata), np.lexsort((rows.key, strata)))


def test_walk_breaks_ties_by_content():
    """A front of the hash too short to tell thousands of rows apart would let input order in."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(20_000, 30))  # beyond one tile
    shuffled = X[rng.permutation(len(X))]
    walks = []
    for table in (X, shuffled):
        rows = merge_equal_rows(table, None, None)
        cell, rank = np.zeros(len(rows), dtype=np.int32), np.ones(len(rows))
        walks.append(rows.take(rows.walk(None, cell, rank)))
    assert_array_equal(*walks)


def test_scores_split_by_weight():
    X = np.array([[1.0], [2.0], [1.0], [3.0], [1.0]])
    weight = np.array([1.0, 1.0, 3.0, 0.0, 0.0])
    rows = merge_equal_rows(X, None, weight)
    scores = np.where(X[rows.index, 0] == 1, 0.8, 0.5)
    assert_allclose(rows.split(scores, weight), [0.2, 0.5, 0.6, 0, 0])
    rows = merge_equal_rows(X, None, None)
    scores = X[rows.index, 0]
    assert_allclose(rows.split(scores, None), [1 / 3, 2, 1 / 3, 3, 1 / 3])


def test_blocks_are_views_in_memory_order_only():
    X = np.arange(20.0).reshape(10, 2)
    rows = input_rows.Rows(X, np.arange(10), np.ones(10), np.arange(10, dtype=np.uint64), None)
    assert np.shares_memory(rows.block(2, 5), X)
    assert_array_equal(rows.block(2, 5), X[2:5])
    order = np.array([0, 2, 1, 3, 4, 9, 8, 7, 6, 5])
    rows = input_rows.Rows(X, order, np.ones(10), np.arange(10, dtype=np.uint64), None)
    for start, stop in ((0, 4), (3, 5), (4, 10), (5, 5)):
        assert_array_equal(rows.block(start, stop), X[order[start:stop]])


# Moments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_match_numpy(dtype, weighted):
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 100, size=(3000, 4)).astype(dtype)
    weight = rng.integers(0, 4, 3000).astype(float) if weighted else None
    exact = np.repeat(X, weight.astype(int), axis=0) if weighted else X
    exact = exact.astype(np.float64)
    moments = moments_of(X, weight)
    assert_allclose(moments.mean, exact.mean(0), rtol=1e-5)
    assert moments.variance == pytest.approx(exact.var(), rel=1e-5)
    assert moments.scale == pytest.approx(exact.std(), rel=1e-5)


def test_sparse_moments_match_numpy():
    rng = np.random.default_rng(0)
    X = sp.random(500, 7, 0.3, format="csr", random_state=0)
    weight = rng.integers(0, 4, 500).astype(float)
    exact = np.repeat(X.toarray(), weight.astype(int), axis=0)
    moments = moments_of(X, weight)
    assert_allclose(moments.mean, exact.mean(0))
    assert moments.variance == pytest.approx(exact.var())


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-8), (np.float32, 1e-3)])
def test_moments_at_an_offset_over_many_tiles(dtype, tolerance):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300_000, 4)) + 1e6).astype(dtype)
    exact = X.astype(np.float64)
    moments = moments_of(X, None)
    assert_allclose(moments.mean, exact.mean(0), rtol=1e-8 if dtype is np.float32 else 1e-13)
    assert moments.variance == pytest.approx(exact.var(), rel=tolerance)


def test_moments_forgive_an_outlier_in_the_first_row():
    """The shift that keeps squares accurate is the first row: it may be a bad one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 2)).astype(np.float32)
    X[0] = 1e4
    exact = X.astype(np.float64)
    moments = moments_of(X, None)
    assert_allclose(moments.mean, exact.mean(0), atol=2e-3)
    assert moments.variance == pytest.approx(exact.var(), rel=1e-3)


def test_moments_of_tiny_and_huge_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3)).astype(np.float32)
    weight = rng.uniform(size=100)
    expected = moments_of(X, weight)
    for scale in (1e-60, 1e60):
        moments = moments_of(X, weight * scale)
        assert_allclose(moments.mean, expected.mean, rtol=1e-5, atol=1e-7)
        assert moments.variance == pytest.approx(expected.variance, rel=1e-5)


def test_moments_of_constant_data():
    moments = moments_of(np.full((10, 3), 7.0), None)
    assert_array_equal(moments.mean, [7.0] * 3)
    assert moments.variance == 0
    assert moments.scale == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_find_nan_and_infinity(bad, dtype, weighted):
    X = np.ones((5, 2), dtype=dtype)
    X[3, 1] = bad
    weight = np.array([1.0, 1.0, 1.0, 0.0, 1.0]) if weighted else None
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        moments_of(X, weight)


@pytest.mark.parametrize("magnitude", [1e25, 1e-25])
def test_moments_of_single_precision_whose_squares_leave_its_range(magnitude):
    X = np.random.default_rng(0).normal(size=(50, 3)) * magnitude
    moments = moments_of(X.astype(np.float32), None)
    assert moments.scale == pytest.approx(X.std(), rel=1e-4, abs=0)


# Units and tensors -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.uint8, np.int16, bool])
def test_units_centre_and_scale(dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (6, 3)).astype(dtype)
    original = X.copy()
    units = Units(np.array([0.5, 1.5, -2.5]), 4.0)
    loaded = units.load(X, torch.float64, CPU).numpy()
    assert_allclose(loaded, (X.astype(float) - units.shift) * 4)
    assert_array_equal(X, original)
    assert_allclose(
        units.load(sp.csr_matrix(original.astype(float)), None, None).toarray(),
        original.astype(float) * 4,
    )


def test_units_centre_before_they_round():
    X = np.array([[1e6 + 0.25], [1e6 - 0.25]])
    loaded = Units(np.array([1e6])).load(X, torch.float32, CPU)
    assert_array_equal(loaded.numpy(), [[0.25], [-0.25]])


def test_tensors_of_memory_that_torch_cannot_share():
    X = np.arange(12.0).reshape(4, 3)
    assert as_tensor(X).data_ptr() == X.ctypes.data
    swapped = X.astype(X.dtype.newbyteorder())
    read_only = X.copy()
    read_only.flags.writeable = False
    for array in (X[::-1], X[:, ::-1], X[::2], np.asfortranarray(X), swapped, read_only):
        tensor = as_tensor(array)
        assert_array_equal(tensor.numpy(), array)
    as_tensor(read_only)[0, 0] = 7
    assert read_only[0, 0] == 0


def test_float_types():
    expected = {np.float16: np.float32, np.float32: np.float32, np.float64: np.float64}
    expected |= {np.uint8: np.float64, np.int64: np.float64, bool: np.float64}
    for given_type, wanted in expected.items():
        assert float_type(np.dtype(given_type)) == wanted


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_moments_of_integers_in_csr_do_not_overflow(dtype):
    dense = np.random.default_rng(0).integers(0, 200, size=(50, 7)) * (np.arange(7) % 2)
    dense = dense * (300 if dtype == np.int32 else 1)
    found = moments_of(sp.csr_matrix(dense.astype(dtype)), None)
    expected = dense.astype(dtype).astype(np.float64)
    assert_allclose(found.mean, expected.mean(0))
    assert_allclose(found.variance, expected.var())


def test_a_class_without_weight_changes_no_order():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), rng.integers(0, 4, 30)
    weight = np.where(y == 1, 0.0, 1.0)
    kept = weight > 0
    found = merge_equal_rows(X, y, weight)
    alone = merge_equal_rows(X[kept], np.unique(y[kept], return_inverse=True)[1], None)
    assert_array_equal(X[found.index], X[kept][alone.index])


# Long blocks of a stream -------------------------------------------------------------------------


def block_of(n=40_000, d=16):
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def test_a_long_block_is_taken_as_it_stands():
    X = block_of()
    rows, moments = long_block(X, np.ones(len(X)))
    np.testing.assert_array_equal(rows.index, np.arange(len(X)))
    assert np.shares_memory(rows.block(5, 9), X)
    assert rows.inverse is None
    exact = moments_of(X, None)
    assert moments.scale == pytest.approx(exact.scale, rel=0.05)
    np.testing.assert_allclose(moments.mean, exact.mean, atol=0.1)


@pytest.mark.parametrize(
    "change", ["short", "repeats", "nan", "inf", "huge", "integers", "columns first", "csr"]
)
def test_other_blocks_are_looked_at_row_by_row(change):
    X = block_of()
    if change == "short":
        X = X[:9000]
    elif change == "repeats":
        X = X[np.random.default_rng(1).integers(0, 30_000, len(X))]
    elif change in ("nan", "inf", "huge"):
        X[777, 3] = {"nan": np.nan, "inf": np.inf, "huge": 3e19}[change]
    elif change == "integers":
        X = (1e6 * X).astype(np.int64)
    elif change == "columns first":
        X = np.asfortranarray(X)
    else:
        X = sp.csr_matrix(X)
    assert long_block(X, np.ones(X.shape[0])) is None
