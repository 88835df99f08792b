"""What only a CUDA device can show: memory, streams, waiting, and leaving the device again."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from devices import CUDA, assert_same_fit
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import (
    DatasetDistiller,
    DistilledClassifier,
    SensitivityCoreset,
    _device,
)
from skdistill.batches import stored_rows
from skdistill.batches.feed import Feed
from skdistill.batches.sampler import BatchSampler
from skdistill.evaluation import evaluate
from skdistill.kernels import Kernel
from skdistill.learning import runner
from skdistill.learning.coordinates import plain_coordinates
from skdistill.learning.trainer import train
from skdistill.networks import MLP, ConvFeatures, ConvNet, NetworkClassifier
from skdistill.objectives import (
    AnalyticRidge,
    Batch,
    Context,
    DistributionMatching,
    FeatureRegression,
    GradientMatching,
    KernelRidge,
    TrainingSet,
    TrajectoryMatching,
    UnrolledTraining,
)
from skdistill.support import Support

pytestmark = CUDA

GPU = torch.device("cuda")
IMAGE = (1, 8, 8)
SMALL = ConvNet(16)
NETWORKS = {
    "RFAD": FeatureRegression(SMALL),
    "FRePo": FeatureRegression(SMALL, pool="trained"),
    # Filters of k-means would make much of rounding: discrete patches lie between two centres.
    "frozen map": FeatureRegression(ConvFeatures(None, 16, patch_size=3, filters="random")),
    "DM": DistributionMatching(SMALL),
    "DM, stacked": DistributionMatching(SMALL, n_networks=3),
    "DC": GradientMatching(SMALL, augment=None, inner_loop=5),
    "DSA": GradientMatching(SMALL, inner_loop=5),
    "IDC": GradientMatching(
        SMALL, distance="mse", augment="color_crop_cutout", train_on="real", factor=2
    ),
    "MTT": TrajectoryMatching(SMALL, n_experts=3, syn_steps=5, lr_teacher=0.03),
    "RaT-BPTT": UnrolledTraining(SMALL, unroll_steps=6, window=3),
}
KERNELS = {
    "cross-entropy": KernelRidge(),
    "squared error": KernelRidge(loss="squared_error"),
    "closed form": AnalyticRidge(),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


def quick(name, **options):
    options = {"max_iter": 5, "device": "cuda", **options}
    return DatasetDistiller(
        20,
        objective={**NETWORKS, **KERNELS}[name],
        image_shape=IMAGE if name in NETWORKS else None,
        init="uniform",
        batch_size=200,
        refresh_every=2,
        early_stopping=False,
        random_state=0,
        **options,
    )


def assert_same(found, expected, rtol=1e-2):
    """Fits agree; a frozen map's gradient at blank patches is made of rounding."""
    if isinstance(getattr(found.objective, "network", None), ConvFeatures):
        assert found.loss_curve_[0] == pytest.approx(expected.loss_curve_[0], rel=rtol)
    else:
        assert_same_fit(found, expected, rtol)


@pytest.mark.parametrize("name", [*NETWORKS, *KERNELS])
def test_same_seed_same_rows(name, digits):
    X, _, y, _ = digits
    first = quick(name).fit(X, y)
    assert first.device_.startswith("cuda")
    assert_same(clone(first).fit(X, y), first)


