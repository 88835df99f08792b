"""What the engine gives a technique that asks for it by its class attributes."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skdistill import DatasetDistiller
from skdistill.objectives import OBJECTIVES, SHORT_NAMES, Objective

IMAGE = (2, 4, 8)


class Seeing(Objective):
    """Rows go to the mean of the batch; what was seen is kept on the class."""

    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    unit_features: ClassVar[bool] = True
    balances_classes: ClassVar[bool] = True
    folds: ClassVar[bool] = False
    contexts: ClassVar[list] = []
    batches: ClassVar[list] = []
    starts: ClassVar[list] = []
    held_out: ClassVar[list] = []

    def setup(self, context):
        super().setup(context)
        self.contexts.append(context)

    def start(self, rows, labels, scale=None):
        self.starts.append((rows, labels))
        return super().start(rows, labels)

    def batch_loss(self, support, batch, weights):
        self.batches.append(batch)
        return (support.rows - weights @ batch.rows).square().sum()

    def scores(self, support, held_out):
        self.held_out.append(len(held_out))
        return super().scores(support, held_out)

    def predictor(self, support):
        return lambda rows: -torch.cdist(rows, support.rows.to(rows)) @ support.labels.to(rows)


# Two classes have fewer rows than their share of the batches here.
RARE_ROWS_AGAIN = pytest.mark.filterwarnings("ignore:Rows of classes with fewer:UserWarning")


@pytest.fixture
def seen():
    for found in (Seeing.contexts, Seeing.batches, Seeing.starts, Seeing.held_out):
        found.clear()
    return Seeing


@pytest.fixture(scope="module")
def unbalanced_digits():
    X, y = load_digits(return_X_y=True)
    kept = (y > 1) | (np.arange(len(y)) % 10 == 0)
    return X[kept], y[kept]


def fit(X, y, **options):
    return DatasetDistiller(
        20, objective=Seeing(), max_iter=12, batch_size=400, random_state=0, **options
    ).fit(X, y)


def test_images_come_with_channels_of_size_1(unbalanced_digits, seen):
    X, y = unbalanced_digits
    fit(X, y, image_shape=list(IMAGE), class_balance=False)
    (context,) = seen.contexts
    assert context.image_shape == IMAGE and context.n_features == 64
    rows = torch.cat([batch.rows for batch in seen.batches]).reshape(-1, 2, 32)
    torch.testing.assert_close(rows.mean((0, 2)), torch.zeros(2), atol=0.05, rtol=0)
    torch.testing.assert_close(rows.std((0, 2)), torch.ones(2), atol=0.05, rtol=0)


def test_vectors_come_with_features_of_size_1(unbalanced_digits, seen):
    X, y = unbalanced_digits
    fit(X[:, 20:22], y, class_balance=False)
    assert seen.contexts[0].image_shape is None
    rows = torch.cat([batch.rows for batch in seen.batches])
    assert (rows.median(0).values.abs() < 0.5).all()
    assert ((rows.std(0) > 0.9) & (rows.std(0) < 1.5)).all()


@RARE_ROWS_AGAIN
@pytest.mark.parametrize("balance", ["auto", False])
def test_classes_are_balanced_where_the_technique_asks(unbalanced_digits, seen, balance):
    fit(*unbalanced_digits, class_balance=balance, batch_sampling="uniform")
    share = torch.stack([batch.targets.mean(0) for batch in seen.batches]).mean(0)
    (_, labels), *_ = seen.starts
    if balance == "auto":
        torch.testing.assert_close(
            share.double(), torch.full((10,), 0.1).double(), atol=0.01, rtol=0
        )
        assert (labels.sum(0) == 2).all()
    else:
        assert (share[:2] < 0.03).all()
        assert labels.sum(0).tolist() != [2] * 10


@RARE_ROWS_AGAIN
def test_one_part_is_held_out_where_the_technique_asks(unbalanced_digits, seen):
    X, y = unbalanced_digits
    assert len(X) < 2000  # else one part anyway
    fit(X, y, validation_fraction=0.1)
    assert len(seen.contexts) == 1
    assert set(seen.held_out) == {round(0.1 * len(np.unique(X, axis=0)))}


def test_the_map_does_not_depend_on_the_unit_of_the_rows(unbalanced_digits, seen):
    # The kernel of `transform` is the same function of scaled rows for all techniques.
    X, y = unbalanced_digits
    X = X[:, 10:30]
    networks, ridge = (
        DatasetDistiller(20, objective=objective, max_iter=0, random_state=0, kernel="laplacian")
        .fit(X, y)
        .kernel_(*(torch.ones(1, 1), torch.zeros(1, 1)))
        for objective in (Seeing(), "analytic_ridge")
    )
    n_varying = (X.std(0) > 0).sum()
    # Sums of absolute differences grow with the unit of a row, which is the root of their number.
    assert float(networks.log()) * n_varying**0.5 == pytest.approx(float(ridge.log()))


def test_rows_and_way_back_are_those_of_the_user(unbalanced_digits, seen):
    X, y = unbalanced_digits
    distiller = DatasetDistiller(
        20, objective=Seeing(), init="uniform", max_iter=0, image_shape=IMAGE, random_state=0
    ).fit(X, y)
    for row in distiller.distilled_.X:
        assert np.abs(X - row).max(1).min() < 1e-4


@RARE_ROWS_AGAIN
def test_nothing_is_held_out_where_the_last_rows_are_kept(unbalanced_digits, seen):
    class KeepsTheLast(Seeing):
        keeps_best: ClassVar[bool] = False

    X, y = unbalanced_digits
    distiller = DatasetDistiller(20, objective=KeepsTheLast(), max_iter=12, random_state=0).fit(
        X, y
    )
    assert seen.held_out == [] and distiller.validation_scores_ == []
    assert distiller.n_iter_ == 12


@pytest.mark.parametrize(
    ("kinds", "reweight", "weighted"),
    [
        ({"numbers"}, "auto", False),
        ({"classes"}, "auto", True),
        ({"classes"}, False, False),
        ({"numbers"}, True, True),
    ],
)
def test_importance_batches_are_reweighted_where_the_technique_asks(
    unbalanced_digits, seen, kinds, reweight, weighted
):
    spreads = []

    class Weighing(Seeing):
        def reweights(self, kind, rows_per_class):
            assert rows_per_class == 2
            return kind in kinds

        def batch_loss(self, support, batch, weights):
            spreads.append(float(weights.max() / weights.min()))
            return super().batch_loss(support, batch, weights)

    X, y = unbalanced_digits
    options = {"class_balance": False, "reweight": reweight, "batch_size": 100}
    options["batch_loss"] = "cross_entropy"
    DatasetDistiller(20, objective=Weighing(), max_iter=3, random_state=0, **options).fit(X, y)
    assert (spreads[0] > 1.5) == weighted
    assert weighted or max(spreads) == pytest.approx(1)


def test_margin_batches_are_not_weighted(unbalanced_digits, seen):
    class Weighing(Seeing):
        def reweights(self, kind, rows_per_class):
            return True

        def batch_loss(self, support, batch, weights):
            assert weights.unique().numel() == 1
            return super().batch_loss(support, batch, weights)

    X, y = unbalanced_digits
    options = {"class_balance": False, "batch_loss": "margin", "batch_size": 100}
    DatasetDistiller(20, objective=Weighing(), max_iter=3, random_state=0, **options).fit(X, y)


def test_what_techniques_draw_batches_by():
    assert Seeing().favourite_batches("classes", 2) == "uniform"
    favourite = OBJECTIVES["kernel_ridge"]().favourite_batches
    assert favourite("classes", 1) == "margin"
    assert favourite("numbers", math.inf) == "uniform"
    assert favourite("multilabel", math.inf) == "uniform"
    assert OBJECTIVES["gradient_matching"]().favourite_batches("classes", 1) == "margin"
    assert OBJECTIVES["distribution_matching"]().favourite_batches("classes", 1) == "uniform"


def test_which_techniques_ask_for_weights():
    for name, technique in OBJECTIVES.items():
        asks = technique().reweights
        assert asks("numbers", math.inf)
        always = name == "feature_regression"
        assert asks("classes", 1) == (always or name == "kernel_ridge")
        assert asks("classes", 1.1) == asks("multilabel", math.inf) == always


def test_short_names_are_those_of_the_papers(unbalanced_digits):
    assert SHORT_NAMES["frepo"]().pool == "trained" and SHORT_NAMES["rfad"]().pool == "random"
    assert SHORT_NAMES["dc"]().augment is None and SHORT_NAMES["dsa"]().augment == "auto"
    assert SHORT_NAMES["idc"]().train_on == "real" and SHORT_NAMES["idc"]().factor == 2
    X, y = unbalanced_digits
    quick = {"max_iter": 2, "early_stopping": False, "random_state": 0}
    by_name = [
        DatasetDistiller(12, objective=name, **quick).fit_distill(X, y).X
        for name in ("kip", "kernel_ridge")
    ]
    np.testing.assert_array_equal(*by_name)
    with pytest.raises(ValueError, match="'objective' parameter"):
        DatasetDistiller(12, objective="kipp").fit(X, y)
