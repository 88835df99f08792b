"""`AutoDistiller`: several small sets, and the one kept that trains the model best."""

from __future__ import annotations

import time
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from ._device import resolve_device
from ._input.caller import warn_caller
from ._input.frames import holds_more_than_numbers
from ._input.rows import Rows, float_type, merge_equal_rows, weighted_moments
from .base import BaseDistiller, Input
from .data import DistilledData
from .distiller import DatasetDistiller
from .learning.callbacks import CallbackSupportMixin, FitTask, with_callbacks
from .learning.stream_pool import larger_than_memory, random_pool, rows_of_pool
from .selection.candidates import Given, default_candidates
from .selection.contest import ENOUGH_HELD_OUT, Entry, hold_contest, make_entries
from .selection.judge import Judge, panel
from .selection.part import Part, SmallSet, sampled
from .selection.polish import polish

POOL_ROWS = 15_000  # that the contest is held on, where there are more
LEARNING_STEPS = 150  # of prototypes in the contest; the set handed out takes the full number
CONTEST_BUDGET = 2000  # rows of the sets in the contest, at most
FEWEST_ROWS = 10  # that a contest is held on
ROUNDS = (3, 5)  # with many and with few held-out rows


class AutoDistiller(CallbackSupportMixin, BaseDistiller):
    """Make several small sets and keep the one that trains the model best on held-out rows.

    ``DistilledClassifier(model, AutoDistiller(200))`` chooses rows for that model;
    ``fit_distill(X, y)`` alone gives rows that serve models of many kinds.

    No single kind of rows serves all models: boosting wants other rows than a linear model, and a
    balanced score other ones than plain accuracy. Which kind serves best is found out by training
    on small sets, which takes little time.

    Callbacks of scikit-learn 1.9 and later hear of each round and of each candidate in it; one
    that returns True ends the round.

    Read more in the :ref:`user guide <rows_for_your_model>`.

    Parameters
    ----------
    n_samples : int or float, default=100
        Number of rows; a float in (0, 1) is a share of the distinct rows of positive weight. More
        rows than there are gives a UserWarning and all rows.

    candidates : {"auto", "rows"} or list of (distiller, bool), default="auto"
        What is tried: distillers, each with whether its weights are used. Their `n_samples` is set.
        "auto" tries uniform rows, coresets, and rows nearest to the centres of clusters: in scaled
        columns or beside the leaves of a forest, with classes in proportion, by square roots or in
        equal shares, without the rows that a forest takes for wrong, or with its predictions in
        place of noisy numbers; for nearest neighbours learnt rows too. "rows" tries those of them
        that hand out rows of yours with their own target. Uniform rows are always among them.

    scoring : str or callable, default=None
        Score that decides, as in scikit-learn: for rare classes take "balanced_accuracy" or
        "average_precision". None is the score of the estimator: accuracy or R2.

    estimator : estimator, default=None
        The model that the rows are for. `DistilledClassifier` and `DistilledRegressor` put their
        own here. None judges by a panel of models: linear, nearest neighbours, a forest and
        boosting.

    use_weights : {"auto", False}, default="auto"
        False tries no candidate with its weights. "auto" tries them where the estimator takes them.
        `DistilledClassifier` and `DistilledRegressor` hand down a False of their own.

    validation_fraction : float in (0, 1), default=0.2
        Share of the rows that is held out of each round, at most 3,000 rows.

    n_rounds : int or "auto", default="auto"
        How often the candidates are compared, each time with sets of another seed and, where rows
        are few, with others held out; those that are behind leave after each round. "auto" is 3, or
        5 with few held-out rows.

    n_exchanges : int, default=24
        How often some rows of the best set are exchanged for others, every second time for numbers
        the targets of the set moved towards what the model errs by near each row; what scores
        better is kept. With 0 the best of a few sets of the winning kind is handed out.

    preprocessor : transformer, "auto" or None, default=None
        Makes the features that nearness is measured in. The rows handed out, and those that the
        estimator is trained on, are the user's own. None takes columns of numbers as they are, and
        encodes as "auto" does where a DataFrame holds others or lacks values.

    kernel : {"rbf", "mirror_rbf", "laplacian", "linear", "polynomial", "nngp", "ntk"} or \
callable, default="rbf"
        Kernel of `transform` and of `make_predictor`.

    gamma : {"scale", "auto"}, float or None, default="scale"
        Coefficient of rbf, mirror_rbf, laplacian and polynomial. "scale" is
        ``1 / (n_features * X.var())``, "auto" and None are ``1 / n_features``.

    degree : float, default=3
        Degree of the polynomial kernel.

    coef0 : float, default=1
        Constant of the polynomial kernel.

    kernel_params : dict, default=None
        Further parameters of the kernel: see `SensitivityCoreset`.

    target_type : {"auto", "classification", "regression"}, default="auto"
        "auto" reads a float target as regression and anything else as classes.

    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:0". "auto" takes CUDA where there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the rows held out, of the candidates, and of estimators that leave theirs open.

    verbose : int, default=0
        Print the rounds and their times.

    Attributes
    ----------
    distilled_ : DistilledData
        The small set of the best kind, made from all rows. Its weights are equal where the model
        did better without them.

    best_candidate_ : str
        Name of the best kind.

    candidate_scores_ : dict of str to ndarray
        One entry for each candidate, for ``pandas.DataFrame(candidate_scores_)``: "candidate",
        "use_weights", "mean_score" and "std_score" over the rounds it took part in, "n_rounds",
        "gain" over uniform rows in the same rounds, and "failure", a reason or "".

    indices_ : ndarray of shape (n_distilled,)
        Positions of the rows in the training data. Not there where they are no rows of it.

    classes_ : ndarray of shape (n_classes,)
        Classes of the whole target, for classification.

    components_ : ndarray or CSR matrix of shape (n_distilled, n_features)
        Features of the rows: the landmarks of `transform`.

    normalization_ : ndarray of shape (n_distilled, n_distilled)
        Inverse square root of the landmarks' kernel matrix.

    kernel_ : Kernel
        The kernel with its parameters resolved.

    preprocessor_ : transformer
        The fitted preprocessor, where there is one.

    device_ : str
        Where the work ran.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has them.

    See Also
    --------
    DistilledClassifier : Hands its estimator over and trains it on the rows.
    SensitivityCoreset : One kind of rows, with a guarantee.

    Notes
    -----
    A share of the rows is held out, alike in classes or numbers. Each candidate makes a set of the
    others, the model is trained on it and scored on the held-out rows. A third of the candidates
    stays after the first round, a fifth after the second. A candidate must beat uniform rows by
    more than one standard error. Several sets of the winning kind are then made from all rows, and
    the best is kept. Some of its rows are exchanged for others of the same class or cluster,
    targets that are numbers are moved, and a change is kept where the model scores better on all
    rows. Of a panel of models none may score below what it did before all changes. Numbers in
    ``distilled_.y`` are therefore not always those of the rows at `indices_`. Of more than 15,000
    rows a sample takes part in the rounds, half of it shared out equally among classes.

    The scores in `candidate_scores_` were seen by the choice: judge the model on other rows.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skdistill import AutoDistiller, DistilledClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DistilledClassifier(
    ...     DecisionTreeClassifier(random_state=0), AutoDistiller(40, random_state=0)
    ... ).fit(X, y)
    >>> len(model.distilled_)
    40
    >>> sorted(model.distiller_.candidate_scores_)[:3]
    ['candidate', 'failure', 'gain']
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseDistiller._parameter_constraints,
        "candidates": [StrOptions({"auto", "rows"}), list, tuple],
        "scoring": [str, callable, None],
        "estimator": [HasMethods(["fit", "predict"]), None],
        "use_weights": [StrOptions({"auto"}), Options(bool, {False})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_rounds": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_exchanges": [Interval(Integral, 0, None, closed="left")],
    }
    _accept_sparse = "csr"

    def __init__(
        self,
        n_samples: int | float = 100,
        *,
        candidates: Any = "auto",
        scoring: Any = None,
        estimator: Any = None,
        use_weights: str | bool = "auto",
        validation_fraction: float = 0.2,
        n_rounds: int | str = "auto",
        n_exchanges: int = 24,
        preprocessor: Any = None,
        kernel: Any = "rbf",
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
        self.candidates = candidates
        self.scoring = scoring
        self.estimator = estimator
        self.use_weights = use_weights
        self.validation_fraction = validation_fraction
        self.n_rounds = n_rounds
        self.n_exchanges = n_exchanges
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

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> AutoDistiller:
        """Try the candidates and keep the best small set.

        Parameters
        ----------
        X : array-like, CSR matrix or DataFrame of shape (n_samples, n_features), or a source
            Training data. Data larger than memory, as in :meth:`SensitivityCoreset.fit`, are read
            once; the rows are chosen from a random pool of 50,000 of them.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. A row of weight 2 counts as two rows.

        Returns
        -------
        self : AutoDistiller
            Fitted estimator.

        Raises
        ------
        ValueError
            If every candidate fails; the reasons are named.
        """
        began = time.perf_counter()
        task = FitTask(self, X, y, sample_weight)
        self._check_candidates()
        self.device_ = str(resolve_device(self.device))
        rng = check_random_state(self.random_state)
        places = None
        if larger_than_memory(self, X, y, sample_weight):
            stream = random_pool(self).fit(X, y, sample_weight=sample_weight)
            X, y, sample_weight = rows_of_pool(stream)
            places = stream.indices_
        data = self._read(X, y, sample_weight)
        moments = weighted_moments(data.features, data.sample_weight)
        rows = merge_equal_rows(data.features, data.target.identity, data.sample_weight)
        n_classes = 0 if data.target.classes is None else len(data.target.classes)
        budget = self._resolve_budget(len(rows), n_classes)
        part = self._part(data, rows, rng)
        judges = self._judges(data, budget, rng)
        entries = make_entries(
            self._candidates(data, part), judges, weights=self.use_weights == "auto"
        )
        self._say(f"{len(part)} distinct rows, {len(entries)} candidates", began)

        if budget >= len(part):
            task.begin(0)
            best = 0
            small = part.small_set(np.arange(len(part)), part.weight)
            use_weights = True
        else:
            pool = sampled(part, POOL_ROWS, rng)[0]
            n_rounds = self._resolve_rounds(len(pool))
            task.begin(n_rounds + 1)
            if len(pool) < FEWEST_ROWS:
                best = 0  # uniform rows: nothing can be told from a held-out row or two
            else:
                best = hold_contest(
                    pool,
                    entries,
                    judges,
                    min(budget, CONTEST_BUDGET),
                    n_rounds=n_rounds,
                    held_out=self.validation_fraction,
                    rng=rng,
                    say=lambda message: self._say(message, began),
                    each=task.each,
                )
            small = polish(
                part,
                entries[best],
                judges,
                budget,
                n_trials=self.n_exchanges,
                move_targets=data.target.kind == "numbers" and not self._own_rows(),
                rng=rng,
                each=task.each,
            )
            use_weights = entries[best].use_weights
        self._store(small, use_weights, entries, best, data)
        if places is None:
            self.distilled_._name_target(y)
        elif small.index is not None:
            self.distilled_.indices = self.indices_ = places[small.index]
        kernel, units = self._resolve_kernel(moments)
        features = small.features
        self._set_map(kernel, features.astype(float_type(features.dtype), copy=False), units)
        self._say(f"{len(small.y)} rows: {self.best_candidate_}", began)
        task.end()
        failed = {e.candidate.name: e.reason for e in entries if e.reason is not None}
        if failed:
            told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            warn_caller(f"Candidates failed and were left out: {told}", UserWarning)
        return self

    def _preprocessor_for(self, X: Any) -> Any:
        encodes = self.preprocessor is None and holds_more_than_numbers(X)
        return "auto" if encodes else self.preprocessor

    def _part(self, data: Input, rows: Rows, rng: np.random.RandomState) -> Part:
        """Distinct rows in an order that depends on their content only."""
        order = rows.walk()
        index = rows.index[order]
        target = data.target
        assert data.y is not None  # a target is required
        return Part(
            data.X,
            data.y,
            self._features,
            index,
            data.features[index],
            None if target.codes is None else target.codes[index],
            None if target.numbers is None else target.numbers[index],
            rows.weight[order],
            rows.key[order],
            rng.randint(2**31 - 1),
        )

    def _candidates(self, data: Input, part: Part) -> list[Any]:
        learnt: list[Any] = []
        if part.has_means and _is_neighbours(self.estimator):
            full = DatasetDistiller(objective="nearest_neighbors", device=self.device)
            short = clone(full).set_params(max_iter=LEARNING_STEPS)
            learnt = [Given(short, False, "learnt prototypes", last=full)]
        default = default_candidates(data.target.kind, part, learnt, own_rows=self._own_rows())
        if isinstance(self.candidates, str):
            return default
        return [default[0], *(Given(distiller, use) for distiller, use in self.candidates)]

    def _own_rows(self) -> bool:
        """Whether rows and their targets are to be the user's."""
        return isinstance(self.candidates, str) and self.candidates == "rows"

    def _check_candidates(self) -> None:
        """Check what the constraints of parameters let through."""
        if isinstance(self.candidates, str):
            return
        right = len(self.candidates) > 0 and all(
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and hasattr(pair[0], "fit")
            and isinstance(pair[1], bool)
            for pair in self.candidates
        )
        if not right:
            raise ValueError(
                f"candidates={self.candidates!r} must be 'auto', 'rows' or a list of pairs, each a "
                "distiller and whether its weights are used: [(SensitivityCoreset(), True)]."
            )

    def _judges(self, data: Input, budget: int, rng: np.random.RandomState) -> list[Judge]:
        seed = rng.randint(2**31 - 1)
        if self.estimator is not None:
            return [Judge(self.estimator, self.scoring, seed)]
        target = data.target
        classes = target.kind == "classes"
        return panel(self.scoring, seed, budget, classes=classes, n_outputs=target.n_outputs)

    def _resolve_rounds(self, n_rows: int) -> int:
        if not isinstance(self.n_rounds, str):
            return int(self.n_rounds)
        return ROUNDS[n_rows * self.validation_fraction < ENOUGH_HELD_OUT]

    def _store(
        self, small: SmallSet, use_weights: bool, entries: list[Entry], best: int, data: Input
    ) -> None:
        weight = small.weight
        assert data.y is not None  # a target is required
        if not use_weights:
            total = len(data.y) if data.sample_weight is None else data.sample_weight.sum()
            weight = np.full(len(weight), total / len(weight))
        self.distilled_ = DistilledData(
            small.X,
            small.y,
            weight,
            classes=data.target.classes,
            indices=small.index,
            feature_names=getattr(self, "feature_names_in_", None),
        )
        self.__dict__.pop("indices_", None)
        if small.index is not None:
            self.indices_ = small.index
        self._small_targets = _targets(small, data)
        self.best_candidate_ = entries[best].candidate.name
        self.candidate_scores_ = _table(entries)

    def __sklearn_tags__(self):
        """Ask for a target."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _is_neighbours(estimator: Any) -> bool:
    """Tell whether a model, or the last step of a Pipeline, looks for nearest neighbours."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return isinstance(estimator, KNeighborsClassifier | KNeighborsRegressor)


