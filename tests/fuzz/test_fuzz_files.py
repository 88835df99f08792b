"""Damaged files of every kind: a ValueError or one line and status 2, never a crash."""

from __future__ import annotations

import io
import json
import random
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from skdistill import DistilledData, SensitivityCoreset
from skdistill import _torch as torch
from skdistill.cli.reading import read_table
from skdistill.cli.table import InputError
from skdistill.learning.checkpoint import Checkpoint
from skdistill.objectives._networks.experts import Experts

LIMIT = 2**22  # bytes that a file of these tests may ask for
FAST = settings(
    max_examples=2 * settings.default.max_examples,
    suppress_health_check=list(HealthCheck),
)


def sets() -> list[DistilledData]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.Categorical(list("uvu"))},
        index=pd.date_range("2020", periods=3, tz="UTC"),
    )
    return [
        DistilledData(rng.normal(size=(6, 2)), np.arange(6) % 2, classes=[0, 1], indices=range(6)),
        DistilledData(sparse.random(5, 40, 0.2, format="csr", random_state=0), list("ababa")),
        DistilledData(frame, np.array(["p", "q", None], dtype=object), [1.0, 2.0, 0.5]),
        DistilledData(
            rng.normal(size=(3, 2)), targets=rng.normal(size=(3, 2)), y=[True, False, True]
        ),
    ]


def bytes_of(small: DistilledData) -> bytes:
    file = io.BytesIO()
    small.save(file)
    return file.getvalue()


FILES = [bytes_of(small) for small in sets()]


def load_or_refuse(content: bytes) -> None:
    """Load; what loads can be used."""
    file = io.BytesIO(content)
    file.name = "the_file.npz"
    try:
        small = DistilledData.load(file, max_bytes=LIMIT)
    except ValueError as error:
        assert str(error).startswith("the_file.npz")
        return
    assert len(small) == small.X.shape[0] == len(small.sample_weight)
    repr(small)
    if small.X.shape[1] < 1000:
        for form in (small.to_pandas, small.to_torch):
            # Names may be taken, and columns no numbers; all else would be an error of the reader.
            with suppress(ValueError, TypeError):
                form()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes turned over, cut out, repeated or put in."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                del data[place : place + rng.randint(1, 40)]
            case 2:
                data[place:place] = data[place : place + rng.randint(1, 40)]
            case 3:
                data[place:place] = rng.randbytes(rng.randint(1, 8))
            case 4:
                size = rng.choice([2, 4, 8])
                data[place : place + size] = rng.choice([b"\xff", b"\0", b"\x7f"]) * size
    return bytes(data)


@FAST
@given(st.sampled_from(FILES), st.randoms(use_true_random=False))
def test_bytes_of_a_set_are_damaged(content, rng):
    load_or_refuse(mutated(content, rng))


VALUES = st.one_of(
    st.integers(-(2**40), 2**40).map(np.array),
    st.lists(st.integers(-3, 9), max_size=8).map(lambda v: np.array(v, dtype=np.int64)),
    st.lists(st.floats(width=32), max_size=8).map(np.array),
    st.lists(st.text(max_size=3), max_size=6).map(lambda v: np.array(v, dtype="U3")),
    st.sampled_from([np.zeros((3, 2)), np.zeros((0, 2)), np.zeros((2, 2, 2)), np.zeros(())]),
    st.sampled_from(
        [np.ones(3, complex), np.zeros(3, "M8[s]"), np.zeros(3, "S4"), np.ones(3, bool)]
    ),
    st.sampled_from(["[]", "{}", "[1, 2, 3]", '["a", null, 1e400]', "nan", "[[1]]"]).map(np.array),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 5), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def change(tree, rng: random.Random, value):
    """Replace one place of a tree of JSON."""
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = rng.choice(sorted(tree))
        return {**tree, key: change(tree[key], rng, value)}
    if isinstance(tree, list) and tree and rng.random() < 0.85:
        place = rng.randrange(len(tree))
        return [*tree[:place], change(tree[place], rng, value), *tree[place + 1 :]]
    return value


