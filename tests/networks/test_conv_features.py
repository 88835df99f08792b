"""ConvFeatures against a slow oracle, and its promises."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from common_checks import TRANSFORMER_CHECKS, all_common_checks
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.networks import ConvFeatures, conv_features
from skdistill.networks._feature_map import pooling
from skdistill.networks._filters import principal_scaling
from skdistill.networks._mirror import shows_the_same_mirrored

# The common checks compare arrays with frames on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore:X (does not have valid|has) feature names:UserWarning"
)

SHAPE = (2, 7, 9)


def images(n: int = 40, seed: int = 0) -> np.ndarray:
    """Smooth random images with very different contrasts, as rows."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(n, *SHAPE)) * rng.uniform(0.2, 3, size=(n, 1, 1, 1))
    return (rough + np.roll(rough, 1, -1) + np.roll(rough, 1, -2)).reshape(n, -1)


def fitted(X: np.ndarray, **given) -> ConvFeatures:
    """Small map, fitted."""
    given = {"patch_size": 3, "n_filters": 6, "n_components": 12, "random_state": 0, **given}
    return ConvFeatures(SHAPE, **given).fit(X)


def oracle(found: ConvFeatures, row: np.ndarray) -> np.ndarray:
    """Features of one image, patch by patch, the mirror image as an image of its own."""
    given = found.map_

    def pooled(image: np.ndarray) -> np.ndarray:
        k, _, high, wide = given.kernels.shape
        down, along = given.pool
        sums = np.zeros((2, k, down.shape[1], along.shape[1]))
        for i, j in product(range(len(down)), range(len(along))):
            top, left = i * given.stride, j * given.stride
            patch = image[:, top : top + high, left : left + wide]
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + given.epsilon)
            u = np.array([(kernel * patch).sum() for kernel in given.kernels]) - given.bias
            for side, sign in enumerate((1, -1)):
                rectified = np.maximum(0, sign * u - given.threshold)
                sums[side] += rectified[:, None, None] * np.outer(down[i], along[j])
        return sums

    image = row.reshape(given.image_shape)
    features = pooled(image)
    mirrored = pooled(image[..., ::-1])
    if given.mirror is True:
        features = (features + mirrored) / 2
    if given.mirror:
        half = len(given.kernels) // 2
        features, mirrored = features[:, :half], mirrored[:, :half]
    root, other = np.sqrt(features.ravel() + 1e-6), np.sqrt(mirrored.ravel() + 1e-6)
    groups = [root]
    if given.mirror == "signed":
        groups = [(root + other) / np.sqrt(2), (root - other) / np.sqrt(2)]
    z = np.concatenate(
        [
            (group - mean) @ directions
            for group, mean, directions in zip(groups, given.center, given.components, strict=True)
        ]
    )
    return z / np.linalg.norm(z)


@pytest.mark.parametrize(
    "given", [{}, {"mirror": True}, {"mirror": "signed"}, {"stride": 1, "n_cells": 2}]
)
def test_oracle(given):
    X = images()
    found = fitted(X, **given)
    expected = np.array([oracle(found, row) for row in X])
    np.testing.assert_allclose(found.transform(X), expected, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1)
    single = found.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-4)


@pytest.mark.parametrize(("positions", "cells"), list(product((1, 5, 12, 14, 15), (1, 2, 3, 5))))
def test_pooling_is_symmetric_and_covers(positions, cells):
    pool = pooling(positions, cells)
    assert pool.shape == (positions, min(cells, positions))
    np.testing.assert_allclose(pool.sum(0), 1)
    np.testing.assert_array_equal(pool, pool[::-1, ::-1])
    assert (pool.sum(1) > 0).all()


def test_directions_without_full_eigenvectors():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(300, 300)) * 0.9 ** np.arange(300)
    covariance = factor @ factor.T
    found = principal_scaling(covariance, 20, torch.Generator().manual_seed(0))
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:20], vectors[:, ::-1][:, :20]
    expected = vectors * (values + 10 * values[-1]) ** -0.25
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6 * np.abs(expected).max())


def test_mirror_images_have_the_same_features():
    X = images()
    mirrored = X.reshape(-1, *SHAPE)[..., ::-1].reshape(X.shape)
    found = fitted(X, mirror=True)
    np.testing.assert_allclose(found.transform(X), found.transform(mirrored), atol=1e-10)
    plain = fitted(X)
    assert np.abs(plain.transform(X) - plain.transform(mirrored)).max() > 0.1


