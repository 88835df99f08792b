"""What every distiller shares: reading the input, the Nystroem map, the kernel ridge predictor."""

from __future__ import annotations

import time
from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._docs import DocLinkMixin
from ._input.caller import warn_caller
from ._input.frames import WAY_OUT, as_array_of_rows, is_frame, temporal_columns, text_columns
from ._input.lazy import is_lazy, map_blocks
from ._input.rows import Moments, Units, check_two_dimensional, float_type
from ._input.targets import TARGET_TYPES, Target, check_not_masked, encode_target, plain_target
from .data import DistilledData
from .kernels.functions import KERNELS, Kernel, resolve_kernel
from .kernels.nystroem import NystroemMap
from .kernels.ridge import RidgeFit
from .tables import TableEncoder

MAX_TOTAL_WEIGHT = 1e33  # far enough from the range of single precision for sums of products
DOCUMENTS = (
    "X must be a table of rows and columns, but it has one axis only. Make documents a column of a "
    "DataFrame, and pass preprocessor='auto' or ColumnTransformer([('text', TfidfVectorizer(), "
    "'column')])."
)
# Parts of scikit-learn's messages about values that are no numbers.
NOT_NUMBERS = (
    "could not convert",
    "dtype='numeric' is not compatible",
    "argument must be a string",
    "Cannot cast",  # pandas, of categories
)


@dataclass(frozen=True)
class Input:
    """The user's data, checked. `X` is what rows are handed out from, `features` what is scored."""

    X: Any
    features: Any
    y: np.ndarray | None
    target: Target
    sample_weight: np.ndarray | None