@pytest.mark.parametrize("name", [*NETWORKS, *KERNELS])
def test_generators_and_settings_of_the_device_are_left_alone(name, digits):
    X, _, y, _ = digits

    def settings():
        return (
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
            torch.cuda.current_stream(),
            torch.is_autocast_enabled("cuda"),
        )

    torch.cuda.manual_seed(7)
    before, known = torch.cuda.get_rng_state(), settings()
    quick(name, max_iter=2).fit(X, y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert settings() == known


@pytest.mark.parametrize("name", [*NETWORKS, *KERNELS])
def test_what_was_fitted_works_without_the_device(name, digits, tmp_path):
    X, X_test, y, _ = digits
    model = DistilledClassifier(distiller=quick(name, max_iter=30, device="auto")).fit(X, y)
    assert model.distiller_.device_.startswith("cuda")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X_test)
    program = (
        "import pickle, sys, numpy as np, torch\n"
        "assert not torch.cuda.is_available()\n"
        "model = pickle.load(open(sys.argv[1] + '/model.pkl', 'rb'))\n"
        "np.save(sys.argv[1] + '/y.npy', model.predict(np.load(sys.argv[1] + '/X.npy')))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert np.mean(np.load(tmp_path / "y.npy") == model.predict(X_test)) > 0.99


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_score_as_on_the_cpu(name, digits):
    X, X_test, y, y_test = digits
    here, there = (
        DistilledClassifier(distiller=quick(name, max_iter=100, device=device))
        .fit(X, y)
        .score(X_test, y_test)
        for device in ("cpu", "cuda")
    )
    assert there == pytest.approx(here, abs=0.04)


def test_networks_of_an_evaluation_score_as_on_the_cpu(digits):
    X, X_test, y, y_test = digits
    small = SensitivityCoreset(200, device="cpu", random_state=0).fit_distill(X, y)
    here, there = (
        evaluate(
            small,
            X_test,
            y_test,
            network=SMALL,
            image_shape=IMAGE,
            n_networks=3,
            X_train=X,
            device=device,
            random_state=0,
        )
        for device in ("cpu", "cuda")
    )
    assert len(there) == 3
    assert there.mean() == pytest.approx(here.mean(), abs=0.05)


@pytest.mark.parametrize("numbers", [False, True])
def test_medoids_are_those_of_the_cpu(numbers):
    X, y = load_digits(return_X_y=True)
    y = y.astype(float) if numbers else y
    sets = [
        SensitivityCoreset(100, sampling="medoids", device=device, random_state=0).fit(X, y)
        for device in ("cpu", "cuda")
    ]
    here, there = (set(coreset.indices_.tolist()) for coreset in sets)
    assert len(here & there) >= 95
    assert sets[1].distilled_.sample_weight.sum() == len(X)


def test_convolutional_features_are_those_of_the_cpu(digits):
    X, X_test, _, _ = digits
    features = ConvFeatures(IMAGE, 16, patch_size=3, device="cuda", random_state=0).fit(X)
    assert features.device_.startswith("cuda")
    there = features.transform(X_test)
    assert_allclose(features.set_params(device="cpu").transform(X_test), there, atol=1e-8)
    again = clone(features).set_params(device="cpu").fit(X).transform(X_test)
    # Directions may turn; the products of features, which kernels are made of, do not.
    assert_allclose(again @ again.T, there @ there.T, atol=1e-3)


def test_a_stack_of_classifiers_is_trained_as_one_is(digits):
    X, X_test, y, y_test = digits
    model = NetworkClassifier(
        SMALL, image_shape=IMAGE, n_networks=4, n_epochs=20, device="cuda", random_state=0
    ).fit(X, y)
    assert {p.shape[0] for p in model.params_.values()} == {4}
    assert model.score(X_test, y_test) > 0.9


# Memory ------------------------------------------------------------------------------------------


def test_free_memory_counts_what_pytorch_holds_without_use():
    torch.cuda.synchronize()
    before = _device.free_memory(GPU)
    held = torch.empty(2**28, dtype=torch.uint8, device=GPU)
    assert before - _device.free_memory(GPU) >= len(held)
    del held
    assert _device.free_memory(GPU) >= before - 2**26


def held_rows(monkeypatch):
    """Rows of the training sets of the fits that follow."""
    held = []
    monkeypatch.setattr(runner, "train", lambda t: held.append(t.data.rows) or train(t))
    return held


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_small_types_are_held_as_such_on_the_device(dtype, digits, monkeypatch):
    X, _, y, _ = digits
    held = held_rows(monkeypatch)
    quick("DM").fit(X.astype(dtype), y)
    (rows,) = held
    assert rows._held.is_cuda and rows._held.element_size() < 4
    assert not rows.away


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_rows_away_from_the_device_give_the_same_fit(name, dtype, digits, monkeypatch):
    X, _, y, _ = digits
    options = {"batch_sampling": "importance", "max_iter": 6}
    resident = quick(name, **options).fit(X.astype(dtype), y)
    monkeypatch.setattr(stored_rows, "fits", lambda n_bytes, device: False)
    held = held_rows(monkeypatch)
    streamed = quick(name, **options).fit(X.astype(dtype), y)
    assert held[0].away
    assert_same(streamed, resident)


def test_batches_away_from_the_device_are_not_mixed_up(monkeypatch):
    """Each batch is read while the next ones are copied, by a device that is kept busy."""
    monkeypatch.setattr(stored_rows, "fits", lambda n_bytes, device: False)
    X = np.random.default_rng(0).integers(0, 255, (20_000, 784)).astype(np.uint8)
    rows = stored_rows.load_rows(X, None, plain_coordinates(784), GPU)
    targets = torch.arange(20_000, device=GPU)[:, None]
    data = TrainingSet(rows, targets, torch.ones(20_000, device=GPU))
    generator = torch.Generator(GPU).manual_seed(0)
    feed = Feed(data, BatchSampler(data.weight, generator, importance=False), None)
    busy = torch.randn(4096, 4096, device=GPU)
    drawn = []
    for _ in range(20):
        batch, _ = feed.draw(2000, torch.float32)
        busy = torch.tanh(busy @ busy)
        drawn.append((batch.targets[:, 0].clone(), batch.rows.sum(1)))
        del batch
    for index, sums in drawn:
        expected = X[index.long().cpu().numpy()].sum(1, dtype=np.float32)
        assert_array_equal(sums.cpu().numpy(), expected)


def test_steps_without_enough_memory_are_halved():
    """Nearly all memory is taken away: the features of a batch of images no longer fit."""
    objective = DistributionMatching(ConvNet(64), augment=None)
    generator = torch.Generator(GPU).manual_seed(0)
    kernel = Kernel("rbf", 1.0)
    objective.setup(
        Context("classes", 10, 3072, 10, kernel, generator, GPU, image_shape=(3, 32, 32))
    )
    rows = torch.randn(8192, 3072, device=GPU, generator=generator)
    labels = torch.eye(10, device=GPU)
    batch = Batch(rows, labels[torch.arange(8192, device=GPU) % 10])
    weights = torch.full((8192,), 1 / 8192, device=GPU)
    support = Support(rows[:10].clone(), labels)

    def loss():
        generator.manual_seed(1)
        return objective.batch_loss(support, batch, weights)

    expected = loss()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(free - 2**29, dtype=torch.uint8, device=GPU)
    try:
        with pytest.warns(RuntimeWarning, match="Out of memory: going on with blocks of"):
            found = loss()
        again = loss()  # without a warning
    finally:
        del taken
        torch.cuda.empty_cache()
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-4)
    torch.testing.assert_close(again, expected, rtol=1e-2, atol=1e-4)


