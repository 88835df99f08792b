"""Small sets put together and reduced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skdistill import DistilledData, SensitivityCoreset


def test_rows_labels_and_weights_stand_below_each_other():
    a = DistilledData([[1.0, 2.0]], ["no"], [3], classes=["maybe", "no"])
    b = DistilledData([[3.0, 4.0], [5.0, 6.0]], ["yes", "no"], [1, 2], classes=["no", "yes"])
    union = DistilledData.concat([a, b])
    np.testing.assert_array_equal(union.X, [[1, 2], [3, 4], [5, 6]])
    assert union.y.tolist() == ["no", "yes", "no"]
    assert union.sample_weight.tolist() == [3, 1, 2]
    assert union.classes.tolist() == ["maybe", "no", "yes"]
    assert union.indices is None


def test_targets_move_to_the_columns_of_all_classes():
    a = DistilledData([[0.0]], ["c"], targets=[[0.2, 0.8]], classes=["a", "c"])
    b = DistilledData([[1.0]], ["b"], targets=[[0.9, 0.1]], classes=["b", "c"])
    np.testing.assert_array_equal(
        DistilledData.concat([a, b]).targets, [[0.2, 0, 0.8], [0, 0.9, 0.1]]
    )
    assert DistilledData.concat([a, DistilledData([[1.0]], ["b"])]).targets is None


def test_classes_of_a_part_that_does_not_tell_are_its_labels():
    parts = [DistilledData([[0.0]], [2], classes=[1, 2]), DistilledData([[0.0]], [7])]
    assert DistilledData.concat(parts).classes.tolist() == [1, 2, 7]
    lists = [DistilledData([[0.0]], [[0, 1]], classes=[np.array([0]), np.array([1])])] * 2
    lists[1] = DistilledData([[0.0]], [[2, 1]], classes=[np.array([2]), np.array([1])])
    assert [c.tolist() for c in DistilledData.concat(lists).classes] == [[0, 2], [1]]


def test_frames_keep_their_columns_and_unite_categories():
    frames = [
        pd.DataFrame({"x": [1, 2], "kind": pd.Categorical(["a", "b"])}),
        pd.DataFrame({"x": [3], "kind": pd.Categorical(["c"])}, index=[9]),
    ]
    union = DistilledData.concat([DistilledData(frame) for frame in frames])
    assert union.X["kind"].dtype.categories.tolist() == ["a", "b", "c"]
    assert union.X["kind"].tolist() == ["a", "b", "c"]
    assert union.X["x"].dtype == np.int64
    assert union.X.index.tolist() == [0, 1, 9]
    assert union.feature_names.tolist() == ["x", "kind"]


def test_frames_of_another_library():
    pl = pytest.importorskip("polars")
    frames = [pl.DataFrame({"x": [i, i + 1.0], "kind": ["a", "b"]}) for i in (0.0, 1.0, 2.0)]
    parts = [DistilledData(frame) for frame in frames]
    union = DistilledData.concat(parts)
    assert isinstance(union.X, pl.DataFrame)
    assert union.X["x"].to_list() == [0, 1, 1, 2, 2, 3]
    numbers = DistilledData(union.X.select("x"))
    assert isinstance(numbers.reduce(2, random_state=0).X, pl.DataFrame)
    with pytest.raises(TypeError, match="DataFrame of pandas"):
        DistilledData.concat([numbers, DistilledData(pd.DataFrame({"x": [1.0]}))])


def test_sparse_rows_stay_sparse():
    part = DistilledData(sparse.csr_matrix([[0.0, 1.0]]))
    union = DistilledData.concat([part, part])
    assert sparse.issparse(union.X) and union.X.format == "csr"
    np.testing.assert_array_equal(union.X.toarray(), [[0, 1], [0, 1]])


ONE = DistilledData([[1.0]])


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([], ValueError, "at least one"),
        ([ONE, DistilledData([[1.0, 2.0]])], ValueError, "Part 1 has 2 features, part 0 has 1"),
        ([ONE, DistilledData([[1.0]], [1])], ValueError, "Part 0 has no y, part 1 has"),
        (
            [DistilledData([[1.0]], [1]), DistilledData([[1.0]], ["a"])],
            ValueError,
            "numbers would become text",
        ),
        (
            [DistilledData([[1.0]], [1.0]), DistilledData([[1.0]], [[1.0, 2.0]])],
            ValueError,
            "same outputs",
        ),
        ([ONE, DistilledData(sparse.csr_matrix([[1.0]]))], TypeError, "different forms"),
        (
            [DistilledData(pd.DataFrame({c: [1.0]})) for c in "ab"],
            ValueError,
            "same columns in the same order",
        ),
        (
            [DistilledData(pd.DataFrame({c: [1.0]})) for c in (0, 1)],
            ValueError,
            "same columns in the same order",
        ),
    ],
)
def test_parts_that_do_not_match(parts, error, message):
    with pytest.raises(error, match=message):
        DistilledData.concat(parts)


def test_reduce_is_a_coreset_of_the_set():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
    weight = rng.uniform(1, 2, 300)
    whole = DistilledData(X, y, weight, classes=[0, 1, 2, 3], indices=np.arange(300) * 10)
    small = whole.reduce(40, random_state=3)
    coreset = SensitivityCoreset(40, random_state=3).fit_distill(X, y, weight)
    np.testing.assert_array_equal(small.X, coreset.X)
    np.testing.assert_array_equal(small.sample_weight, coreset.sample_weight)
    np.testing.assert_array_equal(small.indices, coreset.indices * 10)
    assert small.classes.tolist() == [0, 1, 2, 3]
    by_leverage = whole.reduce(40, loss="kernel_ridge", random_state=3)
    assert not np.array_equal(by_leverage.indices, small.indices)


def test_reduce_keeps_a_set_that_is_small_enough():
    frame = pd.DataFrame({"x": [1.0, 1.0, 3.0]})
    small = DistilledData(frame, ["a", "b", "a"], [1, 2, 3]).reduce(3)
    pd.testing.assert_frame_equal(small.X, frame)
    assert small.sample_weight.tolist() == [1, 2, 3]
    assert small.indices.tolist() == [0, 1, 2]
