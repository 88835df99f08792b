"""Networks as scikit-learn estimators: common checks, the recipe, weights, and errors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from common_checks import all_common_checks
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks
from torch import nn

from skdistill import DistilledClassifier, DistilledRegressor, SensitivityCoreset
from skdistill.networks import MLP, ConvNet, NetworkClassifier, NetworkRegressor

QUICK = [
    NetworkClassifier(MLP(32), n_epochs=40, random_state=0),
    NetworkRegressor(MLP(32), n_epochs=60, random_state=0),
]


@all_common_checks(QUICK)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", QUICK, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "name",
    ["check_param_validation", "check_dataframe_column_names_consistency"],
)
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
def test_checks_that_must_be_called_by_name(name, estimator):
    getattr(estimator_checks, name)(type(estimator).__name__, clone(estimator))


def image_network(**options):
    options = {"image_shape": (1, 8, 8), "n_epochs": 10, "random_state": 0, **options}
    return NetworkClassifier(ConvNet(8), **options)


def test_training_is_that_of_torch(digits):
    # Momentum, weight decay, the rate that falls after half of the epochs, mean loss of a batch.
    X, _, y, _ = digits
    X, y = X[:100], y[:100]
    model = NetworkClassifier(MLP(9), n_epochs=20, learning_rate=0.05, random_state=0).fit(X, y)
    start = NetworkClassifier(MLP(9), n_epochs=1, learning_rate=1e-30, random_state=0).fit(X, y)
    module = nn.Sequential(
        nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 10)
    )

    def layers(params):
        return [torch.from_numpy(p[0]) for p in params.values()]

    with torch.no_grad():
        for own, given in zip(module.parameters(), layers(start.params_), strict=True):
            own.copy_(given)
    deviation = X.std(0)
    Z = torch.tensor((X - X.mean(0)) / np.where(deviation > 0, deviation, 1)).float()
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in range(20):
        if epoch == 11:
            optimizer.param_groups[0]["lr"] = 0.005
        loss = nn.functional.cross_entropy(module(Z), torch.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for own, found in zip(module.parameters(), layers(model.params_), strict=True):
        torch.testing.assert_close(own.detach(), found, atol=1e-4, rtol=1e-3)
    assert model.loss_curve_[-1] == pytest.approx(float(loss.detach()), rel=1e-3)


def test_networks_of_a_stack_do_not_see_each_other(digits):
    X, X_test, y, _ = digits
    one, many = (image_network(n_networks=n).fit(X[:300], y[:300]) for n in (1, 3))
    assert many.params_["0.weight"].shape[0] == 3
    # The starts differ, as the generator gives other numbers: train the first of them alone.
    alone = clone(many).fit(X[:300], y[:300])
    np.testing.assert_array_equal(alone.params_["0.weight"], many.params_["0.weight"])
    each = torch.softmax(many._outputs(X_test), 2).numpy()
    assert np.abs(each[0] - each[1]).max() > 0.05
    np.testing.assert_allclose(many.predict_proba(X_test), each.mean(0))
    assert one.predict_proba(X_test).shape == (len(X_test), 10)


@pytest.mark.parametrize(
    "options", [{}, {"augment": "auto"}, {"batch_size": 32}, {"n_networks": 2}]
)
def test_images_are_learnt(digits, options):
    X, X_test, y, y_test = digits
    model = image_network(n_epochs=30, **options).fit(X[:500], y[:500])
    assert model.score(X_test, y_test) > 0.85
    assert model.n_iter_ == len(model.loss_curve_) == 30
    assert model.loss_curve_[-1] < 0.7 * model.loss_curve_[0]


def test_epochs_follow_the_augmentation(digits):
    X, _, y, _ = digits
    X, y = X[:20], y[:20]
    assert image_network(n_epochs="auto").fit(X, y).n_iter_ == 300
    assert image_network(n_epochs="auto", augment="crop").fit(X, y).n_iter_ == 1000


@pytest.mark.parametrize("batch_size", [256, 16])
def test_weights_are_repetitions_and_order_is_of_no_account(digits, batch_size):
    X, X_test, y, _ = digits
    X, y, weight = X[:150], y[:150], np.arange(150) % 3
    network = image_network(batch_size=batch_size)
    weighted = network.fit(X, y, sample_weight=weight).predict_proba(X_test)
    repeated = network.fit(X.repeat(weight, axis=0), y.repeat(weight)).predict_proba(X_test)
    shuffled = network.fit(X[::-1], y[::-1], sample_weight=weight[::-1]).predict_proba(X_test)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)
    np.testing.assert_allclose(weighted, shuffled, atol=1e-6)


def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits):
    X, X_test, y, _ = digits
    state = torch.get_rng_state()
    network = image_network(augment="auto", n_epochs=3)
    first, second = clone(network).fit(X, y), clone(network).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state)
    expected = first.predict_proba(X_test)
    np.testing.assert_array_equal(second.predict_proba(X_test), expected)
    pickled = pickle.dumps(first)
    assert b"torch" not in pickled.replace(b"_torch", b"")
    np.testing.assert_array_equal(pickle.loads(pickled).predict_proba(X_test), expected)


def test_numbers_of_several_outputs():
    X, y = load_diabetes(return_X_y=True)
    Y = np.stack([y, -2 * y, np.full(len(y), 3.0)], axis=1)
    model = NetworkRegressor(n_epochs=60, random_state=0).fit(X, Y)
    found = model.predict(X)
    assert found.shape == Y.shape
    np.testing.assert_allclose(found[:, 2], 3.0, atol=0.3)
    assert np.corrcoef(found[:, 0], y)[0, 1] > 0.7
    assert model.fit(X, y).predict(X).shape == y.shape


def test_on_distilled_sets(digits):
    X, X_test, y, y_test = digits
    coreset = SensitivityCoreset(150, random_state=0)
    model = DistilledClassifier(image_network(n_epochs=40), coreset).fit(X, y)
    assert model.score(X_test, y_test) > 0.8
    X, y = load_diabetes(return_X_y=True)
    regressor = NetworkRegressor(n_epochs=40, random_state=0)
    model = DistilledRegressor(regressor, SensitivityCoreset(100, random_state=0))
    assert model.fit(X, y).score(X, y) > 0.3


def test_a_module_of_ones_own_and_a_grid(digits):
    X, _, y, _ = digits

    def module(input_shape, n_outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, n_outputs))

    grid = GridSearchCV(
        NetworkClassifier(module, n_epochs=15, batch_size=16, random_state=0),
        {"learning_rate": [0.0001, 0.01]},
        cv=2,
    ).fit(X[:300], y[:300])
    assert grid.best_params_ == {"learning_rate": 0.01}
    assert grid.best_score_ > 0.75


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_types_of_pixels(digits, dtype):
    X, X_test, y, _ = digits
    model = image_network().fit(X[:200].astype(dtype), y[:200])
    expected = image_network().fit(X[:200], y[:200]).predict_proba(X_test)
    np.testing.assert_allclose(model.predict_proba(X_test.astype(dtype)), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"network": "vgg"}, ValueError, "network='vgg' is unknown"),
        ({"image_shape": (3, 8, 8)}, ValueError, "has 192 values"),
        ({"image_shape": None}, ValueError, "give image_shape"),
        ({"augment": "blur"}, ValueError, "augment='blur'"),
        ({"learning_rate": 1e20}, ValueError, "learning_rate"),
        ({"momentum": 1.0}, ValueError, "momentum"),
    ],
)
def test_bad_parameters_are_named(digits, options, error, message):
    X, _, y, _ = digits
    with pytest.raises(error, match=message):
        image_network().set_params(**options).fit(X[:50], y[:50])


def test_bad_data_is_named(digits):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=r"reshape\(50, 64\) and, where"):
        image_network().fit(X[:50].reshape(-1, 1, 8, 8), y[:50])
    with pytest.raises(ValueError, match="zero"):
        image_network().fit(X[:50], y[:50], sample_weight=np.zeros(50))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda(digits):
    X, X_test, y, y_test = digits
    model = image_network(n_epochs=30, device="cuda", n_networks=3).fit(X, y)
    assert model.device_.startswith("cuda")
    assert model.score(X_test, y_test) > 0.9
    model.device = "cpu"
    assert model.score(X_test, y_test) > 0.9
