"""Files that are damaged, or made to do harm: a ValueError that names the file, and no memory."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile
import zlib

import numpy as np
import pandas as pd
import pytest
from npz_files import npy, replace_member
from scipy import sparse

from skdistill import DistilledData

FORMAT = "skdistill.DistilledData"


def stored(data: DistilledData) -> dict[str, np.ndarray]:
    """Arrays of the file of a set."""
    file = io.BytesIO()
    data.save(file)
    file.seek(0)
    return dict(np.load(file))


def write(path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as `DistilledData.save` would, each with its checksum."""
    np.savez_compressed(path, **arrays)


@pytest.fixture
def sparse_arrays():
    X = sparse.csr_matrix(np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    return stored(DistilledData(X, [0, 1, 0]))


@pytest.fixture
def frame_arrays():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.Categorical(list("uvu"))})
    return stored(DistilledData(frame, ["p", "q", "p"], classes=np.array(["p", "q"], dtype=object)))


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("X.indices", [1, 2, 10**8]),
        ("X.indices", [1, 3, 0]),
        ("X.indices", [1, -1, 0]),
        ("X.indices", [1, 2]),
        ("X.indices", [1.0, 2.0, 0.0]),
        ("X.indices", [[1, 2, 0]]),
        ("X.indptr", [0, 2, 3, 10**8]),
        ("X.indptr", [0, 3, 2, 3]),
        ("X.indptr", [1, 2, 3, 3]),
        ("X.indptr", [0, -5, 3, 3]),
        ("X.indptr", [0, 2, 3]),
        ("X.indptr", [0, 2, 3, 2]),
        ("X.data", [1.0, 2.0]),
        ("X.data", ["a", "b", "c"]),
    ],
)
def test_positions_of_sparse_rows_are_checked_before_use(sparse_arrays, tmp_path, part, values):
    write(tmp_path / "rows.npz", sparse_arrays | {part: np.array(values)})
    with pytest.raises(ValueError, match=r"rows\.npz is damaged.*X (has|is)"):
        DistilledData.load(tmp_path / "rows.npz")


@pytest.mark.parametrize("shape", [[3, -1], [3], [3, 3, 3], [10**20, 3], ["3", "3"], None, [2, 3]])
def test_shapes_of_sparse_rows_are_checked(sparse_arrays, tmp_path, shape):
    spec = json.loads(sparse_arrays["specs"].item())
    spec["X"]["shape"] = shape
    write(tmp_path / "rows.npz", sparse_arrays | {"specs": np.array(json.dumps(spec))})
    with pytest.raises(ValueError, match=r"rows\.npz is damaged"):
        DistilledData.load(tmp_path / "rows.npz")


def peak_of_loading(path, **options) -> int:
    tracemalloc.start()
    try:
        DistilledData.load(path, **options)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_members_that_nothing_names_cost_nothing(tmp_path):
    arrays = stored(DistilledData(np.eye(3), [1, 2, 3]))
    write(tmp_path / "rows.npz", arrays | {"payload": np.zeros(10**7)})
    assert peak_of_loading(tmp_path / "rows.npz") < 10**7


def test_large_sets_need_to_be_allowed(tmp_path):
    DistilledData(np.zeros((1000, 1000))).save(tmp_path / "rows.npz")
    message = r"rows\.npz holds more than max_bytes=1,000,000: with 'X' its arrays take 8,\d{3},"
    with pytest.raises(ValueError, match=message):
        peak_of_loading(tmp_path / "rows.npz", max_bytes=10**6)
    assert DistilledData.load(tmp_path / "rows.npz", max_bytes=float("inf")).X.shape == (1000, 1000)


HEADERS = {
    "too large": b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2)}\n",
    "negative": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}\n",
    "no bracket": b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2\n",
    "no literal": b"{'descr': f(), 'fortran_order': False, 'shape': (3, 2)}\n",
    "no dict": b"17\n",
    "no dtype": b"{'descr': 'spam', 'fortran_order': False, 'shape': (3, 2)}\n",
    "no size": b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}\n",
    "deep": b"(" * 5000 + b")" * 5000,
    "deeper": b"-" * 9000 + b"1",
    "indent": b"  {\n 1\n",
    "null": b"\0" * 64,
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n",
    "fields": b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}\n",
}


@pytest.mark.parametrize("member", ["X.npy", "specs.npy", "format.npy", "version.npy"])
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_are_checked(tmp_path, kind, member):
    path = tmp_path / "rows.npz"
    DistilledData(np.eye(3), [1, 2, 3]).save(path)
    replace_member(path, member, npy(HEADERS[kind], b"\0" * 64))
    with pytest.raises(ValueError, match=r"rows\.npz is damaged"):
        DistilledData.load(path)


