"""
Digits learnt from ten rows, step by step
=========================================

Ten images stand for a training set of thousands of digits. They start as k-means centres of the
classes and are moved, with their labels, until the kernel ridge predictor that they induce fits
the training data. The pictures show the rows on the way, and what they are worth on test rows.
"""

# %%
# A few training runs of growing length, all from the same start: ``max_iter=0`` is the start
# itself. Each has a schedule of its own, so that each is a finished training of that length.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller, DistilledClassifier

X, X_test, y, y_test = train_test_split(
    *load_digits(return_X_y=True), test_size=0.25, random_state=0
)
lengths = [0, 10, 30, 100, 300]
models = {
    steps: DistilledClassifier(
        distiller=DatasetDistiller(10, max_iter=steps, early_stopping=False, random_state=0)
    ).fit(X, y)
    for steps in lengths
}
scores = [models[steps].score(X_test, y_test) for steps in lengths]

# %%
# The rows: each picture is one row with the digit of its largest label, on the scale of the
# data's own pixels (0 to 16), which learnt rows may leave.

shown = [0, 10, 100, 300]
figure, axes = plt.subplots(len(shown), 10, figsize=(9, 4.2), layout="constrained")
for line, steps in zip(axes, shown, strict=True):
    small = models[steps].distilled_
    for ax, image, label in zip(line, small.X, small.y, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set_title(label, fontsize=9)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(f"{steps} steps" if steps else "start", rotation=0, ha="right", va="center")
plt.show()

# %%
# The labels are learnt as well. They need not be one-hot: a row can say "a 3, and surely no 8".

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, steps in zip(axes, (0, 300), strict=True):
    targets = models[steps].distilled_.targets
    bound = np.abs(targets).max()
    image = ax.imshow(targets, cmap="RdBu_r", vmin=-bound, vmax=bound)
    ax.set(title=f"{steps} steps" if steps else "start", xlabel="class", xticks=range(10))
    figure.colorbar(image, ax=ax, shrink=0.8, label="label")
axes[0].set(ylabel="row", yticks=range(10))
plt.show()

# %%
# What the rows are worth: accuracy on the test rows, which had no part in the training.

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
ax.plot(range(len(lengths)), scores, "o-", color="#0072B2")
for place, score in enumerate(scores):
    ax.annotate(f"{score:.3f}", (place, score), (0, 7), textcoords="offset points", ha="center")
ax.set_xticks(range(len(lengths)), lengths)
ax.set(xlabel="steps", ylabel="accuracy on the test rows", ylim=(min(scores) - 0.05, 1.02))
plt.show()
