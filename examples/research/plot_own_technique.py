"""
Your own technique against DM, in ten minutes
=============================================

A distillation technique is one small class: it says how good the learnt rows are for a batch of
real rows. Everything else (units, start, batches, steps) is done for it. Here is one that matches
classes by the *energy distance*, beside distribution matching (DM), both judged by the field's
protocol: fresh networks are trained on the learnt rows alone.
"""

# %%
# The technique. ``support.rows`` are what is learnt, ``batch.rows`` are real; classes are one-hot.
# The energy distance of two clouds of rows is twice the mean distance between them, less the mean
# distances within each. It is zero only where both are distributed alike.

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.evaluation import evaluate
from skdistill.networks import ConvNet
from skdistill.objectives import DistributionMatching, Objective


class EnergyDistance(Objective):
    """Match each class of the real rows in the energy distance (Szekely & Rizzo, 2013)."""

    balances_classes: ClassVar[bool] = True
    keeps_best: ClassVar[bool] = False

    def batch_loss(self, support, batch, weights):
        """Sum over classes of the distance between learnt and real rows."""
        between = torch.cdist(support.rows, batch.rows)
        within = torch.cdist(support.rows, support.rows)
        learnt = support.labels / support.labels.sum(0)
        real = batch.targets * weights[:, None]
        real = real / real.sum(0).clamp(min=1e-12)
        return (
            2 * (learnt.T @ between @ real).diagonal() - (learnt.T @ within @ learnt).diagonal()
        ).sum()

    def predictor(self, support):
        """Nearest learnt row, softly: what importance batches ask."""
        return lambda rows: torch.softmax(-torch.cdist(rows, support.rows), 1) @ support.labels


# %%
# Both learn fifty digits from the same uniform start, with batches of the same size.

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
network, image_shape = ConvNet(width=16), (1, 8, 8)
common = {
    "image_shape": image_shape,
    "init": "uniform",
    "batch_sampling": "uniform",
    "batch_size": 320,
    "max_iter": 200,
    "random_state": 0,
}
techniques = {"energy distance": EnergyDistance(), "DM": DistributionMatching(network)}
sets = {
    name: DatasetDistiller(50, objective=technique, **common).fit_distill(X, y)
    for name, technique in techniques.items()
}
start = DatasetDistiller(50, objective=EnergyDistance(), **common | {"max_iter": 0})
sets = {"random rows": start.fit_distill(X, y), **sets}

# %%
# Three networks for each set. Random rows are the rival that every technique has to beat.

scores = {
    name: evaluate(
        small,
        X_test,
        y_test,
        X_train=X,
        network=network,
        image_shape=image_shape,
        n_networks=3,
        random_state=0,
    )
    for name, small in sets.items()
}
for name, found in scores.items():
    print(f"{name:16} {found.mean():.3f}, from {found.min():.3f} to {found.max():.3f}")

# %%
# One learnt row of each digit.

figure, axes = plt.subplots(len(sets), 10, figsize=(9, 3), layout="constrained")
for line, (name, small) in zip(axes, sets.items(), strict=True):
    for digit, axis in enumerate(line):
        image = small.X[np.flatnonzero(small.y == digit)[0]]
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %%
# One seed and a small data set: a trial, and no verdict. ``benchmarks/techniques.py`` compares
# techniques over seeds, starts and kinds of batches.