def test_members_packed_in_other_ways_or_with_a_password(tmp_path):
    path = tmp_path / "rows.npz"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        DistilledData(np.eye(3)).save(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(ValueError, match=r"rows\.npz is damaged.*unusual way"):
            DistilledData.load(path)
    DistilledData(np.eye(3)).save(path)
    content = bytearray(path.read_bytes())
    for start in range(len(content)):
        if content[start : start + 4] == b"PK\x01\x02":
            content[start + 8] |= 1  # encrypted, says the directory
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.npz is damaged.*encrypted"):
        DistilledData.load(path)


def test_content_that_is_no_value_of_its_type(tmp_path):
    path = tmp_path / "rows.npz"
    DistilledData(np.eye(3), ["a", "b", "c"]).save(path)
    header = b"{'descr': '<U1', 'fortran_order': False, 'shape': (3,), }\n"
    replace_member(path, "y.npy", npy(header, b"\xff" * 12))
    with pytest.raises(ValueError, match=r"rows\.npz is damaged.*no text"):
        DistilledData.load(path)
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n"
    replace_member(path, "y.npy", npy(header, b"\x01\x02\x00"))
    with pytest.raises(ValueError, match=r"rows\.npz is damaged.*neither true nor false"):
        DistilledData.load(path)


def test_a_bit_that_fell_over(tmp_path):
    """Damage inside the packed bytes: zlib complains, or the checksum does."""
    path = tmp_path / "rows.npz"
    DistilledData(np.random.default_rng(0).normal(size=(50, 20))).save(path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("X.npy").header_offset + 60
    for place in range(start, start + 4000, 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"rows\.npz is damaged"):
            DistilledData.load(path)


@pytest.mark.parametrize("version", [-5, 0, 5, True, 1.0, "2", [2]])
def test_versions_that_do_not_exist(tmp_path, version):
    write(tmp_path / "a.npz", stored(DistilledData(np.eye(3))) | {"version": np.array(version)})
    with pytest.raises(ValueError, match=r"a\.npz has the format version"):
        DistilledData.load(tmp_path / "a.npz")


SPECS = {
    "a list": [],
    "a number": 7,
    "nothing": {},
    "no dict": {"X": 3},
    "no kind": {"X": {}},
    "kind of another type": {"X": {"kind": ["array"]}},
    "unknown part": {"X": {"kind": "array"}, "evil": {"kind": "array"}},
    "list without items": {"X": {"kind": "list"}},
    "X is None": {"X": None},
    "labels of other length": {"X": {"kind": "array"}, "y": {"kind": "array"}},
    "frame of nothing": {"X": {"kind": "frame", "fields": [], "index": {}, "columns": {}}},
    "predictor of numbers": {"X": {"kind": "array"}, "predictor_params": {"kind": "array"}},
}


@pytest.mark.parametrize("kind", SPECS)
def test_specs_that_fit_nothing(tmp_path, kind):
    arrays = stored(DistilledData(np.eye(3))) | {"y": np.ones(2), "predictor_params": np.ones(2)}
    write(tmp_path / "a.npz", arrays | {"specs": np.array(json.dumps(SPECS[kind]))})
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        DistilledData.load(tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"X":' * 100_000, "{", "9" * 5000, "\0"])
def test_specs_that_are_no_json(tmp_path, text):
    write(tmp_path / "a.npz", stored(DistilledData(np.eye(3))) | {"specs": np.array(text)})
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        DistilledData.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X.0", [1, 2]),
        ("X.0", [[1, 2, 3]]),
        ("X.1", "[1, 2]"),
        ("X.1", '[["x"], {}, null]'),
        ("X.1", '{"a": 1}'),
        ("X.1", "not json"),
        ("X.1", [1.0, 2.0, 3.0]),
        ("X.2", [0, 1, 7]),
        ("X.2", ["a", "b", "c"]),
        ("X.2.categories", '["u", "u"]'),
        ("X.index.0", [0, 1]),
        ("X.columns.0", '["a", "b"]'),
        ("classes", '[["p"], "q"]'),
        ("y", ["p", "q"]),
        ("sample_weight", [1.0, np.nan, 1.0]),
        ("sample_weight", [1.0, -1.0, 1.0]),
        ("sample_weight", ["a", "b", "c"]),
    ],
)
def test_parts_of_a_table_are_checked_against_each_other(frame_arrays, tmp_path, name, values):
    write(tmp_path / "a.npz", frame_arrays | {name: np.array(values)})
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        DistilledData.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "dtype", ["U1000000000", "datetime64[ns]", "Sparse[U1000000000]", "spam", 7, "category[", None]
)
def test_dtypes_of_columns_are_checked(frame_arrays, tmp_path, dtype):
    spec = json.loads(frame_arrays["specs"].item())
    spec["X"]["fields"][1] = {"kind": "text", "dtype": dtype}
    write(tmp_path / "a.npz", frame_arrays | {"specs": np.array(json.dumps(spec))})
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        DistilledData.load(tmp_path / "a.npz")


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.npz")
    with pytest.raises(ValueError, match=r"fifo\.npz is not a file.*no regular file"):
        DistilledData.load(tmp_path / "fifo.npz")


def test_a_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(IsADirectoryError):
        DistilledData.load(tmp_path)


def test_no_zip_and_half_a_zip(tmp_path):
    path = tmp_path / "a.npz"
    DistilledData(np.eye(3)).save(path)
    content = path.read_bytes()
    for wrong in (content[10:], content[: len(content) // 2], zlib.compress(content), b"\x93NUMPY"):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"a\.npz is"):
            DistilledData.load(path)
