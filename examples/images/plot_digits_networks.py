"""
Digits learnt for networks, from the first to the last step
===========================================================

Ten images, one for each digit, stand for the whole training set when a convolutional network is
trained. They start as digits drawn at random and are moved until random networks see the same mean
features in them as in the real digits (distribution matching, "DM"). What they are worth is found
by the field's own protocol: fresh networks are trained on the ten images and nothing else.
"""

# %%
# Training runs of growing length, all from the same start; ``max_iter=0`` is the start itself.
# ``evaluate`` trains three networks on each set and scores each of them on the test rows.
# ``X_train`` says in which units networks see their rows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.evaluation import evaluate
from skdistill.networks import ConvNet
from skdistill.objectives import DistributionMatching

digits, labels = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(digits, labels, random_state=0, stratify=labels)
network, image_shape = ConvNet(width=16), (1, 8, 8)


def learn(steps):
    """Ten rows after so many steps."""
    return DatasetDistiller(
        10,
        objective=DistributionMatching(network),
        image_shape=image_shape,
        init="uniform",
        max_iter=steps,
        batch_size=320,
        random_state=1,
    ).fit_distill(X, y)


lengths = [0, 10, 30, 100, 300]
sets = {steps: learn(steps) for steps in lengths}
options = {"network": network, "image_shape": image_shape, "n_networks": 3, "random_state": 0}
scores = {k: evaluate(small, X_test, y_test, X_train=X, **options) for k, small in sets.items()}

# %%
# The images on their way, on the scale of the data's own pixels (0 to 16), and last the means of
# the classes. Matching mean features does not make mean images: strokes stay sharp.

rows = [(f"{k} steps" if k else "start", sets[k].X[np.argsort(sets[k].y)]) for k in lengths]
rows.append(("class means", np.array([X[y == digit].mean(0) for digit in range(10)])))
figure, axes = plt.subplots(len(rows), 10, figsize=(9, 5.8), layout="constrained")
for line, (name, images) in zip(axes, rows, strict=True):
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %%
# What they are worth: each dot is one network, trained on the ten images from a start of its own.

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for place, k in enumerate(lengths):
    ax.plot(np.full(3, place), scores[k], "o", color="#0072B2", alpha=0.5)
means = [scores[k].mean() for k in lengths]
ax.plot(range(len(lengths)), means, color="#0072B2")
ax.set_xticks(range(len(lengths)), [k or "start" for k in lengths])
ax.set(xlabel="steps", ylabel="accuracy of networks on test rows", ylim=(min(means) - 0.1, 1.0))
plt.show()
