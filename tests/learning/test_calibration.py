"""Temperatures found on held-out rows."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.learning.calibration import fit_temperature
from skdistill.learning.trainer import Trainer

pytestmark = pytest.mark.usefixtures("quick_fits")

RNG = np.random.RandomState(0)
LOGITS = RNG.randn(100_000, 3)
CHANCES = softmax(LOGITS, axis=1)
TARGETS = np.eye(3)[(LOGITS + RNG.gumbel(size=LOGITS.shape)).argmax(1)]  # drawn from CHANCES


@pytest.mark.parametrize("true", [0.2, 1.0, 5.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    # The Fisher information of log T is the logits' variance under CHANCES, summed over rows: it
    # makes the standard error 0.0056, and the tolerance five of them.
    variance = (CHANCES * LOGITS**2).sum(1) - (CHANCES * LOGITS).sum(1) ** 2
    assert 1 / np.sqrt(variance.sum()) == pytest.approx(0.0056, abs=1e-4)
    found = fit_temperature(LOGITS * true, TARGETS, np.ones(len(LOGITS)))
    assert found == pytest.approx(true, rel=0.03)


def test_a_weight_of_zero_is_no_row_and_units_do_not_matter():
    weight = np.repeat([3.0, 0.0], 2000)
    expected = fit_temperature(LOGITS[:2000], TARGETS[:2000], np.ones(2000))
    found = fit_temperature(LOGITS[:4000], TARGETS[:4000], weight)
    assert_allclose(found, expected, rtol=1e-6)


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


@pytest.mark.parametrize("n_rows", [300, 2500])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_interrupted_fit_gives_probabilities_of_its_best_set(n_rows, share):
    X = RNG.randn(n_rows, 2)
    y = X[:, 0] > 0
    calls, stop = 0, 0

    def interrupting(targets, outputs):
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return np.abs(targets - outputs).sum(1)

    distiller = DatasetDistiller(
        6, max_iter=40, refresh_every=10, batch_loss=interrupting, random_state=0
    )
    assert distiller.fit(X, y).temperature_ > 0
    calls, stop = 0, max(1, int(share * calls))
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(X, y)
    model = DistilledClassifier(distiller=FrozenEstimator(distiller)).fit(X, y)
    p = model.predict_proba(X)
    # The parts of few rows may be further than the set that is kept: theirs is not taken.
    assert (model.distiller_.temperature_ is None) == (n_rows == 300)
    assert_allclose(p.sum(1), 1)
    assert_array_equal(model.classes_[p.argmax(1)], model.predict(X))
    assert model.score(X, y) > 0.8


@pytest.mark.parametrize("n_rows", [300, 2500])
def test_an_interruption_of_the_calibration_keeps_the_trained_set(n_rows, monkeypatch):
    X = RNG.randn(n_rows, 2)
    y = X[:, 0] > 0

    def interrupted(self, choice):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "held_out_outputs", interrupted)
    distiller = DatasetDistiller(6, max_iter=40, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(X, y)
    model = DistilledClassifier(distiller=FrozenEstimator(distiller)).fit(X, y)
    assert model.distiller_.temperature_ is None
    assert model.score(X, y) > 0.8
    assert_allclose(model.predict_proba(X).sum(1), 1)


@pytest.mark.parametrize("n_rows", [300, 2500])
def test_a_diverged_fit_gives_finite_probabilities(n_rows):
    X = RNG.randn(n_rows, 2)
    y = (X > 0) @ [1, 2]
    distiller = DatasetDistiller(8, max_iter=40, learning_rate=1e4, random_state=0)
    model = DistilledClassifier(distiller=distiller)
    with pytest.warns(ConvergenceWarning, match="the start is kept"):
        p = model.fit(X, y).predict_proba(X)
    assert np.isfinite(p).all()
    assert_allclose(p.sum(1), 1)
    assert_array_equal(model.classes_[p.argmax(1)], model.predict(X))


def test_outputs_that_are_not_finite_give_no_temperature(monkeypatch):
    X = RNG.randn(2500, 2)

    def useless(self, choice):
        targets = self.held_out.targets[:]
        return torch.full_like(targets, float("nan")), targets, self.held_out.weight

    monkeypatch.setattr(Trainer, "held_out_outputs", useless)
    model = DistilledClassifier(distiller=DatasetDistiller(6, max_iter=5, random_state=0))
    p = model.fit(X, X[:, 0] > 0).predict_proba(X)
    assert model.distiller_.temperature_ is None
    assert_allclose(p.sum(1), 1)


def test_without_held_out_rows_there_is_no_temperature():
    X = RNG.randn(60, 2)
    distiller = DatasetDistiller(6, max_iter=5, early_stopping=False, random_state=0)
    model = DistilledClassifier(distiller=distiller).fit(X, X[:, 0] > 0)
    assert model.distiller_.temperature_ is None
    assert_allclose(model.predict_proba(X).sum(1), 1)
