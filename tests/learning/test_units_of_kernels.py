"""The units that rows are learnt in, and the ridge, for kernels other than RBF."""

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.batches.training_set import TrainingSet
from skdistill.kernels.functions import Kernel
from skdistill.learning.kernel_search import RIDGES, landmark_count, search_ridge


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


def test_a_gamma_that_was_given_keeps_a_unit_for_each_feature(pixels):
    X, _, y, _ = pixels
    low, high = np.quantile(X, [0.25, 0.75], axis=0)
    deviation = X.std(axis=0)
    unit = np.where(high > low, np.minimum((high - low) / 1.349, deviation), deviation)
    fitted = DatasetDistiller(
        10, kernel="laplacian", gamma=0.001, max_iter=1, learning_rate=1e-6, random_state=0
    ).fit(X, y)
    rows = fitted.distilled_.X
    distance = (np.abs(rows[:, None] - rows) / unit).sum(axis=2)
    features = fitted.transform(rows)
    np.testing.assert_allclose(features @ features.T, np.exp(-0.001 * distance), rtol=0.03)


def test_ridge_against_dense_solves():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(300, 4)), rng.uniform(0.5, 2, 300)
    y = np.sin(X[:, :1]) + 0.3 * rng.normal(size=(300, 1))
    data = TrainingSet(*(torch.from_numpy(array) for array in (X, y, weight)))
    train, held = np.arange(200), np.arange(200, 300)
    kernel = Kernel("rbf", 0.5, 3, 1, {})
    parts = [(torch.from_numpy(train), torch.from_numpy(held))]
    found = search_ridge(data, parts, 10, "numbers", kernel, 0.5)
    landmarks = X[: landmark_count(10, 200)]
    K, K_held, K_mm = (
        np.exp(-0.5 * cdist(rows, landmarks, "sqeuclidean"))
        for rows in (X[train], X[held], landmarks)
    )
    p = weight[train] / weight[train].sum()
    ones, scores = np.ones((200, 1)), []
    for ridge in RIDGES:
        system = np.hstack([K, ones])
        penalty = ridge * block_diag(K_mm, 0)
        gram = system.T @ (p[:, None] * system) + penalty
        solved = np.linalg.lstsq(gram, system.T @ (p[:, None] * y[train]), rcond=None)[0]
        outputs = K_held @ solved[:-1] + solved[-1]
        scores.append(r2_score(y[held], outputs, sample_weight=weight[held]))
    assert found.ridge == RIDGES[np.argmax(scores)]
    assert found.score == pytest.approx(max(scores), abs=1e-4)
    assert np.ptp(scores) > 0.01 and found.gamma == 0.5
