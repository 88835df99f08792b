"""DistilledRegressor: any regressor, trained on a distilled set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context, is_classifier
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from ..learning.callbacks import with_callbacks
from ..streaming.sources import is_stream
from ._base import BaseDistilled, check_targets
from ._scores import ScoreRegressor


class DistilledRegressor(RegressorMixin, BaseDistilled):
    """Regressor trained on a distilled set instead of all rows.

    ``fit`` gives the data to the distiller, reads the small set from it and trains the estimator on
    that, weights included. To a Pipeline or a grid search it is a regressor like any other.

    Parameters
    ----------
    estimator : regressor, default=None
        What is trained on the small set: any scikit-learn regressor, also a Pipeline or a
        grid search. None takes the predictor that the set was made for, with a
        :class:`SensitivityCoreset` weighted kernel ridge regression.

    distiller : distiller, default=None
        What makes the small set. None is ``AutoDistiller(random_state=0)``, which makes rows for
        `estimator`, or ``SensitivityCoreset(random_state=0)`` without one. An `AutoDistiller` that
        has no estimator of its own gets this one. The distiller's `target_type`, where it has one,
        is set to "regression". A ``FrozenEstimator`` of a fitted distiller is used as it is: the
        data of `fit` then serve only to know the features.

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

    estimator_ : regressor
        The regressor that was trained on it.

    n_features_in_ : int
        Number of features seen during fit.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only when `X` has feature names that are all
        text.

    See Also
    --------
    DistilledClassifier : The same for classes.
    SensitivityCoreset : Selects rows by importance.
    DistilledData : The small set itself, to train on by hand.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skdistill import DistilledRegressor, SensitivityCoreset
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = DistilledRegressor(distiller=SensitivityCoreset(100, random_state=0)).fit(X, y)
    >>> len(model.distilled_)
    100
    >>> model.predict(X[:2]).shape
    (2,)
    """

    _target_type = "regression"

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
    ) -> DistilledRegressor:
        """Distil the data, then train the estimator on the small set.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features), or a source
            Training data, in any form that the distiller and the estimator take. Data larger than
            memory, as in :meth:`SensitivityCoreset.fit`, if the distiller takes them.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target values. It may be left out only where `X` brings it along.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, for the distiller.

        **fit_params : dict
            Parameters of the estimator's ``fit``, such as an `eval_set` of real rows. With
            scikit-learn's metadata routing enabled, its requests decide.

        Returns
        -------
        self : DistilledRegressor
            The fitted regressor.

        Raises
        ------
        ValueError
            If `y` is not made of finite numbers, or if the weights of the distilled rows matter
            and the estimator takes none.
        """
        if self.estimator is not None and is_classifier(self.estimator):
            raise ValueError(
                f"estimator={self.estimator!r} is a classifier; pass a regressor, or use "
                "DistilledClassifier."
            )
        task = self._fit_task(X, y, sample_weight)
        if is_stream(X):
            fit_params = self._estimator_params(fit_params)
            y = check_targets(self._distil_stream(X, y, sample_weight, task), self)
        else:
            validate_data(self, X, y, skip_check_array=True)
            given = y
            y = check_targets(y, self)
            X, y, sample_weight, fit_params, places = self._without_held_out(
                X, y, sample_weight, fit_params
            )
            self._distil(X, y, sample_weight, task)
            self._name_rows(given, places)
        if self.estimator is None:
            self.estimator_ = self._score_regressor(y)
        else:
            self.estimator_ = self._trained_estimator(task, fit_params)
        task.end()
        return self

    def _score_regressor(self, y: np.ndarray) -> ScoreRegressor:
        """Return the regressor that the small set was made for."""
        if self.distilled_.classes is not None:
            raise ValueError(
                f"distiller={self.distiller!r} was fitted on classes, so its predictor gives "
                "scores of classes; fit it with target_type='regression', or pass an estimator."
            )
        return ScoreRegressor(self._induced_predictor(), flat=y.ndim == 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.estimator is None:
            tags.target_tags.multi_output = True
        else:
            inner = get_tags(self.estimator).regressor_tags
            if inner is not None:
                tags.regressor_tags.poor_score = inner.poor_score
        return tags