class BaseDistiller(
    DocLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base of `SensitivityCoreset` and of all that learns rows."""

    _parameter_constraints: ClassVar[dict] = {
        "n_samples": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
        ],
        "kernel": [StrOptions(set(KERNELS)), callable],
        "gamma": [
            StrOptions({"scale", "auto"}),
            Interval(Real, 0, None, closed="neither"),
            None,
        ],
        "degree": [Interval(Real, 0, None, closed="neither")],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "kernel_params": [dict, None],
        "preprocessor": [HasMethods(["fit_transform", "transform"]), StrOptions({"auto"}), None],
        "target_type": [StrOptions(set(TARGET_TYPES))],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    preprocessor: Any = None
    _small_targets: Any
    distilled_: DistilledData

    @abstractmethod
    def fit(self, X, y=None, sample_weight=None):
        """Make the small set.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.
        """

    def fit_distill(self, X: Any, y: Any = None, sample_weight: Any = None) -> DistilledData:
        """Fit and return the small data set.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        DistilledData
            The attribute `distilled_`: a mapping for ``estimator.fit(**small.normalized())``.
        """
        return self.fit(X, y, sample_weight=sample_weight).distilled_

    def transform(self, X: Any) -> np.ndarray:
        """Nystroem features of all rows, with the distilled rows as landmarks.

        The inner products of the features approximate the kernel:
        ``k(X, S) @ K_SS^(-1/2)`` for distilled rows S. The first call takes an eigendecomposition
        of ``K_SS``, whose time grows with the cube of the number of distilled rows.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            Rows to map; one row in, one row out. A Dask array or DataFrame is mapped block by
            block when the result is computed.

        Returns
        -------
        ndarray of shape (n_samples, n_distilled)
            In single precision for float32 and float16 input, else in float64. A Dask array for
            Dask input.
        """
        check_is_fitted(self)
        if is_lazy(X):
            return map_blocks(self.transform, X)
        features = self._features(X)
        dtype = float_type(features.dtype)
        return self._map.product(features, self.normalization_, dtype, self.device)

    def make_predictor(self) -> KernelRidgePredictor:
        """Fit the predictor that the small set was made for.

        Weighted kernel ridge regression on the distilled rows, with the ridge that minimises their
        leave-one-out error. It takes an eigendecomposition, which serves `transform` as well where
        all weights are equal.

        Returns
        -------
        KernelRidgePredictor
            Its ``predict(X)`` gives real-valued outputs: a column for each class, label or output.

        Raises
        ------
        ValueError
            If the distiller was fitted without a target.
        """
        check_is_fitted(self)
        small = self.distilled_
        if small.y is None:
            raise ValueError(
                "The distilled rows have no target: fit the distiller with y to make a predictor."
            )
        targets = self._small_targets
        if isinstance(targets, Target):  # with classes as codes
            targets = targets.take(slice(None))
        fit = self._map.ridge(targets, small.sample_weight)
        return KernelRidgePredictor(self, fit)

    # Reading the input -----------------------------------------------------------------------

    def _read(self, X: Any, y: Any, sample_weight: Any, encoder: Any = None) -> Input:
        """Check the input of `fit`; nothing is copied that is an array of numbers already.

        A fitted `encoder` makes the features in place of the preprocessor.
        """
        X, features, y = self._read_arrays(X, y, encoder)
        target_type = self._target_type()
        if y is not None and y.ndim == 2 and y.shape[1] == 1:
            if y.dtype.kind != "f" or target_type == "classification":
                y = column_or_1d(y, warn=True)
        target = encode_target(y, target_type)
        if target.classes is not None:
            self.classes_ = target.classes
        elif hasattr(self, "classes_"):
            del self.classes_
        if sample_weight is not None:
            check_not_masked(sample_weight, "sample_weight")
            sample_weight = _check_sample_weight(
                sample_weight, features, dtype=np.float64, ensure_non_negative=True
            )
            if not sample_weight.any():
                raise ValueError(
                    "sample_weight is zero for every row; give at least one row a positive weight."
                )
            if sample_weight.max() > MAX_TOTAL_WEIGHT / len(sample_weight):
                raise ValueError(
                    f"sample_weight holds {sample_weight.max():.3g}, and single precision cannot "
                    "hold a sum of such weights; divide the weights by their mean."
                )
        return Input(X, features, y, target, sample_weight)

    def _target_type(self) -> str:
        return self.target_type

    def _read_arrays(
        self, X: Any, y: Any, encoder: Any = None
    ) -> tuple[Any, Any, np.ndarray | None]:
        check_two_dimensional(X)
        check_not_masked(X, "X")
        y = plain_target(y)
        checks = {"accept_sparse": self._accept_sparse, "dtype": "numeric"}
        # NaN and infinity are found while the moments are computed, which saves a pass over X.
        checks["ensure_all_finite"] = False
        required = self.__sklearn_tags__().target_tags.required
        if y is None and required:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        preprocessor = self._preprocessor_for(X)
        self.__dict__.pop("preprocessor_", None)
        if preprocessor is None:
            features, y = self._numbers(X, y, checks)
        else:
            X = as_array_of_rows(X)
            X = X if hasattr(X, "shape") else np.asarray(X)
            if len(X.shape) == 1:
                raise ValueError(DOCUMENTS)
            self.preprocessor_ = encoder or self._make_preprocessor(preprocessor)
            if y is None:
                validate_data(self, X, skip_check_array=True)
            else:
                validate_data(self, X, y, skip_check_array=True)
                y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
                check_consistent_length(X, y)
            encode = self.preprocessor_.fit_transform
            features = check_array(encoder.transform(X) if encoder else encode(X, y), **checks)
        if sp.issparse(y):
            raise TypeError("A sparse y is not supported; pass y.toarray().")
        if sp.issparse(features) and not features.has_canonical_format:
            features = features.copy()  # summing duplicates would change the user's matrix
            features.sum_duplicates()
        if preprocessor is not None:
            if self._rows_are_features:
                return features, features, y
            return (X.tocsr() if sp.issparse(X) else X), features, y
        keeps_form = is_frame(X) or isinstance(X, np.ndarray)
        return (X if keeps_form else features), features, y

    def _numbers(
        self, X: Any, y: Any, checks: dict[str, Any], *, reset: bool = True
    ) -> tuple[Any, Any]:
        """Check X, which must hold numbers, and y."""
        dates = temporal_columns(X)
        if dates:
            raise ValueError(f"X has columns of dates or durations, {dates}; {WAY_OUT}.")
        try:
            if y is None:
                features = validate_data(self, X, reset=reset, **checks)
            else:
                features, y = validate_data(self, X, y, reset=reset, multi_output=True, **checks)
            # Of polars and pyarrow scikit-learn lets columns of texts pass.
            return (features.astype(np.float64) if features.dtype == object else features), y
        except (TypeError, ValueError) as error:
            if not any(told in str(error) for told in NOT_NUMBERS):
                raise
            names = text_columns(X)
            what = f"in the columns {names} " if names else ""
            raise type(error)(
                f"X holds other values than numbers {what}({error}); {WAY_OUT}."
            ) from error

    def _preprocessor_for(self, X: Any) -> Any:
        """Return the preprocessor of a fit on X; None where columns are taken as they are."""
        return self.preprocessor

    def _make_preprocessor(self, preprocessor: Any) -> Any:
        if isinstance(preprocessor, str):
            # Learnt rows are handed out as encoded, so in the units of the table.
            return TableEncoder(scale=not self._rows_are_features)
        return clone(preprocessor)

    def _features(self, X: Any) -> Any:
        """Check the input of `transform`, and encode it with the fitted preprocessor."""
        check_two_dimensional(X)
        checks = {"accept_sparse": self._accept_sparse, "dtype": "numeric"}
        if not hasattr(self, "preprocessor_"):
            return self._numbers(X, None, checks, reset=False)[0]
        X = as_array_of_rows(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return check_array(self.preprocessor_.transform(X), **checks)

    def _resolve_budget(self, n_distinct: int, n_classes: int) -> int:
        """`n_samples` as a number of rows."""
        budget = self.n_samples
        if isinstance(budget, Integral):
            budget = int(budget)
            if budget > n_distinct:
                warn_caller(
                    f"n_samples={budget} is more than the {n_distinct} distinct rows of positive "
                    "weight; all of them are taken.",
                    UserWarning,
                )
                budget = n_distinct
        else:
            budget = max(1, round(budget * n_distinct))
        return self._check_budget(budget, n_classes)

    def _check_budget(self, budget: int, n_classes: int) -> int:
        """Check that there is a row for each class."""
        if budget < n_classes:
            way_out = ", or stratify=False" if hasattr(self, "stratify") else ""
            raise ValueError(
                f"n_samples={self.n_samples!r} gives {budget} rows, fewer than the {n_classes} "
                f"classes in y; use n_samples of at least {n_classes}{way_out}."
            )
        return budget

    # The map ---------------------------------------------------------------------------------

    def _resolve_kernel(self, moments: Moments) -> tuple[Kernel, Units]:
        """Return the kernel with its parameters resolved, and the shift it allows."""
        kernel = resolve_kernel(
            "rbf" if isinstance(self.kernel, str) and self.kernel == "auto" else self.kernel,
            self.gamma,
            self.degree,
            self.coef0,
            self.kernel_params,
            len(moments.mean),
            moments.variance,
        )
        shift = moments.mean if kernel.shift_invariant else np.zeros(len(moments.mean))
        return kernel, Units(shift)

    def _set_map(self, kernel: Kernel, components: Any, units: Units) -> None:
        """Store the landmarks of `transform`."""
        self._map = NystroemMap(kernel, components, units)
        self._n_features_out = components.shape[0]

    @property
    def kernel_(self) -> Kernel:
        """The kernel with its parameters resolved.

        Returns
        -------
        Kernel
            Takes two blocks of rows and gives their kernel matrix.
        """
        return self._map.kernel

    @property
    def components_(self) -> Any:
        """The landmarks of the map: features of the distilled rows.

        Returns
        -------
        ndarray or CSR matrix of shape (n_distilled, n_features)
            In the float type of the training data.
        """
        return self._map.landmarks

    @property
    def normalization_(self) -> np.ndarray:
        """The normalisation of the map, made when it is first used.

        Returns
        -------
        ndarray of shape (n_distilled, n_distilled)
            Symmetric, float64.
        """
        return self._map.normalization

    # Small things ----------------------------------------------------------------------------

    _accept_sparse: ClassVar[str | bool] = False
    _rows_are_features: ClassVar[bool] = False  # of what the preprocessor makes, not the user's own

    def _say(self, message: str, since: float) -> None:
        if self.verbose:
            print(f"[{type(self).__name__}] {message} ({time.perf_counter() - since:.2f} s)")

    def __sklearn_tags__(self):
        """Sparse input where the class takes it; float types are kept."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = bool(self._accept_sparse)
        tags.input_tags.string = self.preprocessor is not None
        tags.input_tags.categorical = tags.input_tags.allow_nan = self.preprocessor == "auto"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.target_tags.one_d_labels = False
        return tags


def hands_out_features(distiller: Any) -> bool:
    """Tell whether the rows of a distiller are in the columns that its preprocessor makes.

    Parameters
    ----------
    distiller : distiller
        Fitted or not.

    Returns
    -------
    bool
        True for learnt rows of encoded columns.
    """
    learns = getattr(distiller, "_rows_are_features", False)
    return learns and distiller.preprocessor is not None


class KernelRidgePredictor:
    """Kernel ridge regression on a distilled set; made by ``make_predictor``.

    Parameters
    ----------
    distiller : BaseDistiller
        The fitted distiller: its kernel and rows are used.

    fit : RidgeFit
        Coefficients on its rows.

    temperature : float, default=None
        Found on held-out rows.

    Attributes
    ----------
    dual_coef : ndarray of shape (n_distilled, n_outputs)
        Coefficients of the distilled rows.

    intercept : ndarray of shape (n_outputs,)
        Weighted mean of the target.

    alpha : float
        The ridge, chosen by leave-one-out error.

    temperature : float or None
        Of the softmax that makes calibrated probabilities of the outputs, where one is known.
    """

    def __init__(
        self, distiller: BaseDistiller, fit: RidgeFit, temperature: float | None = None
    ) -> None:
        self.temperature = temperature
        self._distiller = distiller
        self.dual_coef = fit.dual_coef
        self.intercept = fit.intercept
        self.alpha = fit.alpha

    def predict(self, X: Any) -> np.ndarray:
        """Predict real-valued outputs.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            One column for each class, label or output.
        """
        features = self._distiller._features(X)
        landmarks, device = self._distiller._map, self._distiller.device
        outputs = landmarks.product(features, self.dual_coef, np.dtype(np.float64), device)
        return outputs + self.intercept
