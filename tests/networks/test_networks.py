"""Networks as stacked parameters: against plain modules, and what may be passed as a network."""

from __future__ import annotations

import pytest
import torch
from sklearn.base import clone
from small_problems import generator
from torch import nn

from skdistill.networks import MLP, ConvFeatures, ConvNet, build

IMAGE = (2, 9, 14)
D = 2 * 9 * 14
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def small_module(input_shape, n_outputs):
    """User's network with batch normalisation and dropout, for images or vectors."""
    d = int(torch.tensor(input_shape).prod())
    return nn.Sequential(
        nn.Flatten(), nn.Linear(d, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Tanh(),
        nn.Linear(6, n_outputs),
    )  # fmt: skip


NETWORKS = {
    "mlp": MLP(8, activation="tanh"),
    "convnet": ConvNet((3, 5), activation="leaky_relu"),
    "convnet without norm": ConvNet(3, norm="none", pooling="max", init="he"),
    "module": small_module,
}


@pytest.fixture(params=NETWORKS, ids=str)
def architecture(request):
    return build(NETWORKS[request.param], D, IMAGE, 3)


def rows(*shape, seed=1):
    return torch.randn(*shape, D, generator=generator(seed))


def as_plain_module(config, params, k, n_hidden):
    """Network number k, written out with the layers of torch."""
    layers = [nn.Unflatten(1, IMAGE)] if isinstance(config, ConvNet) else []
    names = sorted({name.split(".")[0] for name in params} - {"out"})
    width = D if isinstance(config, MLP) else IMAGE[0]
    for name in names:
        weight, before = params[f"{name}.weight"][k], len(layers)
        if isinstance(config, MLP):
            layers += [nn.Linear(width, len(weight)), nn.Tanh()]
        else:
            # 9 x 14 is framed once so that the pools halve it: 9 -> 12 or 10, 14 -> 16 or 14.
            if name == "0":
                layers.append(nn.ZeroPad2d((1, 1, 1, 2) if len(names) == 2 else (0, 0, 0, 1)))
            normed = config.norm == "instance"
            layers.append(nn.Conv2d(width, len(weight), 3, padding=1, bias=not normed))
            if normed:
                layers.append(nn.GroupNorm(len(weight), len(weight)))
            layers.append(nn.LeakyReLU() if normed else nn.ReLU())
            layers.append(nn.AvgPool2d(2) if normed else nn.MaxPool2d(2))
        width = len(weight)
        for layer in layers[before:]:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.data = weight
                if layer.bias is not None:
                    layer.bias.data = params[f"{name}.bias"][k]
            elif isinstance(layer, nn.GroupNorm):
                layer.weight.data = params[f"{name}.scale"][k]
                layer.bias.data = params[f"{name}.bias"][k]
    out = nn.Linear(n_hidden, 3)
    out.weight.data, out.bias.data = params["out.weight"][k], params["out.bias"][k]
    return nn.Sequential(*layers, nn.Flatten()), out


@pytest.mark.parametrize("name", ["mlp", "convnet", "convnet without norm"])
def test_networks_are_those_of_plain_layers(name):
    config = NETWORKS[name]
    params = build(config, D, IMAGE, 3).initial(3, generator())
    # Scales and shifts that are not those of the start.
    params = {key: value + 0.1 * torch.randn(value.shape) for key, value in params.items()}
    x = rows(40)
    architecture = build(config, D, IMAGE, 3)
    features, outputs = architecture.features(params, x), architecture.outputs(params, x)
    for k in range(3):
        body, head = as_plain_module(config, params, k, features.shape[2])
        torch.testing.assert_close(features[k], body(x), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(outputs[k], head(body(x)), atol=1e-5, rtol=1e-4)


def test_rows_shared_or_of_each_network(architecture):
    params = architecture.initial(4, generator())
    own = rows(4, 40)
    for function in (architecture.features, architecture.outputs):
        shared = function(params, own[1])
        apart = function(params, own)
        alone = function({name: value[1:2] for name, value in params.items()}, own[1])
        assert shared.shape[:2] == apart.shape[:2] == (4, 40)
        torch.testing.assert_close(shared[1], apart[1])
        torch.testing.assert_close(alone[0], apart[1])
        assert (shared[0] - apart[0]).abs().max() > 1e-3


@pytest.mark.parametrize("shared", [True, False])
def test_grouped_convolutions_agree_with_one_by_one(shared):
    architecture = build(ConvNet((3, 5)), D, IMAGE, 3)
    params = architecture.initial(4, generator())
    x = rows(40) if shared else rows(4, 40)
    torch.testing.assert_close(
        architecture._grouped(params, x), architecture._one_by_one(params, x), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_second_derivatives_agree_with_differences(name):
    # Matching gradients differentiates the gradient in the parameters once more, in the rows.
    architecture = build(NETWORKS[name], D, IMAGE, 3)
    params = architecture.initial(2, generator(), torch.float64)
    x, step = rows(3).double(), rows(3, seed=2).double()

    def value(x):
        own = {key: p.detach().requires_grad_() for key, p in params.items()}
        loss = architecture.outputs(own, x).tanh().square().sum()
        found = torch.autograd.grad(loss, list(own.values()), create_graph=True)
        return sum(g.sin().sum() for g in found)

    x = x.requires_grad_()
    slope = float((torch.autograd.grad(value(x), x)[0] * step).sum())
    e = 1e-6
    ahead, behind = (value(x.detach() + sign * e * step).detach() for sign in (1, -1))
    expected = float(ahead - behind) / (2 * e)
    assert slope == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_same_networks_and_global_generator_left_alone(name):
    state = torch.get_rng_state()
    architecture = build(NETWORKS[name], D, IMAGE, 3)
    first, second = (architecture.initial(3, generator(7)) for _ in range(2))
    other = architecture.initial(3, generator(8))
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in first.items():
        assert torch.equal(value, second[key])
        assert len(value) == 3
    weights = [key for key, value in first.items() if value.ndim > 2]
    assert weights
    for key in weights:
        assert not torch.equal(first[key], other[key])
        assert not torch.equal(first[key][0], first[key][1])


def test_uniform_start_is_that_of_torch():
    params = build(MLP(400, 1), 50, None, 3).initial(2, generator())
    torch_layer = nn.Linear(50, 400)
    bound = 50**-0.5
    for name, like in (("0.weight", torch_layer.weight), ("0.bias", torch_layer.bias)):
        assert params[name].abs().max() <= bound and like.abs().max() <= bound
        assert params[name].std() == pytest.approx(bound / 3**0.5, rel=0.05)
    he = build(MLP(400, 1, init="he"), 50, None, 3).initial(2, generator())
    assert he["0.weight"].std() == pytest.approx((2 / 50) ** 0.5, rel=0.05)
    assert not he["0.bias"].any()


@pytest.mark.parametrize(
    ("shape", "blocks", "n_hidden"),
    [
        ((1, 28, 28), 3, 128 * 16),
        ((3, 32, 32), 3, 128 * 16),
        ((3, 64, 64), 4, 128 * 16),
        ((1, 8, 8), 1, 128 * 16),
        ((1, 1, 1), 1, 128),
    ],
)
def test_depth_follows_the_image(shape, blocks, n_hidden):
    d = shape[0] * shape[1] * shape[2]
    architecture = build("auto", d, shape, 10)
    params = architecture.initial(1, generator())
    assert f"{blocks - 1}.weight" in params and f"{blocks}.weight" not in params
    assert params["out.weight"].shape == (1, 10, n_hidden)
    assert architecture.outputs(params, torch.zeros(2, d)).shape == (1, 2, 10)


def test_names():
    assert "2.weight" not in build("auto", D, None, 3).initial(1, generator())
    images = build("auto", D, IMAGE, 3).initial(1, generator())
    assert images["0.weight"].ndim == 5
    assert build("mlp", D, IMAGE, 3).initial(1, generator())["0.weight"].shape == (1, 128, D)


def test_parameters_can_be_searched():
    network = clone(ConvNet()).set_params(width=(4, 8), depth=2)
    assert network.get_params()["width"] == (4, 8)


@pytest.mark.parametrize(
    ("network", "shape", "error", "message"),
    [
        ("resnet", None, ValueError, "network='resnet' is unknown"),
        (3, None, TypeError, "network=3 must be"),
        ("convnet", None, ValueError, "give image_shape"),
        ("convnet", (1, 5, 5), ValueError, r"image_shape=\(1, 5, 5\) has 25 values"),
        ("convnet", 5, ValueError, "image_shape=5 must be three positive integers"),
        ("convnet", (1, 2), ValueError, r"image_shape=\(1, 2\) must be three"),
        (ConvFeatures(), IMAGE, TypeError, r"network=ConvFeatures\(\) is one frozen feature map"),
        (nn.Linear(D, 3), None, TypeError, "pass a function that makes them"),
        (lambda shape, n: nn.Linear(D, 7), None, ValueError, r"it must be \(2, 3\)"),
        (lambda shape, n: None, None, TypeError, "must make a torch.nn.Module"),
        (MLP(width=0), None, ValueError, "width=0 of MLP"),
        (MLP(depth=1.5), None, ValueError, "depth=1.5 of MLP"),
        (MLP(activation="sine"), None, ValueError, "activation='sine' of MLP"),
        (MLP(init="zero"), None, ValueError, "init='zero' of MLP"),
        (ConvNet(width=()), IMAGE, ValueError, "of ConvNet must be a positive integer, or"),
        (ConvNet(width=(3, 0)), IMAGE, ValueError, "width="),
        (ConvNet(width=(3, 4), depth=3), IMAGE, ValueError, "has 2 numbers, but depth=3"),
        (ConvNet(depth="deep"), IMAGE, ValueError, "depth='deep' of ConvNet"),
        (ConvNet(norm="batch"), IMAGE, ValueError, "norm='batch'"),
        (ConvNet(pooling="median"), IMAGE, ValueError, "pooling='median'"),
        (ConvNet(activation="sine"), IMAGE, ValueError, "activation='sine'"),
        (ConvNet(init="zero"), IMAGE, ValueError, "init='zero'"),
    ],
)
def test_bad_networks_are_named(network, shape, error, message):
    with pytest.raises(error, match=message):
        build(network, D, shape, 3)


def test_bad_image_shape_is_named_by_the_network_itself():
    with pytest.raises(ValueError, match="image_shape=5 must be three positive integers"):
        ConvNet().make_architecture(D, 5, 3)


def test_features_need_a_linear_layer():
    def without(input_shape, n_outputs):
        return nn.Sequential(nn.Unflatten(1, (3, D // 3)), nn.AdaptiveAvgPool1d(1), nn.Flatten())

    architecture = build(without, D, None, 3)
    params = architecture.initial(1, generator())
    assert params == {}
    with pytest.raises(ValueError, match=r"without a torch.nn.Linear"):
        architecture.features(params, rows(2))


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("name", NETWORKS)
def test_cuda_agrees_with_the_cpu(name):
    architecture = build(NETWORKS[name], D, IMAGE, 3)
    # In double precision: convolutions in single precision are rounded to TF32 on CUDA.
    params = architecture.initial(3, generator(0, "cuda"), torch.float64)
    x = rows(40).double()
    there = architecture.outputs(params, x.cuda())
    here = architecture.outputs({key: p.cpu() for key, p in params.items()}, x)
    torch.testing.assert_close(there.cpu(), here)
