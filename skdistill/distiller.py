"""`DatasetDistiller`: learn rows, fed by importance sampling."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from . import _torch as torch
from ._device import resolve_device, threads_for
from ._input.caller import called_by_hand, warn_caller
from ._input.frames import is_pandas
from ._input.rows import (
    Moments,
    Units,
    as_they_stand,
    float_type,
    merge_equal_rows,
    weighted_moments,
)
from .base import BaseDistiller, Input, KernelRidgePredictor
from .batches.losses import LOSSES, row_losses
from .batches.plan import SAMPLINGS, BatchPlan, plan_batches
from .coreset import SensitivityCoreset
from .data import DistilledData
from .data.predictor import describe
from .kernels import KERNELS, Kernel
from .kernels.ridge import RidgeFit
from .learning.callbacks import CallbackSupportMixin, FitTask, with_callbacks
from .learning.checkpoint import Checkpoint, fingerprint
from .learning.course import learn
from .learning.init import Starts
from .learning.problem import Learnt, Settings, make_problem, target_units
from .learning.progress import Progress
from .learning.result import (
    class_weights,
    complaints,
    labels_in_users_type,
    rows_in_users_form,
)
from .learning.stream_pool import (
    BY_CLUSTERS,
    StreamRead,
    encoder_of_stream,
    larger_than_memory,
    random_pool,
    read_stream,
    renewal_of,
    rows_of_pool,
)
from .learning.trainer import TrainingOptions, unheard
from .networks import check_image_shape
from .networks.predictor import NetworkPredictor, StoredPredictor
from .objectives import OBJECTIVES, SHORT_NAMES
from .optimizers import OPTIMIZERS

INITS = ("auto", "uniform", "kmeans", "kmeans_rows", "sensitivity", "sensitivity_kmeans")
BATCH_LOSSES = ("auto", *LOSSES)
OF_CLASSES = {"cross_entropy": ("classes",), "margin": ("classes", "multilabel")}
STORED_RIDGE = 1e-6  # of the labels that are handed out, relative to the kernel's mean diagonal


class DatasetDistiller(CallbackSupportMixin, BaseDistiller):
    """Learn a small set of rows that trains a kernel predictor nearly as well as all rows.

    ``fit_distill(X, y)`` gives the learnt data set; ``fit_transform(X, y)`` gives Nystroem features
    of *all* rows, with the learnt rows as landmarks (one row in, one row out).

    The rows start from real ones and are moved, with their labels and the kernel's scales, so that
    the kernel ridge predictor they induce fits batches of the real rows; with classes, rows near
    its decision boundary are drawn more often. Held-out rows say where to stop. Learnt rows serve
    the predictor they were made for, ``DistilledClassifier(distiller=DatasetDistiller(100))``: they
    leave the data's range, and other models may do worse on them than on chosen rows.

    Read more in the :ref:`user guide <learning_rows>`.

    Parameters
    ----------
    n_samples : int or float, default=100
        Number of rows to learn; a float in (0, 1) is a share of the distinct rows of positive
        weight. More rows than there are gives a UserWarning and as many as there are.

    objective : {"kernel_ridge", "analytic_ridge", "characteristic_function_matching", \
"distribution_matching", "feature_regression", "gradient_matching", "nearest_neighbors", \
"trajectory_matching", "unrolled_training", "kip", "rfad", "frepo", "dm", "dc", "dsa", "idc", \
"mtt", "ncfm", "rat_bptt"} or objective object, default="kernel_ridge"
        The technique: see `skdistill.objectives`. The short names are those of the papers:
        `KernelRidge` ("kip"), `FeatureRegression` on random ("rfad") or trained networks ("frepo"),
        `DistributionMatching` ("dm"), `GradientMatching` as in "dc", "dsa" and "idc",
        `TrajectoryMatching` ("mtt"), `CharacteristicFunctionMatching` ("ncfm"), `UnrolledTraining`
        ("rat_bptt").

    init : {"auto", "uniform", "kmeans", "kmeans_rows", "sensitivity", "sensitivity_kmeans"}, \
