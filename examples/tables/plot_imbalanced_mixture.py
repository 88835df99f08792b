"""
A coreset and a uniform sample of an imbalanced mixture
=======================================================

Twenty clusters whose sizes fall geometrically, from a fifth of all rows to a few hundred. A uniform
sample holds many rows of the large clusters and few or none of the small ones. `SensitivityCoreset`
draws rows by the share they may have in the k-means cost, and gives each the weight of the rows it
stands for.
"""

# %%
# The data: 50,000 rows in the plane.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances as distances

from skdistill import SensitivityCoreset

n, k, m = 50_000, 20, 200
rng = np.random.default_rng(0)
share = 0.78 ** np.arange(k)
sizes = rng.multinomial(n, share / share.sum())
grid = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)
means = 4.0 * rng.permutation(grid) + rng.uniform(-1, 1, size=(k, 2))
label = np.repeat(np.arange(k), sizes)
X = means[label] + 0.3 * rng.normal(size=(n, 2))
print(f"largest cluster {sizes.max()} rows, smallest {sizes.min()}")

# %%
# Two samples of 200 rows. A uniform row stands for n / m rows; the weights of the coreset differ.

small = SensitivityCoreset(m, loss="kmeans", n_clusters=k, random_state=0).fit_distill(X)
samples = {
    "uniform": (X[rng.choice(n, m, replace=False)], np.full(m, n / m)),
    "coreset": (small.X, small.sample_weight),
}
weights = samples["coreset"][1]
print(f"coreset weights from {weights.min():.0f} to {weights.max():.0f}, sum {weights.sum():.0f}")

# %%
# k-means is solved on each sample with its weights. The area of a point is its weight.

colours = {"uniform": "#D55E00", "coreset": "#0072B2"}


def solve(rows, weight, seed=0):
    """Fit k-means to a weighted sample."""
    return KMeans(k, n_init=20, random_state=seed).fit(rows, sample_weight=weight)


figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
for ax, (name, (rows, weight)) in zip(axes, samples.items(), strict=True):
    centres = solve(rows, weight).cluster_centers_
    missed = distances(means, centres).min(1) > 1
    empty = (distances(means, rows).min(1) > 1.2).sum()
    ax.scatter(*X[::20].T, s=1, color="0.8", rasterized=True)
    ax.scatter(*rows.T, s=weight / 10, color=colours[name], alpha=0.35, linewidth=0)
    ax.scatter(*rows.T, s=4, color=colours[name], linewidth=0)
    ax.scatter(*centres.T, marker="+", s=70, color="black", label="centre fitted to the sample")
    ax.scatter(
        *means[missed].T, s=250, facecolor="none", edgecolor="red", label="cluster without a centre"
    )
    title = f"{name}: {empty} clusters without a row, {missed.sum()} without a centre"
    ax.set(title=title, aspect="equal")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %%
# The cost of the fitted centres on *all* rows, relative to that of k-means on all rows, started at
# the true means: mean and range of five draws at each size.

budgets = [50, 100, 200, 400, 800]
best = KMeans(k, init=means, n_init=1).fit(X).inertia_
ratios = {name: np.empty((len(budgets), 5)) for name in colours}
for i, budget in enumerate(budgets):
    for seed in range(5):
        small = SensitivityCoreset(
            budget, loss="kmeans", n_clusters=k, random_state=seed
        ).fit_distill(X)
        drawn = np.random.default_rng(seed).choice(n, budget, replace=False)
        on_coreset = solve(small.X, small.sample_weight, seed)
        ratios["coreset"][i, seed] = -on_coreset.score(X) / best
        ratios["uniform"][i, seed] = -solve(X[drawn], None, seed).score(X) / best

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, ratio in ratios.items():
    ax.plot(budgets, ratio.mean(1), "o-", color=colours[name], label=name)
    ax.fill_between(
        budgets, ratio.min(1), ratio.max(1), color=colours[name], alpha=0.2, linewidth=0
    )
ax.axhline(1, color="0.5", linewidth=1, label="k-means on all rows")
ax.set(xscale="log", xlabel="rows in the sample", ylabel="cost on all rows / best cost")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend()
plt.show()
