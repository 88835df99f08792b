"""`SensitivityCoreset`: choose weighted rows, nearest to cluster centres or by sensitivity."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from ._device import resolve_device, threads_for
from ._input.frames import take_rows
from ._input.lazy import is_lazy
from ._input.rows import (
    Moments,
    Rows,
    Units,
    long_block,
    merge_equal_rows,
    weighted_moments,
)
from .base import BaseDistiller, Input
from .data import DistilledData
from .kernels.functions import Kernel
from .sensitivity import kernel_ridge, kmeans, relative_loss
from .sensitivity.draws import mix_with_uniform
from .sensitivity.medoids import Clusters, kmeans_clusters, standard_space
from .sensitivity.sample import SAMPLINGS, weighted_sample
from .sensitivity.scores import Scores
from .sensitivity.shares import CLASS_SHARES, class_budgets, class_shares
from .streaming.coreset import Part, StreamingMixin, counts_rows
from .streaming.sources import in_memory, open_source

LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")
DEFAULT_MIXING = {"kmeans": 0.2, "others": 0.5}
CLIP = 3.0  # standard deviations from the mean that nearness looks at


@dataclass(frozen=True)
class _Task:
    """One call of `fit`: what scores and draws are computed from."""

    data: Input
    rows: Rows
    strata: np.ndarray | None
    moments: Moments
    kernel: Kernel
    units: Units
    budget: int
    device: Any
    rng: np.random.RandomState
    scored_for: int
    reference: Any = None
    in_stream: bool = False
    on_the_way: bool = False  # to the last reduction of a stream


class SensitivityCoreset(StreamingMixin, BaseDistiller):
    """Choose rows, with weights, that stand for all rows.

    ``fit_distill(X, y)`` gives the small data set; ``fit_transform(X, y)`` gives Nystroem features
    of *all* rows, with the chosen rows as landmarks (one row in, one row out).

    There are two ways to choose, see `sampling`. With a target, the default takes the rows nearest
    to the centres of clusters within each class, each with the weight of its cluster: such rows
    train most models better than a sample of the same size. Without one, and where totals or
    guarantees matter, rows are drawn at random: each gets a score, its largest possible share in a
    loss, and is drawn with probability proportional to it and weighted by one over that
    probability. Weighted sums over the rows are then unbiased estimates of sums over all rows, and
    close to them for every model at once where the score is a sensitivity.

    Read more in the :ref:`user guide <choosing_rows>`.

    Parameters
    ----------
    n_samples : int or float, default=100
        Number of rows to choose; a float in (0, 1) is a share of the distinct rows of positive
        weight. More rows than there are gives a UserWarning and all rows.

    loss : {"kmeans", "kernel_ridge", "cross_entropy", "squared_error"} or callable, \