distiller or DistilledData, default="auto"
        Where rows start: drawn uniformly; centres of k-means, within each class, or of features and
        numbers together and then moved as far out as the rows of their clusters; a random row of
        each of these clusters; drawn by sensitivity (of the kernel ridge loss for ridge objectives,
        else of the k-means loss); k-means on a sensitivity coreset; the rows of a distiller (wrap a
        fitted one in :class:`~sklearn.frozen.FrozenEstimator`) or of a given set. "auto" is
        "kmeans"; for classes with `KernelRidge` that start, two of "kmeans_rows" and two of
        "uniform" make five steps each, and training goes on from the one with the least loss. The
        user guide has the measurements.

    batch_sampling : {"auto", "importance", "uniform", "reducible", "representative"}, \
default="auto"
        "importance" draws the rows more often that matter most under the current predictor,
        "uniform" draws all alike. "reducible" goes by the loss less that of a model trained without
        the row, so that what cannot be learnt does not count. "representative" draws from all
        clusters of a class equally often. "auto" is "importance" where the technique gains by it in
        our benchmarks, or where a `batch_loss` is given, else "uniform". It is "uniform" too for
        dense rows of length 1, such as `~skdistill.networks.ConvFeatures`, if nothing on batches is
        given.

    batch_loss : {"auto", "margin", "cross_entropy", "squared_error", "bounded"} or callable, \
default="auto"
        What makes a row important. "margin" is largest on the decision boundary and small for rows
        that are safe or hopeless, such as those with wrong labels; it is divided by the square root
        of the share of the row's class, so that rare classes count for more. "cross_entropy" and
        "squared_error" are largest where the predictor is most wrong; "bounded" is the squared
        error that forgets outliers. "auto" is left to the technique, which has a loss of its own
        for classes only: "margin". With ``batch_sampling="importance"`` it is "bounded" for
        numbers. A callable gets targets (k, q), one-hot for classes, and outputs (k, q), and
        returns k non-negative losses.

    uniform_mixing : "auto", float in [0, 1] or pair of float, default="auto"
        Uniform share of the batches at the start and at the end of training; after a single number
        it rises to 1. "auto" is (0.1, 0.5) for "margin" and (0.5, 1) for other losses.

    reweight : bool or "auto", default="auto"
        Weight the rows of a batch so that its loss stays an unbiased estimate. False trains on the
        important rows as they come, which is biased. "auto" is left to the technique: True for
        numbers, for `KernelRidge` with no more than a row a class, and for `FeatureRegression`
        always, but never with "margin"; else False. The user guide has the measurements.

    refresh_every : int or "auto", default="auto"
        Steps between two refreshments of the rows' losses. "auto" is 25 for "margin", else 100.

    learn_labels : {"auto", "solve"} or bool, default="auto"
        "solve" takes the best labels in the sense of least squares at every step. "auto" does so,
        and for classes goes on with the cross-entropy of learnt coefficients. True learns labels
        with a rate, False keeps those of the start.

    learn_kernel : bool, default=True
        Learn the scale of the RBF kernel: one for each feature up to 128 features, else one.

    max_iter : int or "auto", default="auto"
        Steps; 0 keeps the start. "auto" is left to the technique and the number of rows.

    batch_size : int or "auto", default="auto"
        Real rows in a step. "auto" leaves it to the technique. That of ``"kernel_ridge"`` is 1,024,
        or five times the learnt rows while labels are solved; with ``kernel="linear"`` and up to
        2,048 features it is all rows while the loss is squared, through their second moments:
        exact, and no dearer for many rows.

    learning_rate : float, default=0.12
        Distance that a row moves in a step at first, in units of the kernel's width. Techniques
        over networks scale it in ways of their own.

    optimizer : {"adam", "sgd"}, default="adam"
        Optimiser, with a cosine schedule.

    standardize : bool, default=True
        Learn in robustly scaled units. The rows handed out are in the user's units.

    image_shape : tuple of int, default=None
        Channels, height and width of rows that are images, for networks: ``(3, 32, 32)``. Rows stay
        vectors, an image channel by channel.

    class_balance : bool or "auto", default="auto"
        True gives each class as many rows at the start and the same weight in the batches. "auto"
        is left to the technique: False where classes count by their weight, as in ridge regression,
        True where classes are matched one by one. Rows of a class with fewer of them than its share
        of a batch are then drawn with replacement, and a UserWarning says so.

    early_stopping : bool, default=True
        Hold out rows to choose the ridge and the step to stop at. Up to 2,000 rows are held out in
        five parts in turn, and all of them are used in the end. With fewer than 25 rows, nothing is
        held out, nor with a technique that keeps its last rows, as `DistributionMatching` does.
        Without held-out rows the last rows are handed out, or those of the start, with a warning,
        if more than half of what these knew of the training rows, beyond chance, was lost.

    validation_fraction : float in (0, 1), default=0.1
        Share that is held out of more rows than that, at most 2,000.

    n_iter_no_change : int or None, default=10
        Looks at the held-out rows without an improvement by `tol` that end a stage; None never.

    tol : float, default=1e-4
        Least improvement of the score that counts.

    warm_start : bool, default=False
        Start from the rows of the previous fit.

    checkpoint : str or path, default=None
        File that training writes its state to every `refresh_every` steps. A fit that was killed
        and is started again with the same data and parameters goes on from there, and gives what
        it would have given; with others it raises a ValueError. The file holds no pickle, and is
        removed at the end. It needs an integer `random_state`, and of a technique of your own that
        its state can be written down (`resumes`).

    preprocessor : transformer or "auto", default=None
        Makes the features that rows are learnt in. Learnt rows are rows of these features and no
        rows of the table, so `distilled_` holds the encoded columns, with their names in
        `feature_names`. "auto" encodes any DataFrame (pandas, polars, pyarrow) by the values of its
        columns: numbers, dates, categories, texts, and missing ones of each. `transform`, the
        predictor and `DistilledClassifier` take the columns of the table.

    kernel : {"auto", "rbf", "mirror_rbf", "laplacian", "linear", "polynomial", "nngp", "ntk"} or \
