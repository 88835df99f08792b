"""What the parameters of batches come to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdistill import DatasetDistiller
from skdistill.batches.plan import BatchPlan, plan_batches
from skdistill.batches.sampler import POOL_ROWS

AUTO = ("auto",) * 5


def plan(*given, favourite="margin", weighs=False, kind="classes"):
    given = (*given, *AUTO[len(given) :])
    return plan_batches(*given, favourite=favourite, weighs=weighs, kind=kind)


def test_the_technique_chooses_where_the_user_does_not():
    assert plan() == BatchPlan("importance", "margin", (0.1, 0.5), 25, False)
    assert plan(favourite="bounded", weighs=True, kind="numbers") == BatchPlan(
        "importance", "bounded", (0.5, 1.0), 100, True
    )
    assert not plan(favourite="uniform").importance


@pytest.mark.parametrize(
    "given",
    [("uniform",), ("auto", "margin"), ("auto", abs), (*AUTO[:2], 0.5), (*AUTO[:3], 25)],
)
def test_what_the_user_chose_is_known(given):
    assert plan(*given).asked
    assert not plan().asked


def test_a_loss_that_is_given_is_used():
    assert plan("auto", "cross_entropy", favourite="uniform").importance
    assert not plan("uniform", "cross_entropy").importance
    assert plan("importance", favourite="uniform").loss == "margin"
    assert plan("importance", favourite="uniform", kind="numbers").loss == "bounded"
    assert plan("importance", favourite="uniform", kind="multilabel").loss == "squared_error"


def test_weights_are_left_out_with_the_margin_alone():
    assert not plan(weighs=True).reweight
    assert plan("auto", "cross_entropy", weighs=True).reweight
    assert plan("auto", "margin", "auto", "auto", True).reweight


def test_a_single_share_rises_to_one():
    assert plan("auto", "auto", 0.2).mixing == (0.2, 1.0)
    assert plan("auto", "auto", (0.2, 0.3)).mixing == (0.2, 0.3)


@pytest.mark.parametrize("every", [1, 25, 100, 10_000])
def test_refreshing_often_looks_at_fewer_rows(every):
    rows = plan("auto", "auto", "auto", every).pool_rows
    assert rows <= POOL_ROWS and rows / every <= 1000


def test_a_callable_is_compared_with_no_name():
    assert plan("auto", abs).loss is abs


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_only_for_classes_kernel_ridge_draws_by_importance(kind):
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = X[:, 0] * X[:, 1]
    y = (y > 0).astype(int) if kind == "classes" else y

    def rows(**options):
        distiller = DatasetDistiller(
            6, max_iter=4, batch_size=40, early_stopping=False, random_state=0, **options
        )
        return distiller.fit(X, y).components_

    same = np.array_equal(rows(), rows(batch_sampling="uniform"))
    assert same == (kind == "numbers")
    assert_array_equal(rows(batch_loss="auto"), rows())
