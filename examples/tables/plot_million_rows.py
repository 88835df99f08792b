"""
A million rows: boosting with early stopping
============================================

Gradient boosting on a million rows takes a while. Train it on a small weighted set instead, and
keep what early stopping needs most: enough *real* rows that were held out. A tenth of a small set
is too few to say when to stop. ``validation="held_out"`` keeps up to 10,000 rows for it.
"""

# %%
# A million rows of ten columns. One row in thirty belongs to a group that follows a rule of its
# own.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split

from skdistill import DistilledRegressor, SensitivityCoreset

n = 1_000_000
rng = np.random.default_rng(0)
X = rng.normal(size=(n, 10)).astype(np.float32)
rare = rng.random(n) < 1 / 30
X[rare] += 4
y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.where(rare, 5 * X[:, 3], 0)
y = (y + rng.normal(scale=0.5, size=n)).astype(np.float32)
X, X_test, y, y_test = train_test_split(X, y, test_size=50_000, random_state=0)
boosting = HistGradientBoostingRegressor(max_iter=100, early_stopping=True, random_state=0)

# %%
# Rows chosen by importance, with weights, against as many uniform rows.

ways = {
    "chosen rows": lambda m: SensitivityCoreset(m, sampling="systematic", random_state=0),
    "uniform rows": lambda m: SensitivityCoreset(m, uniform_mixing=1, random_state=0),
}
budgets = (1_000, 4_000, 16_000)
scores = {name: [] for name in ways}
for name, way in ways.items():
    for m in budgets:
        start = time.perf_counter()
        model = DistilledRegressor(boosting, way(m), validation="held_out").fit(X, y)
        seconds = time.perf_counter() - start
        scores[name].append(model.score(X_test, y_test))
        print(f"{m:>7,} {name}: {seconds:4.1f} s, R2 {scores[name][-1]:.3f}")
start = time.perf_counter()
on_all = boosting.fit(X, y).score(X_test, y_test)
print(f"{len(X):>7,} rows, all: {time.perf_counter() - start:4.1f} s, R2 {on_all:.3f}")

# %%
# A sixtieth of the rows comes close to all of them. Which rows they are counts while they are few.
# Each point is one draw.

figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for (name, found), colour in zip(scores.items(), ("#d95f02", "#8a8f98"), strict=True):
    axis.plot(budgets, found, "o-", color=colour)
    axis.annotate(name, (budgets[0], found[0]), (10, -8), textcoords="offset points", color=colour)
axis.axhline(on_all, color="#1f4e79")
axis.annotate(
    f"all {len(X):,} rows",
    (budgets[0], on_all),
    (0, -12),
    textcoords="offset points",
    color="#1f4e79",
)
axis.set(xscale="log", xlabel="rows trained on", ylabel="$R^2$ on test rows")
axis.set_xticks(budgets, [f"{m:,}" for m in budgets])
axis.minorticks_off()
plt.show()
