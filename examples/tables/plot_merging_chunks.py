"""
Merging the small sets of chunks
================================

A file arrives each month. Keep a small set of each, throw the file away, and merge the sets when
you train: a union of small sets is a small set of the union, and it can be reduced again.
"""

# %%
# Twelve months of rows whose target drifts, and a test set of the whole year.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from skdistill import DistilledData, SensitivityCoreset

rng = np.random.default_rng(0)


def month(number, n=20_000):
    """Rows of one month: their centre moves, and so does what decides the class."""
    X = rng.normal(loc=[number / 4, 0, 0], size=(n, 3))
    return X, (X[:, 1] + np.sin(X[:, 0]) + rng.normal(scale=0.5, size=n) > 0).astype(int)


parts, year, tests = [], [], []
for number in range(12):
    X, y = month(number)
    coreset = SensitivityCoreset(1_000, sampling="systematic", random_state=number)
    parts.append(coreset.fit_distill(X, y))
    year.append((X, y))
    tests.append(month(number, 2_000))
print(parts[-1])

# %%
# ``concat`` joins the sets with their weights, ``reduce`` makes a smaller one of the union.

merged = DistilledData.concat(parts)
reduced = merged.reduce(1_000, random_state=0)
print(merged)
print(reduced)

# %%
# The same model on the last month's set, on the reduced set, and on all 240,000 rows.

X, y = (np.concatenate(part) for part in zip(*year, strict=True))
sets = {
    "last month: 1,000 rows": parts[-1],
    "merged and reduced: 1,000 rows": reduced,
    f"all {len(X):,} rows": DistilledData(X, y),
}
figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
for (name, rows), colour in zip(sets.items(), ("#8a8f98", "#d95f02", "#1f4e79"), strict=True):
    rows = rows.normalized()
    model = make_pipeline(SplineTransformer(), LogisticRegression(max_iter=1000))
    model.fit(rows.X, rows.y, logisticregression__sample_weight=rows.sample_weight)
    accuracy = [model.score(*test) for test in tests]
    axis.plot(range(1, 13), accuracy, "o-", color=colour, label=name)
axis.set(xlabel="month of the test rows", ylabel="accuracy", xticks=range(1, 13))
axis.legend()
plt.show()

# %%
# Each set can be saved with ``save`` and read with :meth:`~skdistill.DistilledData.load` on another
# machine. ``SensitivityCoreset.partial_fit`` does the same in one place.
