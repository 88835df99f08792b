"""Moments in place of batches: the linear kernel against dense oracles over all rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor
from skdistill.batches import training_set
from skdistill.batches.sampler import BatchSampler
from skdistill.kernels import Kernel
from skdistill.learning.trainer import Trainer, TrainingOptions, train
from skdistill.objectives import (
    Batch,
    Context,
    KernelRidge,
    Sample,
    TrainingSet,
)
from skdistill.objectives._ridge import moments

F64 = torch.float64
RIDGE = 1e-2


def data_set(n=50, d=4, q=3, kind="numbers", dtype=F64):
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal((1.0, 0, 0, -2), size=(n, d))).to(dtype)
    targets = torch.from_numpy(rng.normal(size=(n, q)) + rows.numpy()[:, :q])
    if kind == "classes":
        targets = torch.eye(q, dtype=F64)[targets.argmax(1)]
    weight = torch.from_numpy(rng.uniform(0.1, 2, n))
    return TrainingSet(rows, None if kind == "none" else targets, weight)


def begun(kind="numbers", m=3, data=None, **changes):
    """Objective in its first stage, its support, and the sample of all rows."""
    data = data_set(kind=kind) if data is None else data
    q = 1 if data.targets is None else data.targets.shape[1]
    objective = KernelRidge(reg=RIDGE, loss="squared_error")
    d = data.rows.shape[1]
    objective.setup(
        Context(kind, m, d, q, Kernel("linear"), torch.Generator(), torch.device("cpu"), **changes)
    )
    labels = None if data.targets is None else data.targets[:m] + 0.1
    support = objective.start(data.rows[:m].double() + 0.3, labels)
    sample = Sample(data, torch.arange(len(data)), data.weight / data.weight.sum())
    (stage,) = objective.stages(None)
    return objective, objective.begin(stage, support, sample), sample, stage


def dense_loss(stage, support, sample):
    """Loss as a sum over rows, in NumPy, coefficients from a stacked least-squares problem."""
    V, X = support.rows.numpy(), sample.data.rows.double().numpy()
    w = sample.weight.numpy()
    K, K_SS = X @ V.T, V @ V.T
    if stage == "subspace":
        outside = X - K @ np.linalg.solve(K_SS + RIDGE * np.eye(len(V)), V)
        return w @ (X * outside).sum(1)
    Y = sample.data.targets.numpy()
    if stage == "labels":
        a = np.linalg.solve(K_SS + RIDGE * np.eye(len(V)), support.labels.numpy())
        return 0.5 * w @ ((K @ a - Y) ** 2).sum(1)
    root = np.sqrt(w)[:, None]
    penalty = np.sqrt(RIDGE) * np.c_[V.T, np.zeros(V.shape[1])]
    design = np.r_[root * np.c_[K, np.ones(len(K))], penalty]
    target = np.r_[root * Y, np.zeros((V.shape[1], Y.shape[1]))]
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return 0.5 * ((design @ solution - target) ** 2).sum()


CASES = [
    ("numbers", {}, ["rows"]),
    ("classes", {"learn_labels": "solve"}, ["rows"]),
    ("numbers", {"learn_labels": True}, ["rows", "labels"]),
    ("multilabel", {"learn_labels": False}, ["rows"]),
    ("none", {}, ["rows"]),
]


@pytest.mark.parametrize(("kind", "changes", "names"), CASES)
def test_loss_and_gradient_are_those_over_all_rows(kind, changes, names):
    objective, support, sample, stage = begun(kind, **changes)
    assert stage.batch_size is None
    value, gradients = objective.gradients(support, sample, None, names)
    assert float(value) == pytest.approx(dense_loss(stage.name, support, sample), rel=1e-7)
    for name, gradient in zip(names, gradients, strict=True):
        tensor = support[name]
        for i in np.ndindex(*tensor.shape):
            around = []
            for step in (1e-5, -1e-5):
                tensor[i] += step
                around.append(dense_loss(stage.name, support, sample))
                tensor[i] -= step
            expected = (around[0] - around[1]) / 2e-5
            assert float(gradient[i]) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    # The path by batches, given all rows as one batch, says the same.
    batch = Batch(sample.data.rows, sample.data.targets)
    other, by_batch = objective.gradients(support, batch, sample.weight, names)
    torch.testing.assert_close(value, other)
    for name, found, gradient in zip(names, by_batch, gradients, strict=True):
        torch.testing.assert_close(gradient, found, msg=name)


def test_moments_are_sums_in_double_precision(monkeypatch):
    monkeypatch.setattr(training_set, "BLOCK_ROWS", 7)
    data = data_set(dtype=torch.float32)
    seen = moments.moments(Sample(data, torch.arange(50), 3 * data.weight))
    X, Y, w = data.rows.double().numpy(), data.targets.numpy(), data.weight.numpy()
    w = w / w.sum()
    assert all(tensor.dtype == F64 for tensor in (seen.G, seen.C, seen.x_mean))
    np.testing.assert_allclose(seen.G, (X.T * w) @ X, rtol=1e-13)
    np.testing.assert_allclose(seen.C, (X.T * w) @ Y, rtol=1e-13)
    np.testing.assert_allclose(seen.x_mean, w @ X, rtol=1e-13)
    np.testing.assert_allclose(seen.y_mean, w @ Y, rtol=1e-13)
    assert float(seen.y_square) == pytest.approx(w @ (Y**2).sum(1), rel=1e-13)


@pytest.mark.parametrize("ridge", [1e-7, 1e-2, 1.0])
def test_label_solves_agree(ridge):
    objective, support, sample, _ = begun()
    found = objective._label_system(support, sample).solve(ridge)
    # Another object with the same rows goes by the rows.
    expected = objective._label_system(support, Sample(*sample)).solve(ridge)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def make_trainer(data, max_iter, m=2, held_out=None, **changes):
    objective, support, _, _ = begun(data=data, m=m, **changes)
    sampler = BatchSampler(data.weight, torch.Generator().manual_seed(0))
    options = TrainingOptions(max_iter=max_iter)
    return Trainer(objective, support, data, sampler, options, held_out=held_out)


def test_rows_are_read_once_however_many_steps(monkeypatch):
    read = []
    take = TrainingSet.take
    monkeypatch.setattr(
        TrainingSet, "take", lambda self, i, *rest: read.append(len(i)) or take(self, i, *rest)
    )
    counts = []
    for max_iter in (5, 50):
        read.clear()
        result = train(make_trainer(data_set(), max_iter, held_out=data_set(n=20)))
        assert result.n_iter == max_iter
        counts.append(sum(read))
    # `begun` begins a stage with a sample of its own; the trainer's is the second pass.
    assert counts == [100, 100]


def test_fewer_rows_than_outputs_reach_the_best_of_that_rank():
    data = data_set(n=400)
    result = train(make_trainer(data, 400))
    X, Y = data.rows.numpy(), data.targets.numpy()
    w = data.weight.numpy() / data.weight.sum().item()
    X, Y = X - w @ X, Y - w @ Y
    # Reduced-rank ridge regression: stack the penalty, keep the leading directions of the fit.
    design = np.r_[np.sqrt(w)[:, None] * X, np.sqrt(RIDGE) * np.eye(4)]
    target = np.r_[np.sqrt(w)[:, None] * Y, np.zeros((4, 3))]
    fit = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    U, s, Vt = np.linalg.svd(fit, full_matrices=False)
    best = 0.5 * ((target - (U[:, :2] * s[:2]) @ Vt[:2]) ** 2).sum()
    assert result.loss_curve[0] > 1.05 * best
    assert result.loss_curve[-1] == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(
    "changes", [{"batch_size": 16}, {"learn_labels": True, "kernel": Kernel("polynomial")}]
)
def test_batches_where_they_are_asked_for_or_needed(changes):
    kernel = changes.pop("kernel", Kernel("linear"))
    objective = KernelRidge(loss="squared_error")
    context = Context("numbers", 3, 4, 1, kernel, torch.Generator(), torch.device("cpu"), **changes)
    objective.setup(context)
    assert all(isinstance(stage.batch_size, int) for stage in objective.stages(None))


def test_many_features_and_cross_entropy_go_by_batches():
    def sizes(**changes):
        objective = KernelRidge()
        given = {"kind": "classes", "n_support": 3, "n_features": 4, "n_outputs": 3}
        objective.setup(
            Context(
                **{**given, **changes},
                kernel=Kernel("linear"),
                generator=torch.Generator(),
                device=torch.device("cpu"),
            )
        )
        return [stage.batch_size for stage in objective.stages(None)]

    assert sizes() == [None, 1024]  # least squares first, then cross-entropy
    assert sizes(learn_labels=True) == [1024]
    assert sizes(n_features=100_000) == [1024, 1024]


def test_regressor_is_ridge_regression_on_all_rows():
    X, y = load_diabetes(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    distiller = DatasetDistiller(5, kernel="linear", max_iter=50, random_state=0)
    score = DistilledRegressor(distiller=distiller).fit(X, y).score(X_test, y_test)
    assert score > Ridge(1e-3).fit(X, y).score(X_test, y_test) - 0.03


def test_classifier_on_nystroem_features():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
    distiller = DatasetDistiller(
        20, kernel="linear", learn_labels="solve", max_iter=100, random_state=0
    )
    features = Nystroem(gamma=1e-3, n_components=100, random_state=0)
    model = make_pipeline(features, DistilledClassifier(distiller=distiller)).fit(X, y)
    assert model.score(X_test, y_test) > 0.95
    again = make_pipeline(features, DistilledClassifier(distiller=distiller)).fit(X, y)
    np.testing.assert_array_equal(model.predict(X_test), again.predict(X_test))