def test_half_of_the_features_change_their_sign_in_the_mirror_image():
    X = images()
    mirrored = X.reshape(-1, *SHAPE)[..., ::-1].reshape(X.shape)
    found = fitted(X, mirror="signed")
    F = found.transform(X)
    assert found.n_odd_ == 6
    widths = [fitted(X, mirror="signed", n_components=n)._n_features_out for n in (1, 2, 5)]
    assert widths == [2, 2, 4]
    assert np.abs(F[:, 6:]).max() > 0.1
    np.testing.assert_allclose(found.transform(mirrored), F * ([1] * 6 + [-1] * 6), atol=1e-10)


def test_photographs_are_mirrored_and_writing_is_not():
    """Blobs anywhere look the same in a mirror; digits and one-sided ramps do not."""
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 7, size=(1500, 2, 1, 1))
    down, along = np.mgrid[:8, :8]
    blobs = np.exp(-0.2 * ((down - place[:, :1, 0]) ** 2 + (along - place[:, 1:, 0]) ** 2))
    digits, y = load_digits(return_X_y=True)
    ramps = rng.uniform(0.5, 2, size=(400, 1, 1)) * along + 0.1 * rng.normal(size=(400, 8, 8))
    small = {"patch_size": 3, "n_filters": 6, "n_components": 8, "random_state": 0}
    for X, expected in ((blobs, "signed"), (digits, False), (ramps, False)):
        X = X.reshape(len(X), -1)
        found = ConvFeatures((1, 8, 8), **small).fit(X)
        assert found.mirror_ == expected
        assert found.n_odd_ == (4 if expected else 0)
        assert ConvFeatures((1, 8, 8), **small, mirror=True).fit(X).mirror_ is True
    # Rows that are sorted by class, and a common offset and contrast, are no matter.
    rows = digits[np.argsort(y, kind="stable")] * 50.0 + 1000
    assert not shows_the_same_mirrored(rows, (1, 8, 8))
    rows = blobs.reshape(1500, -1)
    assert shows_the_same_mirrored(rows[np.argsort(place[:, 1].ravel())] * 50.0 + 1000, (1, 8, 8))


def test_what_auto_leaves_alone():
    X = images(300)
    assert fitted(X).mirror_ == "signed"
    assert fitted(X[:150]).mirror_ is False
    assert fitted(X, n_filters=5).mirror_ is False  # no half of them is the other half mirrored
    assert ConvFeatures(None, 6, random_state=0).fit(X).mirror_ is False
    assert fitted(np.ones_like(X)).mirror_ is False
    same = np.repeat(X[:2], 150, axis=0)
    assert fitted(same).mirror_ is False  # whatever is seen twice is at distance 0


def test_sizes_follow_from_the_images():
    X = images(60)
    small = {"n_cells": 1, "filters": "patches", "random_state": 0}
    for mirror, n_filters in ((False, 256), (True, 512), ("signed", 512)):
        found = ConvFeatures(SHAPE, mirror=mirror, **small).fit(X)
        assert len(found.map_.kernels) == n_filters
        assert found._sizes() == (n_filters, 2 * n_filters)
    assert fitted(X, n_components="auto")._sizes() == (6, 512)


@pytest.mark.parametrize("mirror", [False, True, "signed"])
def test_gradient_against_finite_differences(mirror):
    X = images()
    function = fitted(X, mirror=mirror).torch_function(dtype=torch.float64)
    rows = torch.from_numpy(X[:3]).requires_grad_()
    direction = torch.from_numpy(images(3, seed=5))
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=function(rows).shape))
    (gradient,) = torch.autograd.grad((function(rows) * weight).sum(), rows)
    step = 1e-6
    moved = [(function(rows.detach() + s * step * direction) * weight).sum() for s in (1, -1)]
    difference = float(moved[0] - moved[1]) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(difference, rel=1e-4, abs=1e-7)


def test_torch_function_is_transform():
    X = images()
    found = fitted(X)
    np.testing.assert_allclose(
        found.torch_function()(torch.from_numpy(X.astype(np.float32))).numpy(),
        found.transform(X.astype(np.float32)),
        atol=1e-6,
    )


@pytest.mark.parametrize("elements", [1, 500, 10**9])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_of_any_size_give_the_same(monkeypatch, elements, threads):
    X = images()
    expected = fitted(X).transform(X)
    monkeypatch.setitem(conv_features.BLOCK_ELEMENTS, "cpu", elements)
    monkeypatch.setattr(conv_features, "PROJECTED_ROWS", 7)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    np.testing.assert_allclose(fitted(X).transform(X), expected, atol=1e-9)


