r"""Rows that train a network as the real rows do: their gradients in its parameters agree.

With :math:`\ell_\theta` the cross-entropy of a network, a random augmentation A, and the real rows
B_c of class c in a batch with weights v,

.. math::
    L(S) = \sum_c D\Big( \nabla_\theta \frac{\sum_{i \in B_c} v_i\, \ell_\theta(A x_i, c)}
                                            {\sum_{i \in B_c} v_i} ,\;
                         \nabla_\theta \frac{1}{|S_c|} \sum_{j \in S_c} \ell_\theta(A s_j, c)
                   \Big)

class by class, in a network that is trained a little after each step and drawn afresh after
`outer_loop` of them (Zhao, Mopuri & Bilen, 2021). With G and H the gradients of the weights of a
layer, a row for each of its outputs, the distance D is a sum over layers of

.. math::
    \sum_o \Big( 1 - \frac{\langle G_o, H_o \rangle}{|G_o|\, |H_o|} \Big)
    \quad \text{(cosine)}, \qquad |G - H|^2 \quad \text{(mse)} \qquad \text{or} \qquad
    |G - H|_1 \quad \text{(l1)}.

A class has a copy of the parameters to itself, so that one call gives the gradients of all classes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

from .. import _torch as torch
from .._device import for_each_block
from ..batches.training_set import Batch
from ..networks._architecture import Parameters
from ..networks._training import Recipe, cross_entropy, descend
from ..networks.augmentation import Draw
from ..support import Support
from ._networks.class_gradients import DISTANCES, by_class, class_gradients
from ._networks.network_technique import NetworkTechnique
from .context import Context, Stage

STEPS = 1000
ROWS_PER_CLASS = 256
REAL_LOOPS = 100, 1  # outer and inner loop where networks are trained on real rows (IDC)
OWN_RECIPE = Recipe(momentum=0.0, weight_decay=0.0, batch_size=256)  # DC, DSA
REAL_RECIPE = Recipe(momentum=0.9, weight_decay=5e-4, batch_size=64)
# Real rows whose activations are held at a time: of more, memory grows and time does not fall.
AT_ONCE = {"cpu": 256, "cuda": 8192}


class GradientMatching(NetworkTechnique):
    r"""Match the gradients of a network's loss, class by class (DC, DSA, IDC).

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        The network whose gradients are matched: "auto" is :class:`~skdistill.networks.ConvNet` for
        images (see `image_shape` of the distiller) and :class:`~skdistill.networks.MLP` for
        vectors. A function ``(input_shape, n_outputs) -> torch.nn.Module`` makes networks of your
        own, with a linear layer that gives the outputs.

    distance : {"cosine", "mse", "l1"}, default="cosine"
        Distance of gradients. "cosine" is one minus the cosine of the weights of each output of
        each layer, summed (DC, DSA); "mse" the sum of squared differences, "l1" that of absolute
        ones, in a network with convolutions over those alone (IDC). Biases and normalisations are
        left out of all.

    augment : {"auto"}, str or None, default="auto"
        Differentiable augmentation of real and learnt images, the same draw for both (DSA): names
        of "color", "crop", "cutout", "flip", "scale" and "rotate" joined by "_". "auto" takes all
        of them, without "flip" for images of one channel, and leaves vectors as they are. None is
        DC.

    train_on : {"synthetic", "real"}, default="synthetic"
        What the network is trained on between two steps: the learnt rows (DC, DSA), or the real
        rows of the step (IDC).

    outer_loop : int or "auto", default="auto"
        Steps before a fresh network is drawn. "auto" is the number of learnt rows of a class, at
        most 50; 100 for ``train_on="real"``.

    inner_loop : int or "auto", default="auto"
        Epochs that the network is trained for after a step. "auto" is 500 over the number of learnt
        rows of a class, at most 50; 1 for ``train_on="real"``.

    factor : int, default=1
        Side of the square of real pixels that one learnt pixel stands for (multi-formation, IDC).
        Rows that the distiller hands out, `n_samples` of them, are whole images, enlarged from
        images of ``1 / factor`` of each side.

    lr_net : float, default=0.01
        Learning rate of the networks.

    Notes
    -----
    Classes count alike, whatever their weight: rows and batches are balanced unless the distiller's
    `class_balance` is False. Labels stay those of the start, one class a row.

    Rows of a batch count by their weights, and a row of weight 2 as two rows. A class with fewer
    rows than its share of the batch is drawn with replacement. Neither distance is a sum over rows:
    with importance batches it is an estimate with a bias, reweighted or not.

    The public recipes are, with ``batch_size`` of the distiller for ten classes:

    - DC: ``GradientMatching(augment=None)``, ``batch_size=2560``,
    - DSA: ``GradientMatching()``, ``batch_size=2560``,
    - IDC: ``GradientMatching(distance="mse", augment="color_crop_cutout", train_on="real",
      factor=2)``, ``batch_size=640``; with ``distance="l1"`` for MNIST.

    They take 1,000 to 2,000 networks, that is ``max_iter=1000 * outer_loop``; the default of
    `max_iter` is 1,000 steps. A feature of size 1 moves by half of `learning_rate` in a step at
    first, whatever the distance: the optimiser is the distiller's, Adam by default.

    `factor` does not change the number of rows: each of the `n_samples` rows can be used like any
    other, but holds only ``n_features / factor**2`` free numbers. IDC counts
    ``factor**2`` such images as one: its 10 images a class with ``factor=2`` are
    ``n_samples=400`` here for ten classes, and take the disk space of 100 images when reduced.

    The public code of DSA draws an operation for each class; here it is one in a step, with numbers
    of its own for each class. Of IDC its distances, its training on real rows and its
    multi-formation are here. Its public code also trains networks, those that judge the rows too,
    on images mixed by CutMix in half of the batches of MNIST and CIFAR-10, and after a step on 500
    fresh rows instead of those of the step; it applies colour, then one more operation, then a
    cutout where one operation is drawn here; and it keeps pixels within their range. These are left
    out.

    For the importance of rows a ridge regression on the features of two further random networks,
    drawn once for a fit, stands in for a network trained on the learnt rows: the network of a step
    is fresh too often. Nothing is held out, the last rows are kept. What
    ``DistilledClassifier(estimator=None)`` trains in the end is a
    :class:`~skdistill.networks.NetworkClassifier` with the same `network` and `augment`.

    References
    ----------
    .. [1] B. Zhao, K. R. Mopuri, H. Bilen. "Dataset Condensation with Gradient Matching". ICLR
       2021.
    .. [2] B. Zhao, H. Bilen. "Dataset Condensation with Differentiable Siamese Augmentation". ICML
       2021.
    .. [3] J.-H. Kim, J. Kim, S. J. Oh, S. Yun, H. Song, J. Jeong, J.-W. Ha, H. O. Song. "Dataset
       Condensation via Efficient Synthetic-Data Parameterization". ICML 2022.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> from skdistill.objectives import GradientMatching
    >>> GradientMatching(ConvNet(width=32), augment=None)
    GradientMatching(augment=None, network=ConvNet(width=32))
    """

    rate: ClassVar[float] = 0.5

    def __init__(
        self,
        network: Any = "auto",
        distance: str = "cosine",
        augment: str | None = "auto",
        train_on: str = "synthetic",
        *,
        outer_loop: int | str = "auto",
        inner_loop: int | str = "auto",
        factor: int = 1,
        lr_net: float = 0.01,
    ) -> None:
        self.network = network
        self.distance = distance
        self.augment = augment
        self.train_on = train_on
        self.outer_loop = outer_loop
        self.inner_loop = inner_loop
        self.factor = factor
        self.lr_net = lr_net

    def favourite_batches(self, kind: str, rows_per_class: float) -> str:
        """See `Objective.favourite_batches`: the decision boundary."""
        return "margin"

    def setup(self, context: Context) -> None:
        """Check the parameters, start without a network; see `Objective.setup`."""
        super().setup(context)
        self._check_parameters(context.image_shape)
        self._image_shape = context.image_shape or (1, 1, context.n_features)  # for `factor`
        self._loops = self._resolve_loops(context.n_support / context.n_outputs)
        self._at_once = sys.maxsize  # classes: as many as memory was enough for so far
        self._params: Parameters | None = None
        self._velocity: Parameters = {}
        self._steps = 0  # since the network was drawn
        self._last: tuple[Batch, Any] | None = None

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        size = self._context.batch_size or ROWS_PER_CLASS * self._context.n_outputs
        return [Stage("match", n_steps, size, torch.float32, max(1, min(100, n_steps // 12)))]

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`; with a `factor`, small images are learnt in place of the rows."""
        support = super().start(rows, labels)
        if self.factor > 1:
            support.extra["small"] = shrink(rows, self._image_shape, self.factor)
            support.rows = self.rows(support)
        return support

    def rows(self, support: Support) -> Any:
        """Rows, enlarged from small images with a `factor`; see `Objective.rows`."""
        if self.factor == 1:
            return support.rows
        return enlarge(support.extra["small"], self._image_shape, self.factor)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`."""
        (rate,) = super().rates(stage, support).values()
        return {"rows" if self.factor == 1 else "small": rate}

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Distance of gradients in the current network; see `Objective.batch_loss`."""
        rows, context = self.rows(support), self._context
        if self._params is None:
            self._params = self._architecture.initial(1, context.generator, rows.dtype)
            self._velocity = {name: torch.zeros_like(p) for name, p in self._params.items()}
        params, distance = self._params, DISTANCES[self.distance]
        self._last = batch, weights  # that after_step may train on
        real = by_class(batch.targets, weights)
        learnt = by_class(support.labels, torch.ones_like(rows[:, 0]))
        classes = (real.present & learnt.present).nonzero()[:, 0]
        augmented = self._augmented(context.n_outputs)
        at_once = max(1, AT_ONCE[rows.device.type] // real.index.shape[1])
        at_once = min(at_once, self._at_once)
        distances = [(0 * rows).sum()]  # a batch may have no class in common with the learnt rows

        def work(start: int, stop: int) -> None:
            part = classes[start:stop]
            x, s = (
                augmented(data[by.index[part]], part)
                for data, by in ((batch.rows, real), (rows, learnt))
            )
            of_real = class_gradients(self._architecture, params, x, real.share[part], part)
            of_learnt = class_gradients(
                self._architecture, params, s, learnt.share[part], part, create_graph=True
            )
            distances.append(distance(of_real, of_learnt).sum())

        enough = for_each_block(work, len(classes), at_once, what="classes")
        if enough < at_once:
            self._at_once = enough
        return torch.stack(distances).sum()

    def after_step(self, support: Support) -> None:
        """Train the network, or drop it after `outer_loop` steps; see `Objective.after_step`."""
        outer, inner = self._loops
        self._steps += 1
        if self._steps >= outer or self._params is None or self._last is None:
            self._params, self._steps, self._last = None, 0, None
            return
        batch, weights = self._last
        if self.train_on == "real":
            self._train(batch.rows, batch.targets, weights, REAL_RECIPE, inner)
        else:
            rows = self.rows(support)
            self._train(rows, support.labels, torch.ones_like(rows[:, 0]), OWN_RECIPE, inner)

    def _train(self, rows: Any, targets: Any, weights: Any, recipe: Recipe, n_epochs: int) -> None:
        """Train the network on rows; its momentum lasts from step to step."""
        assert self._params is not None  # there was a loss before
        codes, weights = targets.argmax(1), weights / weights.mean()
        generator = self._context.generator
        for _ in range(n_epochs):
            order = torch.randperm(len(rows), generator=generator, device=rows.device)
            for index in order.split(recipe.batch_size):
                x = rows[index]
                if self._augmentation is not None:
                    x = self._augmentation(x, self._augmentation.draw(len(x)))
                descend(
                    self._mixed,
                    self._params,
                    self._velocity,
                    x,
                    codes[index],
                    weights[index],
                    cross_entropy,
                    recipe,
                    self.lr_net,
                )

    def _augmented(self, n_classes: int) -> Callable[[Any, Any], Any]:
        """Draw one operation, with numbers for each class; function of rows (k, b, d)."""
        augmentation = self._augmentation
        if augmentation is None:
            return lambda rows, classes: rows
        name, numbers = augmentation.draw(n_classes)

        def augmented(rows: Any, classes: Any) -> Any:
            there = numbers.to(rows.device, non_blocking=True)
            own = there[classes].repeat_interleave(rows.shape[1], 0)
            return augmentation(rows, Draw(name, own))

        return augmented

    def _resolve_loops(self, rows_per_class: float) -> tuple[int, int]:
        outer, inner = REAL_LOOPS
        if self.train_on == "synthetic":
            outer = max(1, min(50, math.ceil(rows_per_class)))
            inner = max(1, min(50, round(500 / rows_per_class)))
        if not isinstance(self.outer_loop, str):
            outer = int(self.outer_loop)
        if not isinstance(self.inner_loop, str):
            inner = int(self.inner_loop)
        return outer, inner

    def _check_parameters(self, image_shape: tuple[int, int, int] | None) -> None:
        for name, allowed in (("distance", tuple(DISTANCES)), ("train_on", ("synthetic", "real"))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} of GradientMatching is unknown; use one of "
                    f"{allowed}."
                )
        for name, other in (
            ("outer_loop", "'auto' or "),
            ("inner_loop", "'auto' or "),
            ("factor", ""),
        ):
            value = getattr(self, name)
            positive = isinstance(value, Integral) and int(value) >= 1
            if not (positive or (other and value == "auto")):
                raise ValueError(
                    f"{name}={value!r} of GradientMatching must be {other}a positive integer."
                )
        if not (isinstance(self.lr_net, Real) and 0 < self.lr_net < math.inf):
            raise ValueError(
                f"lr_net={self.lr_net!r} of GradientMatching must be a positive number."
            )
        if self.factor == 1:
            return
        if image_shape is None:
            raise ValueError(
                f"factor={self.factor!r} of GradientMatching needs images: give "
                "image_shape=(channels, height, width), or use factor=1."
            )
        if self.factor > min(image_shape[1:]):
            raise ValueError(
                f"factor={self.factor!r} of GradientMatching is larger than a side of images of "
                f"image_shape={image_shape!r}."
            )


def shrink(rows: Any, image_shape: tuple[int, int, int], factor: int) -> Any:
    """Average rows (m, d) of images over squares of pixels, to (m, d / factor**2) or a bit more."""
    small = _small_sides(image_shape, factor)
    images = rows.reshape(-1, *image_shape)
    return torch.nn.functional.interpolate(images, size=small, mode="area").flatten(1)


def enlarge(small: Any, image_shape: tuple[int, int, int], factor: int) -> Any:
    """Interpolate small images to rows (m, d): the way back from `shrink`, with its loss."""
    images = small.reshape(-1, image_shape[0], *_small_sides(image_shape, factor))
    return torch.nn.functional.interpolate(
        images, size=image_shape[1:], mode="bilinear", align_corners=False
    ).flatten(1)


def _small_sides(image_shape: tuple[int, int, int], factor: int) -> tuple[int, int]:
    _, height, width = image_shape
    return math.ceil(height / factor), math.ceil(width / factor)
