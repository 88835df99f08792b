"""`partial_fit` and `fit` of sources: the whole stream in a small set, whatever its chunks."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from skdistill import DistilledData, SensitivityCoreset
from skdistill.streaming import coreset as streams
from skdistill.streaming import sources
from skdistill.tables import TableEncoder


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 400 rows that are reduced to 100, so that a small stream passes through levels."""
    monkeypatch.setattr(streams, "PARTIAL_ROWS", 400)
    monkeypatch.setattr(streams, "CHUNK_ROWS", 400)
    monkeypatch.setattr(sources, "CHUNK_ROWS", 400)
    monkeypatch.setattr("skdistill.streaming.merge_reduce.LEAST_SUMMARY", 100)


def mixture(n=6000, seed=0):
    """Five clusters of unequal size as classes; float32 rows."""
    rng = np.random.default_rng(seed)
    y = rng.choice(5, n, p=[0.6, 0.25, 0.1, 0.04, 0.01])
    centres = 4 * np.random.default_rng(7).normal(size=(5, 4))
    return (centres[y] + rng.normal(size=(n, 4))).astype(np.float32), y


def read(estimator, X, y=None, step=700, weight=None):
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        estimator.partial_fit(
            X[part], None if y is None else y[part], None if weight is None else weight[part]
        )
    return estimator


def same_set(a, b):
    np.testing.assert_array_equal(np.asarray(a.X), np.asarray(b.X))
    np.testing.assert_array_equal(a.sample_weight, b.sample_weight)
    np.testing.assert_array_equal(a.indices, b.indices)
    if a.y is not None:
        np.testing.assert_array_equal(a.y, b.y)


def test_small_sets_after_each_call(small_blocks):
    X, y = mixture(3000)
    stream = SensitivityCoreset(25, random_state=0)
    for start in range(0, 3000, 600):
        stream.partial_fit(X[start : start + 600], y[start : start + 600])
        n = start + 600
        small = stream.distilled_
        assert stream.n_samples_seen_ == n
        assert len(small) == 25
        assert small.sample_weight.sum() == pytest.approx(n)
        np.testing.assert_array_equal(small.X, X[small.indices])
        np.testing.assert_array_equal(small.y, y[small.indices])
        assert stream.transform(X[:3]).shape == (3, 25)
        assert not hasattr(stream, "sensitivities_")
    np.testing.assert_array_equal(stream.indices_, small.indices)


def test_sizes_of_chunks_change_nothing(small_blocks):
    X, y = mixture(3000)
    by_100 = read(SensitivityCoreset(25, random_state=0), X, y, 500).distilled_
    same_set(read(SensitivityCoreset(25, random_state=0), X, y, 1999).distilled_, by_100)
    whole = SensitivityCoreset(25, random_state=0).partial_fit(X, y).distilled_
    same_set(whole, by_100)


@pytest.mark.parametrize("order", ["as it comes", "by class", "by feature"])
def test_cost_is_near_that_of_all_rows(small_blocks, order):
    X, y = mixture(6000)
    if order == "by class":
        X = X[np.argsort(y)]
    elif order == "by feature":
        X = X[np.argsort(X[:, 0])]

    def ratio(small):
        model = KMeans(5, n_init=5, random_state=0).fit(small.X, sample_weight=small.sample_weight)
        return -model.score(X) / best

    best = KMeans(5, n_init=5, random_state=0).fit(X).inertia_
    streamed, offline = [], []
    for seed in range(4):
        estimator = SensitivityCoreset(200, random_state=seed)
        streamed.append(ratio(read(clone(estimator), X, step=1500).distilled_))
        offline.append(ratio(estimator.fit_distill(X)))
    assert np.mean(streamed) < 1.1 * np.mean(offline)


