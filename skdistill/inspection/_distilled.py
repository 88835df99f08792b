"""Show which rows a small set is made of, what they weigh, and how well they train a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from .._input.frames import take_rows
from ..base import hands_out_features
from ._panels import draw_images, draw_positions, draw_scores


class DistilledDataDisplay:
    """Picture of a small set: its rows among all rows or as images, and scores.

    Make one with :meth:`from_distilled` or :meth:`from_estimator`; the parameters below are
    what these compute, and :meth:`plot` draws them again.

    Parameters
    ----------
    weights : ndarray of shape (m,)
        Weights of the rows of the small set.

    positions : ndarray of shape (n, 2)
        Where to draw the rows of the full set.

    distilled_positions : ndarray of shape (m, 2)
        Where to draw those of the small set.

    values : ndarray of shape (n,), default=None
        Class numbers, or the numbers of a regression target, of the full set.

    distilled_values : ndarray of shape (m,), default=None
        The same of the small set.

    classes : sequence of length n_classes, default=None
        Names of the classes; None for a target of numbers.

    images : ndarray of shape (m, H, W) or (m, H, W, 3), default=None
        The rows of the small set as images, drawn in place of positions.

    scores : mapping of str to sequence of float, default=None
        One score or several for each way to choose rows, drawn in a panel of its own.

    score_name : str, default="score"
        What the scores are.

    target_name : str, default="target"
        What the values are.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Figure that was drawn to.

    ax_ : matplotlib Axes
        The rows.

    ax_scores_ : matplotlib Axes or None
        The scores.

    See Also
    --------
    skdistill.SensitivityCoreset : Choose rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import SensitivityCoreset
    >>> from skdistill.inspection import DistilledDataDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> coreset = SensitivityCoreset(50, random_state=0).fit(X, y)
    >>> display = DistilledDataDisplay.from_estimator(coreset, X, y, image_shape=(8, 8))
    >>> display.images.shape
    (50, 8, 8)
    """

    def __init__(
        self,
        *,
        weights: np.ndarray,
        positions: np.ndarray,
        distilled_positions: np.ndarray,
        values: np.ndarray | None = None,
        distilled_values: np.ndarray | None = None,
        classes: Any = None,
        images: np.ndarray | None = None,
        scores: Mapping[str, Sequence[float]] | None = None,
        score_name: str = "score",
        target_name: str = "target",
    ) -> None:
        self.weights = weights
        self.positions = positions
        self.distilled_positions = distilled_positions
        self.values = values
        self.distilled_values = distilled_values
        self.classes = classes
        self.images = images
        self.scores = scores
        self.score_name = score_name
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls, distiller: Any, X: Any, y: Any = None, **options: Any
    ) -> DistilledDataDisplay:
        """Draw what a fitted distiller made.

        Parameters
        ----------
        distiller : distiller, DistilledClassifier or DistilledRegressor
            Fitted. Its classes name the rows, and its `image_shape` makes images of them.

        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows it was fitted to.

        y : array-like of shape (n_samples,), default=None
            Their target.

        **options : dict
            Passed to :meth:`from_distilled`.

        Returns
        -------
        DistilledDataDisplay
            Drawn.
        """
        distiller = getattr(distiller, "distiller_", distiller)
        preprocessor = getattr(distiller, "preprocessor_", None)
        if hands_out_features(distiller):
            X, preprocessor = distiller._features(X), StandardScaler()
        known: dict[str, Any] = {
            "preprocessor": preprocessor,
            "classes": getattr(distiller, "classes_", None),
        }
        shape = getattr(distiller, "image_shape", None)
        if shape is not None and shape[0] in (1, 3):
            known["image_shape"] = shape
        return cls.from_distilled(distiller.distilled_, X, y, **(known | options))

    @classmethod
    def from_distilled(
        cls,
        distilled: Any,
        X: Any,
        y: Any = None,
        *,
        preprocessor: Any = None,
        classes: Any = None,
        image_shape: tuple[int, ...] | None = None,
        scores: Mapping[str, Sequence[float]] | None = None,
        score_name: str = "score",
        target_name: str = "target",
        max_rows: int = 4000,
        random_state: Any = 0,
        ax: Any = None,
    ) -> DistilledDataDisplay:
        """Draw a small set among the rows it stands for.

        Parameters
        ----------
        distilled : DistilledData
            The small set.

        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            All rows.

        y : array-like of shape (n_samples,), default=None
            Their target, which colours them. None draws without colours.

        preprocessor : transformer, default=None
            Makes numbers of the rows. Positions are the first two principal components of them.

        classes : sequence, default=None
            The classes in `y`, sorted; None takes those of the small set, and draws `y` as numbers
            where there are none.

        image_shape : tuple of int, default=None
            ``(H, W)``, ``(1, H, W)`` or ``(3, H, W)``, as in `DatasetDistiller`: draw the rows of
            the small set as images.

        scores : mapping of str to sequence of float, default=None
            Scores to draw beside, one or several under each name. The first is the mark that
            the others are held against.

        score_name : str, default="score"
            What the scores are.

        target_name : str, default="target"
            What `y` is.

        max_rows : int, default=4000
            Draw a random part of X above this size.

        random_state : int, RandomState instance or None, default=0
            Decides which part.

        ax : matplotlib Axes, or two of them where there are scores, default=None
            Where to draw. None makes a figure with pyplot.

        Returns
        -------
        DistilledDataDisplay
            Drawn.

        Raises
        ------
        ValueError
            If `y` has several outputs, or `image_shape` is no shape of a row.
        """
        rng = check_random_state(random_state)
        X = X if hasattr(X, "shape") else np.asarray(X)
        n = X.shape[0]
        rows = np.sort(rng.choice(n, max_rows, replace=False)) if n > max_rows else np.arange(n)
        Z, Z_small = _project(X, rows, distilled.X, preprocessor)
        values, small_values = None, None
        if y is None:
            classes = None
        elif np.ndim(y) != 1:
            raise ValueError(
                f"y must be 1-D to colour the rows, got shape {np.shape(y)}; leave it out to draw"
                " without colours"
            )
        else:
            if classes is None and isinstance(distilled.classes, np.ndarray):
                classes = distilled.classes
            values = _to_values(np.asarray(y)[rows], classes)
            small_values = _to_values(np.asarray(distilled.y), classes)
        images = None
        if image_shape is not None:
            images = _images(np.asarray(distilled.X, dtype=float), tuple(image_shape))
        display = cls(
            weights=np.asarray(distilled.sample_weight, dtype=float),
            positions=Z,
            distilled_positions=Z_small,
            values=values,
            distilled_values=small_values,
            classes=classes,
            images=images,
            scores=scores,
            score_name=score_name,
            target_name=target_name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> DistilledDataDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them where there are scores, default=None
            Where to draw. None makes a figure with pyplot.

        Returns
        -------
        DistilledDataDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the number of axes does not fit.
        """
        n_panels = 1 if self.scores is None else 2
        axes = np.ravel(_make_axes(n_panels) if ax is None else ax)
        if len(axes) != n_panels:
            raise ValueError(f"ax must hold {n_panels} axes, got {len(axes)}")
        self.ax_ = axes[0]
        self.figure_ = self.ax_.figure
        self.ax_scores_ = None if self.scores is None else axes[1]
        if self.images is not None:
            draw_images(self.ax_, self.images, self.weights, self.distilled_values, self.classes)
        else:
            draw_positions(
                self.ax_,
                self.positions,
                self.distilled_positions,
                self.weights,
                self.values,
                self.distilled_values,
                self.classes,
                self.target_name,
            )
        self.ax_.set_title(
            f"The {len(self.weights):,} rows of the small set, area by weight", loc="left"
        )
        if self.scores is not None:
            draw_scores(self.ax_scores_, self.scores, self.score_name)
        return self


