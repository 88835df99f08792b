"""The technique that the user guide shows as a whole, through everything that a technique meets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from toy_technique import SoftPrototypes

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.objectives import Batch
from skdistill.support import Support

F64 = torch.float64


def quick(**options):
    options = {"max_iter": 60, "init": "uniform", "early_stopping": False, **options}
    return DatasetDistiller(
        10, objective=SoftPrototypes(), batch_size=100, random_state=0, **options
    )


def test_loss_is_that_of_loops_and_its_gradient_that_of_differences():
    g = torch.Generator().manual_seed(0)
    support = Support(
        torch.randn(6, 4, generator=g, dtype=F64), torch.eye(3, dtype=F64)[[0, 1, 2] * 2]
    )
    codes = torch.randint(3, (9,), generator=g)
    batch = Batch(torch.randn(9, 4, generator=g, dtype=F64), torch.eye(3, dtype=F64)[codes])
    weights = torch.rand(9, generator=g, dtype=F64)
    expected = 0.0
    for x, c, v in zip(batch.rows, codes, weights, strict=True):
        claim = [float(torch.exp(-2 * (x - s).square().sum())) for s in support.rows]
        own = sum(claim[j] for j in range(6) if j % 3 == c)
        expected -= float(v) * np.log(own / sum(claim))
    objective = SoftPrototypes(sharpness=2)
    loss, (gradient,) = objective.gradients(support, batch, weights, ["rows"])
    assert float(loss) == pytest.approx(expected)
    direction = torch.randn(6, 4, generator=g, dtype=F64)
    ends = [
        objective.batch_loss(Support(support.rows + h * direction, support.labels), batch, weights)
        for h in (-1e-5, 1e-5)
    ]
    assert float((ends[1] - ends[0]) / 2e-5) == pytest.approx(float((gradient * direction).sum()))


@pytest.mark.parametrize("batch_sampling", ["importance", "uniform"])
def test_rows_are_learnt(digits, batch_sampling):
    X, X_test, y, y_test = digits
    nearest = KNeighborsClassifier(1)
    model, start = (
        DistilledClassifier(
            nearest, quick(batch_sampling=batch_sampling, **options), use_weights=False
        ).fit(X, y)
        for options in ({}, {"max_iter": 0})
    )
    curve = model.distiller_.loss_curve_
    assert np.mean(curve[-10:]) < 0.7 * np.mean(curve[:3])
    assert model.score(X_test, y_test) > start.score(X_test, y_test) + 0.1


def test_it_is_an_estimator_like_any_other(digits):
    X, _, y, _ = digits
    X, y = X[:300], y[:300]
    distiller = quick(max_iter=10)
    first, second = distiller.fit_distill(X, y), clone(distiller).fit_distill(X, y)
    np.testing.assert_array_equal(first.X, second.X)
    again = pickle.loads(pickle.dumps(distiller))
    np.testing.assert_array_equal(again.transform(X), distiller.transform(X))
    grid = GridSearchCV(
        DistilledClassifier(KNeighborsClassifier(1), distiller, use_weights=False),
        {"distiller__objective__sharpness": [3.0, 10.0]},
        cv=2,
    ).fit(X, y)
    assert grid.best_score_ > 0.5
    with pytest.raises(ValueError, match=r"objective=SoftPrototypes\(\) works with a target of"):
        quick().fit(*load_diabetes(return_X_y=True))
