"""Rows held as they were given: the coordinates, the fits and the memory of float32 rows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import pytest
import torch
from devices import DEVICES, assert_same_fit
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from skdistill import DatasetDistiller, _device
from skdistill.batches import stored_rows
from skdistill.batches.feed import Feed
from skdistill.batches.sampler import BatchSampler
from skdistill.batches.stored_rows import StoredRows, as_array, load_rows
from skdistill.learning import runner
from skdistill.learning.coordinates import plain_coordinates, unit_coordinates
from skdistill.learning.trainer import train
from skdistill.networks import ConvFeatures, ConvNet
from skdistill.objectives import (
    DistributionMatching,
    FeatureRegression,
    GradientMatching,
    TrainingSet,
    TrajectoryMatching,
    UnrolledTraining,
)

CPU = torch.device("cpu")
SMALL = ConvNet(8)
TECHNIQUES = {
    "feature_regression": FeatureRegression(SMALL, n_networks=1),
    # Filters of k-means would make much of rounding: discrete patches lie between two centres.
    "frozen map": FeatureRegression(ConvFeatures(None, 8, patch_size=3, filters="random")),
    "distribution_matching": DistributionMatching(SMALL),
    "gradient_matching": GradientMatching(SMALL, train_on="real"),
    "trajectory_matching": TrajectoryMatching(SMALL, n_experts=2, syn_steps=3),
    "unrolled_training": UnrolledTraining(SMALL, unroll_steps=3, window=2),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.uint8), y[:300]


def no_room(monkeypatch):
    """Let no rows fit on the device."""
    monkeypatch.setattr(stored_rows, "fits", lambda n_bytes, device: False)


def quick(name, **options):
    options = {"init": "uniform", "batch_size": 100, "refresh_every": 2, **options}
    return DatasetDistiller(
        10,
        objective=TECHNIQUES[name],
        image_shape=(1, 8, 8),
        batch_sampling="importance",
        max_iter=5,
        random_state=0,
        **options,
    )


def assert_same(found, expected, rtol=1e-3):
    """Fits agree; a frozen map's gradient at blank patches is made of rounding."""
    if isinstance(found.objective.network, ConvFeatures):
        assert found.loss_curve_[0] == pytest.approx(expected.loss_curve_[0], rel=rtol)
    else:
        assert_same_fit(found, expected, rtol)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("index", [None, np.array([5, 1, 2, 7, 30, 4])], ids=["all", "some"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, np.int16, ">f4"])
def test_rows_are_their_coordinates(dtype, index, room, device, monkeypatch):
    X = np.random.default_rng(0).integers(0, 200, (40, 6)).astype(dtype)
    X[:, 3] = 7  # a constant feature
    X.flags.writeable = False
    coordinates = unit_coordinates(X.astype(float), np.ones(40), (2, 1, 3))
    if not room:
        no_room(monkeypatch)
    device = torch.device(device)
    rows = load_rows(X, index, coordinates, device)
    expected = coordinates.load(X, torch.float32, device, index)
    assert isinstance(rows, StoredRows) == (not room or dtype in (np.uint8, np.float16))
    assert rows.dtype == torch.float32 and rows.shape == expected.shape
    some = torch.tensor([3, 3, 0], device=device)
    data = TrainingSet(rows, None, torch.ones(len(rows), device=device))
    for part in (some, slice(None), slice(1, 4)):
        torch.testing.assert_close(rows[part], expected[part])
        subset = data.subset(part)
        assert len(subset) == len(expected[part])
        torch.testing.assert_close(subset.rows[:], expected[part])
        torch.testing.assert_close(subset.subset(slice(0, 2)).rows[:], expected[part][:2])
    out = torch.empty((3, 6), device=device)
    taken = data.take(some, torch.float64, out)
    torch.testing.assert_close(taken.rows, expected[some].double())
    torch.testing.assert_close(out, expected[some])
    assert_allclose(as_array(rows), expected.cpu(), rtol=1e-5, atol=1e-6)


def test_digests_tell_rows_apart():
    X = np.arange(60, dtype=np.uint8).reshape(10, 6)

    def digest(X, index=None, unit=1.0):
        coordinates = plain_coordinates(6)
        coordinates.scale[:] = unit
        return load_rows(X, index, coordinates, CPU).digest()

    same = digest(X), digest(X[::-1], np.arange(10)[::-1]), digest(np.repeat(X, 2, 0)[::2])
    assert len(set(same)) == 1
    changed = X.copy()
    changed[9, 5] += 1
    others = [digest(changed), digest(X[:9]), digest(X[::-1]), digest(X.astype(np.float16))]
    assert len({same[0], *others, digest(X, unit=2.0)}) == 6


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
@pytest.mark.parametrize("name", TECHNIQUES)
def test_fits_are_those_of_float32_rows(digits, name, dtype, monkeypatch):
    X, y = digits
    init = "sensitivity_kmeans" if dtype == np.float16 else "uniform"
    found = quick(name, init=init).fit(X.astype(dtype), y)
    monkeypatch.setattr(stored_rows, "KEPT", ())
    expected = quick(name, init=init).fit(X.astype(dtype), y)
    assert_same(found, expected)
    assert np.abs(found.distilled_.X - X[0]).max() > 1  # in the user's units


