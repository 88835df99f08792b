"""
A coreset of a Dask array
=========================

Each worker makes the small set of its own partitions, and only small sets travel. The seed of a
partition depends on its position alone: one worker or a hundred, the result is the same.
"""

# %%
# A lazy array of 400,000 rows in 40 partitions. Nothing is computed yet.

import dask
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

from skdistill import DistilledClassifier, SensitivityCoreset

rng = da.random.default_rng(0)
X = rng.normal(size=(400_000, 8), chunks=(10_000, 8))
y = (X[:, 0] + X[:, 1] ** 2 + 0.3 * rng.normal(size=400_000, chunks=10_000) > 0.5).astype(int)

# %%
# The fit runs on whatever scheduler is set: threads here, a cluster where there is a
# `dask.distributed.Client`.

coreset = SensitivityCoreset(500, random_state=0)
small = coreset.fit_distill(X, y)
print(small)
with dask.config.set(scheduler="synchronous"):
    again = coreset.fit_distill(X, y)
print("same rows on one worker:", np.array_equal(small.indices, again.indices))

# %%
# A classifier trained on the small set predicts lazily, block by block.

model = DistilledClassifier(LogisticRegression(), coreset).fit(X, y)
probability = model.predict_proba(X)
print(probability)
print("accuracy:", (model.predict(X) == y).mean().compute())

# %%
# Where the chosen rows come from: every partition gives some.

figure, axis = plt.subplots(figsize=(7, 3))
axis.hist(small.indices // 10_000, bins=np.arange(41))
axis.set_xlabel("partition")
axis.set_ylabel("chosen rows")
figure.tight_layout()
