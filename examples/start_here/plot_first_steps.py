"""
A small set in five lines
=========================

Choose 100 of 1,347 digits, look at them, and train a model on them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skdistill import SensitivityCoreset

X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
small = SensitivityCoreset(100, random_state=0).fit_distill(X, y)
print(small)

# %%
# The set is a mapping of ``X``, ``y`` and ``sample_weight``, so that ``fit`` takes it whole.
# ``normalized()`` divides the weights by their mean, which suits models with a penalty.

model = LogisticRegression(max_iter=1000).fit(**small.normalized())
print(f"accuracy on test rows: {model.score(X_test, y_test):.3f}")

# %%
# The chosen rows are rows of the data: here the ten that stand for the most rows.

largest = np.argsort(-small.sample_weight)[:10]
figure, axes = plt.subplots(1, 10, figsize=(9, 1.5), layout="constrained")
for axis, row in zip(axes, largest, strict=True):
    axis.imshow(small.X[row].reshape(8, 8), cmap="gray_r")
    axis.set(xticks=[], yticks=[])
    axis.set_title(f"{small.y[row]}: {small.sample_weight[row]:.0f} rows", fontsize=8)
plt.show()

# %%
# Is it better than a random sample? Always compare with as many uniform rows, over several draws.
# Here are the mean and the range of five.

budgets = (30, 50, 100, 200, 400)
on_all = LogisticRegression(max_iter=1000).fit(X, y).score(X_test, y_test)
scores = {name: np.empty((len(budgets), 5)) for name in ("chosen rows", "uniform rows")}
for place, m in enumerate(budgets):
    for seed in range(5):
        chosen = SensitivityCoreset(m, random_state=seed).fit_distill(X, y).normalized()
        drawn, _, labels, _ = train_test_split(X, y, train_size=m, stratify=y, random_state=seed)
        for name, rows in (("chosen rows", chosen), ("uniform rows", {"X": drawn, "y": labels})):
            model.fit(**rows)
            scores[name][place, seed] = model.score(X_test, y_test)

figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for (name, found), colour in zip(scores.items(), ("#d95f02", "#8a8f98"), strict=True):
    axis.plot(budgets, found.mean(1), "o-", color=colour)
    axis.fill_between(budgets, found.min(1), found.max(1), color=colour, alpha=0.2, linewidth=0)
    axis.annotate(
        name, (budgets[1], found[1].mean()), (8, -12), textcoords="offset points", color=colour
    )
axis.axhline(on_all, color="#1f4e79")
axis.annotate(
    f"all {len(X):,} rows",
    (budgets[0], on_all),
    (0, 4),
    textcoords="offset points",
    color="#1f4e79",
)
axis.set(xscale="log", xlabel="rows trained on", ylabel="accuracy on test rows")
axis.set_xticks(budgets, budgets)
axis.minorticks_off()
plt.show()
