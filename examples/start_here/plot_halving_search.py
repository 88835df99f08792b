"""
How many rows? A halving search over ``n_samples``
==================================================

The number of rows can be the *resource* of a successive halving search. Every setting is tried on
a very small set, the better third goes on to three times as many rows, and only the best are
trained on many. The search distils inside each fold, so the test rows are never seen.
"""

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, train_test_split
from sklearn.svm import SVC

from skdistill import DistilledClassifier, SensitivityCoreset

X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)

# %%
# With ``memory`` settings of the model that meet the same fold and number of rows share one small
# set: it is made once.

cache = TemporaryDirectory()
model = DistilledClassifier(SVC(), SensitivityCoreset(random_state=0), memory=cache.name)
search = HalvingRandomSearchCV(
    model,
    {"estimator__C": loguniform(1e-1, 1e3), "estimator__gamma": loguniform(1e-5, 1e-1)},
    resource="distiller__n_samples",
    min_resources=30,
    max_resources=810,
    n_candidates=27,
    factor=3,
    cv=3,
    random_state=0,
).fit(X, y)
print("best:", {name: f"{value:.3g}" for name, value in search.best_params_.items()})
print(f"accuracy on test rows: {search.score(X_test, y_test):.3f}")
cache.cleanup()

# %%
# Each line is a setting, followed as far as it went. Poor settings end after thirty rows.

results = search.cv_results_
paths: dict[tuple, list] = {}
for setting, rows, score in zip(
    results["params"], results["n_resources"], results["mean_test_score"], strict=True
):
    key = (setting["estimator__C"], setting["estimator__gamma"])
    paths.setdefault(key, []).append((rows, score))
figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
for path in paths.values():
    last = len(path) == search.n_iterations_
    colour = "#d95f02" if last else "#8a8f98"
    axis.plot(*zip(*path, strict=True), "o-", color=colour, alpha=0.7, zorder=3 if last else 2)
steps = search.n_resources_
axis.set(xscale="log", ylabel="accuracy, mean of 3 folds")
axis.set_xticks(
    steps, [f"{m} rows\n{n} tried" for m, n in zip(steps, search.n_candidates_, strict=True)]
)
axis.minorticks_off()
plt.show()

# %%
# A setting that is best for thirty rows need not be best for all of them: penalties and widths
# change with the number of rows. Halving is safe in this respect, because the last rounds compare
# the finalists on many rows.
