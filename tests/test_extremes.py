"""Numbers of any size: the right result, or an error that names what is wrong; never NaN."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import rbf_kernel

from skdistill import DatasetDistiller, DistilledClassifier, SensitivityCoreset
from skdistill._input.rows import Units, merge_equal_rows
from skdistill.kernels.functions import Kernel
from skdistill.kernels.ridge import cholesky_with_jitter
from skdistill.networks import MLP
from skdistill.objectives import (
    DistributionMatching,
    FeatureRegression,
    GradientMatching,
    KernelRidge,
    TrajectoryMatching,
)
from skdistill.sensitivity.kernel_ridge import exact_scores, landmark_scores
from skdistill.support import Support

pytestmark = pytest.mark.usefixtures("quick_fits")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] > 0).astype(int)
LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")
KERNELS = ("rbf", "laplacian", "linear", "polynomial", "nngp", "ntk")


def chosen(X=X, y=Y, sample_weight=None, **options):
    return SensitivityCoreset(10, random_state=0, **options).fit(X, y, sample_weight)


@pytest.mark.parametrize("size", [1e-20, 5e9, 1e20])
@pytest.mark.parametrize("kernel", KERNELS)
def test_features_of_single_precision_are_finite_and_right(kernel, size):
    rows = (X * size).astype(np.float32)
    coreset = chosen(rows, kernel=kernel, loss="kmeans")
    Z = coreset.transform(rows)
    assert Z.dtype == np.float32
    assert np.isfinite(Z).all()
    if kernel == "laplacian":  # its gamma="scale" suits rows of size 1: others are all far apart
        return
    exact = coreset.transform(rows.astype(np.float64))
    assert_allclose(Z, exact, rtol=0, atol=2e-4 * np.abs(exact).max())


@pytest.mark.parametrize("size", [1e-310, 1e-160, 1e-150, 1e-50, 1e50, 1e140])
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_any_size_have_scores(loss, size):
    scores = chosen(X * size, loss=loss).sensitivities_
    assert np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()


@pytest.mark.parametrize("size", [1e154, 1e200, 1e307])
@pytest.mark.parametrize("make", [chosen, lambda X: DatasetDistiller(4, max_iter=2).fit(X, Y)])
def test_rows_without_squares_are_refused_by_name(make, size):
    with pytest.raises(ValueError, match=r"X holds values up to .* divide it by a constant"):
        make(X * size)


def test_rows_that_only_the_map_sees_too_large():
    with pytest.raises(ValueError, match=r"X holds values up to .*leaves the range of float64"):
        chosen(kernel="polynomial").transform(X * 1e200)


def test_targets_without_squares_are_refused_by_name():
    with pytest.raises(ValueError, match=r"y holds values up to .* divide it by a constant"):
        chosen(X, X[:, 0] * 1e200, loss="kernel_ridge")


@pytest.mark.parametrize("weight", [1e-300, 1e-50, 1e25])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_unit_of_weights_does_not_matter(loss, weight, dtype):
    rows = X.astype(dtype)
    found = chosen(rows, Y, np.full(len(X), weight), loss=loss)
    plain = chosen(rows, Y, np.ones(len(X)), loss=loss)
    assert_array_equal(found.indices_, plain.indices_)
    assert_allclose(found.sensitivities_, plain.sensitivities_, rtol=1e-4)


@pytest.mark.parametrize("sampling", ["systematic", "iid"])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_over_sixty_decades(loss, sampling):
    weight = 10.0 ** RNG.uniform(-40, 20, len(X))
    coreset = chosen(X, Y, weight, loss=loss, sampling=sampling)
    assert np.isfinite(coreset.sensitivities_).all() and coreset.sensitivities_.max() <= 1
    assert np.isfinite(coreset.distilled_.sample_weight).all()


def test_a_fractional_degree_of_negative_numbers_is_named():
    with pytest.raises(ValueError, match=r"degree=2\.5 of the polynomial kernel"):
        chosen(kernel="polynomial", degree=2.5).transform(X)
    Z = chosen(np.abs(X), kernel="polynomial", degree=2.5).transform(np.abs(X))
    assert np.isfinite(Z).all()


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_a_kernel_of_zeros(loss):
    coreset = chosen(kernel=lambda a, b: np.zeros((len(a), len(b))), loss=loss)
    assert np.isfinite(coreset.sensitivities_).all()
    assert not coreset.transform(X).any()
    assert np.isfinite(coreset.make_predictor().predict(X)).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_of_zeros_with_unequal_weights(kernel):
    zeros, y = np.zeros((4, 1)), np.array(["a", "b", "b", "b"])
    coreset = SensitivityCoreset(2, kernel=kernel, loss="kernel_ridge", coef0=0, random_state=0)
    small = coreset.fit_distill(zeros, y)
    assert sorted(small.sample_weight) == pytest.approx([1, 3])
    assert np.isfinite(coreset.make_predictor().predict(zeros)).all()


def test_a_matrix_without_a_diagonal_ends():
    for A in (np.zeros((2, 2)), np.array([[0.0, 1.0], [1.0, 0.0]]), -np.eye(2)):
        with (
            pytest.raises(ValueError, match="not positive semi-definite"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            cholesky_with_jitter(A)
    with pytest.raises(ValueError, match="not positive semi-definite"):
        SensitivityCoreset(1, loss="kernel_ridge", kernel="polynomial", coef0=-1).fit([[0.0, 0.0]])


def test_a_ridge_below_the_precision_of_float32_takes_float64():
    rng = np.random.RandomState(0)
    rows = merge_equal_rows(rng.normal(size=(900, 4)).astype(np.float32), None, None)
    kernel, units = Kernel("rbf", 0.02), Units(np.zeros(4))
    K = rbf_kernel(rows.take(np.arange(900)).astype(np.float64), gamma=0.02)
    alpha = 2e-3  # above 1e-3 of the kernel, and below what rounding leaves of its largest values
    exact, _ = exact_scores(K, np.zeros((900, 1)), np.ones(900), alpha)
    landmarks = rng.permutation(900)[:600]
    cpu = torch.device("cpu")
    found = landmark_scores(rows, np.zeros((900, 1)), kernel, units, alpha, landmarks, 10, cpu)
    assert np.corrcoef(found.leverage_estimate, exact)[0, 1] > 0.99


def test_integers_that_are_one_number_as_features_are_one_row():
    rows = np.array([[2**60], [2**60 + 1], [5], [2**60]])
    merged = merge_equal_rows(rows, None, None)
    assert sorted(merged.weight.tolist()) == [1, 3]


def test_minus_zero_is_zero():
    plus, minus = X.copy(), X.copy()
    plus[:60, 1], minus[:60, 1] = 0.0, -0.0
    for loss in LOSSES:
        assert_array_equal(chosen(plus, loss=loss).indices_, chosen(minus, loss=loss).indices_)


def test_the_diagonal_of_a_callable_takes_few_calls():
    calls = []

    def counting(a, b):
        calls.append(len(a))
        return rbf_kernel(a, b)

    kernel = Kernel(counting)
    assert_allclose(kernel.diagonal(torch.from_numpy(RNG.normal(size=(1000, 2)))).numpy(), 1)
    assert len(calls) < 20 and max(calls) <= 64


@pytest.mark.parametrize("rate", [1.0, 10.0, 1e3, 1e6])
@pytest.mark.parametrize("kernel", ["rbf", "mirror_rbf", "laplacian"])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_steps_of_any_size_hand_out_finite_rows(rate, kernel, early_stopping):
    distiller = DatasetDistiller(
        5,
        optimizer="sgd",
        kernel=kernel,
        learning_rate=rate,
        early_stopping=early_stopping,
        max_iter=24,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = distiller.fit_distill(X[:60].astype(np.float32), Y[:60])
    assert np.isfinite(small.X).all() and np.isfinite(small.targets).all()
    assert np.isfinite(distiller.make_predictor().predict(X)).all()
    assert np.isfinite(distiller.transform(X)).all()


@pytest.mark.parametrize("log_scale", [-800.0, 800.0, np.nan, -np.inf])
def test_scales_are_finite_only_if_their_exponentials_are(log_scale):
    rows = torch.ones(2, 3, dtype=torch.float64)
    extra = {"log_scale": torch.tensor([log_scale], dtype=torch.float64)}
    assert not Support(rows, None, extra).is_finite()
    assert Support(rows, None, {"log_scale": torch.zeros(1)}).is_finite()


def test_rows_that_cannot_be_handed_out_give_way_to_the_start(monkeypatch):
    """Finite as learnt, infinite in the float type of the data."""
    genuine = KernelRidge.after_step

    def far_out(self, support):
        genuine(self, support)
        support.rows.mul_(1e60)

    monkeypatch.setattr(KernelRidge, "after_step", far_out)
    distiller = DatasetDistiller(5, early_stopping=False, max_iter=4, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        small = distiller.fit_distill(X.astype(np.float32), Y)
    assert np.abs(small.X).max() < 10 and np.isfinite(small.targets).all()
    assert (distiller.make_predictor().predict(X).argmax(1) == Y).mean() > 0.8


@pytest.mark.parametrize("cell", [1e6, 1e12])
@pytest.mark.parametrize(
    "objective",
    [
        DistributionMatching(MLP(16)),
        FeatureRegression(MLP(32), n_networks=2),
        GradientMatching(MLP(16), inner_loop=2),
        TrajectoryMatching(MLP(16), n_experts=2, syn_steps=3, max_start_epoch=1),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_one_huge_cell_hides_no_feature_from_networks(objective, cell):
    """By mean and deviation the only feature that tells the classes apart would be constant."""
    rows = X.copy()
    rows[5, 0] = cell
    distiller = DatasetDistiller(8, objective=objective, init="uniform", max_iter=6, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = DistilledClassifier(distiller=distiller).fit(rows, (rows[:, 0] > 0).astype(int))
    assert model.score(X, Y) > 0.75
    assert np.abs(model.distilled_.X).max() < 20  # the row is not learnt from as it stands