@contextmanager
def room_for(n_bytes):
    """Let this process have no more memory of the device than it has now, and `n_bytes`."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved() + n_bytes) / total, GPU
    )
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)
        torch.cuda.empty_cache()


def test_a_stream_that_runs_out_of_memory_on_the_way():
    rng = np.random.default_rng(0)
    chunks = [rng.normal(size=(50_000, 64)).astype(np.float32) for _ in range(6)]
    coreset = SensitivityCoreset(200, device="cuda", random_state=0)
    with room_for(2**23), pytest.warns(RuntimeWarning, match="Out of memory"):
        small = coreset.fit_distill(iter(chunks))
    assert coreset.n_samples_seen_ == 300_000
    assert small.sample_weight.sum() == pytest.approx(300_000)
    assert_allclose(small.sample_weight @ small.X / 300_000, 0, atol=0.5)


def test_steps_that_run_out_of_memory_take_smaller_batches():
    X = np.random.default_rng(0).normal(size=(200_000, 32)).astype(np.float32)
    distiller = DatasetDistiller(
        500, init="uniform", gamma=0.1, max_iter=20, batch_size=2**17, device="cuda", random_state=0
    )
    with room_for(2**28), pytest.warns(RuntimeWarning, match="Out of memory: going on with"):
        distiller.fit(X, X[:, 0] * X[:, 1])
    assert np.isfinite(distiller.distilled_.X).all()
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(200_000)


# Waiting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [SMALL, MLP(16)], ids=["images", "vectors"])
def test_a_step_does_not_wait_for_the_device(network):
    """Draw, loss, gradient: nothing is copied to the host or from it, all is only asked for."""
    image = IMAGE if isinstance(network, ConvNet) else None
    generator = torch.Generator(GPU).manual_seed(0)
    objective = DistributionMatching(network)
    kernel = Kernel("rbf", 1.0)
    objective.setup(Context("classes", 10, 64, 10, kernel, generator, GPU, image_shape=image))
    rows = torch.randn(500, 64, device=GPU)
    labels = torch.eye(10, device=GPU)
    data = TrainingSet(rows, labels[torch.arange(500, device=GPU) % 10], torch.ones(500).to(GPU))
    feed = Feed(data, BatchSampler(data.weight, generator, importance=False), None)
    support = Support(rows[:10].clone(), labels)
    objective.gradients(support, *feed.draw(100, torch.float32), ["rows"])  # what is made once
    torch.cuda.synchronize()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(12):  # all operations of the augmentation
            objective.gradients(support, *feed.draw(100, torch.float32), ["rows"])
    finally:
        torch.cuda.set_sync_debug_mode(mode)
