"""Rows of length 1: which they are, and whether the sign of their second half matters."""

from __future__ import annotations

import numpy as np
import pytest

from skdistill import DatasetDistiller
from skdistill.learning.unit_rows import are_unit_rows
from skdistill.objectives import KernelRidge

HALF = 80


def unit_rows(n: int = 600, seed: int = 0) -> np.ndarray:
    """Rows (n, 2 * HALF) of length 1 in clusters; each row's second half has a random sign."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(6, 2 * HALF))
    X = centres[np.arange(n) % 6] + 3 * rng.normal(size=(n, 2 * HALF))
    X[:, HALF:] *= rng.choice([-1, 1], size=(n, 1))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def fitted(
    X: np.ndarray, y: np.ndarray, max_iter: int = 0, m: int = 6, **given
) -> DatasetDistiller:
    """Distiller, of the kernel at the start unless it makes steps."""
    return DatasetDistiller(m, max_iter=max_iter, random_state=0, **given).fit(X, y)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X: X, True),
        (lambda X: X.astype(np.float32), True),
        (lambda X: np.concatenate([X, np.zeros((2, X.shape[1]))]), True),
        (lambda X: np.zeros_like(X), False),
        (lambda X: np.pad(X, ((0, 0), (0, 40))), False),
        (lambda X: np.pad(X, ((0, 0), (0, 10))), True),
        (lambda X: 2 * X, False),
        (lambda X: np.concatenate([X, 1.1 * X[:1]]), False),
        (lambda X: X[:, :100] / np.linalg.norm(X[:, :100], axis=1, keepdims=True), False),
    ],
    ids=[
        "unit",
        "single",
        "some zero",
        "all zero",
        "sparse",
        "a few zeros",
        "longer",
        "one longer",
        "narrow",
    ],
)
def test_unit_rows(change, expected):
    assert are_unit_rows(change(unit_rows(50))) is expected


def test_kernel_auto_looks_at_the_classes():
    X = unit_rows()
    alike = np.arange(len(X)) % 6
    assert fitted(X, alike).kernel_.name == "mirror_rbf"
    assert fitted(X, alike).kernel_.n_odd == HALF
    # Where a class is on one side of the mirror, the sign matters.
    normal = np.random.default_rng(5).normal(size=HALF)
    sided = (X[:, HALF:] @ normal > 0).astype(int)
    assert fitted(X, sided).kernel_.name == "rbf"


@pytest.mark.parametrize(
    "given", [{"kernel": "rbf"}, {"gamma": 2.0}, {"standardize": False}, {"kernel": "linear"}]
)
def test_what_is_given_is_kept(given):
    X = unit_rows()
    found = fitted(X, np.arange(len(X)) % 6, **given)
    assert found.kernel_.name == given.get("kernel", "rbf")


def test_other_rows_have_the_rbf_kernel():
    X, y = unit_rows(), np.arange(600) % 6
    for other in (3 * X, X[:, 1:], X[:, :100]):
        assert fitted(other, y).kernel_.name == "rbf"
    assert fitted(X, y.astype(float)).kernel_.name == "rbf"  # numbers
    assert DatasetDistiller(6, max_iter=0, random_state=0).fit(X).kernel_.name == "rbf"


def test_rows_of_length_one_drop_features():
    X, y = unit_rows(), np.arange(600) % 6
    few = {"kernel": "rbf", "max_iter": 40, "m": 50, "early_stopping": False}
    by_default = fitted(X, y, **few).distilled_.X
    given = fitted(X, y, **few, objective=KernelRidge(dropout=0.2)).distilled_.X
    np.testing.assert_array_equal(by_default, given)
    without = fitted(X, y, **few, objective=KernelRidge(dropout=0)).distilled_.X
    assert np.abs(by_default - without).max() > 1e-6


def test_batches_of_rows_of_length_one_are_uniform_unless_asked_for():
    X, y = unit_rows(), np.arange(600) % 6
    few = {"kernel": "rbf", "max_iter": 40, "early_stopping": False, "batch_size": 50}
    by_default = fitted(X, y, **few).distilled_.X
    given = fitted(X, y, **few, batch_sampling="uniform").distilled_.X
    np.testing.assert_array_equal(by_default, given)
    asked = fitted(X, y, **few, batch_sampling="importance").distilled_.X
    assert np.abs(by_default - asked).max() > 1e-6