def _images(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return rows as images (m, H, W) or (m, H, W, 3), which matplotlib draws."""
    known = len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3))
    if not known or np.prod(shape) != rows.shape[1]:
        raise ValueError(
            f"image_shape={shape} must be (height, width), (1, height, width) or (3, height, width)"
            f" of the {rows.shape[1]} values of a row; channels come first, as in DatasetDistiller."
        )
    if len(shape) == 2:
        return rows.reshape(-1, *shape)
    images = rows.reshape(-1, *shape)
    return images[:, 0] if shape[0] == 1 else images.transpose(0, 2, 3, 1)


def _project(X: Any, rows: np.ndarray, X_small: Any, preprocessor: Any) -> tuple[Any, Any]:
    """Return the first two principal components of some rows of X, and of the small set."""
    features = take_rows(X, rows)
    if preprocessor is not None:
        preprocessor = clone(preprocessor).fit(features)
        features, X_small = preprocessor.transform(features), preprocessor.transform(X_small)
    if features.shape[1] == 1:  # no plane to project on
        return _pad(features), _pad(X_small)
    pca = PCA(n_components=2, random_state=0).fit(features)
    return pca.transform(features), pca.transform(X_small)


def _pad(features: Any) -> np.ndarray:
    """Return a single column with a column of zeros beside it."""
    column = features.toarray() if issparse(features) else np.asarray(features)
    return np.hstack([column, np.zeros_like(column)])


def _to_values(y: np.ndarray, classes: Any) -> np.ndarray:
    """Return a target as numbers, those of the classes where there are any."""
    return y.astype(float) if classes is None else np.searchsorted(np.asarray(classes), y)


def _make_axes(n_panels: int) -> Any:
    """Return new axes side by side, the first one wider."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'DistilledDataDisplay needs matplotlib: pip install "skdistill[plot]"'
        ) from error
    ratios = (1.7, 1)[:n_panels]
    _, axes = plt.subplots(
        1, n_panels, figsize=(7 * sum(ratios) / 1.7, 5), width_ratios=ratios, layout="constrained"
    )
    return axes
