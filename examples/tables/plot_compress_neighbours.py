"""
Nearest neighbours and support vectors on fewer rows
====================================================

A nearest-neighbour model *is* its rows: it keeps all of them and searches them for each prediction.
So do support vectors where classes overlap. A hundred rows make both small, and support vectors
fast.
"""

# %%
# Two half-moons that overlap, 20,000 rows.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from skdistill import AutoDistiller, DatasetDistiller, DistilledClassifier

X, y = make_moons(25_000, noise=0.3, random_state=0)
X, X_test, y, y_test = train_test_split(X, y, test_size=5_000, random_state=0)
m = 100

# %%
# For nearest neighbours rows can be *learnt*: prototypes that move until their neighbours have the
# right class. For support vectors :class:`~skdistill.AutoDistiller` finds the rows.

prototypes = DatasetDistiller(m, objective="nearest_neighbors", max_iter=300, random_state=0)
learnt = prototypes.fit_distill(X, y)
chosen = AutoDistiller(m, n_exchanges=0, random_state=0)
drawn = np.random.default_rng(0).choice(len(X), m, replace=False)
models = {
    "3-NN, all rows": KNeighborsClassifier(3).fit(X, y),
    "3-NN, uniform rows": KNeighborsClassifier(3).fit(X[drawn], y[drawn]),
    "1-NN, learnt prototypes": KNeighborsClassifier(1).fit(learnt.X, learnt.y),
    "SVC, all rows": SVC(C=10).fit(X, y),
    "SVC, uniform rows": SVC(C=10).fit(X[drawn], y[drawn]),
    "SVC, chosen rows": DistilledClassifier(SVC(C=10), chosen).fit(X, y),
}
print(f"{'':24}{'accuracy':>9}{'predicts 5,000 rows in':>25}")
for name, model in models.items():
    start = time.perf_counter()
    accuracy = model.score(X_test, y_test)
    milliseconds = 1000 * (time.perf_counter() - start)
    print(f"{name:24}{accuracy:9.3f}{milliseconds:22.0f} ms")

# %%
# The borders that the models draw, with some of the rows. That of 3-NN on all rows follows the
# noise.

figure, axes = plt.subplots(2, 3, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
for axis, (name, model) in zip(axes.flat, models.items(), strict=True):
    DecisionBoundaryDisplay.from_estimator(
        model,
        X[:2000],
        ax=axis,
        response_method="predict",
        grid_resolution=100,
        cmap="RdBu",
        alpha=0.5,
    )
    axis.scatter(*X[:300].T, c=y[:300], s=4, cmap="RdBu")
    axis.set(title=name, xticks=[], yticks=[], xlabel="", ylabel="")
plt.show()
