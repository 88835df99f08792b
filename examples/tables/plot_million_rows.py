"""
A million rows: boosting with early stopping
============================================

Gradient boosting on a million rows takes a while. Train it on a small weighted set instead, and
keep what early stopping needs most: enough *real* rows that were held out. A tenth of a small set
is too few to say when to stop.
"""

# %%
# A million rows of ten columns. One row in thirty belongs to a group that follows a rule of its
# own.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from skdistill import SensitivityCoreset

n = 1_000_000
rng = np.random.default_rng(0)
X = rng.normal(size=(n, 10)).astype(np.float32)
rare = rng.random(n) < 1 / 30
X[rare] += 4
y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.where(rare, 5 * X[:, 3], 0)
y = (y + rng.normal(scale=0.5, size=n)).astype(np.float32)
X, X_test, y, y_test = train_test_split(X, y, test_size=50_000, random_state=0)
X, X_stop, y, y_stop = train_test_split(X, y, test_size=10_000, random_state=0)


def boost(**rows):
    """Boosting that stops when 10,000 held-out rows get no better, its R2 and its seconds."""
    start = time.perf_counter()
    model = HistGradientBoostingRegressor(
        max_iter=100, early_stopping=True, n_iter_no_change=10, random_state=0
    ).fit(**rows, X_val=X_stop, y_val=y_stop)
    return r2_score(y_test, model.predict(X_test)), time.perf_counter() - start


# %%
# Rows chosen by importance, with weights, against as many uniform rows.

budgets = (1_000, 4_000, 16_000)
found = {"chosen rows": [], "uniform rows": []}
for m in budgets:
    start = time.perf_counter()
    coreset = SensitivityCoreset(m, sampling="systematic", random_state=0)
    small = coreset.fit_distill(X, y)
    chosen = time.perf_counter() - start
    score, seconds = boost(**small.normalized())
    found["chosen rows"].append(score)
    drawn = rng.choice(len(X), m, replace=False)
    found["uniform rows"].append(boost(X=X[drawn], y=y[drawn])[0])
    print(f"{m:>7,} rows: chosen in {chosen:.1f} s, trained on in {seconds:.1f} s, R2 {score:.3f}")
on_all, seconds = boost(X=X, y=y)
print(f"{len(X):>7,} rows: trained on in {seconds:.1f} s, R2 {on_all:.3f}")

# %%
# A sixtieth of the rows comes close to all of them. Which rows they are counts while they are few.
# Each point is one draw.

figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for (name, scores), colour in zip(found.items(), ("#d95f02", "#8a8f98"), strict=True):
    axis.plot(budgets, scores, "o-", color=colour)
    axis.annotate(name, (budgets[0], scores[0]), (10, -8), textcoords="offset points", color=colour)
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