default="kmeans"
        What the rows are scored by:

        - "kmeans": share in the cost of any k centres. Needs no target.
        - "kernel_ridge": share in the loss of any function of the kernel's space; without a target
          its ridge leverage score. Takes several outputs.
        - "cross_entropy", "squared_error": share in the loss of one reference model, `estimator`.
          This is importance and carries no guarantee.
        - a callable ``loss(X, y) -> (n,)`` of non-negative losses, given the checked features
          (after `preprocessor`) and target. Importance, too.

    n_clusters : int or "auto", default="auto"
        Number of rough clusters for ``loss="kmeans"``. "auto" is n_samples / 20, between 2 and 100.

    alpha : float or "auto", default="auto"
        Ridge of the loss for ``loss="kernel_ridge"``: sum of weighted squared errors plus `alpha`
        times the squared norm. "auto" is the ridge whose effective dimension is about
        n_samples / 2. It belongs to the scores only; a model trained later has a ridge of its own.

    approx_factor : float, default=0.3
        How far the rough clustering may be from the best one, relative to what k-means++ guarantees
        in expectation: 1 is that worst case, and the centres found are far better. Larger values
        give more to distant rows and rows of costly clusters, smaller ones to small clusters and
        single rows far out.

    estimator : estimator, default=None
        Reference model for "cross_entropy" (needs ``predict_proba``) and "squared_error", fitted on
        at most 10,000 rows, or used as it is when wrapped in
        :class:`~sklearn.frozen.FrozenEstimator`. None is logistic regression or ridge regression on
        scaled features.

    uniform_mixing : float in [0, 1] or "auto", default="auto"
        Share of the draw that is uniform (by weight). It bounds the weights by
        1 / `uniform_mixing` times their mean; 1 is uniform sampling. "auto" is 0.2 for "kmeans",
        whose scores are part uniform already, and 0.5 for all others: what measured best
        in test scores. For "medoids" it mixes the weights of rows in the clustering.

    sampling : {"auto", "medoids", "systematic", "iid"}, default="auto"
        How rows are chosen:

        - "medoids": k-means splits each class into as many clusters as it has rows to give, and the
          row nearest to each centre is taken, with the weight of its whole cluster. The weights of
          each class add up to its total exactly. Other sums over the rows are no unbiased
          estimates. Numbers to predict join the features, a quarter as large as all of them
          together. Features are scaled to standard deviation 1 for this, unless a `preprocessor`
          makes them or they are sparse, and dense ones are cut off at 3 standard deviations from
          their mean. A `loss` other than "kmeans" weighs the rows in the clustering.
        - "systematic": an unbiased sample that takes each row at most once, with probability
          ``min(1, c s)`` for its score s, and walks the rows so that neighbours rarely come
          together.
        - "iid": the sample with replacement that the theorems speak of. Rows drawn more than once
          count once, with more weight, so that fewer than `n_samples` rows may come out.
        - "auto": "medoids" where there is a target, `loss` is "kmeans", and none of
          `uniform_mixing`, `calibrate` and ``stratify=False`` asks for a sample; else "systematic".

    calibrate : bool or "auto", default="auto"
        Scale the weights of each cell of neighbours so that they sum to the weight of all its rows.
        Cells are the rough clusters for "kmeans". It lowers the variance and costs a bias of order
        1 / n_samples. "auto" does so for "kmeans" only. Medoids need none.

    stratify : bool or "auto", default="auto"
        Take at least one row of each class. "auto" does so where the target has classes.

    class_share : {"auto", "proportional", "balanced", "sqrt"} or dict, default="auto"
        How `n_samples` is shared among classes: in proportion to their weight, equally, or in
        proportion to the square root of their weight; a dict gives each class its part. Every class
        gets one row at least, and one that has fewer rows than its share gives all of them and
        leaves the rest to the others. The weights still say what the rows stand for. "auto" is
        "proportional" for medoids and leaves draws to the importance of the rows.

    preprocessor : transformer or "auto", default=None
        Makes the features that rows are scored on, and that the kernel sees. The rows handed out
        are the user's own: a DataFrame keeps its columns, dtypes and index. "auto" encodes any
        DataFrame (pandas, polars, pyarrow) by the values of its columns: numbers, dates,
        categories, texts, and missing ones of each. Arrays of numbers pass through as they are, but
        for missing values.
        In a stream "auto" is fitted to 20,000 rows of the first block, and at last to what is left
        of all blocks, but where rows are scored by a reference model. A transformer is fitted to
        each block anew.

    window : int, default=None
        How many of the last chunks `partial_fit` keeps: older ones are forgotten. None keeps all.

    kernel : {"rbf", "mirror_rbf", "laplacian", "linear", "polynomial", "nngp", "ntk"} or \
