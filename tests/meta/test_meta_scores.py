"""The projection onto the simplex, the adapters of raw scores, and spreading over all classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from skdistill.meta._scores import (
    ScoreClassifier,
    ScoreRegressor,
    project_onto_simplex,
    spread_columns,
    spread_decisions,
)

SCORES = arrays(
    float,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.floats(-1e6, 1e6, allow_nan=False),
)


class Fixed:
    """A predictor that returns what it is given."""

    def predict(self, X):
        return np.asarray(X, dtype=float)


@settings(max_examples=200, deadline=None)
@given(SCORES)
def test_projection_satisfies_the_optimality_conditions(scores):
    p = project_onto_simplex(scores)
    assert (p >= 0).all()
    assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    # p = max(s - theta, 0): the gap s - p is theta where p > 0, and no smaller elsewhere.
    gap = scores - p
    theta = np.max(np.where(p > 0, gap, -np.inf), axis=1, keepdims=True)
    tolerance = 1e-9 * max(1.0, np.abs(scores).max())
    assert (np.abs(np.where(p > 0, gap - theta, 0.0)) <= tolerance).all()
    assert (gap <= theta + tolerance).all()
    # The highest score stays the highest; scores that differ by rounding may meet.
    highest = np.take_along_axis(p, scores.argmax(axis=1)[:, None], axis=1)
    assert_array_equal(highest[:, 0], p.max(axis=1))


def test_projection_against_a_general_solver():
    rng = np.random.default_rng(0)
    for score in rng.normal(0.3, 0.5, size=(5, 4)):
        best = minimize(
            lambda p, score=score: ((p - score) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert_allclose(project_onto_simplex(score[None])[0], best.x, atol=1e-6)


def test_projection_leaves_probabilities_and_huge_scores_finite():
    p = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    assert_allclose(project_onto_simplex(p), p, atol=1e-15)
    assert_array_equal(project_onto_simplex(np.array([[1e300, -1e300]])), [[1.0, 0.0]])
    assert_array_equal(project_onto_simplex(np.array([[1e16, 1e16 + 2]])), [[0.0, 1.0]])


def test_classifier_of_two_classes():
    scores = np.array([[0.9, 0.2], [0.1, 0.7], [0.5, 0.5]])
    model = ScoreClassifier(Fixed(), np.array(["no", "yes"]))
    assert_array_equal(model.predict(scores), ["no", "yes", "no"])
    assert_allclose(model.decision_function(scores), [-0.7, 0.6, 0.0])
    assert_allclose(model.predict_proba(scores), [[0.85, 0.15], [0.2, 0.8], [0.5, 0.5]])


def test_classifier_of_three_classes():
    scores = np.array([[0.9, 0.2, -1], [0.1, 0.2, 0.7]])
    model = ScoreClassifier(Fixed(), np.array([4, 5, 9]))
    assert_array_equal(model.predict(scores), [4, 9])
    assert_array_equal(model.decision_function(scores), scores)
    assert_allclose(model.predict_proba(scores)[0], [0.85, 0.15, 0.0])
    assert model.predict_log_proba(scores)[0, 2] == -np.inf


def test_classifier_of_labels():
    scores = np.array([[0.9, -0.2], [0.5, 0.7]])
    model = ScoreClassifier(Fixed(), [np.array([0, 1])] * 2)
    assert_array_equal(model.predict(scores), [[1, 0], [0, 1]])
    assert_array_equal(model.decision_function(scores) > 0, model.predict(scores) == 1)
    first, second = model.predict_proba(scores)
    assert_allclose(first, [[0.1, 0.9], [0.5, 0.5]])
    assert_allclose(second, [[1.0, 0.0], [0.3, 0.7]])
    assert_allclose(np.exp(model.predict_log_proba(scores)[1]), second)


def test_regressor_keeps_the_axes_of_the_targets():
    outputs = np.array([[1.0], [2.0]])
    assert ScoreRegressor(Fixed(), flat=True).predict(outputs).shape == (2,)
    assert ScoreRegressor(Fixed(), flat=False).predict(outputs).shape == (2, 1)


def test_columns_are_spread_by_class():
    values = np.array([[0.25, 0.75]])
    classes = np.array(["a", "b", "c", "d"])
    spread = spread_columns(values, np.array(["b", "d"]), classes, 0.0)
    assert_array_equal(spread, [[0, 0.25, 0, 0.75]])
    assert spread_columns(values, classes[:2], classes[:2], 0.0) is values
    both = spread_columns(
        [values, values], [classes[:2], classes[1:3]], [classes, classes], -np.inf
    )
    assert_array_equal(both[0], [[0.25, 0.75, -np.inf, -np.inf]])
    assert_array_equal(both[1], [[-np.inf, 0.25, 0.75, -np.inf]])
    indicator = spread_columns(values, np.arange(2), [np.array([0, 1])] * 2, 0.0)
    assert indicator is values


def test_decisions_are_spread_by_class():
    classes = np.array([1, 2, 3])
    lowest = np.finfo(float).min
    got = spread_decisions(np.array([-2.0, 0.5]), np.array([1, 3]), classes)
    assert_array_equal(got, [[2.0, lowest, -2.0], [-0.5, lowest, 0.5]])
    assert_array_equal(classes[got.argmax(axis=1)], [1, 3])
    wide = spread_decisions(np.ones((2, 3)), classes, np.arange(1, 5))
    assert_array_equal(wide[:, 3], [lowest, lowest])
    with pytest.raises(ValueError, match="decision_function_shape='ovr'"):
        spread_decisions(np.ones((2, 6)), np.arange(4), np.arange(5))
