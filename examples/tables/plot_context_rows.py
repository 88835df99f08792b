"""
A context for TabPFN: the positions of the rows
===============================================

Some models take a few thousand rows at most: TabPFN reads its training rows as a *context*, and a
Gaussian process factors a matrix whose side is their number. Choose the rows, and hand over your
own by position: ``indices_`` says where they stand.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.model_selection import train_test_split

from skdistill import SensitivityCoreset

X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)

# %%
# A Gaussian process stands in for TabPFN here, which is called in the same way::
#
#     from tabpfn import TabPFNClassifier
#     model = TabPFNClassifier().fit(X[keep], y[keep])

keep = SensitivityCoreset(100, sampling="medoids", random_state=0).fit(X, y).indices_
model = GaussianProcessClassifier(RBF(25.0), optimizer=None).fit(X[keep], y[keep])
print(f"{len(keep)} of {len(X):,} rows, accuracy {model.score(X_test, y_test):.3f}")

# %%
# Is it worth it? Four contexts of each kind; each dot is one. Do the same on your data: where rows
# are much alike, and for smooth targets that are numbers, random contexts can be as good or better.

sizes, scores = (50, 100, 200), {"uniform rows": [], "medoids": []}
for m in sizes:
    for seed in range(4):
        drawn, _ = train_test_split(np.arange(len(X)), train_size=m, stratify=y, random_state=seed)
        coreset = SensitivityCoreset(m, sampling="medoids", random_state=seed).fit(X, y)
        for name, rows in (("uniform rows", drawn), ("medoids", coreset.indices_)):
            scores[name].append((m, model.fit(X[rows], y[rows]).score(X_test, y_test)))

figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for (name, points), colour in zip(scores.items(), ("#8a8f98", "#d95f02"), strict=True):
    budgets, found = np.array(points).T
    means = [found[budgets == m].mean() for m in sizes]
    axis.plot(budgets, found, "o", color=colour, alpha=0.5)
    axis.plot(sizes, means, color=colour)
    axis.annotate(name, (sizes[0], means[0]), (10, -3), textcoords="offset points", color=colour)
axis.set(xlabel="rows in the context", ylabel="accuracy on test rows")
axis.set_xticks(sizes)
plt.show()