def test_sums_are_estimated_without_bias(small_blocks):
    X, _ = mixture(4000, seed=1)
    truth = float((X[:, 0] ** 2).sum())
    found = []
    for seed in range(12):
        small = read(SensitivityCoreset(60, random_state=seed, calibrate=False), X, step=4000)
        found.append(float(small.distilled_.sample_weight @ small.distilled_.X[:, 0] ** 2))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error
    assert error < 0.1 * truth


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "cross_entropy", "squared_error"])
def test_classes_that_come_late_are_kept(small_blocks, loss):
    X, y = mixture(2400)
    y = np.array(list("edcba"), dtype="<U2")[y]
    y[-3:] = "zz"
    stream = read(SensitivityCoreset(30, loss=loss, random_state=0), X, y, 600)
    assert stream.classes_.tolist() == [*"abcde", "zz"]
    assert "zz" in stream.distilled_.y
    early = y.copy()
    early[:3], early[-3:] = "zz", "a"
    stream = read(SensitivityCoreset(30, loss=loss, random_state=0), X, early, 600)
    assert "zz" in stream.distilled_.y  # through all reductions


def test_reference_is_the_model_of_the_first_chunk(small_blocks):
    X, y = mixture(2400)
    seen = []

    class Noted(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(len(X))
            return super().fit(X, y, sample_weight)

    estimator = SensitivityCoreset(30, loss="cross_entropy", estimator=Noted(max_iter=500))
    read(estimator, X, y, 600)
    assert len(seen) == 1
    frozen = FrozenEstimator(LogisticRegression(max_iter=500).fit(X, y))
    order = np.argsort(y, kind="stable")  # chunks of one class
    stream = SensitivityCoreset(30, loss="cross_entropy", estimator=frozen, random_state=0)
    assert len(read(stream, X[order], y[order], 600).distilled_) == 30


def test_weights_count_as_repetitions(small_blocks):
    X, y = mixture(1000)
    weight = np.random.default_rng(0).integers(0, 3, 1000)
    weighted = read(SensitivityCoreset(400, random_state=0), X, y, 300, weight)
    small = weighted.distilled_
    assert small.sample_weight.sum() == pytest.approx(weight.sum())
    assert weighted.n_samples_seen_ == 1000
    assert (weight[small.indices] > 0).all()
    nothing = SensitivityCoreset(5)
    with pytest.raises(ValueError, match="sample_weight is zero for every row"):
        nothing.partial_fit(X, y, np.zeros(1000))
    weighted.partial_fit(X, y, np.zeros(1000))
    assert weighted.n_samples_seen_ == 2000
    same_set(weighted.distilled_, weighted.distilled_)
    assert weighted.distilled_.sample_weight.sum() == pytest.approx(weight.sum())


def test_fewer_rows_than_asked_for_are_all_there():
    X, y = mixture(30)
    stream = SensitivityCoreset(100).partial_fit(X[:10], y[:10]).partial_fit(X[10:], y[10:])
    assert sorted(stream.indices_) == list(range(30))
    assert stream.distilled_.sample_weight.tolist() == [1.0] * 30


@pytest.mark.parametrize("share", ["balanced", dict.fromkeys(range(5), 1.0)])
def test_last_reduction_is_what_was_asked_for(small_blocks, share):
    X, y = mixture(3000)
    order = np.argsort(y, kind="stable")  # blocks that know one class, and not the shares of others
    stream = SensitivityCoreset(50, sampling="medoids", class_share=share, random_state=0)
    small = read(stream, X[order], y[order]).distilled_
    assert np.bincount(small.y).tolist() == [10] * 5
    assert small.sample_weight.sum() == pytest.approx(3000)


def test_window_keeps_the_last_chunks():
    X, _ = mixture(4000)
    stream = SensitivityCoreset(50, window=2, random_state=0)
    for number in range(4):
        stream.partial_fit(X[1000 * number : 1000 * (number + 1)])
    assert stream.n_samples_seen_ == 4000
    assert stream.indices_.min() >= 2000
    assert stream.distilled_.sample_weight.sum() == pytest.approx(2000)
    with pytest.raises(ValueError, match="window=None was changed"):
        stream.set_params(window=None).partial_fit(X)


def test_goes_on_from_fit():
    X, y = mixture(2000)
    estimator = SensitivityCoreset(50, random_state=0).fit(X[:1500], y[:1500])
    assert estimator.n_samples_seen_ == 1500
    estimator.partial_fit(X[1500:], y[1500:])
    assert estimator.n_samples_seen_ == 2000
    assert estimator.distilled_.sample_weight.sum() == pytest.approx(2000)
    np.testing.assert_array_equal(estimator.distilled_.X, X[estimator.indices_])
    same_set(
        estimator.fit(X, y).distilled_, SensitivityCoreset(50, random_state=0).fit_distill(X, y)
    )
    assert len(estimator.sensitivities_) == 2000


def test_a_bad_chunk_leaves_the_stream_as_it_was():
    X, y = mixture(900)
    stream = SensitivityCoreset(50, random_state=0).partial_fit(X[:300], y[:300])
    bad = X[300:600].copy()
    bad[5, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        stream.partial_fit(bad, y[300:600])
    with pytest.raises(ValueError, match="features"):
        stream.partial_fit(X[:10, :2], y[:10])
    with pytest.raises(ValueError, match="y holds numbers here, and classes in earlier"):
        stream.partial_fit(X[:10], y[:10] + 0.5)
    with pytest.raises(ValueError, match="y holds nothing here"):
        stream.partial_fit(X[:10])
    stream.partial_fit(X[300:], y[300:])
    whole = SensitivityCoreset(50, random_state=0).partial_fit(X, y)
    same_set(stream.distilled_, whole.distilled_)


def test_a_block_that_memory_is_too_small_for(small_blocks, monkeypatch):
    X, y = mixture(3000)
    monkeypatch.setattr(streams, "PARTIAL_ROWS", 1500)
    fit_rows = SensitivityCoreset._fit_rows

    def limited(self, X, *others):
        if len(X) > 800:
            raise MemoryError
        return fit_rows(self, X, *others)

    monkeypatch.setattr(SensitivityCoreset, "_fit_rows", limited)
    stream = SensitivityCoreset(25, random_state=0)
    with pytest.warns(RuntimeWarning, match="a block of 1500 rows is reduced in two halves"):
        small = stream.partial_fit(X, y).distilled_
    assert small.sample_weight.sum() == pytest.approx(3000)
    np.testing.assert_array_equal(small.X, X[small.indices])
    monkeypatch.setattr(SensitivityCoreset, "_fit_rows", fit_rows)
    assert stream.partial_fit(X, y).n_samples_seen_ == 6000


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_memory_that_is_never_enough_leaves_the_rows_so_far(small_blocks, monkeypatch, kind):
    X, y = mixture(3000)
    fit_rows = SensitivityCoreset._fit_rows
    blocks = []

    def limited(self, X, *others):
        blocks.append(len(X))
        if len(blocks) == 4:  # of four times the rows of a small set: it is not cut in halves
            raise MemoryError if kind == "numpy" else RuntimeError("can't allocate memory: ...")
        return fit_rows(self, X, *others)

    monkeypatch.setattr(SensitivityCoreset, "_fit_rows", limited)
    coreset = SensitivityCoreset(25, random_state=0)
    with pytest.warns(RuntimeWarning, match="stands for the first 1200 rows, and not for more"):
        small = coreset.fit_distill((X[i : i + 500], y[i : i + 500]) for i in range(0, 3000, 500))
    assert coreset.n_samples_seen_ == 1200
    assert small.sample_weight.sum() == pytest.approx(1200)
    assert small.indices.max() < 1200
    blocks[:] = [0] * 3
    with pytest.raises((MemoryError, RuntimeError)):  # there is no small set yet
        coreset.fit(iter([X]))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and reads /proc")
def test_a_limit_of_memory_in_the_middle_of_a_stream(forking):
    done = forking.run(Path(__file__).with_name("short_of_memory.py").read_text())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    whole = [run for run in found if not isinstance(run["weight"], str)]
    assert len(whole) >= 2
    for run in whole:
        assert run["weight"] == pytest.approx(run["n_seen"])
        in_part = any("and not for more" in told for told in run["told"])
        assert in_part or (run["n_seen"], run["kept"]) == (240_000, 12)
    assert any("reduced in two halves" in " ".join(run["told"]) for run in whole)
    assert found[-1] == {"weight": pytest.approx(2.4e5), "n_seen": 240_000, "kept": 12, "told": []}
    failed = [run["weight"] for run in found if isinstance(run["weight"], str)]
    assert all("MemoryError" in error or "memory" in error for error in failed)


def test_a_share_of_rows_is_refused():
    X, _ = mixture(50)
    with pytest.raises(AttributeError, match="partial_fit") as raised:
        SensitivityCoreset(0.5).partial_fit(X)
    assert "n_samples=0.5 is a share of the rows" in str(raised.value.__cause__)
    with pytest.raises(ValueError, match=r"n_samples=0\.5 is a share of the rows"):
        SensitivityCoreset(0.5).fit(iter([X]))


def test_frames_text_and_sparse_rows(small_blocks):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"kind": rng.choice(["a", "b", "c"], 1500), "size": rng.normal(size=1500)},
        index=np.arange(1500) + 10,
    )
    frame.loc[frame.index[-1], "kind"] = "new"
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    stream = SensitivityCoreset(20, preprocessor=encoder, random_state=0)
    for start in range(0, 1500, 500):
        stream.partial_fit(frame.iloc[start : start + 500])
    small = stream.distilled_
    pd.testing.assert_frame_equal(small.X, frame.iloc[small.indices])
    assert stream.feature_names_in_.tolist() == ["kind", "size"]
    X = sparse.random(1500, 30, 0.1, "csr", random_state=0)
    stream = SensitivityCoreset(20, random_state=0)
    for start in range(0, 1500, 500):
        stream.partial_fit(X[start : start + 500])
    assert (stream.distilled_.X != X[stream.indices_]).nnz == 0


