"""Warnings name the line of the user."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import DatasetDistiller, DistilledClassifier, SensitivityCoreset

X = np.random.default_rng(0).normal(size=(20, 3))
y = np.arange(20) % 2
LEARNT = DatasetDistiller(30, max_iter=0)
CHOSEN = SensitivityCoreset(30)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LEARNT.fit(X, y),
        lambda: LEARNT.fit_distill(X, y),
        lambda: LEARNT.fit_transform(X, y),
        lambda: CHOSEN.fit(X, y),
        lambda: CHOSEN.fit_distill(X, y),
        lambda: DistilledClassifier(distiller=CHOSEN).fit(X, y),
        lambda: make_pipeline(StandardScaler(), CHOSEN).fit(X, y),
        lambda: DistilledClassifier(distiller=FrozenEstimator(CHOSEN.fit(X, y))).fit(X, y),
    ],
)
def test_warnings_point_at_the_caller(call):
    with pytest.warns(UserWarning, match="more than the 20 distinct rows") as told:
        call()
    assert [w.filename for w in told] == [__file__] * len(told)


def test_a_cached_fit_points_at_the_caller(tmp_path):
    model = DistilledClassifier(distiller=CHOSEN, memory=str(tmp_path))
    with pytest.warns(UserWarning, match="more than the 20 distinct rows") as told:
        model.fit(X, y)
    assert told[0].filename == __file__
