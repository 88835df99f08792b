r"""Rows whose nearest neighbours are right: prototypes for k-NN.

A learnt row i claims a real row x with the weight

.. math:: p_i(x) = \frac{\exp(-s |x - v_i|^2)}{\sum_j \exp(-s |x - v_j|^2)} ,

which is the nearest row alone for a large sharpness s. The labels of the rows, averaged with these
weights, are a prediction whose loss has gradients where that of the nearest neighbour has none.
Smooth weights move rows over long distances, sharp ones settle borders, so that the loss is the
mean over several sharpnesses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from .. import _torch as torch
from ..batches.training_set import Batch, Sample, TrainingSet, blockwise, score
from ..support import Support
from .base import Objective
from .context import Context, Stage

STEPS = 600
BATCH_ROWS = 512
RATE = 1.5  # of the learning rate: what a coordinate moves in a step, in root spreads a feature
FAINT = 1e-6  # probability of a class that no neighbour votes for
LABEL_RATE = 0.1  # of the distiller's learning rate, for numbers of size 1


class NearestNeighbors(Objective):
    r"""Learn prototypes for nearest neighbours.

    Parameters
    ----------
    sharpness : sequence of float, default=(2.0, 8.0)
        Sharpnesses of the weights, over the mean squared distance of real rows to the nearest row
        of the start.

    pull : float, default=0.0
        Weight of the mean squared distance of learnt rows to the nearest real row of their class in
        a batch, in the same unit. Rows that look like real ones, for a little accuracy.

    n_neighbors : int, default=10
        Most neighbours that the predictor asks. Their votes fall with the distance.

    bandwidth : float or "auto", default="auto"
        Distance over which the votes of the predictor's neighbours fall to 1 / e, in the units that
        rows are learnt in. "auto" finds it among the sharpnesses on held-out rows; what was found
        stands in the distiller's ``objective_``.

    Notes
    -----
    For classes the loss is the cross-entropy of what the rows of a class claim together, and labels
    stay those of the start. For numbers, and 0/1 labels, it is the squared error of the weighted
    mean, and labels are learnt with the rows unless ``learn_labels=False``.

    Nearest neighbours depend on the units of the features. If the leave-one-out error of the
    nearest neighbours of real rows is not clearly larger, one unit serves all features: then the
    rows suit the user's own units, and may be given to any k-NN there. Otherwise features are
    scaled one by one, and rows suit the predictor of ``DistilledClassifier(distiller=...)``; where
    another k-NN is to be trained on them, scale `X` first.

    References
    ----------
    .. [1] M. Kusner, S. Tyree, K. Weinberger, K. Agrawal. "Stochastic Neighbor Compression". ICML
       2014.
    .. [2] S. Seo, K. Obermayer. "Soft Learning Vector Quantization". Neural Computation 15, 2003.
    .. [3] A. Sato, K. Yamada. "Generalized Learning Vector Quantization". NeurIPS 1995.
    .. [4] J. Goldberger, S. Roweis, G. Hinton, R. Salakhutdinov. "Neighbourhood Components
       Analysis". NeurIPS 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skdistill import DatasetDistiller
    >>> X, y = load_digits(return_X_y=True)
    >>> distiller = DatasetDistiller(20, objective="nearest_neighbors", random_state=0)
    >>> small = distiller.fit_distill(X, y)
    >>> KNeighborsClassifier(1).fit(small.X, small.y).score(X, y) > 0.93
    True
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes", "multilabel", "numbers"})
    learns_labels: ClassVar[bool] = True
    neighbour_units: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    folds: ClassVar[bool] = False

    def __init__(
        self,
        sharpness: Sequence[float] = (2.0, 8.0),
        pull: float = 0.0,
        n_neighbors: int = 10,
        bandwidth: float | str = "auto",
    ) -> None:
        self.sharpness = sharpness
        self.pull = pull
        self.n_neighbors = n_neighbors
        self.bandwidth = bandwidth

    # Training ------------------------------------------------------------------------------------

    def setup(self, context: Context) -> None:
        """Check the parameters; see `Objective.setup`."""
        super().setup(context)
        name = type(self).__name__
        if context.learn_labels == "solve" or (context.learn_labels is True and self._has_classes):
            raise ValueError(
                f"learn_labels={context.learn_labels!r} does not work with {name}, which learns "
                "labels of numbers step by step and keeps those of classes; use 'auto' or False."
            )
        values = np.atleast_1d(np.asarray(self.sharpness, dtype=object))
        if not (values.ndim == 1 and len(values) and all(_is_positive(v) for v in values)):
            raise ValueError(
                f"sharpness={self.sharpness!r} of {name} must be positive numbers, one at least."
            )
        self._sharpness = tuple(float(v) for v in values)
        if not (isinstance(self.pull, Real) and 0 <= float(self.pull) < math.inf):
            raise ValueError(f"pull={self.pull!r} of {name} must be a number of at least 0.")
        if not (isinstance(self.n_neighbors, Integral) and self.n_neighbors >= 1):
            raise ValueError(f"n_neighbors={self.n_neighbors!r} of {name} must be at least 1.")
        if self.bandwidth != "auto" and not _is_positive(self.bandwidth):
            raise ValueError(
                f"bandwidth={self.bandwidth!r} of {name} must be 'auto' or a positive number."
            )

    @property
    def _has_classes(self) -> bool:
        return self._context.kind == "classes"

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        size = self._context.batch_size or max(BATCH_ROWS, 2 * self._context.n_support)
        return [Stage("learn", n_steps, size, torch.float32)]

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """Take the spread of the real rows about the start; see `Objective.begin`."""
        support = support.to(stage.dtype)
        rows = sample.data.rows[sample.index].to(support.rows)
        nearest = squared_distances(rows, support.rows).amin(1)
        weight = sample.weight.to(nearest)
        spread = (weight @ nearest) / weight.sum()
        # Every row may be its own prototype: then any unit will do that is not 0.
        tiny = 1e-6 * rows.square().sum(1).mean() + torch.finfo(rows.dtype).tiny
        support.extra["spread"] = torch.maximum(spread, tiny)
        support.extra["sharpness"] = spread.new_tensor(self._sharpness[-1])
        return support

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`."""
        rate = self._context.learning_rate
        free = support.rows.shape[1] if support.free is None else support.free
        rates = {"rows": RATE * rate * math.sqrt(float(support["spread"]) / free)}
        if not self._has_classes and self._context.learn_labels is not False:
            rates["labels"] = LABEL_RATE * rate
        return rates

    def gradients(
        self, support: Support, batch: Batch, weights: Any, names: list[str]
    ) -> tuple[Any, list[Any]]:
        r"""Return the loss and its derivatives: one matrix of distances serves all sharpnesses.

        Let p be the claims of the rows, r those among the rows of the own class. The derivative of
        the cross-entropy by a squared distance is :math:`s (r_i - p_i)`; that of half the squared
        error is :math:`-s\, p_i\, (\hat y - y) \cdot (l_i - \hat y)`, with labels l.
        """
        rows, labels, spread = support.rows, support.labels, support["spread"]
        distance = squared_distances(batch.rows, rows) / spread
        own = batch.targets @ labels.T > 0.5 if self._has_classes else None
        loss, slope, of_labels = distance.new_zeros(()), torch.zeros_like(distance), 0.0
        for s in self._sharpness:
            if own is not None:
                value, by_distance = _cross_entropy(-s * distance, own, weights)
            else:
                p = torch.softmax(-s * distance, dim=1)
                mean = p @ labels
                residual = (mean - batch.targets) * weights[:, None]
                value = 0.5 * ((mean - batch.targets) * residual).sum()
                by_distance = p * ((residual * mean).sum(1, keepdim=True) - residual @ labels.T)
                of_labels = of_labels + p.T @ residual / len(self._sharpness)
            loss += value / len(self._sharpness)
            slope.add_(by_distance, alpha=s / len(self._sharpness))
        if self.pull:
            loss += self.pull * _pull(distance, own, self.pull, slope)
        of_rows = (2 / spread) * (slope.sum(0)[:, None] * rows - slope.T @ batch.rows)
        found = {"rows": of_rows, "labels": of_labels}
        return loss, [found[name] for name in names]

    # Looks at held-out rows, and the end ---------------------------------------------------------

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """Votes of the nearest learnt rows; logarithms for classes; see `Objective.predictor`."""
        return self._votes(support, float(support["sharpness"]))

    def scores(self, support: Support, held_out: TrainingSet) -> dict[Hashable, float]:
        """Score each sharpness; see `Objective.scores`."""
        found: dict[Hashable, float] = {}
        for s in self._sharpness:
            outputs = blockwise(self._votes(support, s), held_out.rows)
            found[s] = score(outputs, held_out, self._context.kind)
        return found

    def choose(self, support: Support, choice: Hashable) -> None:
        """Take a sharpness; see `Objective.choose`."""
        if isinstance(choice, float):
            support.extra["sharpness"] = support["sharpness"].new_tensor(choice)

    def learnt_parameters(self, support: Support) -> dict[str, Any]:
        """Return what the votes depend on; see `Objective.learnt_parameters`."""
        found: dict[str, Any] = {"n_neighbors": min(self.n_neighbors, len(support))}
        if isinstance(self.bandwidth, str):
            spread, sharpness = float(support["spread"]), float(support["sharpness"])
            found["bandwidth"] = math.sqrt(spread / sharpness)
        return found

    def make_estimator(
        self, kind: str, image_shape: tuple[int, int, int] | None, device: str, seed: int
    ) -> Any:
        """k-NN with votes that fall with the distance; see `Objective.make_estimator`."""
        votes = DistanceVotes(float(self.bandwidth))  # settled by now
        kind_of_neighbours = KNeighborsClassifier if kind == "classes" else KNeighborsRegressor
        return kind_of_neighbours(self.n_neighbors, weights=votes)

    def _votes(self, support: Support, sharpness: float) -> Callable[[Any], Any]:
        """Real rows (k, width) -> outputs (k, q)."""
        V, labels = support.rows, support.labels
        if not isinstance(self.bandwidth, str):
            sharpness = float(support["spread"]) / self.bandwidth**2
        count = min(self.n_neighbors, len(V))

        def predict(rows: Any) -> Any:
            distance = squared_distances(rows.to(V), V) / support["spread"]
            nearest, index = distance.topk(count, dim=1, largest=False)
            share = torch.softmax(-sharpness * nearest, dim=1)
            outputs = (share[:, :, None] * labels[index]).sum(1)
            return outputs.clamp_(min=FAINT).log_() if self._has_classes else outputs

        return predict


class DistanceVotes:
    """Weights of neighbours that fall with the square of the distance.

    Parameters
    ----------
    bandwidth : float
        Distance at which a vote is 1 / e of one at no distance.
    """

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Votes (k, n_neighbors) at distances, up to a factor a row: the first one has 1."""
        square = np.square(distance / self.bandwidth)
        return np.exp(square.min(axis=1, keepdims=True) - square)

    def __repr__(self) -> str:
        """Show the bandwidth."""
        return f"DistanceVotes({self.bandwidth:.4g})"


def squared_distances(rows: Any, V: Any) -> Any:
    """Squared distances (b, m) of real rows (b, width) and learnt ones (m, width)."""
    square = torch.linalg.vecdot(rows, rows)[:, None] + torch.linalg.vecdot(V, V)
    return torch.addmm(square, rows, V.T, alpha=-2).clamp_(min=0)


def _cross_entropy(logits: Any, own: Any, weights: Any) -> tuple[Any, Any]:
    """Cross-entropy of a batch and its derivatives (b, m) by the negative logits.

    Rows of a class that no learnt row has count for nothing.
    """
    weights = weights * own.any(1)
    among = logits.masked_fill(~own, torch.finfo(logits.dtype).min)
    loss = weights @ (torch.logsumexp(logits, 1) - torch.logsumexp(among, 1))
    slope = torch.softmax(among, 1).sub_(torch.softmax(logits, 1))
    return loss, slope.mul_(weights[:, None])


def _pull(distance: Any, own: Any, strength: float, slope: Any) -> Any:
    """Mean distance of learnt rows to the nearest real one of their class; adds its derivatives.

    Learnt rows whose class the batch lacks are left alone.
    """
    far = torch.finfo(distance.dtype).max
    reached = distance if own is None else distance.masked_fill(~own, far)
    nearest, index = reached.min(0)
    known = (nearest < far).to(distance.dtype) / distance.shape[1]
    slope[index, torch.arange(len(index), device=index.device)] += strength * known
    return (nearest * known).sum()


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) < math.inf
