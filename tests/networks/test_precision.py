"""Networks in mixed precision: near the exact ones, and rows learnt with them as good."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices import DEVICES
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skdistill import DatasetDistiller
from skdistill.evaluation import evaluate
from skdistill.networks import MLP, ConvNet, _precision, build
from skdistill.networks._precision import MixedArchitecture, mixed
from skdistill.objectives import DistributionMatching, GradientMatching, TrajectoryMatching

CPU = torch.device("cpu")
IMAGE = (1, 8, 8)


NETWORKS = {"mlp": MLP(32), "convnet": ConvNet(16), "plain": ConvNet(16, norm="none")}
TECHNIQUES = {
    "DM": DistributionMatching(ConvNet(8)),
    "GM": GradientMatching(ConvNet(8), outer_loop=5, inner_loop=5),
    "IDC": GradientMatching(ConvNet(8), distance="mse", train_on="real"),
    "MTT": TrajectoryMatching(
        ConvNet(8), n_experts=2, syn_steps=5, lr_teacher=0.03, lr_init=0.03, max_start_epoch=3
    ),
}


@pytest.fixture(scope="module")
def digits():
    return train_test_split(*load_digits(return_X_y=True), test_size=0.5, random_state=0)


def test_the_cpu_and_modules_of_ones_own_are_exact(monkeypatch):
    own, module = (
        build(network, 64, None, 3) for network in (MLP(8), lambda shape, q: nn.Linear(*shape, q))
    )
    assert mixed(own, CPU) is own
    monkeypatch.setattr(_precision, "HALF", {"cpu": "bfloat16"})
    assert isinstance(mixed(own, CPU), MixedArchitecture)
    assert mixed(module, CPU) is module


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_features_and_gradients_are_near_the_exact_ones(name, count, device):
    exact = build(NETWORKS[name], 64, IMAGE, 10)
    half = MixedArchitecture(exact, torch.bfloat16)
    assert half.n_outputs == 10
    generator = torch.Generator(device=device).manual_seed(0)
    params = half.initial(count, generator)
    rows = torch.randn(50, 64, device=device, generator=generator, requires_grad=True)
    for found, expected in (
        (half.outputs(params, rows), exact.outputs(params, rows)),
        (half.features(params, rows), exact.features(params, rows)),
    ):
        assert found.dtype == torch.float32
        assert 0 < float((found - expected).detach().norm() / expected.detach().norm()) < 0.02
        of_found, of_expected = (
            torch.autograd.grad(value.square().sum(), rows)[0] for value in (found, expected)
        )
        assert of_found.dtype == torch.float32
        assert float((of_found - of_expected).norm() / of_expected.norm()) < 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_double_precision_stays(name):
    exact = build(NETWORKS[name], 64, IMAGE, 10)
    params = exact.initial(2, torch.Generator().manual_seed(0), torch.float64)
    rows = torch.randn(5, 64, dtype=torch.float64)
    half = MixedArchitecture(exact, torch.bfloat16)
    assert torch.equal(half.outputs(params, rows), exact.outputs(params, rows))


@pytest.mark.parametrize("name", TECHNIQUES)
def test_rows_learnt_in_mixed_precision_are_as_good(name, digits, monkeypatch):
    X, X_test, y, y_test = digits

    def scores():
        distiller = DatasetDistiller(
            10,
            objective=TECHNIQUES[name],
            image_shape=IMAGE,
            init="uniform",
            max_iter=20,
            batch_size=200,
            random_state=0,
        ).fit(X[:600], y[:600])
        found = evaluate(
            distiller, X_test, y_test, network=ConvNet(8), n_networks=2, random_state=0
        )
        return distiller.loss_curve_, found.mean()

    exact_curve, exact_score = scores()
    monkeypatch.setattr(_precision, "HALF", {"cpu": "bfloat16"})
    curve, score = scores()
    assert curve != exact_curve  # it was in use
    assert np.mean(curve[-10:]) < 1.1 * np.mean(exact_curve[-10:])
    assert score > exact_score - 0.02
