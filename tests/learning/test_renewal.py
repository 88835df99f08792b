"""The pool of a stream stays a random one while its rows are exchanged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from skdistill import DatasetDistiller
from skdistill.batches.stored_rows import load_rows
from skdistill.batches.training_set import TrainingSet
from skdistill.learning import checkpoint as checkpoints
from skdistill.learning import renewal, stream_pool
from skdistill.learning.coordinates import plain_coordinates
from skdistill.learning.renewal import Exchange, Reader, Renewal
from skdistill.objectives import KernelRidge
from skdistill.streaming.sources import IterableSource, SliceSource

pytestmark = pytest.mark.usefixtures("quick_fits")

N, POOL = 4000, 800


class Chunks:
    """Chunks that can be gone through more than once, and no sequence."""

    def __init__(self, X, y=None, weight=None, size=300):
        self.parts = [
            tuple(None if v is None else v[i : i + size] for v in (X, y, weight))
            for i in range(0, len(X), size)
        ]
        self.n_passes = 0

    def __iter__(self):
        self.n_passes += 1
        return iter(self.parts)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(renewal, "READ_ROWS", 500)
    monkeypatch.setattr(stream_pool, "POOL_ROWS", POOL)
    monkeypatch.setattr(stream_pool, "CLUSTER_ROWS", 300)


def sorted_stream():
    """Rows sorted by class and number; the row says where it stands."""
    codes = np.repeat([0, 1, 2], [2600, 1300, 100])
    return np.arange(N, dtype=float)[:, None], codes


def renewals(source, positions, codes, weight, n):
    """Pool (n, 1) after some renewals, exchanged by class where there are codes."""
    pool = positions.astype(float)[:, None]

    def encode(X, y):
        return X, y

    found = Renewal(Reader(source, 0), positions, codes, weight, encode, 5)
    sizes = []
    for _ in range(n):
        sizes.append(0)
        for old, new, _ in found.exchanges():
            pool[old] = new
            sizes[-1] += len(old)
    return pool[:, 0].astype(int), sizes


@pytest.mark.parametrize("form", ["slices", "chunks"])
def test_places_and_classes_keep_their_share(form):
    X, codes = sorted_stream()
    source = SliceSource(X, codes, None) if form == "slices" else IterableSource(Chunks(X, codes))
    positions = np.random.default_rng(0).permutation(N)[:POOL]
    pool, sizes = renewals(source, positions, codes[positions], np.full(POOL, N / POOL), 40)
    assert (pool != positions).mean() > 0.6  # many passes; a fifth is drawn again each time
    assert max(sizes) <= POOL / 8 and min(sizes) > 0
    np.testing.assert_array_equal(codes[pool], codes[positions])
    block = 500 if form == "slices" else 300
    np.testing.assert_array_equal(pool // block, positions // block)


def test_heavy_rows_stay_and_others_come_by_their_weight():
    X = np.arange(N, dtype=float)[:, None]
    rng = np.random.default_rng(1)
    weight = np.where(np.arange(N) % 2, 3.0, 1.0)
    weight[::400] = 50.0
    light = np.flatnonzero(weight < 50)
    p = weight[light] / weight[light].sum()
    positions = np.concatenate([np.arange(0, N, 400), rng.choice(light, 790, False, p)])
    in_pool = np.where(np.arange(800) < 10, 50.0, weight[light].sum() / 790)
    pool, _ = renewals(SliceSource(X, None, weight), positions, None, in_pool, 60)
    np.testing.assert_array_equal(pool[:10], np.arange(0, N, 400))
    assert not (weight[pool[10:]] == 50).any()
    assert (pool[10:] % 2).mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_rows_and_numbers_are_written_where_they_are_trained_on(dtype):
    X = (np.arange(N) % 200).astype(dtype)[:, None]
    positions = np.arange(0, N, 5)
    pool = X[positions]

    def encode(rows, y):
        return rows, None if y is None else y[:, None].astype(float)

    found = Renewal(
        Reader(SliceSource(X, 2.0 * X[:, 0], None), 0),
        positions,
        None,
        np.full(800, 5.0),
        encode,
        0,
    )
    coordinates = plain_coordinates(1)
    place = np.arange(800)
    place[600:] = -1  # held out
    rows = load_rows(pool, None, coordinates, torch.device("cpu"))
    targets = 2.0 * torch.from_numpy(pool.astype(float))
    data = TrainingSet(rows, targets, torch.ones(800))
    before = rows[:].clone()
    exchange = Exchange(found, data, place, coordinates)
    for _ in range(8):
        exchange()
    after = data.rows[:]
    assert (after != before)[:600].float().mean() > 0.4
    torch.testing.assert_close(after[600:], before[600:])
    torch.testing.assert_close(data.targets, 2 * after.double())


def stream_of_classes():
    rng = np.random.default_rng(0)
    y = np.sort(rng.choice(list("abc"), N))
    X = np.array([[3, 0], [0, 3], [-3, 0]])[np.unique(y, return_inverse=True)[1]]
    return X + rng.normal(size=(N, 2)), y


@pytest.mark.parametrize("again", [True, False])
def test_streams_are_read_on_while_rows_are_learnt(again, monkeypatch):
    monkeypatch.setattr(stream_pool, "POOL_ROWS", 2500)  # one part of which is held out
    X, y = stream_of_classes()
    chunks = Chunks(X, y)
    distiller = DatasetDistiller(
        6,
        objective=KernelRidge(loss="squared_error"),
        init="kmeans",
        max_iter=40,
        refresh_every=5,
        random_state=0,
    )
    distiller.fit(chunks if again else iter(chunks))
    assert chunks.n_passes > 1 if again else chunks.n_passes == 1
    outputs = distiller.make_predictor().predict(X)
    assert (distiller.classes_[outputs.argmax(1)] == y).mean() > 0.93
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(N)


@pytest.mark.parametrize("form", ["series", "list"])
def test_targets_of_chunks_may_come_in_any_form(form, monkeypatch):
    """A Series is taken by place: the index of the second chunk does not begin at 0."""
    monkeypatch.setattr(stream_pool, "POOL_ROWS", 2500)
    X, y = stream_of_classes()
    chunks = Chunks(pd.DataFrame(X), pd.Series(y))
    if form == "list":
        chunks.parts = [(X, y.tolist(), None) for X, y, _ in chunks.parts]
    distiller = DatasetDistiller(6, init="uniform", max_iter=12, refresh_every=3, random_state=0)
    expected = distiller.fit_distill(Chunks(X, y)).X
    np.testing.assert_array_equal(distiller.fit_distill(chunks).X, expected)
    assert chunks.n_passes > 1


def test_a_pool_of_all_rows_is_not_renewed(monkeypatch):
    monkeypatch.setattr(stream_pool, "POOL_ROWS", N)
    chunks = Chunks(*stream_of_classes())
    DatasetDistiller(6, init="uniform", max_iter=12, refresh_every=3, random_state=0).fit(chunks)
    assert chunks.n_passes == 1


class StopError(Exception):
    """In place of a crash."""


def test_a_checkpoint_knows_how_far_the_stream_was_read(tmp_path, monkeypatch):
    X, y = stream_of_classes()
    options = {"max_iter": 40, "refresh_every": 3, "early_stopping": False, "random_state": 0}
    distiller = DatasetDistiller(6, init="uniform", **options)
    expected = distiller.fit_distill(Chunks(X, y))
    distiller.set_params(checkpoint=tmp_path / "fit.npz")
    write, left = checkpoints.Checkpoint.write, [6]

    def counted(self):
        write(self)
        left[0] -= 1
        if not left[0]:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoint, "write", counted)
        with pytest.raises(StopError):
            distiller.fit(Chunks(X, y))
    np.testing.assert_array_equal(distiller.fit_distill(Chunks(X, y)).X, expected.X)
