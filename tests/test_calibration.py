"""Temperatures found on held-out rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill._calibration import fit_temperature

RNG = np.random.RandomState(0)
LOGITS = RNG.randn(4000, 3)
CHANCES = softmax(LOGITS, axis=1)
TARGETS = np.eye(3)[[RNG.choice(3, p=p) for p in CHANCES]]


@pytest.mark.parametrize("true", [0.2, 1.0, 5.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    found = fit_temperature(LOGITS * true, TARGETS, np.ones(4000))
    assert found == pytest.approx(true, rel=0.1)  # about three standard errors


def test_a_weight_of_zero_is_no_row_and_units_do_not_matter():
    weight = np.repeat([3.0, 0.0], 2000)
    expected = fit_temperature(LOGITS[:2000], TARGETS[:2000], np.ones(2000))
    assert_allclose(fit_temperature(LOGITS, TARGETS, weight), expected, rtol=1e-6)


def test_rows_that_are_all_right_do_not_call_for_certainty():
    targets = np.eye(3)[np.arange(30) % 3]
    p = softmax(targets / fit_temperature(targets, targets, np.ones(30)), axis=1)
    assert 0.9 < p.max() < 0.999


@pytest.mark.parametrize("n_rows", [300, 2500])  # held out in parts, and once
def test_probabilities_follow_the_stored_temperature(n_rows):
    X = RNG.randn(n_rows, 2)
    y = (X[:, 0] + RNG.randn(n_rows) > 0).astype(int)
    model = DistilledClassifier(distiller=DatasetDistiller(6, max_iter=40, random_state=0))
    p = model.fit(X, y).predict_proba(X)
    params = model.distilled_.predictor_params
    outputs = model.distilled_.make_predictor().predict(X)
    assert params["temperature"] == model.distiller_.temperature_ > 0
    assert_allclose(p, softmax(outputs / params["temperature"], axis=1), atol=1e-4)
    assert_array_equal(model.classes_[p.argmax(1)], model.predict(X))
    # The labels are noisy: probabilities must not claim more than is known.
    assert p.max(1).mean() == pytest.approx((p.argmax(1) == y).mean(), abs=0.08)


def test_without_held_out_rows_there_is_no_temperature():
    X = RNG.randn(60, 2)
    distiller = DatasetDistiller(6, max_iter=5, early_stopping=False, random_state=0)
    model = DistilledClassifier(distiller=distiller).fit(X, X[:, 0] > 0)
    assert model.distiller_.temperature_ is None
    assert_allclose(model.predict_proba(X).sum(1), 1)
