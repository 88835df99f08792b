"""What DistilledClassifier and DistilledRegressor share: distil, then train on the small set."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_memory,
    column_or_1d,
    validate_data,
)

from .._device import SmallFits
from .._docs import DocLinkMixin
from .._input.fit_weights import fit_weighted
from .._input.frames import (
    as_array_of_rows,
    check_is_table,
    holds_more_than_numbers,
    noting_raw_columns,
)
from .._input.lazy import is_lazy, map_blocks
from .._input.targets import check_classes, plain_target
from ..auto import AutoDistiller
from ..base import hands_out_features
from ..coreset import SensitivityCoreset
from ..data import DistilledData
from ..learning.callbacks import CallbackSupportMixin, FitTask
from ..streaming.sources import is_stream
from ._held_out import hold_out, validation_keywords
from ._scores import Classes


def estimator_has(name: str) -> Callable[[Any], bool]:
    """Check for ``available_if`` that the estimator inside has a method.

    The predictor that stands for None has all of them.
    """

    def check(self: Any) -> bool:
        estimator = getattr(self, "estimator_", self.estimator)
        if estimator is not None:
            # The AttributeError of the estimator itself says best what is missing.
            getattr(estimator, name)
        return True

    return check


def fit_distiller(distiller: Any, X: Any, y: Any, sample_weight: Any, task: FitTask) -> Any:
    """Fit a distiller; a function of the module, so that joblib can cache it, but for the task."""
    with task.part("distil", distiller):
        if sample_weight is None:
            return distiller.fit(X, y)
        return distiller.fit(X, y, sample_weight=sample_weight)


class BaseDistilled(DocLinkMixin, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """The common part of the two; each sets `_target_type` and has its own ``fit``."""

    _target_type: str

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        # Stacking has a predict only after fit where its final estimator is the default.
        "estimator": [HasMethods(["fit", "predict"]), StackingClassifier, StackingRegressor, None],
        "distiller": [HasMethods(["fit"]), None],
        "use_weights": [StrOptions({"auto"}), "boolean"],
        "weight_scale": [StrOptions({"mean", "sum"})],
        "memory": [str, HasMethods(["cache"]), None],
        "validation": [StrOptions({"held_out"}), None],
    }

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
        self.estimator = estimator
        self.distiller = distiller
        self.use_weights = use_weights
        self.weight_scale = weight_scale
        self.memory = memory
        self.validation = validation

    def predict(self, X: Any) -> np.ndarray:
        """Predict with the estimator that was trained on the small set.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted labels or values.
        """
        if is_lazy(X):
            check_is_fitted(self)
            return map_blocks(self.predict, X)
        rows = self._rows_for_estimator(X)
        return self.estimator_.predict(rows)

    def _rows_for_estimator(self, X: Any) -> Any:
        """Check that the model is fitted and that `X` has its features; return what is predicted.

        Values are left to the estimator inside: a DataFrame stays one, text stays text. An
        estimator that was trained on learnt rows of encoded columns gets encoded columns.
        """
        check_is_fitted(self)
        X = as_array_of_rows(X)
        try:
            validate_data(self, X, reset=False, skip_check_array=True)
        except ValueError:
            # Only the width was looked at; of an X without one check_array says what to do.
            check_array(X, accept_sparse=True, dtype=None, ensure_all_finite=False)
            raise
        trained_on_features = self.estimator is not None and hands_out_features(self.distiller_)
        return self.distiller_._features(X) if trained_on_features else X

    def _distil(self, X: Any, y: np.ndarray, sample_weight: Any, task: FitTask) -> None:
        """Fit a clone of the distiller and set `distiller_` and `distilled_`."""
        if not is_stream(X):
            X = as_array_of_rows(X)
            check_consistent_length(X, y)
        distiller = clone(self._given_distiller())
        alone = self.distiller is None and self.estimator is None  # AutoDistiller encodes by itself
        if alone and holds_more_than_numbers(X):
            distiller.set_params(preprocessor="auto")
        if "target_type" in distiller.get_params(deep=False):
            distiller.set_params(target_type=self._target_type)
        if isinstance(distiller, AutoDistiller) and distiller.estimator is None:
            distiller.set_params(estimator=self.estimator)  # the rows are for this model
            if self.use_weights is False:
                distiller.set_params(use_weights=False)
        # What listens to a fit has no part in its result.
        fit = check_memory(self.memory).cache(fit_distiller, ignore=["task"])
        if is_stream(X):  # whose content no cache could know
            fit = fit_distiller
        self.distiller_ = fit(distiller, X, y, sample_weight, task)
        if is_stream(X):
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(self.distiller_, name):
                    setattr(self, name, getattr(self.distiller_, name))
        self.distilled_ = self._small_set()

    def _without_held_out(
        self, X: Any, y: np.ndarray, sample_weight: Any, fit_params: dict[str, Any]
    ) -> tuple[Any, np.ndarray, Any, dict[str, Any], np.ndarray | None]:
        """Rows to distil, parameters of the estimator (with a validation set if asked), and places.

        The places are those of the rows among all, None where no row is held out.
        """
        fit_params = self._estimator_params(fit_params)
        if self.validation is None:
            return X, y, sample_weight, fit_params, None
        if self.estimator is None:
            raise ValueError("validation='held_out' needs an estimator; use validation=None.")
        validation_keywords(self.estimator, None, None)  # before the work
        classes = self._target_type == "classification"
        (X, y, sample_weight), held, places = hold_out(X, y, sample_weight, classes)
        fit_params = {**fit_params, **validation_keywords(self.estimator, *held)}
        return X, y, sample_weight, fit_params, places

    def _name_rows(self, y: Any, places: np.ndarray | None) -> None:
        """Give the set the row numbers of `fit`, and the name and index of `y` as passed."""
        if isinstance(self.distiller, FrozenEstimator):  # whose rows are of other data
            return
        if places is not None and self.distilled_.indices is not None:
            self.distilled_ = copy.copy(self.distilled_)
            self.distilled_.indices = places[self.distilled_.indices]
        self.distilled_._name_target(y)

    def _distil_stream(self, X: Any, y: Any, sample_weight: Any, task: FitTask) -> np.ndarray:
        """Distil chunks that are read once; the target of the small set stands for the whole."""
        if self.validation is not None:
            raise ValueError(
                f"validation={self.validation!r} needs data in memory, of which a part can be held "
                "out; use validation=None."
            )
        # The distiller alone sees the data, and says what their columns are.
        self.__dict__.pop("n_features_in_", None)
        self.__dict__.pop("feature_names_in_", None)
        self._distil(X, y, sample_weight, task)
        assert self.distilled_.y is not None
        return self.distilled_.y

    def _fit_task(self, X: Any, y: Any, sample_weight: Any) -> FitTask:
        """Return what callbacks hear of a fit: the distiller, and the estimator if there is one."""
        if not is_stream(X):
            check_is_table(X)
        return FitTask(self, X, y, sample_weight).begin(1 + (self.estimator is not None))

    def _given_distiller(self) -> Any:
        """Return the distiller parameter, the default distiller for None."""
        if self.distiller is not None:
            return self.distiller
        # Seeded: no parameter of this class could make two fits with it agree.
        if self.estimator is None:
            return SensitivityCoreset(random_state=0)
        return AutoDistiller(random_state=0)

    def _small_set(self) -> DistilledData:
        """Return the set of the fitted distiller; one that was frozen may not fit the data."""
        small = getattr(self.distiller_, "distilled_", None)
        if not isinstance(small, DistilledData):
            raise TypeError(
                f"distiller={self.distiller!r} has no distilled set after fit. Pass a distiller, "
                "e.g. SensitivityCoreset(), or a FrozenEstimator of a fitted one; what the scores "
                "need before them goes into the distiller's `preprocessor`."
            )
        if small.y is None:
            raise ValueError(
                f"distiller={self.distiller!r} was fitted without y, so its rows have no labels to "
                "train on; fit it with y."
            )
        n_features, width = getattr(self, "n_features_in_", None), small.X.shape[1]
        if hands_out_features(self.distiller_):
            width = self.distiller_.n_features_in_
        if width != n_features:
            raise ValueError(
                f"X has {n_features} features, but the rows in distiller={self.distiller!r} have "
                f"{width}; fit both on the same columns."
            )
        return small

    def _estimator_params(self, fit_params: dict[str, Any]) -> dict[str, Any]:
        """Parameters of ``fit`` that go to the estimator; routed where routing is on."""
        if not fit_params:
            return {}
        if self.estimator is None:
            raise TypeError(
                f"fit got {sorted(fit_params)}, but estimator=None takes no further parameters."
            )
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **fit_params).estimator.fit
        return fit_params

    def get_metadata_routing(self) -> Any:
        """Say where the parameters of ``fit`` go.

        Returns
        -------
        routing : MetadataRouter
            `sample_weight` is for the distiller, all else for the estimator.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        if self.estimator is not None:
            mapping = MethodMapping().add(caller="fit", callee="fit")
            router.add(estimator=self.estimator, method_mapping=mapping)
        return router

    def _trained_estimator(self, task: FitTask, fit_params: dict[str, Any]) -> Any:
        """Return a clone of the estimator, trained on the small set."""
        small, estimator = self.distilled_, clone(self.estimator)
        if self.weight_scale == "mean":
            small = small.normalized()
        X = small.X
        with task.part("train", estimator), noting_raw_columns(X), SmallFits()(X):
            return fit_weighted(
                estimator, X, small.y, small.sample_weight, self.use_weights, **fit_params
            )

    def _induced_predictor(self) -> Any:
        """Return the predictor of real scores that the small set was made for."""
        if not hasattr(self.distiller_, "make_predictor"):
            raise TypeError(
                f"estimator=None needs a distiller with the method make_predictor, which "
                f"distiller={self.distiller!r} lacks; pass an estimator."
            )
        return self.distiller_.make_predictor()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        sources = [get_tags(self._given_distiller())]
        if self.estimator is not None:
            inner = get_tags(self.estimator)
            sources.append(inner)
            tags.target_tags.multi_output = inner.target_tags.multi_output
            tags.target_tags.single_output = inner.target_tags.single_output
        for name in ("sparse", "allow_nan", "string", "categorical"):
            value = all(getattr(source.input_tags, name) for source in sources)
            setattr(tags.input_tags, name, value)
        tags.input_tags.positive_only = any(s.input_tags.positive_only for s in sources)
        tags.target_tags.positive_only = any(s.target_tags.positive_only for s in sources)
        tags.non_deterministic = any(source.non_deterministic for source in sources)
        return tags


