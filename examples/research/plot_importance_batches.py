"""
The same technique on uniform and on importance batches
=======================================================

One digit image in ten is inverted here, dark on light. Fifty images are learnt by distribution
matching twice, with the same start and the same steps; only the batches of real images differ. With
``batch_loss="cross_entropy"`` images that the current fifty get wrong are drawn more often, and
the inverted ones are wrong most of the time. Their labels are right; where labels may be wrong, the
default of kernel rows, ``batch_loss="margin"``, is the safer choice.
"""

# %%
# The data, and both ways with a few seeds. ``reweight=False`` trains on the important images as
# they come, so that they count for more. The scores are those of networks trained on the fifty
# images alone, on ordinary and on inverted test images.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller
from skdistill.evaluation import evaluate
from skdistill.networks import ConvNet
from skdistill.objectives import DistributionMatching

digits, labels = load_digits(return_X_y=True)
inverted = np.random.default_rng(0).random(len(digits)) < 0.1
digits[inverted] = 16 - digits[inverted]
X, X_test, y, y_test, _, inverted_test = train_test_split(
    digits, labels, inverted, random_state=0, stratify=labels
)
network, image_shape = ConvNet(width=16), (1, 8, 8)


def learn(batches, seed):
    """Fifty rows, five of each digit."""
    return DatasetDistiller(
        50,
        objective=DistributionMatching(network),
        image_shape=image_shape,
        batch_sampling=batches,
        batch_loss="cross_entropy",
        reweight=False,
        refresh_every=20,
        max_iter=200,
        batch_size=320,
        learning_rate=0.5,
        random_state=seed,
    ).fit_distill(X, y)


ways, seeds = ("uniform", "importance"), range(3)
sets = {way: [learn(way, seed) for seed in seeds] for way in ways}
scores = {
    way: np.array(
        [
            [
                evaluate(
                    small,
                    X_test[part],
                    y_test[part],
                    X_train=X,
                    network=network,
                    image_shape=image_shape,
                    n_networks=1,
                    random_state=0,
                )[0]
                for part in (~inverted_test, inverted_test)
            ]
            for small in sets[way]
        ]
    )
    for way in ways
}

# %%
# The learnt images of the first seed, a column for each digit. From the same k-means start uniform
# batches turn the inverted images into noise; importance batches keep them legible.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, way in zip(axes, ways, strict=True):
    small = sets[way][0]
    images = small.X[np.argsort(small.y, kind="stable")].reshape(10, 5, 8, 8)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=8)
    ax.imshow(framed.transpose(1, 2, 0, 3).reshape(50, 100), cmap="gray_r", vmin=0, vmax=16)
    ax.set(title=f"{way} batches", yticks=[])
    ax.set_xticks(4.5 + 10 * np.arange(10), range(10))
plt.show()

# %%
# What they are worth. Importance batches pay here because rows are of unequal worth: the rare kind
# gains. On data whose rows are alike they are no better than uniform ones, and a network
# that learns both kinds from fifty images still gets most of the rare kind wrong.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for column, (ax, title) in enumerate(
    zip(axes, ("ordinary test images", "inverted test images"), strict=True)
):
    for place, way in enumerate(ways):
        found = scores[way][:, column]
        ax.bar(place, found.mean(), color=("#999999", "#0072B2")[place])
        ax.plot(np.full(len(found), place), found, "o", color="black", markersize=4)
    ax.set_xticks(range(2), [f"{way} batches" for way in ways])
    ax.set(title=title, ylabel="accuracy of networks", ylim=(0, 1))
plt.show()
