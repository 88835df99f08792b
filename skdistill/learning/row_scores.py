r"""Scores of real rows that need more than the current small set: other ways to fill batches.

**Reducible loss** (S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth
Learning, and Not Yet Learnt", ICML 2022): the loss of a row less that under a model trained without
it. A wrong label is wrong for both, and counts for nothing. The model here is kernel ridge
regression on a few hundred landmarks, and every row is held out of one of five fits.

**Representative rows** (Y. Liu et al., "DREAM: Efficient Dataset Distillation by Representative
Matching", ICCV 2023): every cluster of a class stands in the batches equally often, however many
rows it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from .. import _torch as torch
from ..batches.stored_rows import as_array
from ..batches.training_set import BLOCK_ROWS, Sample, TrainingSet
from ..objectives._ridge.labels import label_system
from ..objectives._ridge.rbf import rbf

FOLDS = 5
LANDMARKS = 300
FIT_ROWS = 4096  # of each fit
RIDGE = 1e-4
TEMPERATURE = 0.1  # that makes the outputs of the fits logits
CLUSTERS = 256  # of all classes together
ROWS_PER_CLUSTER = 4  # least, on average
CLUSTER_ROWS = 20_000  # that clusters are found on


def held_out_outputs(data: TrainingSet, generator: Any) -> Any:
    """Compute outputs of kernel ridge regression for each row, from fits without it.

    Parameters
    ----------
    data : TrainingSet
        With targets.
    generator : torch.Generator

    Returns
    -------
    float64 Tensor of shape (n, q)
    """
    device = data.weight.device
    order = torch.randperm(len(data), generator=generator, device=device)
    parts = order.chunk(FOLDS)
    outputs = torch.empty((len(data), data.targets.shape[1]), dtype=torch.float64, device=device)
    for k, part in enumerate(parts):
        rest = [other for j, other in enumerate(parts) if j != k]
        train = torch.cat(rest)[:FIT_ROWS] if rest else part
        landmarks = data.take(train[:LANDMARKS], torch.float64).rows
        length = (landmarks - landmarks.mean(0)).square().sum(1).mean().sqrt()
        scale = 1 / length if length > 0 else 1.0
        landmarks = landmarks * scale

        def kernel(rows: Any, landmarks: Any = landmarks, scale: Any = scale) -> Any:
            return rbf(rows * scale, landmarks)

        weight = data.weight[train].double()
        sample = Sample(data, train, weight / weight.sum())
        a, b = label_system(kernel, rbf(landmarks, landmarks), sample).solve(RIDGE)
        for block in part.split(BLOCK_ROWS):
            rows = data.take(block, torch.float64).rows
            outputs[block] = torch.addmm(b, kernel(rows), a)
    return outputs


def representative_scores(data: TrainingSet, rng: np.random.RandomState) -> Any:
    """Score rows so that all clusters of a class have the same share of the draws.

    Parameters
    ----------
    data : TrainingSet
    rng : RandomState

    Returns
    -------
    float64 Tensor of shape (n,)
        Their weighted mean within a class, or over all rows where there are none, is 1.
    """
    rows = as_array(data.rows)
    weight = data.weight.double().cpu().numpy()
    codes = np.zeros(len(rows), int) if data.codes is None else data.codes.cpu().numpy()
    scores = np.ones(len(rows))
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        held = weight[members]
        wished = round(CLUSTERS * held.sum() / weight.sum())
        count = max(1, min(wished, len(members) // ROWS_PER_CLUSTER))
        points = np.asarray(rows[members], dtype=np.float64)
        model = MiniBatchKMeans(count, n_init=1, random_state=rng)
        some = rng.permutation(len(members))[:CLUSTER_ROWS]
        label = model.fit(points[some], sample_weight=held[some]).predict(points)
        mass = np.bincount(label, weights=held, minlength=count)
        scores[members] = held.sum() / ((mass > 0).sum() * mass[label])
    return torch.from_numpy(scores).to(data.weight.device)