def check_labels(y: Any, estimator: BaseDistilled) -> tuple[np.ndarray, Classes]:
    """Return class labels as an array and their sorted classes, a list for several outputs."""
    y = y.toarray() if sparse.issparse(y) else plain_target(y)
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    if y.ndim == 2 and y.shape[1] == 1 and get_tags(estimator).target_tags.single_output:
        y = column_or_1d(y, warn=True)
    check_classes(y)
    if y.ndim == 2:
        if type_of_target(y) == "multilabel-indicator":
            # A label that every row has, or none, still has two values.
            return y, [np.array([0, 1], dtype=y.dtype) for _ in range(y.shape[1])]
        return y, [np.unique(column) for column in y.T]
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"y contains one class, {classes.tolist()[0]!r}; {type(estimator).__name__} needs at "
            "least two."
        )
    return y, classes


def check_targets(y: Any, estimator: BaseDistilled) -> np.ndarray:
    """Return real targets as an array; two axes are kept for estimators of several outputs."""
    y = check_array(
        plain_target(y), ensure_2d=False, dtype=None, input_name="y", estimator=estimator
    )
    if y.dtype.kind not in "biuf":
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"y must be numbers, got dtype {y.dtype} ({error}); for labels use "
                "DistilledClassifier."
            ) from error
    if y.ndim == 2 and not get_tags(estimator).target_tags.multi_output:
        y = column_or_1d(y, warn=True)
    return y


def join_classes(classes: Classes, labels: Any) -> Classes:
    """Add to the classes of `y` those that only the rows of a frozen distiller have."""
    if isinstance(classes, list) or labels.ndim != 1:
        return classes
    if (classes.dtype.kind in "OUS") != (labels.dtype.kind in "OUS"):
        raise ValueError(
            f"y has the classes {classes}, but the rows of the frozen distiller have labels such "
            f"as {labels.tolist()[0]!r}; fit the distiller on labels of the same type."
        )
    # Not the union alone: that could widen the type of labels that are all known.
    return classes if np.isin(labels, classes).all() else np.union1d(classes, labels)