callable, default="auto"
        Kernel of the predictor and of `transform`. "mirror_rbf" is the mean of the RBF kernel over
        both signs of the last features, for ``ConvFeatures(mirror="signed")``. "auto" is "rbf" but
        for classes of dense rows of length 1, such as those features: there it is "mirror_rbf"
        where that predicts held-out rows clearly better.

    gamma : {"scale", "auto"}, float or None, default="scale"
        Coefficient of rbf, mirror_rbf, laplacian and polynomial at the start, in standardised units
        if `standardize`. "scale" searches that of the first two on held-out rows. "auto" and None
        are 1 / n_features.

    degree : float, default=3
        Degree of the polynomial kernel.

    coef0 : float, default=1
        Constant of the polynomial kernel.

    kernel_params : dict, default=None
        ``{"depth": number of hidden layers}`` of nngp and ntk; ``{"n_odd": number of last features
        that change their sign}`` of mirror_rbf, half of the features by default.

    target_type : {"auto", "classification", "regression"}, default="auto"
        "auto" reads a float target as regression and anything else as classes.

    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:0". "auto" takes CUDA where there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the start, the held-out rows and the batches.

    verbose : int, default=0
        Print the steps and their scores.

    Attributes
    ----------
    distilled_ : DistilledData
        The learnt rows. `targets` holds the real-valued labels that kernel ridge regression
        reproduces the predictor from; `y` the nearest label of the user's type.

    objective_ : objective object
        The technique, with the parameters that it has learnt itself.

    alpha_ : float
        Ridge that belongs to `targets`. There, as `intercept_` is, where the predictor is kernel
        ridge regression.

    intercept_ : ndarray of shape (n_outputs,)
        Added to the outputs.

    temperature_ : float or None
        For classes: ``softmax(outputs / temperature_)`` has the least log loss on held-out rows.
        None where no rows were held out, or where training in parts was interrupted.

    length_scale_ : ndarray of shape (n_features,)
        Length scales of the learnt RBF kernel in the user's units; infinite for constant features.

    n_iter_ : int
        Steps made.

    loss_curve_ : list of float
        Loss of each batch.

    validation_scores_ : list of float
        Best score at each look at held-out rows: accuracy or R2.

    classes_ : ndarray of shape (n_classes,)
        Classes of the target, for classification.

    components_ : ndarray of shape (n_distilled, n_features)
        The learnt rows: landmarks of `transform`.

    normalization_ : ndarray of shape (n_distilled, n_distilled)
        Inverse square root of the landmarks' kernel matrix.

    kernel_ : Kernel
        The kernel, on scaled features.

    device_ : str
        Where the work ran.

    preprocessor_ : transformer
        The fitted preprocessor, where one was given.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has them.

    See Also
    --------
    SensitivityCoreset : Chooses rows instead of learning them.
    DistilledClassifier : Its default estimator is the predictor that the rows were learnt for.

    Notes
    -----
    ``distilled_.make_predictor()`` is the predictor in plain scikit-learn, made from the stored set
    alone. For the RBF kernel that is
    ``KernelRidge(alpha=alpha_, kernel=RBF(length_scale_)).fit(X, targets - intercept_)``, with the
    ``RBF`` of `sklearn.gaussian_process.kernels`, and `intercept_` added to what it predicts. For
    "mirror_rbf" the rows and their mirror images are fitted, at twice the ridge.

    With scikit-learn 1.9 or later ``set_callbacks(sklearn.callback.ProgressBar())`` shows the
    progress (of held-out parts too, one after the other), and other callbacks of `sklearn.callback`
    work as well: a task for each stage of training, with a hundredth of its steps as a subtask. The
    bar of the fit moves by the number of stages that there are at most. A callback that returns
    True at the end of a subtask ends the stage; the best rows so far are kept.

    References
    ----------
    .. [1] M. Tukan, A. Maalouf, M. Osadchy. "Dataset Distillation Meets Provable Subset Selection".
       arXiv:2307.08086, 2023.
    .. [2] T. Nguyen, Z. Chen, J. Lee. "Dataset Meta-Learning from Kernel Ridge-Regression". ICLR
       2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import DatasetDistiller, DistilledClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> distiller = DatasetDistiller(20, max_iter=30, random_state=0)
    >>> model = DistilledClassifier(distiller=distiller).fit(X, y)
    >>> model.distilled_
    DistilledData(20 rows, 64 features, 10 classes, total weight 1797)
    >>> model.score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseDistiller._parameter_constraints,
        "objective": [
            StrOptions({*OBJECTIVES, *SHORT_NAMES}),
            HasMethods(["setup", "predictor"]),
        ],
        "kernel": [StrOptions({*KERNELS, "auto"}), callable],
        "init": [StrOptions(set(INITS)), HasMethods(["fit"]), DistilledData],
        "batch_sampling": [StrOptions(set(SAMPLINGS))],
        "batch_loss": [StrOptions(set(BATCH_LOSSES)), callable],
        "uniform_mixing": [Interval(Real, 0, 1, closed="both"), tuple, StrOptions({"auto"})],
        "reweight": ["boolean", StrOptions({"auto"})],
        "refresh_every": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learn_labels": ["boolean", StrOptions({"auto", "solve"})],
        "learn_kernel": ["boolean"],
        "max_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "standardize": ["boolean"],
        "image_shape": [tuple, list, None],
        "class_balance": ["boolean", StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
    }

    _pool: SensitivityCoreset  # of the stream that `partial_fit` reads

    def __init__(
        self,
        n_samples: int | float = 100,
        *,
        objective: Any = "kernel_ridge",
        init: Any = "auto",
        batch_sampling: str = "auto",
        batch_loss: str | Callable = "auto",
        uniform_mixing: float | tuple[float, float] | str = "auto",
        reweight: bool | str = "auto",
        refresh_every: int | str = "auto",
        learn_labels: bool | str = "auto",
        learn_kernel: bool = True,
        max_iter: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float = 0.12,
        optimizer: str = "adam",
        standardize: bool = True,
        image_shape: tuple[int, int, int] | None = None,
        class_balance: bool | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        checkpoint: str | PathLike[str] | None = None,
        preprocessor: Any = None,
        kernel: str | Callable = "auto",
        gamma: float | str | None = "scale",
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict | None = None,
        target_type: str = "auto",
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_samples = n_samples
        self.objective = objective
        self.init = init
        self.batch_sampling = batch_sampling
        self.batch_loss = batch_loss
        self.uniform_mixing = uniform_mixing
        self.reweight = reweight
        self.refresh_every = refresh_every
        self.learn_labels = learn_labels
        self.learn_kernel = learn_kernel
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.standardize = standardize
        self.image_shape = image_shape
        self.class_balance = class_balance
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.preprocessor = preprocessor
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.target_type = target_type
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    _rows_are_features = True

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> DatasetDistiller:
        """Learn the rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or a source
            Training data, dense. Data larger than memory, as in :meth:`SensitivityCoreset.fit`,
            are read once; the rows are learnt from a random pool of 50,000 of them, which is
            renewed by reading on while they are learnt.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target. Without one ``objective="kernel_ridge"`` learns the subspace of the kernel.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : DatasetDistiller
            Fitted estimator.

        Raises
        ------
        KeyboardInterrupt
            After an interruption from the keyboard. The best rows so far are on the estimator all
            the same. Called directly from the prompt or from a cell of a notebook, the fit ends
            with a warning instead.
        """
        self._check_forms(X)
        task = FitTask(self, X, y, sample_weight)
        self.__dict__.pop("_pool", None)
        before = self.distilled_ if self.warm_start and hasattr(self, "distilled_") else None
        stream = None
        if larger_than_memory(self, X, y, sample_weight):
            start = before is None and isinstance(self.init, str) and self.init in BY_CLUSTERS
            stream = read_stream(self, X, y, sample_weight, start=start)
            X, y, sample_weight = stream.pool.X, stream.pool.y, stream.pool.sample_weight
        self._learn(X, y, sample_weight, before, task, stream)
        return self

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> DatasetDistiller:
        """Learn on from a chunk of a stream.

        A random pool of all rows so far, of 50,000 at most, is refreshed by the chunk. Training
        starts from the rows learnt before and takes its batches from the pool.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The chunk, dense.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Its target.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        self : DatasetDistiller
            Fitted estimator; its weights sum to those of all rows so far.

        Raises
        ------
        ValueError
            If the chunk does not fit the earlier ones.
        """
        self._check_forms(X)
        task = FitTask(self, X, y, sample_weight)
        if hasattr(self, "_pool"):
            validate_data(self, X, reset=False, skip_check_array=True)
            pool = copy.copy(self._pool)  # the chunk is in it only if all goes well
        else:
            pool = random_pool(self)
        pool.partial_fit(X, y, sample_weight=sample_weight)
        before = getattr(self, "distilled_", None)
        if before is not None and len(before) != self.n_samples:
            before = None  # of a first chunk with fewer rows
        self._learn(*rows_of_pool(pool), before, task)
        self._pool = pool
        return self

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        before: DistilledData | None,
        task: FitTask,
        stream: StreamRead | None = None,
    ) -> None:
        self._began = time.perf_counter()
        device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        data = self._read(X, y, sample_weight)
        self._check_batch_loss(data.target.kind)
        moments = weighted_moments(data.features, data.sample_weight)
        rows = merge_equal_rows(data.features, data.target.identity, data.sample_weight)
        n_classes = 0 if data.target.classes is None else len(data.target.classes)
        budget = self._resolve_budget(len(rows), n_classes)
        objective = self._technique()
        n_features = data.features.shape[1]
        self._units = target_units(data.target, rows)
        renewal, coreset = None, None
        if stream is not None:
            encode = encoder_of_stream(self, data.target, self._units)
            if stream.source is not None:
                # Rows of the pool keep their places, also where some are equal.
                rows = as_they_stand(data.features, data.sample_weight)
                renewal = renewal_of(stream, data.target.codes, encode, int(rng.randint(2**31)))
            if stream.coreset is not None:
                small = stream.coreset
                coreset = (*encode(small.X, small.y), small.sample_weight)
        problem = make_problem(
            data.features,
            rows,
            data.target,
            self._units,
            self._scaled_kernel(moments, n_features),
            search=not callable(self.kernel)
            and (self.gamma == "scale" or self.kernel in ("linear", "nngp", "ntk")),
            mirror_search=self.kernel == "auto"
            and self.standardize
            and data.target.kind == "classes"
            and n_features % 2 == 0,
            n_support=budget,
            image_shape=check_image_shape(self.image_shape, n_features),
            rng=rng,
            device=device,
            renewal=renewal,
        )
        del rows  # its keys and their order take memory that training does without
        checkpoint = self._open_checkpoint(data, before)
        settings = self._settings(data, budget, objective, task)
        settings = replace(settings, checkpoint=checkpoint)
        self._say(f"{len(problem)} distinct rows of {len(data.features)}", self._began)
        starts = Starts(self, before, data, budget, rng, balance=settings.balance, coreset=coreset)
        # Of a step; a network's is not known.
        work = math.inf if objective.unit_features else 1024 * budget * (n_features + budget)
        with threads_for(work, device):
            learnt = learn(
                problem,
                settings,
                lambda: clone(objective),
                starts.make_all,
                lambda *found: row_losses(settings.batches.loss, *found, kind=data.target.kind),
                float_type(data.features.dtype),
            )
        self._kind, self._seed = data.target.kind, int(rng.randint(2**31))
        self.objective_ = clone(objective).set_params(**learnt.parameters)
        self._store(learnt, data)
        self.distilled_._name_target(y)
        if checkpoint is not None and learnt.result.status != "interrupted":
            checkpoint.end()
        self.device_ = str(device)
        task.end()
        if learnt.result.status == "interrupted" and not called_by_hand(self):
            raise KeyboardInterrupt
        for message, category in complaints(
            learnt.result, self.validation_scores_, self.learning_rate, data.target.classes
        ):
            warn_caller(message, category)

    def make_predictor(self) -> Any:
        """Return the predictor that the rows were learnt for.

        Returns
        -------
        KernelRidgePredictor, StoredPredictor or NetworkPredictor
            Its ``predict(X)`` gives real-valued outputs: a column for each class, label or output.
            `FeatureRegression` leaves a ridge regression on features behind. Other techniques over
            networks train one on the rows, whose outputs are probabilities; `NearestNeighbors`
            fits scikit-learn's k-NN to them.

        Raises
        ------
        ValueError
            If the distiller was fitted without a target.
        """
        check_is_fitted(self)
        if self._fit is not None:
            return KernelRidgePredictor(self, self._fit, self.temperature_)
        if self._stored is not None:
            return StoredPredictor(self, self._stored)
        shape = check_image_shape(self.image_shape, self.components_.shape[1])
        estimator = self.objective_.make_estimator(self._kind, shape, self.device, self._seed)
        if estimator is None:
            return super().make_predictor()
        return NetworkPredictor(self, estimator)

    def _check_forms(self, X: Any) -> None:
        """Check what the constraints of parameters let through, and that X is dense."""
        for name in ("objective", "init"):
            value = getattr(self, name)
            if isinstance(value, type):
                raise TypeError(
                    f"{name}={value.__name__} is a class; pass an instance, "
                    f"{name}={value.__name__}(...)."
                )
        mixing = self.uniform_mixing
        if isinstance(mixing, tuple) and not (
            len(mixing) == 2 and all(isinstance(m, Real) and 0 <= m <= 1 for m in mixing)
        ):
            raise ValueError(
                f"uniform_mixing={mixing!r} must be the uniform share at the start and at the end, "
                "two numbers from 0 to 1; or use 'auto'."
            )
        sparse = sp.issparse(X) or (is_pandas(X) and hasattr(X, "sparse"))
        if sparse and self.preprocessor is None:
            raise TypeError(
                "Sparse data was passed, but rows are learnt densely; reduce X first, for example "
                "with sklearn.decomposition.TruncatedSVD, or choose rows with SensitivityCoreset."
            )

    def _open_checkpoint(self, data: Input, before: DistilledData | None) -> Checkpoint | None:
        """Return the file that this fit writes to and goes on from."""
        if self.checkpoint is None:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                f"checkpoint={str(self.checkpoint)!r} needs a fit that can be repeated, but "
                f"random_state is {self.random_state!r}; pass an integer."
            )
        parameters = self.get_params(deep=False)
        for name in ("checkpoint", "verbose"):
            del parameters[name]
        parameters["version of torch"] = torch.__version__
        arrays = {"X": data.features, "y": data.y, "sample_weight": data.sample_weight}
        arrays["rows to start from"] = None if before is None else before.X
        return Checkpoint(self.checkpoint, fingerprint(parameters, arrays))

    def _feature_names(self) -> Any:
        """Names of the features that rows are learnt in, where they have such."""
        if self.preprocessor is None:
            return getattr(self, "feature_names_in_", None)
        names = getattr(self.preprocessor_, "get_feature_names_out", None)
        return None if names is None else names()

    def _check_batch_loss(self, kind: str) -> None:
        if not isinstance(self.batch_loss, str):
            return
        kinds = OF_CLASSES.get(self.batch_loss)
        if kinds is not None and kind not in kinds:
            raise ValueError(
                f"batch_loss={self.batch_loss!r} needs classes as y, got {kind}; use "
                "batch_loss='auto' or 'squared_error'."
            )

    def _technique(self) -> Any:
        if isinstance(self.objective, str):
            return (OBJECTIVES.get(self.objective) or SHORT_NAMES[self.objective])()
        return self.objective

    # From parameters to the problem ----------------------------------------------------------

    def _scaled_kernel(self, moments: Moments, n_features: int) -> Kernel:
        """Make the kernel of the start, on rows in coordinates."""
        kernel, _ = self._resolve_kernel(moments)
        if self.standardize:
            # A typical row has length 1 in standardised coordinates, so that 1 is "scale" there;
            # its absolute values add up to about the root of their number.
            unit = n_features ** (kernel.length_power / 2)
            gamma = unit / n_features
            if isinstance(self.gamma, Real) and kernel.name not in ("nngp", "ntk"):
                gamma = float(self.gamma) * unit
            kernel = replace(kernel, gamma=gamma)
        return kernel

    def _settings(self, data: Input, budget: int, objective: Any, task: FitTask) -> Settings:
        balance = self.class_balance
        if isinstance(balance, str):
            balance = objective.balances_classes
        batches = self._batch_plan(data, budget, objective)
        options = TrainingOptions(
            max_iter=None if isinstance(self.max_iter, str) else self.max_iter,
            optimizer=self.optimizer,
            refresh_every=batches.refresh_every,
            patience=self.n_iter_no_change,
            tol=self.tol,
            report=Progress(lambda line: self._say(line, self._began)) if self.verbose else None,
            task=task.stage if task.is_heard else unheard,
            expect=task.begin,
        )
        return Settings(
            options,
            self.standardize,
            self.early_stopping,
            self.validation_fraction,
            self.learn_labels,
            self.learn_kernel,
            self.learning_rate,
            None if isinstance(self.batch_size, str) else self.batch_size,
            batches,
            balance,
        )

    def _batch_plan(self, data: Input, budget: int, objective: Any) -> BatchPlan:
        classes, kind = data.target.classes, data.target.kind
        rows_per_class = math.inf if classes is None else budget / len(classes)
        return plan_batches(
            self.batch_sampling,
            self.batch_loss,
            self.uniform_mixing,
            self.refresh_every,
            self.reweight,
            favourite=objective.favourite_batches(kind, rows_per_class),
            weighs=objective.reweights(kind, rows_per_class),
            kind=kind,
        )

    # From the result to attributes -----------------------------------------------------------

    def _store(self, learnt: Learnt, data: Input) -> None:
        result, target = learnt.result, data.target
        self.n_iter_ = result.n_iter if self.max_iter == 0 else max(1, result.n_iter)
        self.loss_curve_ = result.loss_curve
        self.validation_scores_ = [max(check.scores.values()) for check in result.checks]
        self._set_map(
            learnt.kernel, learnt.rows, Units(learnt.shift, learnt.factor, limits=learnt.limits)
        )
        with np.errstate(divide="ignore"):
            self.length_scale_ = 1 / (np.sqrt(2 * learnt.kernel.gamma) * learnt.factor)
        self.temperature_ = learnt.temperature
        targets, y, predictor_params = None, None, None
        self._fit, self._stored = None, learnt.predictor
        for name in ("alpha_", "intercept_"):  # of an earlier fit with another technique
            self.__dict__.pop(name, None)
        if learnt.dual is not None and learnt.intercept is not None:
            K = self._map.landmark_kernel()
            self.alpha_ = STORED_RIDGE * float(np.diag(K).mean())
            dual = learnt.dual * self._units.unit
            self.intercept_ = self._units.restore(learnt.intercept)
            targets = K @ dual + self.alpha_ * dual + self.intercept_
            self._fit = RidgeFit(dual, self.intercept_, self.alpha_)
            predictor_params = describe(
                learnt.kernel, learnt.shift, learnt.factor, self.alpha_, self.intercept_
            )
            if predictor_params is not None and learnt.temperature is not None:
                predictor_params["temperature"] = learnt.temperature
        elif learnt.labels is not None:
            targets = self._units.restore(learnt.labels)
        self._small_targets = targets
        total = len(data.features) if data.sample_weight is None else data.sample_weight.sum()
        weight = np.full(len(learnt.rows), float(total) / len(learnt.rows))
        if targets is not None:
            assert data.y is not None  # there are targets
            y = labels_in_users_type(targets, target, data.y)
            if target.codes is not None:
                weight = class_weights(targets.argmax(1), target.codes, data.sample_weight)
        self.distilled_ = DistilledData(
            rows_in_users_form(learnt.rows, data.X),
            y,
            weight,
            targets=targets,
            classes=target.classes,
            feature_names=self._feature_names(),
            predictor_params=predictor_params,
        )
        self._say(f"{len(learnt.rows)} rows learnt, {result.status}", self._began)
