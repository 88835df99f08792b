"""
A coreset and a uniform sample of an imbalanced mixture
=======================================================

Thirty clusters whose sizes fall geometrically, from a quarter of all rows to a few dozen. A uniform
sample holds many rows of the large clusters and none of the small ones. `SensitivityCoreset` draws
rows by their possible share in the k-means cost, and gives the rows of large clusters large weights.
"""

# %%
# The data: 100,000 rows in the plane.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans

from skdistill import SensitivityCoreset

n, k, m = 100_000, 30, 300
rng = np.random.default_rng(0)
share = 0.75 ** np.arange(k)
sizes = rng.multinomial(n, share / share.sum())
means = rng.uniform(-10, 10, size=(k, 2))
X = np.concatenate([mean + 0.25 * rng.normal(size=(size, 2)) for mean, size in zip(means, sizes)])
print(f"largest cluster {sizes.max()} rows, smallest {sizes.min()}")

# %%
# Two samples of 300 rows. The coreset's weights differ; each uniform row stands for n / m rows.

coreset = SensitivityCoreset(m, loss="kmeans", n_clusters=k, random_state=0).fit_distill(X)
uniform = X[rng.choice(n, m, replace=False)]
samples = {
    "uniform": (uniform, np.full(m, n / m)),
    "coreset": (coreset.X, coreset.sample_weight),
}

# %%
# k-means is solved on each sample, with its weights. The area of a point is its weight. Crosses are
# cluster means that no fitted centre is near.

colours = {"uniform": "#D55E00", "coreset": "#0072B2"}


def solve(rows, weight, seed=0):
    """Centres that k-means finds on a weighted sample."""
    return KMeans(k, n_init=5, random_state=seed).fit(rows, sample_weight=weight).cluster_centers_


def cost(centres):
    """k-means cost of the centres on all rows."""
    return sum(
        ((block[:, None] - centres) ** 2).sum(-1).min(1).sum() for block in np.array_split(X, 50)
    )


figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharex=True, sharey=True, layout="constrained")
for ax, (name, (rows, weight)) in zip(axes, samples.items()):
    centres = solve(rows, weight)
    missed = np.sqrt(((means[:, None] - centres) ** 2).sum(-1).min(1)) > 1
    ax.scatter(*X[::20].T, s=1, color="0.85", rasterized=True)
    ax.scatter(*rows.T, s=weight / 20, color=colours[name], alpha=0.5, linewidth=0)
    ax.scatter(*rows.T, s=4, color=colours[name], linewidth=0)
    ax.scatter(*centres.T, marker="+", s=60, color="black", label="fitted centres")
    ax.scatter(*means[missed].T, marker="x", s=60, color="red", label="clusters missed")
    ax.set(title=f"{name}: {missed.sum()} of {k} clusters missed", aspect="equal")
axes[0].legend(loc="lower left")
plt.show()

# %%
# The cost of the fitted centres on *all* rows, against that of k-means on all rows, over five draws at
# each size.

budgets = [100, 200, 400, 800, 1600]
best = cost(solve(X, None))
ratios = {name: np.empty((len(budgets), 5)) for name in colours}
for i, budget in enumerate(budgets):
    for seed in range(5):
        small = SensitivityCoreset(
            budget, loss="kmeans", n_clusters=k, random_state=seed
        ).fit_distill(X)
        drawn = np.random.default_rng(seed).choice(n, budget, replace=False)
        ratios["coreset"][i, seed] = cost(solve(small.X, small.sample_weight, seed)) / best
        ratios["uniform"][i, seed] = cost(solve(X[drawn], None, seed)) / best

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, ratio in ratios.items():
    ax.plot(budgets, ratio.mean(1), "o-", color=colours[name], label=name)
    ax.fill_between(budgets, ratio.min(1), ratio.max(1), color=colours[name], alpha=0.2, linewidth=0)
ax.axhline(1, color="0.5", linewidth=1, label="k-means on all rows")
ax.set(xscale="log", xlabel="rows in the sample", ylabel="cost on all rows / best cost")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend()
plt.show()
