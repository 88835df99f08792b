"""Scores of rows by held-out fits and by clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdistill import DatasetDistiller
from skdistill.batches.sampler import importance_shares
from skdistill.learning.row_scores import held_out_outputs, representative_scores
from skdistill.objectives import TrainingSet

pytestmark = pytest.mark.usefixtures("quick_fits")


def squares(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 2))
    codes = (X[:, 0] > 0).astype(int)
    told = codes.copy()
    told[:40] = 1 - told[:40]
    targets = torch.eye(2, dtype=torch.float64)[told]
    weight = torch.from_numpy(rng.uniform(0.5, 2, n))
    data = TrainingSet(torch.from_numpy(X), targets, weight, torch.from_numpy(told))
    return data, torch.from_numpy(codes)


def test_held_out_fits_do_not_believe_wrong_labels():
    data, codes = squares()
    outputs = held_out_outputs(data, torch.Generator().manual_seed(0))
    assert float((outputs.argmax(1) == codes).double().mean()) > 0.9
    assert float((outputs.argmax(1) == data.codes)[:40].double().mean()) < 0.3


def test_every_cluster_of_a_class_gets_the_same_share():
    rng = np.random.default_rng(0)
    sizes = [160, 30, 10, 100]
    centres = np.array([[0, 0], [20, 0], [0, 20], [20, 20]])
    X = np.repeat(centres, sizes, axis=0) + 0.1 * rng.normal(size=(300, 2))
    codes = np.repeat([0, 0, 0, 1], sizes)
    data = TrainingSet(torch.from_numpy(X), None, torch.ones(300).double(), torch.from_numpy(codes))
    scores = representative_scores(data, np.random.RandomState(0))
    shares = importance_shares(scores, data.weight).numpy()
    assert shares[:200].sum() == pytest.approx(2 / 3)  # classes keep theirs
    held = [part.sum() for part in np.split(shares, np.cumsum(sizes)[:-1])]
    assert held[2] > 2 * 10 / 300  # the small cluster stands for more than its rows


@pytest.mark.parametrize("sampling", ["reducible", "representative"])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_fits_with_these_batches(sampling, kind):
    data, codes = squares(120)
    y = codes.numpy() if kind == "classes" else data.rows[:, 0].numpy()
    distiller = DatasetDistiller(
        6, batch_sampling=sampling, batch_size=20, max_iter=8, random_state=0
    )
    assert len(distiller.fit_distill(data.rows.numpy(), y)) == 6
