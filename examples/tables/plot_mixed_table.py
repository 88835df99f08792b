"""
A table of mixed columns, reduced and learnt from
=================================================

A DataFrame with text, numbers, missing values and a heavy tail is reduced to a few hundred of its
own rows. Rows must be encoded to be compared, but the result need not be: ``preprocessor`` makes
the features that the scores are computed from, and what comes out are rows of the table.
"""

# %%
# The table: flats and their rents. Most are of ordinary size and in two districts; a few are large,
# and a few are in districts where a square metre costs three times as much.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from skdistill import DistilledRegressor, SensitivityCoreset

n = 20_000
rng = np.random.default_rng(0)
price = {"north": 9.0, "east": 10.0, "south": 13.0, "harbour": 24.0, "hill": 30.0}
flats = pd.DataFrame(
    {
        "district": rng.choice(list(price), n, p=[0.5, 0.4, 0.07, 0.02, 0.01]),
        "size": 35 + 25 * rng.pareto(2.5, n),
        "built": rng.integers(1900, 2024, n).astype(float),
        "heating": rng.choice(["gas", "oil", "remote"], n, p=[0.6, 0.1, 0.3]),
    }
)
age_factor = 1 + 0.002 * (flats["built"] - 1960)
rent = flats["size"] * flats["district"].map(price) * age_factor + 30 * rng.standard_t(4, n)
flats.loc[rng.random(n) < 0.1, "built"] = np.nan
X_train, X_test, y_train, y_test = train_test_split(flats, rent, random_state=0)
X_train.head()

# %%
# Numbers are imputed and scaled, text is one-hot encoded, for the scores alone. The rows keep their
# columns, their types and their index, and get a weight.

encoder = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["size", "built"]),
    (OneHotEncoder(handle_unknown="ignore"), ["district", "heating"]),
    sparse_threshold=0,
)
coreset = SensitivityCoreset(200, loss="kernel_ridge", preprocessor=encoder, random_state=0)
small = coreset.fit_distill(X_train, y_train)
small.to_pandas(y_name="rent").head()

# %%
# What was chosen: large flats and rare districts, more often than they occur and with small
# weights; of the many ordinary flats a few, with large weights. The area of a point is its weight.

figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.scatter(X_train["size"], y_train, s=2, color="0.8", rasterized=True)
palette = ["#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7"]
for name, colour in zip(price, palette, strict=True):
    of_district = (small.X["district"] == name).to_numpy()
    ax.scatter(
        small.X["size"][of_district],
        small.y[of_district],
        s=6 + small.sample_weight[of_district] / 2,
        color=colour,
        alpha=0.6,
        linewidth=0,
        label=f"{name}: {of_district.sum()} of {(X_train['district'] == name).sum()}",
    )
ax.set(xscale="log", yscale="log", xlabel="size", ylabel="rent")
ax.legend(title="rows chosen")
plt.show()

# %%
# A ridge regression with products of the encoded columns, trained on all rows, on the small set
# with its weights, and on as many uniform rows: mean and range of five draws at each size.

model = make_pipeline(
    encoder, PolynomialFeatures(interaction_only=True), RidgeCV(np.logspace(-2, 4, 13))
)
on_all = model.fit(X_train, y_train).score(X_test, y_test)
budgets = [50, 100, 200, 400]
scores = {name: np.empty((len(budgets), 5)) for name in ("uniform", "coreset")}
for i, budget in enumerate(budgets):
    for seed in range(5):
        coreset.set_params(n_samples=budget, random_state=seed)
        distilled = DistilledRegressor(model, coreset).fit(X_train, y_train)
        scores["coreset"][i, seed] = distilled.score(X_test, y_test)
        rows = X_train.sample(budget, random_state=seed)
        scores["uniform"][i, seed] = model.fit(rows, y_train[rows.index]).score(X_test, y_test)

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, colour in {"uniform": "#D55E00", "coreset": "#0072B2"}.items():
    low, mean, high = scores[name].min(1), scores[name].mean(1), scores[name].max(1)
    ax.plot(budgets, mean, "o-", color=colour, label=name)
    ax.fill_between(budgets, low, high, color=colour, alpha=0.2, linewidth=0)
ax.axhline(on_all, color="0.5", linewidth=1, label=f"all {len(X_train)} rows")
ax.set(xscale="log", xlabel="rows trained on", ylabel="$R^2$ on the test rows")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend(loc="lower right")
plt.show()
