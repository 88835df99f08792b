"""The picture of a small set: what is drawn where, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import OneHotEncoder

from skdistill import DatasetDistiller, DistilledClassifier, DistilledData, SensitivityCoreset
from skdistill.inspection import DistilledDataDisplay

pytestmark = pytest.mark.usefixtures("quick_fits")


def make_axes(n: int):
    """Return n axes of a figure without a window, alone or in an array."""
    return Figure().subplots(1, n)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, SensitivityCoreset]:
    """Return digits and a coreset of them."""
    X, y = load_digits(return_X_y=True)
    return X, y, SensitivityCoreset(40, random_state=0).fit(X, y)


def test_images_are_ordered_by_weight_and_sized_by_it(digits):
    X, y, coreset = digits
    display = DistilledDataDisplay.from_estimator(
        coreset, X, y, image_shape=(8, 8), ax=make_axes(1)
    )
    images = display.ax_.get_images()
    assert len(images) == 40
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list("0123456789")
    small = coreset.distilled_
    seen = 0
    for number in range(10):
        order = np.argsort(-small.sample_weight[small.y == number], kind="stable")
        rows = np.flatnonzero(small.y == number)[order]
        widths = []
        for row in rows:
            drawn = images[seen]
            np.testing.assert_allclose(
                np.asarray(drawn.get_array()) * (small.X.max() - small.X.min()) + small.X.min(),
                small.X[row].reshape(8, 8),
            )
            left, right, bottom, top = drawn.get_extent()
            assert (top + bottom) / 2 == pytest.approx(number)
            widths.append(right - left)
            seen += 1
        area = np.square(widths)
        share = small.sample_weight[rows] / small.sample_weight.max()
        np.testing.assert_allclose(area, 0.92**2 * np.maximum(share, 0.09))


def test_more_images_than_a_line_holds(digits):
    X, y, _ = digits
    many = DistilledData(X[:400], y[:400], np.arange(1.0, 401.0))
    display = DistilledDataDisplay.from_distilled(
        many, X, y, classes=np.arange(10), image_shape=(8, 8), ax=make_axes(1)
    )
    hidden = [int(text.get_text()) for text in display.ax_.texts]
    assert sum(hidden) + len(display.ax_.get_images()) == 400


@pytest.mark.parametrize("with_target", [True, False])
def test_images_without_classes(with_target):
    X = np.random.default_rng(0).random((50, 12))
    y = X.sum(axis=1) if with_target else None
    coreset = SensitivityCoreset(20, random_state=0).fit(X, y)
    display = DistilledDataDisplay.from_estimator(
        coreset, X, y, image_shape=(3, 2, 2), ax=make_axes(1)
    )
    assert len(display.ax_.get_images()) == 20
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert all(names) == with_target


def test_channels_come_first():
    rows = np.arange(24.0).reshape(2, 12)
    small = DistilledData(rows, [0.5, 1.5])
    display = DistilledDataDisplay.from_distilled(
        small, rows, [0.5, 1.5], image_shape=(3, 2, 2), ax=make_axes(1)
    )
    np.testing.assert_array_equal(display.images[1][:, :, 0], rows[1, :4].reshape(2, 2))
    for shape in [(2, 2, 3), (3, 2, 3), (4, 3, 1), (12,)]:
        with pytest.raises(ValueError, match="channels come first"):
            DistilledDataDisplay.from_distilled(
                small, rows, None, image_shape=shape, ax=make_axes(1)
            )


def test_a_fitted_meta_estimator_and_its_image_shape():
    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {k}" for k in range(10)])[y[:300]]
    distiller = DatasetDistiller(
        10, objective="analytic_ridge", image_shape=(1, 8, 8), random_state=0
    )
    model = DistilledClassifier(distiller=distiller).fit(X[:300], names)
    display = DistilledDataDisplay.from_estimator(model, X[:300], names, ax=make_axes(1))
    assert display.images.shape == (10, 8, 8)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [f"digit {k}" for k in range(10)]


def test_classes_of_the_small_set_name_the_rows():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.where(X[:, 0] > 0, "up", "down")
    small = SensitivityCoreset(10, random_state=0).fit_distill(X, y)
    display = DistilledDataDisplay.from_distilled(small, X, y, ax=make_axes(1))
    told = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert told == ["down", "up"]


def test_positions_are_principal_components_and_areas_are_weights():
    X, y = load_diabetes(return_X_y=True)
    coreset = SensitivityCoreset(30, random_state=0).fit(X, y)
    display = DistilledDataDisplay.from_estimator(coreset, X, y, ax=make_axes(1))
    centred = X - X.mean(axis=0)
    plane = np.linalg.svd(centred, full_matrices=False)[2][:2]
    np.testing.assert_allclose(np.abs(display.positions), np.abs(centred @ plane.T), atol=1e-8)
    np.testing.assert_allclose(
        display.distilled_positions, display.positions[coreset.indices_], atol=1e-10
    )
    everything, small = display.ax_.collections[:2]
    assert len(everything.get_offsets()) == len(X)
    areas = np.sort(small.get_sizes())
    weights = np.sort(coreset.distilled_.sample_weight)
    slope, intercept = np.polyfit(weights, areas, 1)
    np.testing.assert_allclose(areas, slope * weights + intercept)
    assert slope > 0
    assert any(axis.get_ylabel() == "target" for axis in display.figure_.axes)  # the colour bar


def test_classes_have_a_legend_or_their_names_on_the_markers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    few, many = rng.choice(["yes", "no"], 300), rng.choice(list("ABCDEFGHIJKLMNOP"), 300)
    for y in (few, many):
        coreset = SensitivityCoreset(40, random_state=0).fit(X, y)
        display = DistilledDataDisplay.from_estimator(coreset, X, y, ax=make_axes(1))
        legend = display.ax_.get_legend()
        if y is few:
            assert [text.get_text() for text in legend.get_texts()] == ["no", "yes"]
        else:
            assert legend is None
            named = sorted(text.get_text() for text in display.ax_.texts)
            assert named == sorted(coreset.distilled_.y)


def test_scores():
    X, y = load_diabetes(return_X_y=True)
    coreset = SensitivityCoreset(30, random_state=0).fit(X, y)
    scores = {"all rows": [0.5], "small set": [0.4], "uniform rows": [0.2, 0.3, 0.4]}
    display = DistilledDataDisplay.from_estimator(
        coreset, X, y, scores=scores, score_name="R2", ax=make_axes(2)
    )
    texts = [text.get_text() for text in display.ax_scores_.texts]
    assert texts == [
        "all rows   0.500",
        "small set   0.400",
        "uniform rows   0.300 \N{PLUS-MINUS SIGN} 0.100",
    ]
    assert display.ax_scores_.get_xlabel() == "R2"
    ticks = next(line for line in display.ax_scores_.lines if line.get_marker() == "|")
    np.testing.assert_allclose(ticks.get_xdata(), [0.2, 0.3, 0.4])


@pytest.mark.parametrize("form", ["list", "sparse", "one column", "sparse column", "no target"])
def test_forms_of_input(form):
    X = np.random.default_rng(0).random((60, 1 if "column" in form else 3))
    y = None if form == "no target" else (X[:, 0] > 0.5).astype(int)
    given = {"list": X.tolist()}.get(form, csr_array(X) if "sparse" in form else X)
    coreset = SensitivityCoreset(10, random_state=0).fit(given, y)
    display = DistilledDataDisplay.from_estimator(coreset, given, y, ax=make_axes(1))
    assert display.positions.shape == (60, 2)
    assert display.distilled_positions.shape == (10, 2)


def test_data_frame_with_a_preprocessor_in_part():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.choice(["x", "y", "z"], 500), "b": rng.choice(["u", "v"], 500)})
    y = rng.normal(size=500)
    encoder = OneHotEncoder(sparse_output=False)
    coreset = SensitivityCoreset(30, preprocessor=encoder, random_state=0).fit(X, y)
    display = DistilledDataDisplay.from_estimator(coreset, X, y, max_rows=100, ax=make_axes(1))
    assert display.positions.shape == (100, 2)
    assert display.values.shape == (100,)


def test_own_figure_is_made(digits):
    import matplotlib.pyplot as plt

    X, y, coreset = digits
    with plt.rc_context({"backend": "Agg"}):
        display = DistilledDataDisplay.from_estimator(
            coreset, X, y, scores={"all rows": [1.0], "small set": [0.5]}
        )
        assert len(display.figure_.axes) == 2
        assert display.plot().figure_ is not display.figure_ or len(plt.get_fignums()) == 2
        plt.close("all")


def test_what_cannot_be_drawn(digits, monkeypatch):
    X, y, coreset = digits
    with pytest.raises(ValueError, match="ax must hold 1 axes, got 2"):
        DistilledDataDisplay.from_estimator(coreset, X, y, ax=make_axes(2))
    with pytest.raises(ValueError, match="y must be 1-D"):
        DistilledDataDisplay.from_estimator(coreset, X, np.column_stack([y, y]), ax=make_axes(1))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skdistill\[plot\]"'):
        DistilledDataDisplay.from_estimator(coreset, X, y)