def test_moments_over_several_blocks():
    X = images(2500)
    found = fitted(X, mirror=False, n_components=200)
    scaled = found.map_.center
    pooled_map = conv_features.replace(found.map_, center=None, components=None)
    pooled = pooled_map.on("cpu", torch.float64)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(scaled, pooled.mean(0), atol=1e-12)
    # Directions are uncorrelated, and their variance is w (w + 10 w_last)^(-1/2).
    spread = np.cov((pooled - pooled.mean(0))[:, 0] @ found.map_.components[0], rowvar=False)
    off = spread - np.diag(np.diag(spread))
    assert np.abs(off).max() < 1e-10 * spread.max()


def test_moments_count_mirror_images():
    X = images(2500)
    mirrored = X.reshape(-1, *SHAPE)[..., ::-1].reshape(X.shape)
    found = fitted(X, mirror="signed").map_
    pooled_map = conv_features.replace(found, center=None, components=None)
    pooled = pooled_map.on("cpu", torch.float64)(torch.from_numpy(np.concatenate([X, mirrored])))
    mean, covariance = conv_features._moments(pooled_map, X, np.arange(len(X)), torch.device("cpu"))
    for group, of_group in enumerate(pooled.numpy().transpose(1, 0, 2)):
        np.testing.assert_allclose(mean[group], of_group.mean(0), atol=1e-12)
        expected = np.cov(of_group, rowvar=False, bias=True)
        np.testing.assert_allclose(covariance[group], expected, atol=1e-12)


def test_offset_and_contrast():
    X = images()
    found = fitted(X)
    expected = found.transform(X)
    np.testing.assert_allclose(found.transform(X + 1000), expected, atol=1e-8)
    # A common unit of all images is no matter; that of one image hardly is.
    np.testing.assert_allclose(fitted(100 * X).transform(100 * X), expected, atol=1e-8)
    strong = X[X.std(1) > 2]
    close = (found.transform(2 * strong) * found.transform(strong)).sum(1)
    assert close.min() > 0.99


@pytest.mark.parametrize("filters", ["kmeans", "patches", "random"])
def test_constant_images_are_finite(filters):
    X = images()
    X[:3] = [[0.0], [5.0], [-1e6]]
    found = fitted(X, filters=filters)
    assert np.isfinite(found.transform(X)).all()
    flat = np.ones((5, X.shape[1]))
    assert np.isfinite(fitted(flat, filters=filters).transform(flat)).all()
    rows = torch.zeros((2, X.shape[1]), dtype=torch.float64, requires_grad=True)
    found.torch_function(dtype=torch.float64)(rows).sum().backward()
    assert torch.isfinite(rows.grad).all()


def test_same_seed_same_features_and_global_state_untouched():
    X = images()
    state = torch.get_rng_state()
    assert np.array_equal(fitted(X).transform(X), fitted(X).transform(X))
    assert torch.equal(state, torch.get_rng_state())
    other = fitted(X, random_state=1).transform(X)
    assert not np.allclose(fitted(X).transform(X), other)


def test_unsigned_integers():
    X = np.random.default_rng(0).integers(0, 256, size=(30, np.prod(SHAPE)), dtype=np.uint8)
    found = fitted(X)
    assert found.transform(X).dtype == np.float32
    expected = found.transform(X.astype(np.float64))
    np.testing.assert_allclose(found.transform(X), expected, atol=1e-4)


def test_size_of_the_map():
    found = fitted(images())
    width = found.map_.center.size
    assert found.n_parameters_ == 6 * 2 * 9 + 6 + width + width * 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_shape": (1, 8, 9)}, "has 72 values, but X has 126 features"),
        ({"image_shape": (8, 8)}, "three positive integers"),
        ({"filters": "gabor"}, "'filters' parameter"),
        ({"n_filters": 0}, "'n_filters' parameter"),
        ({"n_filters": 5, "mirror": True}, "n_filters=5 must be even with mirror=True"),
        ({"mirror": "odd"}, "'mirror' parameter"),
        ({"threshold": -1.0}, "'threshold' parameter"),
        ({"whitening_reg": 0}, "'whitening_reg' parameter"),
        ({"device": "abacus"}, "device='abacus' is unknown"),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ValueError, match=message):
        ConvFeatures(**{"image_shape": SHAPE, **given}).fit(images())


def test_pipeline_on_digits():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(
        ConvFeatures((1, 8, 8), 32, patch_size=3, stride=1, n_components=64, random_state=0),
        DistilledClassifier(distiller=DatasetDistiller(10, max_iter=80, random_state=0)),
    )
    assert pipeline.fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]) > 0.92


@all_common_checks(
    [
        ConvFeatures(n_filters=8, n_components=5, random_state=0),
        ConvFeatures(n_filters=8, n_components=6, mirror="signed", random_state=0),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", TRANSFORMER_CHECKS)
def test_checks_that_must_be_called_by_name(name):
    getattr(estimator_checks, name)("ConvFeatures", ConvFeatures(n_filters=8, random_state=0))