@FAST
@given(st.sampled_from(FILES), st.data(), st.randoms(use_true_random=False))
def test_parts_of_a_set_do_not_fit(content, data, rng):
    """Every checksum is right; what the parts say is not."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    for _ in range(data.draw(st.integers(1, 3))):
        if rng.random() < 0.4:
            spec = json.loads(arrays["specs"].item()) if arrays["specs"].dtype.kind == "U" else {}
            kinds = st.sampled_from(["array", "csr_array", "frame", "objects", "list", "mapping"])
            value = data.draw(st.one_of(JSON, kinds, kinds.map(lambda kind: {"kind": kind})))
            arrays["specs"] = np.array(json.dumps(change(spec, rng, value)))
        else:
            name = rng.choice(sorted(set(arrays) - {"specs"}))
            arrays[name] = data.draw(VALUES)
            if rng.random() < 0.1:
                del arrays[name]
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    load_or_refuse(file.getvalue())


# Files that a later fit goes on from ------------------------------------------------------------


def experts(folder) -> Experts:
    """One expert of two epochs, trained unless its file is there."""
    values = np.random.default_rng(0).normal(size=(3, 1, 7)).astype(np.float32)
    trained = [{"w": torch.from_numpy(epoch)} for epoch in values]
    return Experts(1, lambda first, count: trained, folder, "of_a_test", trained[0], 2)


def stream() -> SensitivityCoreset:
    return SensitivityCoreset(4, loss="kmeans", random_state=0)


def checkpoint(path) -> Checkpoint:
    found = Checkpoint(path, {"X": "the same"})
    found.attach([{"rows": torch.zeros(3, 2), "steps": [0], "generator": torch.Generator()}])
    return found


def read_expert(path):
    found = experts(path.parent)
    return [found.at(0, epoch)["w"].numpy().tolist() for epoch in range(3)]


def read_state(path):
    small = stream().load_state(path).distilled_
    return [small.X.tolist(), small.y.tolist(), small.sample_weight.tolist()]


def read_checkpoint(path):
    found = checkpoint(path)
    checks = found.enter()
    found.resume()
    [root] = found._registry.roots
    numbers = [value for value in root.values() if not isinstance(value, torch.Generator)]
    return repr([checks, numbers])


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """Path, content, how to read it, and what it then holds, of each kind of file."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("later")
    (folder / "experts").mkdir()
    experts(folder / "experts")
    paths = [next((folder / "experts").iterdir()), folder / "state.npz", folder / "fit.npz"]
    part = stream()
    for _ in range(2):
        part.partial_fit(rng.normal(size=(9, 2)), rng.integers(0, 2, 9))
    part.save_state(paths[1])
    written = checkpoint(paths[2])
    written._found = [[[0, 3, [[1e-7, 0.5]]]], []]
    root = written._registry.roots[0]
    root["rows"] += 1
    root["steps"] += [3, 7]
    written.write()
    return [
        (path, path.read_bytes(), read, read(path))
        for path, read in zip(paths, [read_expert, read_state, read_checkpoint], strict=True)
    ]


@FAST
@given(st.integers(0, 2), st.randoms(use_true_random=False), st.data())
def test_what_a_later_fit_reads_is_damaged(later, which, rng, data):
    """All of it is as it was written, or the file is refused by name."""
    path, content, read, genuine = later[which]
    crafted = rng.random() < 0.5
    if crafted:  # every checksum of the archive is right
        with np.load(io.BytesIO(content)) as file:
            arrays = dict(file)
        name = rng.choice(sorted(set(arrays) - {"format", "version", "specs"}))
        if name == "about" and rng.random() < 0.8:
            about = change(json.loads(arrays[name].item()), rng, data.draw(JSON))
            arrays[name] = np.array(json.dumps(about))
        else:
            arrays[name] = data.draw(VALUES)
        file = io.BytesIO()
        np.savez(file, **arrays)
        path.write_bytes(file.getvalue())
    else:
        path.write_bytes(mutated(content, rng))
    try:
        found = read(path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert crafted or found == genuine


# Tables of the command line ------------------------------------------------------------------


def tables() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "name": rng.choice(["a", "b,c", 'd"e', "ü"], 12),
            "when": pd.date_range("2020", periods=12),
            "size": rng.normal(size=12),
            "count": pd.array([1, None] * 6, dtype="Int64"),
            "label": rng.choice(["yes", "no"], 12),
        }
    )
    parquet, npz = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    np.savez(npz, X=rng.normal(size=(12, 3)), y=np.arange(12) % 2, feature_names=["a", "b", "c"])
    return {
        ".csv": frame.to_csv(index=False).encode(),
        ".tsv": frame.to_csv(index=False, sep="\t").encode(),
        ".parquet": parquet.getvalue(),
        ".npz": npz.getvalue(),
    }


TABLES = tables()


@pytest.mark.parametrize("was", [b'"pandas_type', b'"numpy_type'])
def test_wrong_notes_of_pandas_in_a_table_are_one_line(was, tmp_path):
    """Readers of other libraries make a KeyError or a TypeError of them."""
    table, path = pq.read_table(io.BytesIO(TABLES[".parquet"])), tmp_path / "table.parquet"
    notes = table.schema.metadata[b"pandas"].replace(was, was + b"_")
    pq.write_table(table.replace_schema_metadata({b"pandas": notes}), path)
    with pytest.raises(InputError, match=r"table.parquet' cannot be read: (Key|Type)Error"):
        read_table(str(path))


def test_texts_that_are_none_are_refused(tmp_path):
    """The reader of parquet files leaves them to whoever uses them."""
    ends = pa.py_buffer(np.array([0, 1, *[3] * 11], dtype=np.int32))
    texts = pa.StringArray.from_buffers(11, ends, pa.py_buffer(b"ab\xff"))
    for column in (texts, texts.dictionary_encode()):
        pq.write_table(pa.table({"a": column, "y": range(11)}), tmp_path / "table.parquet")
        with pytest.raises(InputError, match=r"table.parquet' (is damaged|cannot be read)"):
            read_table(str(tmp_path / "table.parquet"))


@pytest.mark.filterwarnings("ignore")  # pandas tells what it makes of odd columns
@FAST
@given(st.sampled_from(sorted(TABLES)), st.randoms(use_true_random=False))
def test_bytes_of_a_table_are_damaged(tmp_path_factory, suffix, rng):
    path = tmp_path_factory.getbasetemp() / f"table{suffix}"
    path.write_bytes(mutated(TABLES[suffix], rng))
    try:
        table = read_table(str(path))
    except InputError as error:
        assert str(error)
        return
    assert len(table.y) == table.X.shape[0] > 0 and table.X.shape[1] > 0