def test_any_table_as_it_comes(small_blocks):
    pl = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"kind": rng.choice(list("abc"), 1500), "size": rng.normal(size=1500)})
    stream = SensitivityCoreset(20, preprocessor="auto", random_state=0)
    for start in range(0, 1500, 500):
        stream.partial_fit(frame[start : start + 500])
    assert stream.distilled_.X.equals(frame[stream.indices_])
    small = SensitivityCoreset(20, preprocessor="auto", random_state=0).fit_distill(iter([frame]))
    assert small.X.equals(stream.distilled_.X)


def orders(n=3000, late=None):
    """A mixed table; a level and an empty cell come late."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": rng.choice(list("abc"), n), "size": rng.normal(size=n)})
    frame.loc[n - 300 :, "kind"] = late or "d"
    frame.loc[n - 3, "size"] = np.nan
    return frame, rng.choice(["no", "yes"], n)


@pytest.fixture
def fits(monkeypatch):
    """Number of rows of each fit of the encoder."""
    seen = []
    fit_transform = TableEncoder.fit_transform

    def noted(self, X, y=None):
        seen.append(len(X))
        return fit_transform(self, X, y)

    monkeypatch.setattr(TableEncoder, "fit_transform", noted)
    return seen


@pytest.mark.parametrize("loss", ["kmeans", "cross_entropy"])
def test_columns_are_learnt_once_on_the_way(small_blocks, fits, loss):
    frame, y = orders()
    chunks = ((frame[i : i + 500], y[i : i + 500]) for i in range(0, 3000, 500))
    coreset = SensitivityCoreset(30, preprocessor="auto", loss=loss, random_state=0).fit(chunks)
    assert fits[0] == 400  # the first of seven blocks
    assert len(fits) == (2 if loss == "kmeans" else 1)  # and what is left of all
    knows_late = "kind_d" in coreset.preprocessor_.get_feature_names_out()
    assert knows_late == (loss == "kmeans")
    small = coreset.distilled_
    pd.testing.assert_frame_equal(small.X, frame.iloc[small.indices])
    assert small.sample_weight.sum() == pytest.approx(3000, rel=0.1)
    assert "d" in set(small.X["kind"])
    assert np.isfinite(coreset.transform(frame)).all()


def test_columns_of_a_data_set_are_learnt_once(small_blocks, fits, tmp_path):
    arrow = pytest.importorskip("pyarrow.dataset")
    frame, y = orders()
    frame.assign(label=y).to_parquet(tmp_path / "0.parquet")
    coreset = SensitivityCoreset(30, preprocessor="auto", random_state=0)
    small = coreset.fit_distill(arrow.dataset(tmp_path), "label")
    assert fits[0] == 400 and len(fits) == 2
    assert set(small.X["kind"]) == set("abcd")


def test_state_holds_the_rows_that_columns_are_learnt_from(small_blocks, tmp_path):
    frame, y = orders()
    stream = SensitivityCoreset(30, preprocessor="auto", random_state=0)
    read_frame(stream, frame[:1400], y)
    stream.save_state(tmp_path / "state.npz")
    other = clone(stream).load_state(tmp_path / "state.npz")
    for estimator in (stream, other):
        estimator.partial_fit(frame[1400:], y[1400:])
    pd.testing.assert_frame_equal(other.distilled_.X, stream.distilled_.X)
    np.testing.assert_array_equal(other.distilled_.sample_weight, stream.distilled_.sample_weight)


@pytest.fixture
def long_blocks(monkeypatch):
    """Blocks of 40,000 rows that are reduced to 400: long enough to be taken as they stand."""
    monkeypatch.setattr(streams, "CHUNK_ROWS", 40_000)
    monkeypatch.setattr("skdistill.streaming.merge_reduce.LEAST_SUMMARY", 400)


def test_long_blocks_stand_for_their_rows(long_blocks):
    X = np.random.default_rng(0).normal(size=(90_000, 16)).astype(np.float32)
    X[45_678] = 1e4  # nearly all of the cost
    coreset = SensitivityCoreset(50, random_state=0).fit(iter(np.array_split(X, 7)))
    small = coreset.distilled_
    assert 45_678 in small.indices
    np.testing.assert_array_equal(small.X, X[small.indices])
    assert small.sample_weight.sum() == pytest.approx(90_000)
    X[45_678, 3] = np.nan
    with pytest.raises(ValueError, match=r"In rows 40000 to 79999: .*contains NaN"):
        coreset.fit(iter(np.array_split(X, 7)))


def test_few_distinct_rows_of_long_blocks_are_all_kept(long_blocks):
    rng = np.random.default_rng(0)
    few = rng.normal(size=(300, 16)).astype(np.float32)
    which = rng.integers(0, 300, 90_000)
    small = SensitivityCoreset(300, random_state=0).fit_distill(iter([few[which]]))
    assert len(small) == 300
    counts = (which[:, None] == which[small.indices]).sum(0)
    np.testing.assert_allclose(small.sample_weight, counts)


def test_pickle_goes_on(small_blocks):
    X, y = mixture(2000)
    stream = read(SensitivityCoreset(25, random_state=0), X[:1300], y[:1300])
    other = pickle.loads(pickle.dumps(stream))
    same_set(
        other.partial_fit(X[1300:], y[1300:]).distilled_,
        stream.partial_fit(X[1300:], y[1300:]).distilled_,
    )


# State --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 2])
def test_state_goes_on_as_if_never_stopped(small_blocks, tmp_path, window):
    X, y = mixture(5000)
    frame = pd.DataFrame(X, columns=list("abcd"))
    stream = SensitivityCoreset(25, window=window, random_state=4)
    read_frame(stream, frame[:4100], y)
    stream.save_state(tmp_path / "state.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    other = clone(stream).load_state(tmp_path / "state.npz")
    same_set(other.distilled_, stream.distilled_)
    assert other.n_samples_seen_ == 4100
    assert other.feature_names_in_.tolist() == list("abcd")
    for estimator in (stream, other):
        estimator.partial_fit(frame[4100:], y[4100:])
    same_set(other.distilled_, stream.distilled_)
    assert other.n_samples_seen_ == 5000


def read_frame(stream, frame, y, step=700):
    for start in range(0, len(frame), step):
        part = frame.iloc[start : start + step]
        stream.partial_fit(part, y[start : start + len(part)])


def test_state_of_other_parameters_or_no_state(tmp_path):
    X, y = mixture(100)
    path = tmp_path / "state.npz"
    SensitivityCoreset(25).partial_fit(X, y).save_state(path)
    with pytest.raises(ValueError, match="n_samples=25 there and 30 here"):
        SensitivityCoreset(30).load_state(path)
    with pytest.raises(ValueError, match="Call partial_fit first"):
        SensitivityCoreset(30).save_state(path)
    DistilledData(X).save(path)
    with pytest.raises(ValueError, match=r"not one of SensitivityCoreset\.save_state"):
        SensitivityCoreset(25).load_state(path)
    with pytest.raises(ValueError, match=r"not one of DistilledData\.save"):
        SensitivityCoreset(25).partial_fit(X, y).save_state(path)
        DistilledData.load(path)


def test_state_without_pickle_of_a_model(tmp_path):
    X, y = mixture(200)
    path = tmp_path / "state.npz"
    model = LogisticRegression(max_iter=500)
    fitted_here = SensitivityCoreset(25, loss="cross_entropy", estimator=model)
    with pytest.raises(TypeError, match="FrozenEstimator"):
        fitted_here.partial_fit(X, y).save_state(path)
    frozen = FrozenEstimator(model.fit(X, y))
    stream = SensitivityCoreset(25, loss="cross_entropy", estimator=frozen, random_state=0)
    stream.partial_fit(X, y).save_state(path)
    same_set(clone(stream).load_state(path).distilled_, stream.distilled_)


# Sources ------------------------------------------------------------------------------------------


class OnDisk:
    """What h5py and Zarr have in common; every read is noted."""

    chunks = (100, 4)

    def __init__(self, values):
        self._values, self.shape, self.dtype = values, values.shape, values.dtype
        self.largest = 0

    def __getitem__(self, part):
        found = self._values[part]
        self.largest = max(self.largest, len(found))
        return found

    def __len__(self):
        return len(self._values)


@pytest.fixture
def streamed(small_blocks):
    """Data, and the small set of a stream of them."""
    X, y = mixture(2500)
    stream = SensitivityCoreset(25, random_state=0).fit((X[i : i + 1], y[i : i + 1]) for i in [0])
    assert len(stream.distilled_) == 1
    return X, y, SensitivityCoreset(25, random_state=0).partial_fit(X, y).distilled_


def test_memory_mapped_file(streamed, tmp_path):
    X, y, expected = streamed
    for values, name in ((X, "X.npy"), (y, "y.npy")):
        np.save(tmp_path / name, values)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    estimator = SensitivityCoreset(25, random_state=0).fit(mapped, y)
    same_set(estimator.distilled_, expected)
    assert estimator.n_samples_seen_ == 2500
    assert type(estimator.distilled_.X) is np.ndarray
    labels = np.load(tmp_path / "y.npy", mmap_mode="r+")
    same_set(SensitivityCoreset(25, random_state=0).fit_distill(mapped, labels), expected)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SensitivityCoreset(25).fit(mapped, y[:-1])
    np.testing.assert_array_equal(labels, y)
    share = SensitivityCoreset(0.01, random_state=0).fit(mapped, y)  # of all rows, so in memory
    assert len(share.sensitivities_) == 2500 and len(share.distilled_) == 25


def test_a_mapped_file_of_one_block_is_read_once(tmp_path):
    X = np.concatenate([mixture(150_000)[0], 50 * np.ones((2, 4), dtype=np.float32)])
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    weight = np.ones(len(X))
    for chosen in (weight, None, np.where(np.arange(len(X)) < 9, 0, 1)):
        coreset = SensitivityCoreset(100, random_state=0).fit(mapped, sample_weight=chosen)
        small = coreset.distilled_
        assert small.sample_weight.sum() == pytest.approx(
            len(X) if chosen is None else chosen.sum()
        )
        np.testing.assert_array_equal(small.X, X[small.indices])
        assert (small.X[:, 0] == 50).any()
        assert coreset.sensitivities_.shape == (len(X),)
        sums = small.sample_weight @ small.X[:, :2]
        np.testing.assert_allclose(sums, X[:, :2].sum(0, dtype=float), atol=0.2 * len(X))


def test_changes_of_a_copy_on_write_map_are_kept(small_blocks, tmp_path):
    X, _ = mixture(900)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="c")
    mapped[0] = 7
    SensitivityCoreset(25, random_state=0).fit(mapped)
    np.testing.assert_array_equal(mapped[0], [7] * 4)


def test_array_on_disk_is_read_by_slices(streamed):
    X, y, expected = streamed
    on_disk = OnDisk(X)
    same_set(SensitivityCoreset(25, random_state=0).fit_distill(on_disk, pd.Series(y)), expected)
    assert on_disk.largest == 400
    small = SensitivityCoreset(25, random_state=0).fit(OnDisk(X[:300]), OnDisk(y[:300]))
    same_set(small.distilled_, SensitivityCoreset(25, random_state=0).fit_distill(X[:300], y[:300]))


@pytest.mark.parametrize("form", ["pair", "triple", "mapping", "coreset"])
def test_iterables_of_chunks(streamed, form):
    X, y, expected = streamed

    def chunks():
        for start in range(0, 2500, 300):
            part = slice(start, start + 300)
            if form == "pair":
                yield X[part], y[part]
            elif form == "triple":
                yield X[part], y[part], np.ones(len(X[part]))
            elif form == "mapping":
                yield {"X": X[part], "y": y[part]}
            else:
                yield DistilledData(X[part], y[part])

    same_set(SensitivityCoreset(25, random_state=0).fit_distill(chunks()), expected)


def test_loader_of_batches_and_rows_alone(small_blocks):
    X, _ = mixture(1000)

    class Loader:
        def __iter__(self):
            return iter(np.array_split(X, 7))

        def __len__(self):
            return 7

    loader = Loader()
    a = SensitivityCoreset(25, random_state=0).fit_distill(loader)
    same_set(a, SensitivityCoreset(25, random_state=0).fit_distill(iter([X])))
    same_set(a, SensitivityCoreset(25, random_state=0).fit_distill(loader))


def test_arrow_data_set(streamed, tmp_path):
    arrow = pytest.importorskip("pyarrow.dataset")
    X, y, expected = streamed
    frame = pd.DataFrame(X, columns=list("abcd")).assign(label=y, weight=1.0)
    for number in range(2):
        frame.iloc[1250 * number : 1250 * (number + 1)].to_parquet(tmp_path / f"{number}.parquet")
    dataset = arrow.dataset(tmp_path)
    estimator = SensitivityCoreset(25, random_state=0)
    small = estimator.fit_distill(dataset, "label", "weight")
    same_set(small, expected)
    assert small.X.columns.tolist() == list("abcd")
    with pytest.raises(ValueError, match="has no column 'labels'"):
        estimator.fit(dataset, "labels")
    with pytest.raises(TypeError, match="names of its columns"):
        estimator.fit(dataset, y)


@pytest.mark.parametrize(
    ("chunks", "error", "message"),
    [
        ([], ValueError, "no rows"),
        ([np.empty((0, 3))], ValueError, "no rows"),
        ([np.ones((2, 3)), np.full((2, 3), np.nan)], ValueError, "NaN"),
        ([np.ones((2, 3)), np.ones((2, 4))], ValueError, "In chunk 1, which starts at row 2: .*4"),
        ([np.ones((2, 3)), ()], ValueError, "Chunk 1 is a tuple of 0"),
        ([{"X": np.ones((2, 3)), "z": 1}], ValueError, "'z'"),
    ],
)
def test_bad_chunks(chunks, error, message):
    with pytest.raises(error, match=message):
        SensitivityCoreset(2).fit(iter(chunks))


def test_a_target_beside_an_iterable():
    with pytest.raises(TypeError, match="y was passed beside it"):
        SensitivityCoreset(2).fit(iter([np.ones((2, 3))]), [1, 2])