callable, default="rbf"
        Kernel of ``loss="kernel_ridge"``, of `transform` and of `make_predictor`. A callable takes
        two arrays (a, n_features) and (b, n_features) and returns an (a, b) array.

    gamma : {"scale", "auto"}, float or None, default="scale"
        Coefficient of rbf, mirror_rbf, laplacian and polynomial. "scale" is
        ``1 / (n_features * X.var())``, "auto" and None are ``1 / n_features``.

    degree : float, default=3
        Degree of the polynomial kernel.

    coef0 : float, default=1
        Constant of the polynomial kernel.

    kernel_params : dict, default=None
        ``{"depth": number of hidden layers}`` of nngp and ntk (3 if None); ``{"n_odd": number of
        last features that change their sign}`` of mirror_rbf, half of the features by default;
        keyword arguments of a callable kernel.

    target_type : {"auto", "classification", "regression"}, default="auto"
        "auto" reads a float target as regression and anything else as classes.

    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:0". "auto" takes CUDA where there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw and of the rough clustering.

    verbose : int, default=0
        Print the steps and their times.

    Attributes
    ----------
    distilled_ : DistilledData
        The chosen rows, their target and weights: a mapping for
        ``estimator.fit(**small.normalized())``.

    indices_ : ndarray of shape (n_distilled,)
        Positions of the chosen rows in the training data; of equal rows, the first.

    sensitivities_ : ndarray of shape (n_samples,)
        Score of each training row: an upper bound on its share in the loss ("kmeans": for
        ``approx_factor=1``, with probability at least 1/2 over the seeding; "kernel_ridge": exact
        up to 3,000 distinct rows, then a bound on the leverage plus an estimate of the residual's
        share), or its relative
        loss.

    total_sensitivity_ : float
        Their sum: the number of rows needed grows with it.

    sampling_ : {"medoids", "systematic", "iid"}
        How the rows were chosen.

    alpha_ : float
        The ridge used, for ``loss="kernel_ridge"``.

    classes_ : ndarray of shape (n_classes,)
        Classes of the whole target, for classification.

    components_ : ndarray or CSR matrix of shape (n_distilled, n_features)
        Features of the chosen rows: the landmarks of `transform`.

    normalization_ : ndarray of shape (n_distilled, n_distilled)
        Inverse square root of the landmarks' kernel matrix.

    kernel_ : Kernel
        The kernel with its parameters resolved.

    preprocessor_ : transformer
        The fitted preprocessor, where one was given.

    device_ : str
        Where the work ran.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has them.

    See Also
    --------
    DistilledClassifier : Trains any classifier on the chosen rows.
    DistilledRegressor : Trains any regressor on the chosen rows.
    sklearn.kernel_approximation.Nystroem : The same map with uniform landmarks.

    Notes
    -----
    Equal rows (the same features and target) are merged first and their weights added, so that a
    row of weight 2 and a row that stands twice are the same thing. The chosen rows come in an order
    that depends on their content only. The seed and the bits of `X` and `y` settle which rows are
    chosen: in another float type or another unit, the same table gives another draw.

    References
    ----------
    .. [1] M. Tukan, A. Maalouf, M. Osadchy. "Dataset Distillation Meets Provable Subset Selection".
       arXiv:2307.08086, 2023. The scores here are reconstructed from its abstract.
    .. [2] D. Feldman, M. Langberg. "A unified framework for approximating and clustering data".
       STOC 2011.
    .. [3] O. Bachem, M. Lucic, A. Krause. "Practical coreset constructions for machine learning".
       arXiv:1703.06476, 2017.
    .. [4] C. Musco, C. Musco. "Recursive sampling for the Nystroem method". NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdistill import SensitivityCoreset
    >>> X, y = load_digits(return_X_y=True)
    >>> small = SensitivityCoreset(200, random_state=0).fit_distill(X, y)
    >>> small
    DistilledData(200 rows, 64 features, 10 classes, total weight 1797)
    >>> model = LogisticRegression(max_iter=1000).fit(**small.normalized())
    >>> model.score(X, y) > 0.9
    True
    >>> SensitivityCoreset(50, random_state=0).fit_transform(X, y).shape
    (1797, 50)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseDistiller._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), callable],
        "n_clusters": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "alpha": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "approx_factor": [Interval(Real, 0, None, closed="neither")],
        "estimator": [HasMethods("fit"), None],
        "uniform_mixing": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "sampling": [StrOptions({"auto", *SAMPLINGS})],
        "calibrate": ["boolean", StrOptions({"auto"})],
        "stratify": ["boolean", StrOptions({"auto"})],
        "class_share": [StrOptions({"auto", *CLASS_SHARES}), Mapping],
        "window": [Interval(Integral, 1, None, closed="left"), None],
    }
    _accept_sparse = "csr"

    def __init__(
        self,
        n_samples: int | float = 100,
        *,
        loss: str | Callable = "kmeans",
        n_clusters: int | str = "auto",
        alpha: float | str = "auto",
        approx_factor: float = 0.3,
        estimator: Any = None,
        uniform_mixing: float | str = "auto",
        sampling: str = "auto",
        calibrate: bool | str = "auto",
        stratify: bool | str = "auto",
        class_share: str | Mapping = "auto",
        preprocessor: Any = None,
        window: int | None = None,
        kernel: str | Callable = "rbf",
        gamma: float | str | None = "scale",
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict | None = None,
        target_type: str = "auto",
        device: Any = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_samples = n_samples
        self.loss = loss
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.approx_factor = approx_factor
        self.estimator = estimator
        self.uniform_mixing = uniform_mixing
        self.sampling = sampling
        self.calibrate = calibrate
        self.stratify = stratify
        self.class_share = class_share
        self.preprocessor = preprocessor
        self.window = window
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.target_type = target_type
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SensitivityCoreset:
        """Choose the rows.

        Data larger than memory are read once, in chunks, and never held: a `numpy.memmap`, an
        array of h5py or Zarr, a `pyarrow.dataset.Dataset`, or an iterable of chunks. Of a Dask
        array or DataFrame each worker reads its own partitions. See :ref:`larger_than_memory`.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features), or a source
            Training data. An iterable gives chunks ``X``, ``(X, y)`` or ``(X, y,
            sample_weight)``.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target. Losses ``"cross_entropy"`` and ``"squared_error"`` need it. The name of a
            column, or a list of names, with an Arrow data set; None with an iterable.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows. The name of a column with
            an Arrow data set; None with an iterable.

        Returns
        -------
        self : SensitivityCoreset
            Fitted estimator.
        """
        self.__dict__.pop("_stream", None)
        if is_lazy(X):
            self._fit_dask(X, y, sample_weight)
            return self
        source = open_source(X, y, sample_weight)
        if isinstance(X, np.memmap) and not isinstance(self.n_samples, Integral):
            source = None  # a share of the distinct rows needs all of them at once
        if source is not None:
            self._fit_source(source)
        else:
            mapped = isinstance(X, np.memmap)
            X, y, sample_weight = (in_memory(values) for values in (X, y, sample_weight))
            self._fit_rows(X, y, sample_weight, None, mapped=mapped)
            self.n_samples_seen_ = len(self.sensitivities_)
            self.__dict__.pop("_reference", None)
        return self

    @available_if(counts_rows)
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SensitivityCoreset:
        """Read a chunk of a stream, and choose rows of all chunks so far.

        Chunks may come in any order and size, and need not hold all classes. After each call the
        estimator is fitted: `distilled_` stands for all rows so far, or for the last `window`
        chunks. What is kept besides are small sets of earlier blocks (merge and reduce), so that
        memory grows with the logarithm of the number of rows.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features)
            The chunk.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Its target.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        self : SensitivityCoreset
            Fitted estimator. `indices_` are positions in the whole stream. There are no
            `sensitivities_`.

        Raises
        ------
        ValueError
            If the chunk does not fit the earlier ones. The stream then stays as it was.
        AttributeError
            If `n_samples` is a share of the rows.

        Examples
        --------
        >>> import numpy as np
        >>> from skdistill import SensitivityCoreset
        >>> stream = SensitivityCoreset(100, random_state=0)
        >>> for seed in range(5):
        ...     X = np.random.default_rng(seed).normal(size=(1000, 3))
        ...     _ = stream.partial_fit(X)
        >>> stream.n_samples_seen_, stream.distilled_
        (5000, DistilledData(100 rows, 3 features, total weight 5000))
        """
        self._fit_chunk(X, y, sample_weight)
        return self

    def _fit_rows(
        self, X: Any, y: Any, sample_weight: Any, part: Part | None, *, mapped: bool = False
    ) -> None:
        """Choose rows of data in memory; `part` says which part of a stream they are, if any.

        A file that is `mapped` may be a stream of one block.
        """
        began = time.perf_counter()
        device = resolve_device(self.device)
        self.device_ = str(device)
        rng = check_random_state(self.random_state if part is None else part.seed)
        data = self._read(X, y, sample_weight, None if part is None else part.encoder)
        self._kind = data.target.kind
        rows, moments = self._distinct_rows(data, part, mapped)
        strata = self._strata(data, rows)
        n_strata = 0 if strata is None else strata.max() + 1
        if part is not None:
            wanted = part.scored_for if part.budget is None else part.budget
            budget = self._check_budget(min(wanted, len(rows)), n_strata)
        else:
            budget = self._resolve_budget(len(rows), n_strata)
        kernel, units = self._resolve_kernel(moments)
        self._say(f"{len(rows)} distinct rows of {data.features.shape[0]}", began)

        # Clusters and the ridge of a part of a stream are those of the whole.
        scored_for = budget if part is None else min(budget, part.scored_for)
        task = _Task(
            data,
            rows,
            strata,
            moments,
            kernel,
            units,
            budget,
            device,
            rng,
            scored_for,
            reference=None if part is None else part.reference,
            in_stream=part is not None,
            on_the_way=part is not None and part.on_the_way,
        )
        with threads_for(self._work(rows, budget), device):
            scores = self._score(task)
        if not np.isfinite(scores.sensitivity).all():
            raise ValueError(
                f"loss={self.loss!r} gives scores that are not finite: X, y or sample_weight holds "
                "numbers of sizes too different for float64; rescale them."
            )
        self.sensitivities_ = rows.split(scores.sensitivity, data.sample_weight)
        self.total_sensitivity_ = float(scores.sensitivity.sum())
        self._say(f"sensitivities, total {self.total_sensitivity_:.4g}", began)

        self.sampling_ = self._resolve_sampling(task)
        drawn, weight = self._choose(task, scores)
        by_content = np.argsort(
            rows.key[drawn]
        )  # an order that shuffling the input does not change
        drawn, weight = drawn[by_content], weight[by_content]
        self.indices_ = rows.index[drawn]
        self._small_targets = data.target.subset(self.indices_)
        self.distilled_ = DistilledData(
            take_rows(data.X, self.indices_),
            None if data.y is None else data.y[self.indices_],
            weight,
            classes=data.target.classes,
            indices=self.indices_,
            feature_names=getattr(self, "feature_names_in_", None),
        )
        if part is None:
            self.distilled_._name_target(y)
        self._set_map(kernel, rows.take(drawn), units)
        self._say(f"{len(drawn)} rows chosen", began)

    def _distinct_rows(self, data: Input, part: Part | None, mapped: bool) -> tuple[Rows, Moments]:
        """Rows to score, and the moments of the features."""
        one_block = mapped and (self.sampling == "systematic" or data.y is None)
        # The draw for this loss needs no more than units of the features.
        if self.loss == "kmeans" and (one_block or (part is not None and part.on_the_way)):
            found = long_block(data.features, data.sample_weight)
            if found is not None:
                return found
        moments = weighted_moments(data.features, data.sample_weight)
        rows = merge_equal_rows(data.features, data.target.identity, data.sample_weight)
        if rows.canonical:  # then not even rounding depends on order and repetition
            moments = weighted_moments(rows.take(np.arange(len(rows))), rows.weight)
        return rows, moments

    def _work(self, rows: Rows, budget: int) -> float:
        """Multiplications of the scores, roughly: what decides whether threads pay."""
        n, d = len(rows), rows.X.shape[1]
        if self.loss == "kernel_ridge":
            return n * d * budget + min(n, kernel_ridge.EXACT_ROWS) ** 3
        return n * d * 100

    def _target_type(self) -> str:
        # Only classes have a cross-entropy: floats like 0.0 and 1.0 are read as such.
        asks_for_classes = self.loss == "cross_entropy" and self.target_type == "auto"
        return "classification" if asks_for_classes else self.target_type

    def _strata(self, data: Input, rows: Rows) -> np.ndarray | None:
        """Class codes of the distinct rows, or None where no class needs a row of its own."""
        if self.stratify is True and data.target.codes is None:
            raise ValueError(
                "stratify=True needs a target of classes; use stratify='auto' or False."
            )
        if self.stratify is False or data.target.codes is None:
            return None
        return np.unique(rows.spread(data.target.codes), return_inverse=True)[1]

    def _class_counts(self, task: _Task) -> np.ndarray | None:
        """Rows of each stratum (c,), or None where the draw decides."""
        rows, strata, target = task.rows, task.strata, task.data.target
        asked = not (isinstance(self.class_share, str) and self.class_share == "auto")
        if asked and strata is None:
            why = "a target of classes" if target.codes is None else "stratify='auto' or True"
            raise ValueError(
                f"class_share={self.class_share!r} needs {why}; use class_share='auto'."
            )
        if strata is None or not (asked or self.sampling_ == "medoids"):
            return None
        assert target.codes is not None and target.classes is not None  # or there were no strata
        present = target.classes[np.unique(rows.spread(target.codes))]
        weight = np.bincount(strata, weights=rows.weight)
        wanted = self.class_share if asked else "proportional"
        if task.in_stream and isinstance(wanted, Mapping):  # some classes may be still to come
            wanted = {name: part for name, part in wanted.items() if name in present}
        share = class_shares(wanted, weight, present)
        return class_budgets(share, task.budget, np.bincount(strata))

    def _score(self, task: _Task) -> Scores:
        """Scores of the distinct rows under the loss asked for."""
        data, rows = task.data, task.rows
        self.__dict__.pop("alpha_", None)  # of an earlier fit with another loss
        if self.loss == "kmeans":
            n_clusters = (
                kmeans.default_n_clusters(task.scored_for)
                if isinstance(self.n_clusters, str)
                else self.n_clusters
            )
            units = Units(task.moments.mean, 1 / task.moments.scale)
            clustering = kmeans.rough_clustering(
                rows,
                n_clusters,
                units,
                task.device,
                task.rng,
                of_part=task.on_the_way,
            )
            return kmeans.kmeans_scores(clustering, rows.weight, self.approx_factor)
        if self.loss == "kernel_ridge":
            where = rows.index if rows.inverse is not None else slice(None)
            fit = kernel_ridge.kernel_ridge_scores(
                rows,
                data.target.subset(where),
                task.kernel,
                task.units,
                self.alpha,
                task.scored_for,
                task.device,
                task.rng,
            )
            self.alpha_ = fit.alpha
            return fit.scores()
        if callable(self.loss):
            losses = relative_loss.callable_losses(self.loss, data.features, data.y)
        else:
            model = task.reference
            if model is None and self.estimator is not None:
                model = clone(self.estimator)
            elif model is None:
                classification = data.target.classes is not None
                model = relative_loss.reference_model(classification, sp.issparse(data.features))
            self._reference = model  # for the parts of a stream that come after this one
            losses = relative_loss.model_losses(
                self.loss,
                model,
                data.features,
                data.y,
                data.target,
                rows,
                task.strata,
                task.rng,
            )
        return relative_loss.relative_scores(rows.spread(losses), rows.weight)

    def _resolve_sampling(self, task: _Task) -> str:
        """How rows are chosen: medoids where there is a target and no sample is asked for."""
        if self.sampling != "auto":
            return self.sampling
        tells_apart = task.strata is not None or task.data.target.numbers is not None
        left_open = isinstance(self.uniform_mixing, str) and isinstance(self.calibrate, str)
        return "medoids" if tells_apart and left_open and self.loss == "kmeans" else "systematic"

    def _choose(self, task: _Task, scores: Scores) -> tuple[np.ndarray, np.ndarray]:
        """Rows chosen, as positions among the distinct ones, and their weights."""
        rows, mixing, calibrate = task.rows, self.uniform_mixing, self.calibrate
        counts = self._class_counts(task)
        if isinstance(mixing, str):
            mixing = DEFAULT_MIXING["kmeans" if self.loss == "kmeans" else "others"]
        if self.sampling_ == "medoids":
            clusters = self._clusters(task, scores, counts, mixing)
            return clusters.medoid, clusters.mass
        return weighted_sample(
            rows,
            scores,
            task.strata,
            task.budget,
            task.rng,
            sampling=self.sampling_,
            mixing=mixing,
            calibrate=scores.calibrated if isinstance(calibrate, str) else calibrate,
            counts=counts,
        )

    def _clusters(self, task: _Task, scores: Scores, counts: Any, mixing: float) -> Clusters:
        """Clusters of the distinct rows; the row nearest to the mean of each is chosen."""
        data, rows = task.data, task.rows
        numbers = data.target.numbers
        # Sparse columns are often rare words: of equal variance they would decide all distances.
        # What a preprocessor makes has the units that the user wants.
        as_given = self.preprocessor is None or getattr(self.preprocessor_, "columns_", 0) is None
        scale = as_given and not sp.issparse(rows.X)  # "auto" leaves arrays of numbers as they are
        space = standard_space(
            task.moments,
            None if numbers is None else rows.spread(numbers),
            rows.weight,
            scale=scale,
            clip=CLIP,
        )
        importance = mix_with_uniform(scores.importance, rows.weight, mixing)
        return kmeans_clusters(
            rows,
            space,
            np.array([task.budget]) if counts is None else counts,
            task.strata,
            importance,
            rows.weight if self.loss == "kmeans" else importance,
            task.device,
            task.rng,
        )


def _choose(
    small: DistilledData, n_samples: int, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of the rows that `DistilledData.reduce` keeps."""
    chosen = SensitivityCoreset(n_samples, **params).fit_distill(**small)
    assert chosen.indices is not None
    return chosen.indices, chosen.sample_weight


# Small sets lie below what chooses rows, and their method asks for it.
DistilledData._choose = staticmethod(_choose)
