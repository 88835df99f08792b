"""A stored set alone reproduces the predictor it was learnt for."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge

from skdistill import DatasetDistiller, DistilledData, SensitivityCoreset

RNG = np.random.RandomState(0)
X = RNG.randn(150, 4) * [1, 5, 0.1, 2] + [0, 3, 1, -2]
X[:, 3] = 2.0  # a constant feature has no influence
Y = np.stack([X[:, 0] + np.sin(X[:, 1]), X[:, 2] ** 2 + 7], axis=1)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 1], [1, 5])]


pytestmark = pytest.mark.usefixtures("quick_fits")


def learnt(y, kernel="rbf", **options):
    return DatasetDistiller(8, kernel=kernel, max_iter=10, random_state=0, **options).fit(X, y)


def reloaded(small, tmp_path):
    small.save(tmp_path / "small.npz")
    return DistilledData.load(tmp_path / "small.npz")


@pytest.mark.parametrize("y", [Y, Y[:, 0], LABELS], ids=["outputs", "numbers", "classes"])
@pytest.mark.parametrize("kernel", ["rbf", "mirror_rbf", "laplacian", "linear", "polynomial"])
def test_a_file_reproduces_the_predictor(kernel, y, tmp_path):
    distiller = learnt(y, kernel)
    expected = distiller.make_predictor().predict(X)
    tolerance = 1e-6 * np.abs(expected).max()
    for small in (
        reloaded(distiller.distilled_, tmp_path),
        pickle.loads(pickle.dumps(distiller.distilled_)),
    ):
        found = small.make_predictor().predict(X)
        assert_allclose(found.reshape(expected.shape), expected, atol=tolerance)


def test_plain_kernel_ridge_with_the_stored_numbers(tmp_path):
    distiller = learnt(Y)
    small = reloaded(distiller.distilled_, tmp_path)
    p = small.predictor_params
    model = KernelRidge(alpha=p["alpha"], kernel=RBF(p["length_scale"]))
    found = model.fit(small.X, small.targets - p["intercept"]).predict(X) + p["intercept"]
    assert_allclose(found, distiller.make_predictor().predict(X), atol=1e-5)


def test_mirror_rbf_is_kernel_ridge_on_rows_and_mirror_images(tmp_path):
    distiller = learnt(Y, "mirror_rbf", kernel_params={"n_odd": 3})
    small = reloaded(distiller.distilled_, tmp_path)
    p = small.predictor_params
    assert p["n_odd"] == 3
    sign = np.array([1, -1, -1, -1])
    model = KernelRidge(alpha=2 * p["alpha"], kernel=RBF(p["length_scale"]))
    targets = small.targets - p["intercept"]
    model.fit(np.vstack([small.X, small.X * sign]), np.vstack([targets, targets]))
    expected = distiller.make_predictor().predict(X)
    assert_allclose(model.predict(X) + p["intercept"], expected, atol=1e-5)
    mirrored = X * sign
    assert_allclose(distiller.make_predictor().predict(mirrored), expected, atol=1e-9)
    assert_allclose(distiller.transform(mirrored), distiller.transform(X), atol=1e-9)
    assert_allclose(distiller.kernel_.n_odd, 3)


def test_frames_keep_their_names_in_the_predictor():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    distiller = DatasetDistiller(8, kernel="mirror_rbf", max_iter=5, random_state=0).fit(frame, Y)
    found = distiller.distilled_.make_predictor().predict(frame)
    assert_allclose(found, distiller.make_predictor().predict(frame), atol=1e-5)


def test_one_gamma_is_enough_in_the_users_own_units():
    distiller = learnt(Y, standardize=False, learn_kernel=False, gamma=0.1)
    small, p = distiller.distilled_, distiller.distilled_.predictor_params
    assert_allclose(p["length_scale"], np.full(4, np.sqrt(5)))
    model = KernelRidge(kernel="rbf", gamma=0.1, alpha=p["alpha"])
    found = model.fit(small.X, small.targets - p["intercept"]).predict(X) + p["intercept"]
    assert_allclose(found, distiller.make_predictor().predict(X), atol=1e-5)


def test_the_predictor_can_be_pickled():
    model = learnt(Y, "polynomial").distilled_.make_predictor()
    assert_allclose(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_files_of_version_1_are_read(tmp_path):
    file = tmp_path / "old.npz"
    DistilledData([[1.0]], [2.0]).save(file)
    with np.load(file) as content:
        arrays = dict(content)
    arrays["version"] = np.array(1)
    arrays["specs"] = np.array(str(arrays["specs"]).replace(', "predictor_params": null', ""))
    assert "predictor_params" not in str(arrays["specs"])
    np.savez(file, **arrays)
    assert DistilledData.load(file).predictor_params is None


@pytest.mark.parametrize(
    "small",
    [
        DistilledData([[1.0]], [2.0]),
        SensitivityCoreset(5, random_state=0).fit_distill(X, LABELS),
        DatasetDistiller(5, max_iter=5, random_state=0).fit_distill(X),
        DatasetDistiller(8, kernel="nngp", max_iter=5, random_state=0).fit_distill(X, Y),
    ],
    ids=["plain", "coreset", "no target", "nngp"],
)
def test_a_set_without_a_predictor_says_so(small):
    assert small.predictor_params is None
    with pytest.raises(ValueError, match="does not say which predictor"):
        small.make_predictor()


GOOD = {"kernel": "rbf", "alpha": 1e-6, "intercept": [0.0], "length_scale": [1.0]}


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (3, TypeError, "must be a mapping"),
        ({"kernel": "ntk"}, ValueError, "kernel='ntk'; use one of"),
        ({"kernel": "rbf"}, ValueError, "needs the keys"),
        ({**GOOD, "gamma": 1}, ValueError, "needs the keys"),
        ({**GOOD, "kernel": "mirror_rbf"}, ValueError, "needs the keys"),
        ({**GOOD, "kernel": "mirror_rbf", "n_odd": 2}, ValueError, "n_odd=2; it must be"),
        ({**GOOD, "kernel": "mirror_rbf", "n_odd": 0.5}, ValueError, "n_odd=0.5; it must be"),
        ({**GOOD, "length_scale": [1.0, 2.0]}, ValueError, r"shape \(2,\)"),
    ],
)
def test_bad_parameters(params, error, message):
    with pytest.raises(error, match=message):
        DistilledData([[1.0]], [2.0], targets=[[2.0]], predictor_params=params)
