"""DistilledData: what it accepts, the mapping, the table, the tensors and the file."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression, SGDClassifier

from skdistill import DistilledData


@pytest.fixture
def small():
    X = np.arange(12.0).reshape(6, 2)
    y = np.array(["b", "a", "b", "c", "a", "c"])
    weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]
    return DistilledData(X, y, weights, classes=["a", "b", "c", "d"], indices=[9, 0, 4, 7, 2, 8])


def round_trip(data: DistilledData) -> DistilledData:
    file = io.BytesIO()
    data.save(file)
    file.seek(0)
    return DistilledData.load(file)


# The mapping ---------------------------------------------------------------------------------


def test_mapping_feeds_fit(small):
    expected = LogisticRegression().fit(small.X, small.y, small.sample_weight)
    got = LogisticRegression().fit(**small)
    assert_array_equal(got.coef_, expected.coef_)
    # The third argument of SGDClassifier.fit is no weight: the names matter.
    sgd = SGDClassifier(random_state=0).fit(**small)
    expected = SGDClassifier(random_state=0).fit(
        small.X, small.y, sample_weight=small.sample_weight
    )
    assert_array_equal(sgd.coef_, expected.coef_)


def test_normalized_weights_have_mean_one_and_all_else_is_kept(small):
    even = small.normalized()
    assert even.sample_weight.mean() == pytest.approx(1)
    assert_array_equal(even.sample_weight * small.sample_weight.mean(), small.sample_weight)
    for part in ("X", "y", "classes", "indices"):
        assert_array_equal(getattr(even, part), getattr(small, part))
    assert small.sample_weight.sum() == 21.5
    none = DistilledData(small.X, sample_weight=np.zeros(6)).normalized()
    assert_array_equal(none.sample_weight, np.zeros(6))


def test_mapping_has_rows_for_length_and_keys_for_iteration(small):
    assert len(small) == 6
    assert small.keys() == ("X", "y", "sample_weight")
    assert {**small}.keys() == dict(small).keys() == dict(small.items()).keys()
    assert small["X"] is small.X
    assert "X" in small and "targets" not in small


@pytest.mark.parametrize("key", [0, "targets", "W", slice(2), ("X", "y")])
def test_unknown_key_says_which_there_are(small, key):
    with pytest.raises(KeyError, match="sample_weight"):
        small[key]


def test_without_labels_the_mapping_has_no_y():
    data = DistilledData([[1.0], [2.0]])
    assert data.keys() == ("X", "sample_weight")
    assert_array_equal(data.sample_weight, [1.0, 1.0])
    with pytest.raises(KeyError):
        data["y"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            DistilledData(np.zeros((200, 64)), np.zeros(200, int), classes=range(10)),
            "DistilledData(200 rows, 64 features, 10 classes, total weight 200)",
        ),
        (DistilledData([[1.0]]), "DistilledData(1 row, 1 feature, total weight 1)"),
        (
            DistilledData(np.zeros((2, 3)), np.zeros((2, 2)), [0.5, 1e6]),
            "DistilledData(2 rows, 3 features, 2 outputs, total weight 1000000.5)",
        ),
        (
            DistilledData(np.zeros((2, 3)), ["a", "a"], classes=["a"]),
            "DistilledData(2 rows, 3 features, 1 class, total weight 2)",
        ),
    ],
)
def test_repr_tells_rows_classes_and_weight(data, expected):
    assert repr(data) == expected


# What it accepts -----------------------------------------------------------------------------


def test_attributes_have_stated_types():
    data = DistilledData(
        [[1, 2], [3, 4]],
        ("a", "b"),
        np.array([1, 2], dtype=np.float32),
        targets=[[0.1, -0.2], [1, 2]],
        classes=("a", "b"),
        indices=np.array([5, 3], dtype=np.uint8),
        feature_names=["p", "q"],
    )
    assert isinstance(data.X, np.ndarray) and data.X.dtype.kind == "i"
    assert isinstance(data.y, np.ndarray) and data.y.shape == (2,)
    assert data.sample_weight.dtype == np.float64
    assert data.targets.shape == (2, 2) and data.targets[0, 1] == -0.2
    assert isinstance(data.classes, np.ndarray)
    assert data.indices.dtype == np.intp
    assert data.feature_names.dtype == object


def test_float32_targets_stay_float32():
    data = DistilledData([[1.0]], targets=np.ones((1, 2), dtype=np.float32))
    assert data.targets.dtype == np.float32


def test_frame_is_kept_and_names_its_features():
    frame = pd.DataFrame({"p": [1, 2], "q": ["u", "v"]}, index=[7, 3])
    data = DistilledData(frame, pd.Series([0, 1], index=[7, 3]))
    assert data.X is frame
    assert isinstance(data.y, np.ndarray)
    assert list(data.feature_names) == ["p", "q"]
    assert DistilledData(frame.set_axis([0, 1], axis=1)).feature_names is None


@pytest.mark.parametrize("form", ["csc_matrix", "coo_array", "csr_matrix", "csr_array"])
def test_sparse_rows_become_csr(form):
    X = getattr(sparse, form)(np.eye(3))
    data = DistilledData(X)
    assert data.X.format == "csr"
    assert isinstance(data.X, sparse.sparray) == form.endswith("array")
    assert len(data) == 3


def test_sparse_indicator_labels_become_dense():
    data = DistilledData(np.eye(2), sparse.csr_matrix([[1, 0], [1, 1]]))
    assert_array_equal(data.y, [[1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": [1.0, 2.0]}, ValueError, r"X must have shape \(n_rows, n_features\).*reshape"),
        ({"X": np.zeros((2, 1, 3, 3))}, ValueError, r"X must have.*X\.reshape\(len\(X\), -1\)"),
        ({"y": [1]}, ValueError, "y has 1 row, X has 2"),
        ({"y": 3}, ValueError, r"y must have 1 or 2 axes"),
        ({"sample_weight": [1, 2, 3]}, ValueError, "sample_weight has 3 rows, X has 2"),
        ({"sample_weight": [[1], [2]]}, ValueError, "sample_weight must have 1 axes"),
        ({"sample_weight": [1, -0.5]}, ValueError, r"sample_weight.*-0\.5 in row 1"),
        ({"sample_weight": [np.nan, 1]}, ValueError, "sample_weight.*nan in row 0"),
        ({"sample_weight": [np.inf, 1]}, ValueError, "sample_weight.*inf in row 0"),
        ({"sample_weight": ["a", "b"]}, TypeError, "sample_weight must be numbers"),
        ({"targets": [1.0, 2.0]}, ValueError, "targets must have 2 axes"),
        ({"targets": [[1.0]]}, ValueError, "targets has 1 row"),
        ({"targets": [["a"], ["b"]]}, TypeError, "targets must be numbers"),
        ({"classes": [[1, 2]]}, ValueError, "classes must have shape"),
        ({"indices": [0.5, 1]}, TypeError, "indices must be integers"),
        ({"indices": [0]}, ValueError, "indices has 1 row"),
        ({"feature_names": ["a", "b"]}, ValueError, "feature_names must hold 1 names"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        DistilledData(**{"X": [[1.0], [2.0]], **arguments})


def test_pickle_and_copies_keep_everything(small):
    for twin in (pickle.loads(pickle.dumps(small)), copy.copy(small), copy.deepcopy(small)):
        assert repr(twin) == repr(small)
        assert vars(twin).keys() == vars(small).keys()
        assert_array_equal(twin.X, small.X)
        assert_array_equal(twin.indices, small.indices)
    assert copy.deepcopy(small).X is not small.X


# The table -----------------------------------------------------------------------------------


def test_to_pandas_of_an_array_keeps_names_and_positions(small):
    frame = small.to_pandas()
    assert list(frame.columns) == ["x0", "x1", "y", "sample_weight"]
    assert list(frame.index) == [9, 0, 4, 7, 2, 8]
    assert_array_equal(frame["y"], small.y)
    frame.iloc[0, 0] = -1.0
    assert small.X[0, 0] == 0.0


def test_to_pandas_of_a_frame_keeps_columns_dtypes_and_index():
    X = pd.DataFrame(
        {"a": pd.Categorical(["u", "v"]), "b": pd.to_datetime(["2020", "2021"])}, index=["p", "q"]
    )
    data = DistilledData(X, [[1, 2], [3, 4]], [0.5, 2.0])
    frame = data.to_pandas(y_name=["n", "m"], weight_name="w")
    assert_frame_equal(frame[["a", "b"]], X)
    assert list(frame.columns) == ["a", "b", "n", "m", "w"]
    assert list(data.to_pandas().columns) == ["a", "b", "y0", "y1", "sample_weight"]
    assert list(X.columns) == ["a", "b"]


def test_to_pandas_of_sparse_rows_stays_sparse():
    frame = DistilledData(sparse.csr_array(np.eye(3)), feature_names=["a", "b", "c"]).to_pandas()
    assert isinstance(frame["a"].dtype, pd.SparseDtype)
    assert_array_equal(frame[["a", "b", "c"]].to_numpy(), np.eye(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_name": "x1"}, "y_name='x1' is already a column"),
        ({"weight_name": "y"}, "weight_name='y' is already a column"),
        ({"y_name": ["a", "b"]}, "y_name must be one name"),
    ],
)
def test_to_pandas_refuses_taken_names(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        small.to_pandas(**arguments)


def test_to_pandas_needs_a_name_for_each_output():
    with pytest.raises(ValueError, match="y_name must hold 2 names"):
        DistilledData([[1.0]], [[1.0, 2.0]]).to_pandas(y_name=["a"])


# Tensors -------------------------------------------------------------------------------------


def test_to_torch_encodes_classes_by_position(small):
    import torch

    dataset = small.to_torch()
    X, y, weight = dataset.tensors
    assert X.dtype == weight.dtype == torch.float32
    assert y.dtype == torch.int64
    assert y.tolist() == [1, 0, 1, 2, 0, 2]
    assert small.to_torch(dtype=torch.float64).tensors[0].dtype == torch.float64
    small.X[0, 0] = 50.0
    assert X[0, 0] == 0.0  # a copy


def test_to_torch_of_numbers_and_of_several_outputs():
    import torch

    floats = DistilledData([[1.0], [2.0]], [0.5, 1.5]).to_torch().tensors[1]
    assert floats.dtype == torch.float32 and floats.tolist() == [0.5, 1.5]
    ints = DistilledData([[1], [2]], [[0, 1], [1, 1]], classes=[0, 1]).to_torch().tensors[1]
    assert ints.dtype == torch.float32 and ints.tolist() == [[0, 1], [1, 1]]
    classes = [np.array(["a", "b"]), np.array(["u", "v", "w"])]
    labels = np.array([["b", "w"], ["a", "u"]])
    positions = DistilledData([[1], [2]], labels, classes=classes).to_torch().tensors[1]
    assert positions.tolist() == [[1, 2], [0, 0]]
    assert len(DistilledData([[1.0]]).to_torch().tensors) == 2


def test_to_torch_of_sparse_rows_and_frames():
    assert DistilledData(sparse.csr_array(np.eye(2))).to_torch().tensors[0].tolist() == [
        [1, 0],
        [0, 1],
    ]
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": pd.array([1, None], dtype="Int64")})
    rows = DistilledData(frame).to_torch().tensors[0].numpy()
    assert_array_equal(rows, np.array([[1, 1, 1], [2, 0, np.nan]]))


def test_to_torch_names_what_it_cannot_take():
    frame = pd.DataFrame({"a": [1], "b": ["u"], "c": pd.to_datetime(["2020"])})
    with pytest.raises(TypeError, match=re.escape("['b', 'c']")):
        DistilledData(frame).to_torch()
    with pytest.raises(TypeError, match="X has dtype object"):
        DistilledData(np.array([["u", 1]], dtype=object)).to_torch()
    with pytest.raises(TypeError, match=r"y has dtype.*classes=None"):
        DistilledData([[1.0]], ["a"]).to_torch()
    with pytest.raises(ValueError, match="'z', which is not in classes"):
        DistilledData([[1.0]], ["z"], classes=["a", "b"]).to_torch()


NEW_COLUMN = {
    "kind": "frame",
    "fields": [],
    "columns": None,
    "index": {"names": "[null]", "fields": [{"kind": "new"}]},
}


# The file ------------------------------------------------------------------------------------


def test_file_keeps_every_part(small, tmp_path):
    small.targets = np.linspace(-1, 1, 24).reshape(6, 4).astype(np.float32)
    small.feature_names = np.array(["a", "b"], dtype=object)
    path = tmp_path / "rows.npz"
    small.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.npz"]
    twin = DistilledData.load(str(path))
    for part, value in vars(small).items():
        if value is None:  # parameters of a predictor: see test_predictor.py
            assert getattr(twin, part) is None
            continue
        assert_array_equal(getattr(twin, part), value)
        assert getattr(twin, part).dtype == value.dtype


def test_file_gets_exactly_the_name_given(small, tmp_path):
    small.save(tmp_path / "rows")
    assert repr(DistilledData.load(tmp_path / "rows")) == repr(small)


def test_file_holds_plain_arrays_and_a_version(small, tmp_path):
    small.y = small.y.astype(object)
    small.save(tmp_path / "rows.npz")
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as file:
        assert file["version"] == 4
        assert all(file[name].dtype != object for name in file.files)
        assert_array_equal(file["X"], small.X)


@pytest.mark.parametrize(
    "y",
    [
        None,
        np.array(["a", "bé", ""]),
        np.array(["a", "b\0", "long text"], dtype=object),
        np.array([1, 2.5, None], dtype=object),
        np.array([True, False, True]),
        np.array([1, 2, 3], dtype=np.uint8),
        np.array([[1.5, 2], [3, 4], [5, 6]], dtype=np.float32),
        np.array([["a", 1], ["b", 2], ["c", 3]], dtype=object),
        np.array(["2020-01-01", "2021-02-03", "NaT"], dtype="M8[D]"),
    ],
    ids=str,
)
def test_file_keeps_any_labels(y):
    twin = round_trip(DistilledData(np.eye(3), y))
    assert_array_equal(twin.y, y)
    if y is not None:
        assert twin.y.dtype == y.dtype


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array])
def test_file_keeps_sparse_rows(form):
    X = form(np.array([[0, 2], [3, 0], [0, 0]], dtype=np.float32))
    twin = round_trip(DistilledData(X)).X
    assert type(twin) is type(X) and twin.dtype == X.dtype
    assert_array_equal(twin.toarray(), X.toarray())


def test_file_keeps_a_list_of_classes():
    classes = [np.array(["a", "b"]), np.array([1, 2, 3])]
    y = np.array([["a", 1]], dtype=object)
    twin = round_trip(DistilledData([[1.0]], y, classes=classes))
    assert isinstance(twin.classes, list)
    for got, expected in zip(twin.classes, classes, strict=True):
        assert_array_equal(got, expected)


COLUMNS = {
    "int8": np.array([1, 2, -3], dtype=np.int8),
    "float32": np.array([1.5, np.nan, np.inf], dtype=np.float32),
    "bool": [True, False, True],
    "complex": [1j, 2.0, 3.0],
    "str": ["a", "b", ""],
    "str missing": pd.array(["a", None, "ü\0"], dtype="str"),
    "string": pd.array(["a", pd.NA, "b"], dtype="string"),
    "string[python]": pd.array(["a", pd.NA, "b"], dtype="string[python]"),
    "object": np.array(["a", None, float("nan")], dtype=object),
    "object mixed": np.array([True, None, 2], dtype=object),
    "Int64": pd.array([2**60 + 1, None, 3], dtype="Int64"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "Float32": pd.array([0.1, None, 3], dtype="Float32"),
    "arrow": pd.array([1, None, 3], dtype="int32[pyarrow]"),
    "dates": pd.to_datetime(
        ["2020-01-01", None, "2021-06-01 12:30:00.123456789"], format="ISO8601"
    ),
    "seconds": np.array(["2020-01-01", "2021-01-01", "NaT"], dtype="M8[s]"),
    "zone": pd.to_datetime(["2020-01-01", None, "2020-07-01"]).tz_localize("Europe/Paris"),
    "utc": pd.to_datetime(["2020-01-01", None, "2020-07-01"]).tz_localize("UTC"),
    "timedelta": pd.to_timedelta(["1 day", None, "3 s"]),
    "categorical": pd.Categorical(["u", None, "v"], categories=["v", "u", "never"]),
    "ordered": pd.Categorical([1, 2, 1], categories=[2, 1], ordered=True),
    "date categories": pd.Categorical(pd.to_datetime(["2020", "2021", "2020"])),
    "sparse": pd.arrays.SparseArray([0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_file_keeps_a_column_of_dtype(kind):
    X = pd.DataFrame({kind: COLUMNS[kind]}, index=[4, 9, 2])
    assert_frame_equal(round_trip(DistilledData(X)).X, X)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.Index(["p", "q", "r"], name="key"),
        pd.DatetimeIndex(["2020", "2021", "2022"]),
        pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")], names=["n", None]),
        pd.CategoricalIndex(["a", "b", "a"]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_file_keeps_index_and_column_labels(index):
    X = pd.DataFrame(np.arange(9).reshape(3, 3), index=index, columns=index)
    assert_frame_equal(round_trip(DistilledData(X)).X, X)


def test_file_keeps_repeated_column_names():
    X = pd.DataFrame([[1, "a"]], columns=["c", "c"])
    twin = round_trip(DistilledData(X)).X
    assert list(twin.columns) == ["c", "c"]
    assert_series_equal(twin.dtypes, X.dtypes)


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, {"a": 1}], dtype=object),
        pd.period_range("2020", periods=2, freq="M"),
        pd.interval_range(0, 2),
        pd.arrays.SparseArray([7.0, 1.0], fill_value=7.0),
        pd.array([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    ],
    ids=["objects", "period", "interval", "sparse fill", "lists"],
)
def test_a_column_that_cannot_be_stored_is_named(column, tmp_path):
    data = DistilledData(pd.DataFrame({"fine": [1, 2], "odd": column}))
    with pytest.raises(TypeError, match=r"column 'odd' of X.*astype\(str\).*to_pandas"):
        data.save(tmp_path / "rows.npz")
    assert not list(tmp_path.iterdir())


def test_labels_that_cannot_be_stored_are_named(tmp_path):
    y = np.array([{"a": 1}, "b"], dtype=object)
    with pytest.raises(TypeError, match="y holds a dict"):
        DistilledData(np.eye(2), y).save(tmp_path / "rows.npz")
    with pytest.raises(TypeError, match=r"y has dtype.*convert it"):
        DistilledData(np.eye(2), np.zeros(2, dtype="i4,f8")).save(tmp_path / "rows.npz")
    data = DistilledData(np.eye(2))
    data.targets = "soft"
    with pytest.raises(TypeError, match="targets is a str"):
        data.save(tmp_path / "rows.npz")


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 not a zip", b"\x80\x04K\x01."]
)
def test_loading_another_file_says_so(content, tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz is not a file of DistilledData\.save"):
        DistilledData.load(path)


def test_loading_another_npz_or_npy_says_so(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.eye(2))
    with pytest.raises(ValueError, match=r"not one of DistilledData\.save"):
        DistilledData.load(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.eye(2))
    with pytest.raises(ValueError, match="single array"):
        DistilledData.load(tmp_path / "b.npy")
    with pytest.raises(FileNotFoundError):
        DistilledData.load(tmp_path / "none.npz")


def test_loading_never_unpickles(small, tmp_path):
    small.save(tmp_path / "a.npz")
    arrays = dict(np.load(tmp_path / "a.npz")) | {"X": np.array([print], dtype=object)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=r"a\.npz is damaged.*'X' has dtype object.*pickle"):
        DistilledData.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": np.array(99)}, "format version 99.*update skdistill"),
        ({"version": None}, "format version None"),
        ({"X": None}, "damaged"),
        ({"specs": np.array("{")}, "damaged"),
        ({"specs": np.array(json.dumps({"X": {"kind": "new"}}))}, "damaged.*unknown form 'new'"),
        ({"specs": np.array(json.dumps({"X": NEW_COLUMN}))}, "damaged.*unknown form 'new'"),
    ],
)
def test_loading_a_later_or_damaged_file_says_so(small, tmp_path, change, message):
    path = tmp_path / "rows.npz"
    small.save(path)
    with np.load(path) as file:
        arrays = {"X.index.0": np.arange(6)}
        arrays |= {name: file[name] for name in file.files} | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        DistilledData.load(path)


def test_a_truncated_file_says_so(small, tmp_path):
    path = tmp_path / "rows.npz"
    small.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="damaged"):
        DistilledData.load(path)


def test_a_set_is_no_tuple():
    with pytest.raises(TypeError, match=r"no tuple: take small\.X.*fit\(\*\*small\)"):
        _X, _y, _weight = DistilledData([[1.0], [2.0]], [0, 1])


@pytest.mark.parametrize("name", ["small.csv", "small.parquet", "small.PKL"])
def test_save_refuses_other_formats(tmp_path, name):
    with pytest.raises(ValueError, match="save writes npz files"):
        DistilledData([[1.0]]).save(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_to_parquet_and_polars_and_html(tmp_path):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    small = DistilledData([[1.0], [2.0]], ["<a>", "b"], [3.0, 4.0], feature_names=["y"])
    small.to_parquet(tmp_path / "small.parquet", y_name="label")
    table = small.to_pandas(y_name="label")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "small.parquet"), table)
    assert isinstance(small.to_polars(y_name="label"), pl.DataFrame)
    assert small.head(1).columns.tolist() == ["y", "_y", "sample_weight"]
    assert "DistilledData(2 rows" in small._repr_html_() and "<a>" not in small._repr_html_()