@pytest.mark.parametrize("name", TECHNIQUES)
def test_fits_without_room_on_the_device_are_the_same(digits, name, monkeypatch):
    X, y = digits[0].astype(np.float64), digits[1]
    expected = quick(name).fit(X, y)
    no_room(monkeypatch)
    assert_same(quick(name).fit(X, y), expected)


def test_bytes_are_never_copied_on_the_cpu(digits, monkeypatch):
    X, y = digits
    X, y = np.concatenate([X, X[:50]]), np.append(y, y[:50])  # merged by index
    held = []

    def watching(trainer):
        held.append(trainer.data.rows)
        return train(trainer)

    monkeypatch.setattr(runner, "train", watching)
    for name in ("distribution_matching", "feature_regression"):  # with held-out rows
        quick(name).fit(X, y)
    for rows in held:
        assert isinstance(rows, StoredRows)
        assert np.shares_memory(rows._held, X)
    assert [len(rows) for rows in held] == [300, 270]


def test_kernels_see_float32_rows(digits, monkeypatch):
    X, y = digits
    held = []
    monkeypatch.setattr(runner, "train", lambda t: held.append(t.data.rows) or train(t))
    DatasetDistiller(10, kernel="laplacian", max_iter=1, early_stopping=False).fit(X, y)
    assert torch.is_tensor(held[0]) and held[0].dtype == torch.float32


def test_experts_of_bytes_are_found_again(digits, tmp_path):
    X, y = digits
    distiller = quick("trajectory_matching").set_params(objective__expert_folder=tmp_path)
    first = distiller.fit(X, y).distilled_.X
    assert len(list(tmp_path.iterdir())) == 2
    assert_array_equal(distiller.fit(X, y).distilled_.X, first)
    assert len(list(tmp_path.iterdir())) == 2
    distiller.fit(X[:-1], y[:-1])
    assert len(list(tmp_path.iterdir())) == 4


class FakeStream:
    """Stands for a stream of a device; notes who waits for whom, and where work is asked for."""

    noted: ClassVar[list] = []
    now: ClassVar[list] = ["main"]

    def __init__(self, name):
        self.name = name

    def wait_stream(self, other):
        self.noted.append(f"{self.name} waits for {other.name}")

    @classmethod
    @contextmanager
    def inside(cls, stream):
        cls.now.append(stream.name)
        yield
        cls.now.pop()


@pytest.fixture
def streams(monkeypatch):
    """Let the CPU be a device that rows are away from; gives what happens there, in order."""
    noted = FakeStream.noted
    noted.clear()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream("side"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("main"))
    monkeypatch.setattr(torch.cuda, "stream", FakeStream.inside)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, stream: noted.append(f"used in {stream.name}")
    )

    def pin(tensor):
        noted.append(f"copied in {FakeStream.now[-1]}")
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(StoredRows, "away", True)
    return noted


def test_batches_are_copied_beside_the_steps(streams):
    X = np.random.default_rng(0).integers(0, 200, (40, 6)).astype(np.uint8)
    rows = load_rows(X, None, plain_coordinates(6), CPU)
    data = TrainingSet(rows, torch.eye(40), torch.ones(40))

    def batches(losses):
        sampler = BatchSampler(data.weight, torch.Generator().manual_seed(0), reweight=False)
        feed = Feed(data, sampler, losses)
        found = [feed.draw(10, torch.float32)]
        feed.refresh(lambda rows: rows, 1.0)
        return [*found, feed.draw(10, torch.float32)]

    (first, _), (second, _) = batches(lambda outputs, temperature, index: outputs[:, 0])
    drawn = ["copied in side", "main waits for side", *["used in main"] * 3]
    refreshed = ["copied in main", "side waits for main"]
    assert streams == ["side waits for main", *drawn, *refreshed, *drawn]
    for batch in (first, second):  # the second did not overwrite the first
        torch.testing.assert_close(batch.rows, rows[batch.targets.argmax(1)])


@pytest.mark.parametrize("free", [0, 1000, 10**12])
def test_half_of_the_free_memory_is_for_data(free, monkeypatch):
    monkeypatch.setattr(_device, "free_memory", lambda device: free)
    cuda = torch.device("cuda")
    assert _device.fits(free // 2, cuda)
    assert not _device.fits(free // 2 + 1, cuda)
    assert _device.fits(10**15, CPU)
