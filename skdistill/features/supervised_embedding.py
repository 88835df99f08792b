"""`SupervisedEmbedding`: features in which rows are near that a forest cannot tell apart."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from .._docs import DocLinkMixin
from .._input.frames import is_frame
from .._input.rows import check_two_dimensional, merge_equal_rows
from .._input.targets import TARGET_TYPES, Target, encode_target, plain_target
from ._forest import blocks, draw_rows, fit_forest, principal_directions
from ._table import ColumnEncoder, Table, numeric_columns, read_table

# Numbers, objects and text; what is infinite is found by the check, or column by column.
_ARRAY: dict[str, Any] = {"dtype": None, "ensure_all_finite": "allow-nan"}


class SupervisedEmbedding(DocLinkMixin, TransformerMixin, BaseEstimator):
    """Scaled columns beside an embedding of the leaves of a forest.

    Two rows are near where their columns are, and where many trees of a forest, grown to predict
    the target, put them into the same leaf. The leaves are a sparse 0/1 matrix, which is brought to
    a few columns by a truncated singular value decomposition.

    .. note::
        ``fit(X, y).transform(X)`` does not equal ``fit_transform(X, y)``. A tree puts a row that it
        was grown on where the row's own label says, so that training rows would look far better
        sorted than new ones. `fit_transform` asks about each row only the trees that had it out of
        their bag; it is the method for training rows, and what a Pipeline calls. `transform` asks
        all trees, and is for new rows.

    Parameters
    ----------
    n_components : int, default=32
        Most columns of the embedding; fewer where the leaves span fewer dimensions.

    n_estimators : int, default=100
        Number of trees.

    max_leaf_nodes : int or None, default=256
        Most leaves of a tree; None grows trees until leaves are pure.

    passthrough : bool, default=True
        Whether the scaled columns stand before the embedding. Alone the embedding was worse.

    subsample : int or None, default=20_000
        About as many distinct rows are drawn to grow the trees on, where there are more; half of
        them are shared out equally among classes. None takes all.

    max_categories : int, default=20
        Most 0/1 columns for a column of labels, its rare levels sharing one. Trees see all levels.

    target_type : {"auto", "classification", "regression"}, default="auto"
        What `y` holds; "auto" reads a float target as numbers and anything else as classes.

    n_jobs : int or None, default=None
        Threads for the trees; None is one, -1 all.

    random_state : int, RandomState instance or None, default=None
        Draws rows, trees and projections.

    Attributes
    ----------
    oob_prediction_ : ndarray of shape (n_samples, n_classes), (n_samples,) or \
            (n_samples, n_outputs)
        What the trees that had a training row out of their bag predict for it: probabilities of the
        classes, of each label, or numbers in the units of `y`.

    classes_ : ndarray of shape (n_classes,)
        Class labels, where the target is one of classes.

    components_ : ndarray of shape (n_leaves, n_components)
        What each leaf of each tree adds to the embedding.

    forest_ : ExtraTreesClassifier or ExtraTreesRegressor
        The trees. They split encoded columns.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of features seen during `fit`, where all are strings.

    See Also
    --------
    skdistill.SensitivityCoreset : Takes it as ``preprocessor``.
    sklearn.ensemble.RandomTreesEmbedding : Leaves of trees grown without a target.

    Notes
    -----
    Columns of a DataFrame may be numbers, truth values, dates, categories and text, with missing
    values. Numbers are imputed by their median and scaled; labels become 0/1 columns. Levels that
    were not there in `fit` count as rare ones.

    Equal rows are merged and their weights added before trees are grown: a row of weight 2 and a
    row that stands twice give the same features, and no copy of a row is out of a bag that holds
    another one. A row that every tree has seen is asked of all trees; this happens where trees are
    few or one row outweighs the others.

    References
    ----------
    Geurts, P., Ernst, D., Wehenkel, L. (2006). Extremely randomized trees. Machine Learning 63.

    Breiman, L. (2001). Random forests. Machine Learning 45 (out-of-bag estimates, proximities).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdistill.features import SupervisedEmbedding
    >>> X, y = load_iris(return_X_y=True)
    >>> embedding = SupervisedEmbedding(n_components=5, random_state=0)
    >>> embedding.fit_transform(X, y).shape
    (150, 9)
    >>> embedding.oob_prediction_.shape
    (150, 3)
    >>> bool((embedding.oob_prediction_.argmax(axis=1) == y).mean() > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
        "passthrough": ["boolean"],
        "subsample": [Interval(Integral, 1, None, closed="left"), None],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "target_type": [StrOptions(set(TARGET_TYPES))],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 32,
        *,
        n_estimators: int = 100,
        max_leaf_nodes: int | None = 256,
        passthrough: bool = True,
        subsample: int | None = 20_000,
        max_categories: int = 20,
        target_type: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_estimators = n_estimators
        self.max_leaf_nodes = max_leaf_nodes
        self.passthrough = passthrough
        self.subsample = subsample
        self.max_categories = max_categories
        self.target_type = target_type
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SupervisedEmbedding:
        """Grow the trees and learn the embedding.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target: classes, 0/1 labels in several columns, or numbers.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : SupervisedEmbedding
            Fitted transformer.
        """
        self._learn(X, y, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any, sample_weight: Any = None) -> np.ndarray:
        """Fit, and embed each training row by the trees that have not seen it.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target: classes, 0/1 labels in several columns, or numbers.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In single precision for float32 and float16 arrays, else in float64.
        """
        return self._learn(X, y, sample_weight)

    def transform(self, X: Any) -> np.ndarray:
        """Embed new rows by all trees.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows that the trees were not grown on.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In single precision for float32 and float16 arrays, else in float64.
        """
        check_is_fitted(self)
        check_two_dimensional(X)
        if is_frame(X):
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, **_ARRAY)
        out, Z = self._open(read_table(X, self._numeric))
        for block in blocks(len(Z)):
            self._embed(self._leaves.memberships(Z[block]), out[block])
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns: those of the table, with their levels, then the embedding.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the table's columns; None takes `feature_names_in_`, or x0, x1, ...

        Returns
        -------
        ndarray of str objects
            One name for each column of `transform`.
        """
        check_is_fitted(self)
        columns = _check_feature_names_in(self, input_features)
        names = [f"{type(self).__name__.lower()}{i}" for i in range(self.components_.shape[1])]
        if self.passthrough:
            names = [*self._encoder.names(columns, self._numeric), *names]
        return np.asarray(names, dtype=object)

    # How it is done --------------------------------------------------------------------------

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> np.ndarray:
        """Fit, and return the features (n, .) of the training rows."""
        rng = check_random_state(self.random_state)
        table, y, target, weight = self._read(X, y, sample_weight)
        self._encoder = ColumnEncoder(self.max_categories)
        self._encoder.fit_levels(table if weight is None else table.take(weight > 0))
        rows = merge_equal_rows(self._encoder.identity(table), target.identity, weight)
        self._encoder.fit(table.take(rows.index), rows.weight)

        codes = None if target.codes is None else target.codes[rows.index]
        drawn, factor = draw_rows(len(rows), codes, self.subsample, rng)
        index, drawn_weight = rows.index[drawn], rows.weight[drawn] * factor
        few = table.take(index)
        Z = self._encoder.for_trees(few, self._encoder.scaled(few))
        taught = target.codes if target.numbers is None else target.numbers
        assert taught is not None  # `y` is required
        self._leaves = fit_forest(
            Z,
            taught[index],
            drawn_weight,
            n_classes=0 if codes is None else target.n_outputs,
            n_estimators=self.n_estimators,
            max_leaf_nodes=self.max_leaf_nodes,
            n_jobs=self.n_jobs,
            rng=rng,
        )
        self.forest_ = self._leaves.forest
        unseen = self._leaves.out_of_bag(len(drawn))
        self.components_, self._offset = principal_directions(
            self._leaves.memberships(Z, unseen), drawn_weight, self.n_components, rng
        )

        place = np.full(len(rows) + 1, -1)  # of a distinct row among those drawn
        place[drawn] = np.arange(len(drawn))
        # The last one serves rows of zero weight, whose distinct row is -1.
        place = place[:-1] if rows.inverse is None else place[rows.inverse]
        out, Z = self._open(table)
        prediction = np.empty((len(Z), self._leaves.values.shape[1]))
        for block in blocks(len(Z)):
            asked = np.where(place[block, None] >= 0, unseen[place[block]], True)
            M = self._leaves.memberships(Z[block], asked)
            self._embed(M, out[block])
            prediction[block] = M @ self._leaves.values
        if target.kind == "multilabel":  # shares that rounding may have brought out of their range
            prediction = prediction.clip(0, 1)
        flat = target.kind == "numbers" and y.ndim == 1
        self.oob_prediction_ = prediction[:, 0] if flat else prediction
        return out

    def _read(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Table, np.ndarray, Target, np.ndarray | None]:
        """Check the input of `fit`."""
        check_two_dimensional(X)
        y = plain_target(y)
        if is_frame(X) and y is not None:
            validate_data(self, X, y, skip_check_array=True)
            y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
            check_consistent_length(X, y)
        else:
            X, y = validate_data(self, X, y, multi_output=True, **_ARRAY)
        if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind != "f":
            y = column_or_1d(y, warn=True)
        target = encode_target(y, self.target_type)
        self.__dict__.pop("classes_", None)  # of an earlier fit
        if target.classes is not None:
            self.classes_ = target.classes
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            if not sample_weight.any():
                raise ValueError(
                    "sample_weight is zero for every row; give at least one row a positive weight."
                )
        self._numeric = numeric_columns(X)
        return read_table(X, self._numeric), y, target, sample_weight

    def _open(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Room for the features (n, .), columns filled in, and what the trees split on (n, p)."""
        scaled = self._encoder.scaled(table)
        Z = self._encoder.for_trees(table, scaled)
        columns = scaled[:, :0]
        if self.passthrough:
            columns = self._encoder.for_distances(table, scaled)
        n_columns = columns.shape[1]
        out = np.empty((len(Z), n_columns + len(self._offset)), dtype=table.numbers.dtype)
        out[:, :n_columns] = columns
        return out, Z

    def _embed(self, M: Any, out: np.ndarray) -> None:
        """Fill the last columns of rows (b, .), given their leaves (b, n_leaves)."""
        out[:, out.shape[1] - len(self._offset) :] = M @ self.components_ - self._offset

    def __sklearn_tags__(self):
        """Take missing values and text, need a target, keep float types."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        # Only so that the common checks do not ask for fit_transform(X) to be transform(X): with an
        # integer as random_state, each of the two gives the same numbers every time.
        tags.non_deterministic = True
        return tags
