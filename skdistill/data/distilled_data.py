"""The small data set that a distiller hands out: rows, labels and weights that travel together.

A tuple would lose the weights or pass them as the wrong argument (``SGDClassifier.fit`` takes
``coef_init`` third). :class:`DistilledData` has the names of ``fit``'s own parameters, so that
``estimator.fit(**small)`` trains on the weighted rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import IO, Any, ClassVar, NoReturn

import numpy as np

from .._input.frames import (
    column_names,
    from_pandas,
    is_frame,
    is_pandas_like,
    series_names,
    take_rows,
)
from . import checks
from .conversions import to_dataset, to_frame
from .merging import concatenate
from .predictor import as_predictor_params, fit_predictor
from .storage import decode, encode, read_npz, write_npz

MAX_BYTES = 2**30  # that `load` unpacks unless it is told otherwise
# Suffixes that say what a file is, and would say it wrongly.
OTHER_FORMATS = (
    ".csv",
    ".feather",
    ".joblib",
    ".json",
    ".npy",
    ".parquet",
    ".pkl",
    ".tsv",
    ".xlsx",
)
_PARTS = (
    "X",
    "y",
    "sample_weight",
    "targets",
    "classes",
    "indices",
    "feature_names",
    "predictor_params",
    "target_names",
)


class DistilledData:
    """A small weighted data set that stands for a large one.

    ``LogisticRegression().fit(**small.normalized())`` trains on it: the object is a mapping with
    the keys ``"X"``, ``"y"`` and ``"sample_weight"``, and ``dict(small)`` works too. ``len(small)``
    is the number of rows. It is no tuple: iteration is an error, so that the weights are not lost.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame of shape (n_rows, n_features)
        The rows. A DataFrame is kept as it is; sparse formats other than CSR are converted to CSR,
        anything else to an ndarray.

    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Labels or target values in the user's own type. Without them the mapping has no key
        ``"y"``.

    sample_weight : array-like of shape (n_rows,), default=None
        Finite, non-negative weights. None gives each row the weight 1.

    targets : array-like of shape (n_rows, n_targets), default=None
        Learnt soft labels, one column per class or output; they may be negative.

    classes : array-like of shape (n_classes,) or list of ndarray, default=None
        All the classes of the data that the rows stand for, sorted, also those that no row here
        has; a list with one array per output where `y` has several.

    indices : array-like of shape (n_rows,), default=None
        For selected rows, their positions in the data they were selected from.

    feature_names : array-like of shape (n_features,), default=None
        Names of the columns. None takes those of a DataFrame whose labels are all text.

    predictor_params : mapping, default=None
        What `make_predictor` needs to know of the kernel ridge predictor that the rows were learnt
        for: `kernel`, `alpha` (the ridge) and `intercept` (n_targets,), and for

        - "rbf", "mirror_rbf": `length_scale` (n_features,), infinite for features without
          influence, and `n_odd` of the latter, the number of last features whose sign varies;
        - "laplacian", "linear", "polynomial": `shift` and `factor` (n_features,), as the kernel
          works on ``(X - shift) * factor``, and `gamma`, `degree`, `coef0` where the kernel has
          them;

        and, where it is known, `temperature`: ``softmax(outputs / temperature)`` are calibrated
        probabilities of the classes.

    target_names : str or sequence of str, default=None
        Names of the columns of `y`, for `to_pandas`. `fit_distill` takes that of a Series.

    Attributes
    ----------
    X : ndarray, CSR matrix or DataFrame of shape (n_rows, n_features)
        The rows.

    y : ndarray of shape (n_rows,) or (n_rows, n_outputs), or None
        The labels or target values.

    sample_weight : ndarray of shape (n_rows,), dtype float64
        The weights.

    targets : ndarray of shape (n_rows, n_targets), dtype float, or None
        Learnt soft labels.

    classes : ndarray of shape (n_classes,), list of ndarray, or None
        The classes.

    indices : ndarray of shape (n_rows,), dtype int, or None
        Positions of selected rows.

    feature_names : ndarray of shape (n_features,), dtype object, or None
        Names of the columns.

    predictor_params : dict or None
        Parameters of the predictor that the rows were learnt for.

    target_names : ndarray of shape (n_outputs,), dtype object, or None
        Names of the columns of `y`.

    Raises
    ------
    ValueError
        If a shape does not fit the rows, or a weight is negative or not finite.
    TypeError
        If the weights, targets or indices are not numbers.

    See Also
    --------
    DistilledClassifier : Trains any classifier on the small set of any distiller.
    DistilledRegressor : Trains any regressor on the small set of any distiller.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill import DistilledData
    >>> small = DistilledData(
    ...     [[0.0], [1.0], [3.0]], ["no", "no", "yes"], [10, 5, 2.5], classes=["no", "yes"]
    ... )
    >>> small
    DistilledData(3 rows, 1 feature, 2 classes, total weight 17.5)
    >>> small.keys()
    ('X', 'y', 'sample_weight')
    >>> LogisticRegression().fit(**small).predict([[4.0]])
    array(['yes'], dtype='<U3')
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        targets: Any = None,
        classes: Any = None,
        indices: Any = None,
        feature_names: Any = None,
        predictor_params: Any = None,
        target_names: Any = None,
    ) -> None:
        self.X = checks.as_rows(X)
        n_rows = self.X.shape[0]
        self.y = checks.as_labels(y, n_rows)
        self.sample_weight = checks.as_weights(sample_weight, n_rows)
        self.targets = checks.as_targets(targets, n_rows)
        self.classes = checks.as_classes(classes)
        self.indices = checks.as_indices(indices, n_rows)
        self.feature_names = checks.as_feature_names(feature_names, self.X)
        self.predictor_params = as_predictor_params(predictor_params, self.X.shape[1])
        self.target_names = checks.as_target_names(target_names, self.y)
        self._index: Any = None  # pandas Index of rows of an array, where its target had one

    # A mapping for `fit(**small)` ------------------------------------------------------------

    def keys(self) -> tuple[str, ...]:
        """Return the keys ``"X"``, ``"y"`` (left out without labels) and ``"sample_weight"``.

        Returns
        -------
        keys : tuple of str
            In the order of ``fit``'s parameters.
        """
        return ("X", "sample_weight") if self.y is None else ("X", "y", "sample_weight")

    def items(self) -> list[tuple[str, Any]]:
        """Return the keys with their values.

        Returns
        -------
        items : list of (str, object)
            As in a dict.
        """
        return [(key, self[key]) for key in self.keys()]

    def __getitem__(self, key: str) -> Any:
        if not (isinstance(key, str) and key in self.keys()):
            raise KeyError(f"{key!r} is not one of the keys {self.keys()}; small.X holds the rows")
        return getattr(self, key)

    def __iter__(self) -> NoReturn:
        # As a tuple it would unpack into three names, and as a list be these names.
        raise TypeError(
            "A DistilledData is no tuple: take small.X, small.y and small.sample_weight, or pass "
            "all of them with estimator.fit(**small). Its keys are small.keys()."
        )

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __len__(self) -> int:
        return self.X.shape[0]

    def __repr__(self) -> str:
        n_rows, n_features = self.X.shape
        parts = [checks.count(n_rows, "row"), checks.count(n_features, "feature")]
        if self.y is not None and self.y.ndim == 2:
            parts.append(checks.count(self.y.shape[1], "output"))
        elif isinstance(self.classes, np.ndarray):
            parts.append(checks.count(len(self.classes), "class", "classes"))
        parts.append(f"total weight {self.sample_weight.sum():.10g}")
        return f"DistilledData({', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        """Return plain arrays and texts, which skops can store too, in place of a DataFrame."""
        state = self.__dict__.copy()
        for name, frame in (("X", self.X), ("_index", self._index_frame())):
            if not is_frame(frame):
                continue
            arrays: dict[str, Any] = {}
            try:
                spec = encode(name, frame, arrays)
            except TypeError:  # a column of a type that only its own library can store
                continue
            state[name] = {"spec": json.dumps(spec), "arrays": arrays}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the DataFrame of `__getstate__` again."""
        self.__dict__.update(state)
        for name in ("X", "_index"):
            value = state.get(name)
            if isinstance(value, dict):
                frame = decode(name, json.loads(value["spec"]), value["arrays"])
                setattr(self, name, frame if name == "X" else frame.index)

    def normalized(self) -> DistilledData:
        """Return the same rows with weights of mean one, which suit the penalties of estimators.

        The weights of a distilled set add up to the weight of all the rows it stands for. A penalty
        such as that of ``Ridge``, ``LogisticRegression`` or ``SVC`` is compared with a weighted
        sum of losses: with raw weights it is as weak as for all rows, with those of mean one it is
        what it would be for as many rows of one's own.

        Returns
        -------
        small : DistilledData
            With the same arrays otherwise. Weights that are all zero stay so.

        Examples
        --------
        >>> from skdistill import DistilledData
        >>> small = DistilledData([[0.0], [1.0], [3.0]], [0, 0, 1], [10, 5, 3])
        >>> small.normalized().sample_weight
        array([1.66666667, 0.83333333, 0.5       ])
        """
        mean = self.sample_weight.mean()
        parts = {name: getattr(self, name) for name in _PARTS}
        parts["sample_weight"] = self.sample_weight / mean if mean > 0 else self.sample_weight
        return _with_index(self._index, **parts)

    # Merge and reduce ------------------------------------------------------------------------

    # How rows are chosen is known further up in the package: `skdistill.coreset` puts it here.
    _choose: ClassVar[Callable[..., Any]]

    @classmethod
    def concat(cls, parts: Sequence[DistilledData]) -> DistilledData:
        """Put small sets of disjoint parts of a data set together.

        Weights add up as they are, so that the union stands for all the data that the parts stand
        for. With :meth:`reduce` this is merge-and-reduce, in any engine: make a coreset of each
        part wherever it lies, send the coresets to one place, put them together, reduce.

        Parameters
        ----------
        parts : sequence of DistilledData
            With the same columns. All have a target or none has.

        Returns
        -------
        union : DistilledData
            `classes` are those of all parts. `targets` are kept where all parts have them.
            `indices` and `predictor_params`, which speak of one part, are left out.

        Raises
        ------
        ValueError
            If there are no parts, or they differ in columns, in having a target, or in its form.
        TypeError
            If some rows are arrays and others DataFrames or CSR matrices.

        See Also
        --------
        SensitivityCoreset.partial_fit : Does all this chunk by chunk.

        Examples
        --------
        >>> from skdistill import DistilledData
        >>> monday = DistilledData([[0.0], [1.0]], ["no", "no"], [10, 5], classes=["no"])
        >>> tuesday = DistilledData([[3.0]], ["yes"], [7], classes=["yes"])
        >>> DistilledData.concat([monday, tuesday])
        DistilledData(3 rows, 1 feature, 2 classes, total weight 22)
        """
        return cls(**{**concatenate(list(parts)), "indices": None})

    def reduce(
        self, n_samples: int, *, loss: Any = "kmeans", random_state: Any = None, **params: Any
    ) -> DistilledData:
        """Choose fewer of the rows, with new weights, for the same data.

        Parameters
        ----------
        n_samples : int
            Number of rows to choose. A set that has no more comes back as it is.

        loss : str or callable, default="kmeans"
            What the rows are scored by, as in :class:`SensitivityCoreset`.

        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        **params : dict
            Other parameters of :class:`SensitivityCoreset`. Its default for rows with a target
            are medoids; pass ``sampling="systematic"`` where the result is reduced again or totals
            are to stay unbiased.

        Returns
        -------
        small : DistilledData
            `indices` are taken along where there are any; else they are positions in this set.

        Examples
        --------
        >>> import numpy as np
        >>> from skdistill import DistilledData
        >>> days = [DistilledData(np.random.default_rng(i).normal(size=(50, 2))) for i in range(4)]
        >>> DistilledData.concat(days).reduce(20, random_state=0)
        DistilledData(20 rows, 2 features, total weight 200)
        """
        if len(self) <= n_samples:
            chosen, weight = np.arange(len(self)), self.sample_weight
        else:
            params = {"loss": loss, "random_state": random_state, **params}
            chosen, weight = type(self)._choose(self, n_samples, params)
        return DistilledData(
            take_rows(self.X, chosen),
            None if self.y is None else self.y[chosen],
            weight,
            targets=None if self.targets is None else self.targets[chosen],
            classes=self.classes,
            indices=chosen if self.indices is None else self.indices[chosen],
            feature_names=self.feature_names,
            target_names=self.target_names,
        )

    # Other forms -----------------------------------------------------------------------------

    def to_pandas(
        self, *, y_name: str | Sequence[str] | None = None, weight_name: str = "sample_weight"
    ) -> Any:
        """Return one DataFrame with the features, the labels and the weights.

        Parameters
        ----------
        y_name : str or sequence of str, default=None
            Name of the column of labels. Where `y` has several outputs: one name for each, or a
            single one that is followed by the number of the output. None takes the `target_names`,
            and "y" where there are none or a feature has such a name.

        weight_name : str, default="sample_weight"
            Name of the column of weights.

        Returns
        -------
        frame : DataFrame of shape (n_rows, n_features + n_outputs + 1)
            A copy. Rows that came as an array get the index of a target that was a Series, or else
            their `indices`, where there are any, and the names ``x0``, ``x1``, ... where there are
            no `feature_names`.

        Raises
        ------
        ValueError
            If a name is taken by a feature, or their number is wrong.
        ImportError
            If pandas is missing.

        Examples
        --------
        >>> from skdistill import DistilledData
        >>> DistilledData([[1, 2]], ["a"], [7], indices=[40]).to_pandas(y_name="kind")
            x0  x1 kind  sample_weight
        40   1   2    a            7.0
        """
        return to_frame(
            self.X,
            self.y,
            self.sample_weight,
            self.indices if self._index is None else self._index,
            self.feature_names,
            self._target_name() if y_name is None else y_name,
            weight_name,
        )

    def _target_name(self) -> str | list[str]:
        """Names of the target where no feature has them, else "y"."""
        if self.target_names is None:
            return "y"
        columns = column_names(self.X) if is_frame(self.X) else self.feature_names
        taken = set() if columns is None else set(columns)
        names = self.target_names.tolist()
        if taken & set(names):
            return "y"
        return names if self.y is not None and self.y.ndim == 2 else names[0]

    def _name_target(self, y: Any) -> None:
        """Take the name of a Series, and its index, or the names of the columns of a DataFrame."""
        names = series_names(y)
        if self.y is None:
            return
        if names is not None and all(isinstance(name, str) for name in names):
            self.target_names = checks.as_target_names(names, self.y)
        if self.indices is not None and is_pandas_like(y) and not is_frame(self.X):
            self._index = y.index[self.indices]

    def _index_frame(self) -> Any:
        """Table without columns that has the index, None without one."""
        if self._index is None:
            return None
        import pandas as pd

        return pd.DataFrame(index=self._index)

    def to_polars(
        self, *, y_name: str | Sequence[str] | None = None, weight_name: str = "sample_weight"
    ) -> Any:
        """Return one polars DataFrame with the features, the labels and the weights.

        Parameters
        ----------
        y_name : str or sequence of str, default=None
            Name of the column of labels; see `to_pandas`.

        weight_name : str, default="sample_weight"
            Name of the column of weights.

        Returns
        -------
        frame : polars.DataFrame of shape (n_rows, n_features + n_outputs + 1)
            Without the index that `to_pandas` has.

        Raises
        ------
        ValueError
            If a name is taken by a feature, or their number is wrong.
        ImportError
            If polars, pandas or pyarrow is missing.
        """
        return from_pandas(self.to_pandas(y_name=y_name, weight_name=weight_name), "polars")

    def to_parquet(
        self,
        file: str | PathLike[str] | IO[bytes],
        *,
        y_name: str | Sequence[str] | None = None,
        weight_name: str = "sample_weight",
    ) -> None:
        """Write one table with the features, the labels and the weights.

        Parameters
        ----------
        file : str, path or binary file
            Where to write.

        y_name : str or sequence of str, default=None
            Name of the column of labels; see `to_pandas`.

        weight_name : str, default="sample_weight"
            Name of the column of weights.

        Raises
        ------
        ValueError
            If a name is taken by a feature, or their number is wrong.
        ImportError
            If pandas or pyarrow is missing.
        """
        self.to_pandas(y_name=y_name, weight_name=weight_name).to_parquet(file)

    def head(self, n: int = 5) -> Any:
        """Return the first rows with their labels and weights, to look at.

        Parameters
        ----------
        n : int, default=5
            How many.

        Returns
        -------
        frame : DataFrame of shape (n, n_features + n_outputs + 1)
            The first rows of `to_pandas`, in names that are free.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        columns = set() if not is_frame(self.X) else set(map(str, column_names(self.X)))
        taken = columns | set(map(str, [] if self.feature_names is None else self.feature_names))
        y_name, weight_name = self._target_name(), "sample_weight"
        while isinstance(y_name, str) and any(name.startswith(y_name) for name in taken):
            y_name = f"_{y_name}"
        while weight_name in taken:
            weight_name = f"_{weight_name}"
        return self.to_pandas(y_name=y_name, weight_name=weight_name).head(n)

    def _repr_html_(self) -> str:
        """Return the summary and the first rows, for notebooks."""
        summary = f"<p>{escape(repr(self))}</p>"
        try:
            return summary + self.head()._repr_html_()
        except ImportError:  # without pandas the summary has to do
            return summary

    def to_torch(self, *, dtype: Any = None) -> Any:
        """Return the rows, labels and weights as a ``torch.utils.data.TensorDataset``.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            Floating type of the features, the weights and real-valued labels. None is
            ``torch.get_default_dtype()``, the type that torch gives new networks.

        Returns
        -------
        dataset : torch.utils.data.TensorDataset
            Of tensors X, y (left out without labels) and sample_weight. Sparse rows become dense.
            Classes become their positions in `classes`, as int64; other labels are numbers of
            type `dtype`.

        Raises
        ------
        TypeError
            If the features or labels are neither numbers nor labels with known `classes`.
        ValueError
            If `y` holds a label that is not in `classes`.

        Examples
        --------
        >>> from skdistill import DistilledData
        >>> small = DistilledData([[0.0], [1.0]], ["no", "yes"], classes=["no", "yes"])
        >>> small.to_torch()[1]
        (tensor([1.]), tensor(1), tensor(1.))
        """
        return to_dataset(self.X, self.y, self.sample_weight, self.classes, dtype)

    def make_predictor(self) -> Any:
        """Return the kernel ridge predictor that the rows were learnt for, in plain scikit-learn.

        Returns
        -------
        model : sklearn.compose.TransformedTargetRegressor
            Of :class:`~sklearn.kernel_ridge.KernelRidge`, fitted on `X` and `targets`. Its
            ``predict(X)`` gives one column for each class, label or output.

        Raises
        ------
        ValueError
            If there are no `targets` or no `predictor_params`.

        Notes
        -----
        For the RBF kernel this is ``KernelRidge(alpha=p["alpha"], kernel=RBF(p["length_scale"]))``
        with `p` the `predictor_params` and ``RBF`` of `sklearn.gaussian_process.kernels`, fitted on
        ``targets - p["intercept"]``; the intercept is added to what it predicts. For "mirror_rbf"
        the same model, at twice the ridge, is fitted on the rows and their mirror images, the last
        ``p["n_odd"]`` features with the other sign.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skdistill import DatasetDistiller
        >>> X, y = load_iris(return_X_y=True)
        >>> small = DatasetDistiller(9, max_iter=50, random_state=0).fit_distill(X, y)
        >>> outputs = small.make_predictor().predict(X)
        >>> bool((small.classes[outputs.argmax(axis=1)] == y).mean() > 0.9)
        True
        """
        return fit_predictor(self.X, self.targets, self.predictor_params)

    # Files -----------------------------------------------------------------------------------

    def save(self, file: str | PathLike[str] | IO[bytes]) -> None:
        """Write an npz file that :meth:`load` reads; it contains no pickle.

        A file that is there already is replaced once the new one is whole.

        Parameters
        ----------
        file : str, path or binary file
            Where to write: a name that ends in ``.npz``, or has no suffix. None is added.

        Raises
        ------
        ValueError
            If the name has the suffix of another format.
        TypeError
            If a column or the labels have a type that cannot be stored without pickle.

        Examples
        --------
        >>> from io import BytesIO
        >>> from skdistill import DistilledData
        >>> file = BytesIO()
        >>> DistilledData([[1.5, 2.5]], [3.5]).save(file)
        >>> _ = file.seek(0)
        >>> DistilledData.load(file)
        DistilledData(1 row, 2 features, total weight 1)
        """
        suffix = Path(file).suffix if isinstance(file, str | PathLike) else ""
        if suffix.lower() in OTHER_FORMATS:
            raise ValueError(
                f"save writes npz files, not {suffix}: end {str(file)!r} in .npz, or use "
                "to_parquet, or to_pandas and what pandas writes."
            )
        parts = {part: getattr(self, part) for part in _PARTS}
        index = self._index_frame()
        try:
            encode("index", index, {})
        except TypeError:  # of a type that only pandas can store
            index = None
        write_npz(file, {**parts, "index": index})

    @classmethod
    def load(
        cls, file: str | PathLike[str] | IO[bytes], *, max_bytes: float = MAX_BYTES
    ) -> DistilledData:
        """Read a file that :meth:`save` wrote.

        A file from someone else is safe to load: nothing in it is executed, only arrays that belong
        to the set are unpacked, and all are checked against each other.

        Parameters
        ----------
        file : str, path or binary file
            What to read.

        max_bytes : int or float, default=2**30
            Most bytes of arrays to unpack, since a small file can call for a lot of memory. Pass a
            larger number, or ``float("inf")``, for a large set.

        Returns
        -------
        small : DistilledData
            With the rows, labels and names in the types they had.

        Raises
        ------
        ValueError
            If this is not a file of :meth:`save`, is damaged, was written by a later version, or
            holds more than `max_bytes`.
        FileNotFoundError
            If there is no such file.
        """
        return read_npz(file, _with_index, max_bytes)


def _with_index(index: Any = None, **parts: Any) -> DistilledData:
    """Make a set whose rows have the index of their target: an Index, or a frame that has it."""
    small = DistilledData(**parts)
    if index is not None:
        index = getattr(index, "index", index)
        if len(index) != len(small):
            raise ValueError(f"index has {len(index)} labels for {len(small)} rows")
        small._index = index
    return small
