"""DistilledClassifier: any classifier, trained on a distilled set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from .._input.lazy import is_lazy, map_blocks
from ..learning.callbacks import with_callbacks
from ..streaming.sources import is_stream
from ._base import BaseDistilled, check_labels, estimator_has, join_classes
from ._scores import Classes, ScoreClassifier, spread_columns, spread_decisions


class DistilledClassifier(ClassifierMixin, BaseDistilled):
    """Classifier trained on a distilled set instead of all rows.

    ``fit`` gives the data to the distiller, reads the small set from it and trains the estimator on
    that, weights included. To a Pipeline or a grid search it is a classifier like any other.

    Parameters
    ----------
    estimator : classifier, default=None
        What is trained on the small set: any scikit-learn classifier, also a Pipeline or a
        grid search. None takes the predictor that the set was made for, with a
        :class:`SensitivityCoreset` weighted kernel ridge regression on one-hot labels.

    distiller : distiller, default=None
        What makes the small set. None is ``AutoDistiller(random_state=0)``, which makes rows for
        `estimator`, or ``SensitivityCoreset(random_state=0)`` without one. An `AutoDistiller` that
        has no estimator of its own gets this one. The distiller's `target_type`, where it has one,
        is set to "classification". A ``FrozenEstimator`` of a fitted distiller is used as it is:
        the data of `fit` then serve only to know the classes and features.

    use_weights : {"auto", True, False}, default="auto"
        Whether the estimator gets the weights of the distilled rows. "auto" passes them to an
        estimator that takes ``sample_weight``, leaves them out where the estimator takes none and
        they are all equal, and is an error otherwise. True is an error for each estimator that
        takes none. False trains on the rows as if they were equal. In a Pipeline the weights go to
        the last step, in a grid search to the estimator that is searched; with scikit-learn's
        metadata routing enabled they are passed as ``sample_weight``, and the requests that are
        set decide. Without effect on ``estimator=None``, whose predictor is weighted.

    weight_scale : {"mean", "sum"}, default="mean"
        "mean" divides the weights by their mean for the estimator, so that its penalty weighs as
        much as on as many rows of one's own. "sum" passes them as they are: they add up to the
        weight of all rows, and beside such a sum of losses a penalty is weak.

    memory : str or object with the joblib.Memory interface, default=None
        Where fitted distillers are cached, as in a Pipeline: a grid search over the parameters of
        the estimator then distils once a fold instead of once a candidate. An `AutoDistiller` makes
        other rows for each candidate.

    validation : {"held_out", None}, default=None
        "held_out" keeps a tenth of the rows, at most 10,000, out of the small set and hands them to
        an estimator that stops early: as `X_val` and `y_val`, or as `eval_set`, whichever its
        ``fit`` takes.

    Attributes
    ----------
    distiller_ : distiller
        The fitted distiller.

    distilled_ : DistilledData
        The small set.

    estimator_ : classifier
        The classifier that was trained on it.

    classes_ : ndarray of shape (n_classes,) or list of ndarray
        The sorted classes of the whole `y`, also those that no distilled row has; a list with one
        array per output where `y` has several.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only when `X` has feature names that are all
        text.

    See Also
    --------
    DistilledRegressor : The same for real targets.
    SensitivityCoreset : Selects rows by importance.
    DistilledData : The small set itself, to train on by hand.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from skdistill import DistilledClassifier, SensitivityCoreset
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> model = DistilledClassifier(
    ...     LogisticRegression(max_iter=1000), SensitivityCoreset(200, random_state=0)
    ... ).fit(X, y)
    >>> len(model.distilled_)
    200
    >>> bool(model.score(X_test, y_test) > 0.85)
    True
    """

    _target_type = "classification"

    def __init__(
        self,
        estimator: Any = None,
        distiller: Any = None,
        *,
        use_weights: str | bool = "auto",
        weight_scale: str = "mean",
        memory: Any = None,
        validation: str | None = None,
    ) -> None:
        super().__init__(
            estimator,
            distiller,
            use_weights=use_weights,
            weight_scale=weight_scale,
            memory=memory,
            validation=validation,
        )

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any
    ) -> DistilledClassifier:
        """Distil the data, then train the estimator on the small set.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features), or a source
            Training data, in any form that the distiller and the estimator take. Data larger than
            memory, as in :meth:`SensitivityCoreset.fit`, if the distiller takes them.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Class labels, or an indicator of several labels. It may be left out only where `X`
            brings it along.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, for the distiller.

        **fit_params : dict
            Parameters of the estimator's ``fit``, such as an `eval_set` of real rows. With
            scikit-learn's metadata routing enabled, its requests decide.

        Returns
        -------
        self : DistilledClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If `y` has one class only or is continuous, or if the weights of the distilled rows
            matter and the estimator takes none.
        """
        if self.estimator is not None and is_regressor(self.estimator):
            raise ValueError(
                f"estimator={self.estimator!r} is a regressor; pass a classifier, or use "
                "DistilledRegressor."
            )
        task = self._fit_task(X, y, sample_weight)
        if is_stream(X):
            fit_params = self._estimator_params(fit_params)
            y, classes = check_labels(self._distil_stream(X, y, sample_weight, task), self)
        else:
            validate_data(self, X, y, skip_check_array=True)
            given = y
            y, classes = check_labels(y, self)
            X, y, sample_weight, fit_params, places = self._without_held_out(
                X, y, sample_weight, fit_params
            )
            self._distil(X, y, sample_weight, task)
            self._name_rows(given, places)
        self.classes_ = join_classes(classes, self.distilled_.y)
        if self.estimator is None:
            self.estimator_ = self._score_classifier(y)
        else:
            self.estimator_ = self._trained_estimator(task, fit_params)
        task.end()
        return self

    def _score_classifier(self, y: np.ndarray) -> ScoreClassifier:
        """Return the classifier that the small set was made for."""
        if isinstance(self.classes_, list):
            if type_of_target(y) != "multilabel-indicator":
                raise ValueError(
                    "estimator=None predicts one label, or several that are 0 or 1, but y is "
                    f"{type_of_target(y)}; pass an estimator, e.g. RandomForestClassifier()."
                )
            return ScoreClassifier(self._induced_predictor(), self.classes_)
        classes = getattr(self.distiller_, "classes_", None)
        if classes is None:
            raise ValueError(
                f"distiller={self.distiller!r} was fitted without classes, so its predictor gives "
                "no class; fit it with target_type='classification', or pass an estimator."
            )
        return ScoreClassifier(self._induced_predictor(), classes)

    @available_if(estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Predict class probabilities.

        They are those of the estimator, with zeros for classes that no distilled row has. With
        ``estimator=None`` and a :class:`DatasetDistiller` they are the softmax of the scores at a
        temperature that has the least log loss on rows held out from training. Where there is no
        such temperature (a coreset, several labels, nothing held out) they are the real scores of
        kernel ridge regression on one-hot labels,
        projected onto the probability simplex: the nearest numbers that are non-negative and sum
        to 1. That keeps the order of the classes and is exact where the scores are probabilities
        already; it is not calibrated, and often exactly 0 or 1.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes) or list of these
            Columns in the order of `classes_`; one array per output where `y` has several.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return map_blocks(self.predict_proba, X)
        rows = self._rows_for_estimator(X)
        probabilities = self.estimator_.predict_proba(rows)
        return spread_columns(probabilities, self._known_classes(), self.classes_, 0.0)

    @available_if(estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes) or list of these
            As `predict_proba`; minus infinity where that is 0.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return map_blocks(self.predict_log_proba, X)
        rows = self._rows_for_estimator(X)
        logarithms = self.estimator_.predict_log_proba(rows)
        return spread_columns(logarithms, self._known_classes(), self.classes_, -np.inf)

    @available_if(estimator_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the decision function of the estimator.

        With ``estimator=None`` these are the real scores of kernel ridge regression on one-hot
        labels, with two classes the score of the second less that of the first.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        decisions : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            Positive with two classes where the second is predicted, for labels where the label is;
            else the highest column is the predicted class. Classes that no distilled row has get
            the lowest finite number.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return map_blocks(self.decision_function, X)
        rows = self._rows_for_estimator(X)
        decisions = self.estimator_.decision_function(rows)
        return spread_decisions(decisions, self._known_classes(), self.classes_)

    def _known_classes(self) -> Classes:
        """Return the classes that the estimator has seen."""
        known = getattr(self.estimator_, "classes_", None)
        return np.unique(np.asarray(self.distilled_.y)) if known is None else known

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        distiller = get_tags(self._given_distiller())
        tags.target_tags.multi_output &= distiller.target_tags.multi_output
        if self.estimator is not None:
            inner = get_tags(self.estimator).classifier_tags
            if inner is not None:
                tags.classifier_tags.multi_label = inner.multi_label
                tags.classifier_tags.multi_class = inner.multi_class
                tags.classifier_tags.poor_score = inner.poor_score
        return tags
