"""
A table reduced to 200 rows, with its predictor
===============================================

Thousands of rows of a regression are replaced by 200 that are learnt, together with the scales
of a kernel. The rows serve one predictor, kernel ridge regression with those scales; it is held
against kernel ridge regression on all rows and on as many uniform rows.
"""

# %%
# The table: five features of ten decide (Friedman's first problem), and there is noise.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, train_test_split

from skdistill import DatasetDistiller, DistilledRegressor

X, y = make_friedman1(2800, noise=1.0, random_state=0)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
distiller = DatasetDistiller(200, max_iter=200, random_state=0)
model = DistilledRegressor(distiller=distiller).fit(X, y)
fitted, small = model.distiller_, model.distilled_
learnt = model.score(X_test, y_test)

# %%
# The same kind of predictor on all rows and on uniform rows: once with one width for all features,
# chosen by cross-validation as the ridge is, and once with the scales that were learnt.

grid = {"alpha": [1e-3, 1e-2, 1e-1, 1], "gamma": [0.03, 0.1, 0.3, 1.0]}
one_width = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=2)
scales = RBF(fitted.length_scale_)
learnt_scales = GridSearchCV(KernelRidge(kernel=scales), {"alpha": grid["alpha"]}, cv=2)
mean, rng = y.mean(), np.random.default_rng(0)
draws = [rng.choice(len(X), 200, replace=False) for _ in range(5)]


def on_rows(search, rows):
    """R2 on the test rows; kernel ridge has no intercept, so the target is centred."""
    search.fit(X[rows], y[rows] - mean)
    return search.score(X_test, y_test - mean)


everything = np.arange(len(X))
scores = {
    f"all {len(X):,} rows, one width": [on_rows(one_width, everything)],
    f"all {len(X):,} rows, learnt scales": [on_rows(learnt_scales, everything)],
    "200 learnt rows": [learnt],
    "200 uniform rows, learnt scales": [on_rows(learnt_scales, rows) for rows in draws],
    "200 uniform rows, one width": [on_rows(one_width, rows) for rows in draws],
}
for name, values in scores.items():
    print(f"{name:34s} R2 {np.mean(values):.3f}")

# %%
# Predictions on test rows, and the scores; thin marks are the five draws.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10.5, 4.2), layout="constrained", width_ratios=(1, 1.2)
)
left.scatter(y_test, model.predict(X_test), s=5, alpha=0.5, color="#0072B2", linewidth=0)
limits = [y_test.min(), y_test.max()]
left.plot(limits, limits, color="0.3", linewidth=1)
left.set(xlabel="target of the test rows", ylabel="predicted by 200 learnt rows", aspect="equal")
places = np.arange(len(scores))[::-1]
right.barh(
    places, [np.mean(v) for v in scores.values()], color=["0.6", "0.6", "#0072B2"] + ["#E69F00"] * 2
)
for place, values in zip(places, scores.values(), strict=True):
    right.plot(values, np.full(len(values), place), "|", color="black", markersize=12)
right.set_yticks(places, scores)
right.set(xlabel="$R^2$ on the test rows", xlim=(0, 1))
plt.show()

# %%
# What was learnt: length scales are shortest for the three features whose effect is curved. The two
# with a straight effect do with longer ones, hardly told from those of the five that do not count.
# The rows spread beyond the unit cube that the data fill.

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
left.bar(range(10), 1 / fitted.length_scale_, color=["#0072B2"] * 5 + ["0.7"] * 5)
left.set(xlabel="feature", ylabel="1 / length scale", xticks=range(10))
right.scatter(X[:, 0], X[:, 1], s=3, color="0.8", label="all rows", rasterized=True)
points = right.scatter(
    small.X[:, 0], small.X[:, 1], s=14, c=small.y, cmap="viridis", label="learnt"
)
figure.colorbar(points, ax=right, label="learnt label")
right.set(xlabel="feature 0", ylabel="feature 1")
right.legend(loc="upper left")
plt.show()
