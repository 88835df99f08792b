"""A class that is rare has its place in batches by the margin."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from skdistill import DatasetDistiller
from skdistill.batches.losses import margin_losses, margins


def plain_margin(targets, outputs):
    """Slope of the smoothed 0-1 error, in which every row counts alike."""
    codes = torch.from_numpy(targets.argmax(1))
    return margin_losses(margins(torch.from_numpy(outputs), None, codes, "classes")).numpy()


WAYS = {
    "every row alike": {"batch_loss": plain_margin, "uniform_mixing": (0.1, 0.5)},
    "default": {},
}


def modes(seed, n=1500):
    """Six classes, each half as frequent as the one before, of four modes each."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(scale=1.5, size=(6, 4, 6))
    shares = 0.5 ** np.arange(6)
    y = rng.choice(6, n + 4000, p=shares / shares.sum())
    X = centres[y, rng.integers(0, 4, len(y))] + rng.normal(size=(len(y), 6))
    return X[:n], y[:n], X[n:], y[n:]


def scores(seed, **options):
    X, y, X_test, y_test = modes(seed)
    distiller = DatasetDistiller(
        12,
        gamma=0.1,
        init="uniform",
        max_iter=100,
        batch_size=200,
        refresh_every=25,
        reweight=False,
        early_stopping=False,
        random_state=seed,
        **options,
    ).fit(X, y)
    found = distiller.classes_[distiller.make_predictor().predict(X_test).argmax(1)]
    return balanced_accuracy_score(y_test, found), accuracy_score(y_test, found)


def test_rare_classes_gain_and_accuracy_loses_little():
    """Paired over four seeds: four points of balanced accuracy for half a point of accuracy."""
    of = {name: np.array([scores(seed, **way) for seed in range(4)]) for name, way in WAYS.items()}
    balanced, plain = (of["default"] - of["every row alike"]).T
    assert balanced.mean() > 3 * balanced.std(ddof=1) / np.sqrt(4)
    assert plain.mean() > -0.02
