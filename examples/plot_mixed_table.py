"""
A table of mixed columns, reduced and learnt from
=================================================

A DataFrame with text, numbers, missing values and a heavy tail is reduced to a few hundred of its own
rows. Encoding and scaling are needed to compare rows, but not in the result: ``preprocessor`` makes the
features that the scores are computed from, and the rows that come out are rows of the table.
"""

# %%
# The table: flats with their rents. Most are small and in two districts; a few are large and dear.

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
district = rng.choice(["north", "east", "south", "harbour", "hill"], n, p=[0.5, 0.4, 0.07, 0.02, 0.01])
size = 35 + 25 * rng.pareto(2.5, n)
built = rng.integers(1900, 2024, n).astype(float)
heating = rng.choice(["gas", "oil", "district"], n, p=[0.6, 0.1, 0.3])
per_square_metre = pd.Series(district).map(
    {"north": 9.0, "east": 10.0, "south": 13.0, "harbour": 24.0, "hill": 30.0}
)
rent = size * per_square_metre * (1 + 0.002 * (built - 1960)) + 60 * rng.standard_t(4, n)
built[rng.random(n) < 0.1] = np.nan
flats = pd.DataFrame({"district": district, "size": size, "built": built, "heating": heating})
X_train, X_test, y_train, y_test = train_test_split(flats, rent, random_state=0)
flats.head()

# %%
# Numbers are imputed and scaled, categories one-hot encoded, for the scores alone.


def encoder():
    """Make numbers out of the columns."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["size", "built"]),
        (OneHotEncoder(handle_unknown="ignore"), ["district", "heating"]),
    )


distiller = SensitivityCoreset(
    300, loss="kernel_ridge", preprocessor=encoder(), random_state=0
)
small = distiller.fit_distill(X_train, y_train)
small.to_pandas(y_name="rent").head()

# %%
# What was chosen: the few large flats and the rare districts, with small weights; among the many alike a
# few, with large ones. The area of a point is its weight.

figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.scatter(X_train["size"], y_train, s=2, color="0.8", label="all rows", rasterized=True)
for colour, name in zip(["#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7"], per_square_metre.index[:0].union(pd.unique(flats["district"]))):
    chosen = (small.X["district"] == name).to_numpy()
    ax.scatter(
        small.X["size"][chosen],
        small.y[chosen],
        s=8 + small.sample_weight[chosen] / 2,
        color=colour,
        alpha=0.7,
        linewidth=0,
        label=f"{name}: {chosen.sum()} of {(X_train['district'] == name).sum()}",
    )
ax.set(xscale="log", yscale="log", xlabel="size", ylabel="rent")
ax.legend(title="district: rows chosen")
plt.show()
