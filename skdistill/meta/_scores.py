"""From the raw outputs of a predictor to labels, decisions and probabilities over all classes.

Two things happen here. The predictor that a distilled set was made for returns real numbers; the
small adapters below make an estimator of it. And a small set may lack classes of the whole data;
what an estimator says about the classes it knows is spread over all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

Classes = np.ndarray | list[np.ndarray]


def project_onto_simplex(scores: np.ndarray) -> np.ndarray:
    r"""Project each row onto the probability simplex.

    The nearest point :math:`p` in Euclidean distance with :math:`p_c \ge 0` and
    :math:`\sum_c p_c = 1` is :math:`p_c = \max(s_c - \theta, 0)`, with :math:`\theta` found from
    the sorted scores [1]_. The order of the scores is kept, except that small ones meet at 0.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes)
        Real scores.

    Returns
    -------
    probabilities : ndarray of shape (n_samples, n_classes), dtype float64
        Rows that sum to 1.

    References
    ----------
    .. [1] Duchi, Shalev-Shwartz, Singer, Chandra. "Efficient projections onto the l1-ball for
       learning in high dimensions". ICML 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skdistill.meta._scores import project_onto_simplex
    >>> project_onto_simplex(np.array([[0.75, 0.5, -0.5], [2.0, 0.5, 0.0]]))
    array([[0.625, 0.375, 0.   ],
           [1.   , 0.   , 0.   ]])
    """
    # The projection ignores a shift of a row; near zero the sums below lose no digits.
    scores = np.asarray(scores, dtype=np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    descending = -np.sort(-scores, axis=1)
    ranks = np.arange(1, scores.shape[1] + 1)
    thetas = (np.cumsum(descending, axis=1) - 1.0) / ranks
    n_positive = np.count_nonzero(descending > thetas, axis=1)
    theta = thetas[np.arange(len(scores)), n_positive - 1]
    probabilities = np.maximum(scores - theta[:, None], 0.0)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


class ScoreClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier made of a predictor of real scores.

    Parameters
    ----------
    predictor : object
        Its ``predict(X)`` returns scores of shape (n_samples, n_classes), or for an indicator of
        several labels (n_samples, n_labels).

    classes : ndarray of shape (n_classes,) or list of ndarray
        The class of each column, or for each label the pair of its values.
    """

    def __init__(self, predictor: Any, classes: Classes) -> None:
        self.predictor = predictor
        self.classes = classes

    @property
    def classes_(self) -> Classes:
        """The classes, under the name that fitted classifiers use."""
        return self.classes

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with the highest score, or the labels with a score above a half."""
        scores = self.predictor.predict(X)
        if isinstance(self.classes, list):
            above = (scores > 0.5).astype(np.intp)
            columns = [pair[chosen] for pair, chosen in zip(self.classes, above.T, strict=True)]
            return np.stack(columns, axis=1)
        return self.classes[np.argmax(scores, axis=1)]

    def decision_function(self, X: Any) -> np.ndarray:
        """Return scores; with two classes the difference, for labels the excess over a half."""
        scores = self.predictor.predict(X)
        if isinstance(self.classes, list):
            return scores - 0.5
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Return the softmax of the scores where its temperature is known, else project them.

        The projection is that onto the simplex; for labels it gives a list with one pair each.
        """
        scores = self.predictor.predict(X)
        if isinstance(self.classes, list):
            pairs = (np.stack([1.0 - score, score], axis=1) for score in scores.T)
            return [project_onto_simplex(pair) for pair in pairs]
        temperature = getattr(self.predictor, "temperature", None)
        if temperature is not None:
            return softmax(scores / temperature, axis=1)
        return project_onto_simplex(scores)

    def predict_log_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Return the logarithm of `predict_proba`, which may be minus infinity."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if isinstance(probabilities, list):
                return [np.log(pair) for pair in probabilities]
            return np.log(probabilities)


class ScoreRegressor(RegressorMixin, BaseEstimator):
    """A fitted regressor made of a predictor of real outputs.

    Parameters
    ----------
    predictor : object
        Its ``predict(X)`` returns an array of shape (n_samples, n_outputs).

    flat : bool
        Whether predictions have one axis, as the targets had.
    """

    def __init__(self, predictor: Any, flat: bool) -> None:
        self.predictor = predictor
        self.flat = flat

    def predict(self, X: Any) -> np.ndarray:
        """Return the outputs in the shape that the targets had."""
        outputs = self.predictor.predict(X)
        return outputs[:, 0] if self.flat else outputs


def spread_columns(values: Any, known: Any, classes: Classes, fill: float) -> Any:
    """Spread columns over all classes.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_known) or list of these
        One column for each known class; a list has one array per output.
    known : ndarray of shape (n_known,) or list of ndarray
        The classes that the columns belong to.
    classes : ndarray of shape (n_classes,) or list of ndarray
        All classes, sorted.
    fill : float
        The value for the other classes.

    Returns
    -------
    spread : ndarray of shape (n_samples, n_classes) or list of these
        The same object where nothing is to be done.
    """
    if isinstance(values, list):
        parts = zip(values, known, classes, strict=True)
        return [spread_columns(value, seen, wanted, fill) for value, seen, wanted in parts]
    if isinstance(classes, list) or np.array_equal(known, classes):
        # An array for several outputs has one column per label, not per class.
        return values
    spread = np.full((values.shape[0], len(classes)), fill, dtype=values.dtype)
    spread[:, np.searchsorted(classes, known)] = values
    return spread


def spread_decisions(decisions: np.ndarray, known: Any, classes: Classes) -> np.ndarray:
    """Spread a decision function over all classes; unknown ones get the lowest finite value.

    A decision with one axis belongs to two known classes: its sign tells which. Where classes are
    missing there are three or more in all, so that it becomes one column for each.
    """
    if isinstance(classes, list) or np.array_equal(known, classes):
        return decisions
    if decisions.ndim == 1 and len(known) == 2:
        decisions = np.stack([-decisions, decisions], axis=1)
    if decisions.ndim != 2 or decisions.shape[1] != len(known):
        raise ValueError(
            f"The distilled rows have {len(known)} of {len(classes)} classes, and a decision "
            f"function of shape {decisions.shape} cannot be spread over all of them. Use one "
            "column per class (decision_function_shape='ovr'), or a larger n_samples."
        )
    return spread_columns(decisions, known, classes, float(np.finfo(decisions.dtype).min))