def _targets(small: SmallSet, data: Input) -> np.ndarray:
    """Values (m, q) that kernel ridge regression learns: one-hot classes, labels or numbers."""
    classes = data.target.classes
    if classes is not None:
        return (np.asarray(small.y)[:, None] == classes).astype(np.float64)
    return np.asarray(small.y, dtype=np.float64).reshape(len(small.y), -1)


def _table(entries: list[Entry]) -> dict[str, np.ndarray]:
    """Scores of the entries as columns, means over judges."""
    base = np.array([score.mean() for score in entries[0].scores])
    found: dict[str, list] = {name: [] for name in ("mean_score", "std_score", "n_rounds", "gain")}
    for entry in entries:
        scores = np.array([score.mean() for score in entry.scores])
        some = len(scores) > 0
        found["mean_score"].append(scores.mean() if some else np.nan)
        found["std_score"].append(scores.std() if some else np.nan)
        found["n_rounds"].append(len(scores))
        n = min(len(scores), len(base))
        found["gain"].append((scores[:n] - base[:n]).mean() if n else np.nan)
    return {
        "candidate": np.array([entry.candidate.name for entry in entries]),
        "use_weights": np.array([entry.use_weights for entry in entries]),
        **{name: np.array(values) for name, values in found.items()},
        "failure": np.array([entry.reason or "" for entry in entries]),
    }
