"""
Grid search over the distillation
=================================

How many rows, how wide a kernel, how strong a ridge? Distillation happens inside ``fit``, on the
training part of each fold, so that a grid search treats its parameters as those of any estimator.
"""

# %%
# A Pipeline with a scaler and a classifier that learns its rows. The names of the parameters lead
# through the steps: classifier, its distiller, the distiller's objective.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.objectives import KernelRidge

X, X_test, y, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
distiller = DatasetDistiller(
    objective=KernelRidge(), max_iter=40, early_stopping=False, random_state=0
)
pipeline = Pipeline(
    [("scaler", StandardScaler()), ("classifier", DistilledClassifier(distiller=distiller))]
)
grid = {
    "classifier__distiller__n_samples": [2, 10],
    "classifier__distiller__gamma": [0.01, 0.1],
    "classifier__distiller__objective__reg": [1e-6, 1e-3, 1e-1],
}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
print({name.split("__", 2)[-1]: value for name, value in search.best_params_.items()})
print(f"accuracy on test rows {search.score(X_test, y_test):.3f}")

# %%
# All candidates: one panel for each number of rows, mean accuracy over the folds.

mean = search.cv_results_["mean_test_score"]
parameters = search.cv_results_["params"]
budgets, gammas, ridges = (grid[name] for name in grid)
figure, axes = plt.subplots(1, len(budgets), figsize=(8, 3), layout="constrained", sharey=True)
for ax, budget in zip(axes, budgets, strict=True):
    table = np.empty((len(gammas), len(ridges)))
    for score, candidate in zip(mean, parameters, strict=True):
        n, gamma, reg = (candidate[name] for name in grid)
        if n == budget:
            table[gammas.index(gamma), ridges.index(reg)] = score
    image = ax.imshow(table, vmin=mean.min(), vmax=mean.max(), cmap="viridis")
    for (row, column), score in np.ndenumerate(table):
        dark = score < (mean.min() + mean.max()) / 2
        ax.text(column, row, f"{score:.3f}", ha="center", va="center", color="w" if dark else "k")
    ax.set(title=f"{budget} rows", xlabel="objective__reg")
    ax.set_xticks(range(len(ridges)), ridges)
    ax.set_yticks(range(len(gammas)), gammas)
axes[0].set_ylabel("gamma")
figure.colorbar(image, ax=axes, label="accuracy, mean of 3 folds")
plt.show()
