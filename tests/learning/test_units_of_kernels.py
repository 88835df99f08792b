"""The units that rows are learnt in, and the ridge, for kernels other than RBF."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.batches.training_set import TrainingSet
from skdistill.kernels.functions import Kernel
from skdistill.learning.kernel_search import RIDGES, search_rbf, search_ridge


@pytest.fixture(scope="module")
def pixels():
    """Digits of 256 pixels, most of which carry little, as in the margins of scanned ones."""
    X, y = load_digits(return_X_y=True)
    X = np.kron(X.reshape(-1, 8, 8), np.ones((2, 2))).reshape(len(X), -1) / 16
    X += 0.02 * np.random.default_rng(0).normal(size=X.shape)
    return train_test_split(X, y, test_size=0.4, random_state=0, stratify=y)


@pytest.mark.parametrize("kernel", ["ntk", "laplacian"])
def test_rows_of_pixels_for_every_kernel(pixels, kernel):
    X, X_test, y, y_test = pixels
    fitted = DatasetDistiller(10, kernel=kernel, max_iter=10, random_state=0).fit(X, y)
    outputs = fitted.make_predictor().predict(X_test)
    assert accuracy_score(y_test, fitted.classes_[outputs.argmax(axis=1)]) > 0.89


def test_gamma_of_the_laplacian_kernel_is_in_standardised_units():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 30)) * np.geomspace(1, 100, 30)
    y = (X[:, 0] > 0).astype(int)
    fitted = DatasetDistiller(
        6, kernel="laplacian", gamma=0.02, max_iter=1, learning_rate=1e-6, random_state=0
    ).fit(X, y)
    rows = fitted.distilled_.X
    low, high = np.quantile(X, [0.25, 0.75], axis=0)
    unit = np.minimum((high - low) / 1.349, X.std(axis=0))
    distance = (np.abs(rows[:, None] - rows) / unit).sum(axis=2)
    features = fitted.transform(rows)
    np.testing.assert_allclose(features @ features.T, np.exp(-0.02 * distance), rtol=0.03)


def test_ridge_is_the_best_of_the_searched_ones():
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(300, 4, generator=generator).double(), torch.zeros(300, 1).double()
    y[:, 0] = X[:, 0].sin() + 0.3 * torch.randn(300, generator=generator)
    data = TrainingSet(X, y, torch.ones(300).double())
    parts = [(torch.arange(200), torch.arange(200, 300))]
    kernel = Kernel("rbf", 0.5, 3, 1, {})
    found = search_ridge(data, parts, 10, "numbers", kernel)
    each = [
        search_rbf(data, parts, 10, "numbers", gammas=(0.5,), ridges=(ridge,)) for ridge in RIDGES
    ]
    best = max(each, key=lambda start: start.score)
    assert found.ridge == best.ridge
    assert found.score == pytest.approx(best.score, rel=1e-6)
    assert found.gamma == 0.5
