"""
A coreset of a file that is never held in memory
================================================

`SensitivityCoreset` reads a memory-mapped file once, block by block. Here the rows are sorted by
cluster, the worst order for a sample of the first rows, and the small set still shows all of them.
The same rows arrive as a stream, and as files that are reduced one by one and merged by hand.
"""

# %%
# A file of 1.2 million rows in the plane, written block by block. The real thing would be larger.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skdistill import DistilledData, SensitivityCoreset

n, k, m = 1_200_000, 12, 300
rng = np.random.default_rng(0)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "rows.npy"
rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, 2))
means = rng.uniform(-10, 10, size=(k, 2))
ends = np.floor(n * np.cumsum(0.7 ** np.arange(k)) / (0.7 ** np.arange(k)).sum()).astype(int)
for mean, start, stop in zip(means, [0, *ends[:-1]], ends, strict=True):
    rows[start:stop] = mean + 0.4 * rng.normal(size=(stop - start, 2))
rows.flush()
del rows

# %%
# The whole file in one call. `indices_` are positions in it.

X = np.load(path, mmap_mode="r")
coreset = SensitivityCoreset(m, random_state=0).fit(X)
small = coreset.distilled_
print(small)

# %%
# The same as a stream: after each chunk there is a small set of all rows so far.

stream = SensitivityCoreset(m, random_state=0)
for start in range(0, n, 200_000):
    stream.partial_fit(X[start : start + 200_000])
    print(f"{stream.n_samples_seen_:>9} rows: {stream.distilled_}")

# %%
# And by hand, as any engine could do it: a coreset of each part, their union, one reduction.

parts = [
    SensitivityCoreset(4 * m, random_state=number).fit_distill(np.array(part))
    for number, part in enumerate(np.array_split(X, 4))
]
merged = DistilledData.concat(parts).reduce(m, random_state=0)

# %%
# The area of a dot is its weight. The first rows of the file know one cluster.

first = DistilledData(np.array(X[:m]), sample_weight=np.full(m, n / m))
sets = {
    "first rows": first,
    "fit of the file": small,
    "stream": stream.distilled_,
    "merged": merged,
}
figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharex=True, sharey=True)
for axis, (name, chosen) in zip(axes, sets.items(), strict=True):
    axis.scatter(*means.T, marker="+", color="black", s=60)
    axis.scatter(*chosen.X.T, s=chosen.sample_weight / 300, alpha=0.5)
    axis.set_title(name)
figure.tight_layout()
folder.cleanup()
