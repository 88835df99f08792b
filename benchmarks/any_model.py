"""Users' own models on few rows: how much of the score on all rows is kept.

For each table, seed, way of making a small set and model: the model is trained on the small set and
scored on the test part. A *cell* is a table and a model, its scores are means over seeds, and its
relative regret is

    (score on all rows - score) / (score on all rows - score of stratified uniform rows):

0 is as good as all rows, 1 as good as uniform rows. It is cut to [-1, 2]. Where uniform rows come
within `FLOOR` of all rows, or above them, the denominator is `FLOOR`: order is kept, but the number
says little; the table counts such cells in brackets, and has the mean over "sure" cells, where the
loss of uniform rows exceeds two of its standard errors over seeds and the floor. "below uniform"
counts the cells whose paired difference to uniform rows is below zero by more than one (two) of its
standard errors; "uniform rows, drawn again" shows what chance does to every column.

All models get the same encoded columns (`_tables.py`), by an encoder fitted on the training part.
"All rows" are at most 10,000, so that every model can be trained on them. Weights are handed over
with mean one, to models that take them. Classes are scored by balanced accuracy, accuracy and log
loss (of probabilities mixed with 1 % of equal ones, so that a single zero does not decide), numbers
by R². Defaults of the package may be chosen on the development tables only.

Every score is appended to `--cells`, and a run that was broken off goes on from there:

    python benchmarks/any_model.py --cells mine.jsonl --tables development --seeds 1 --minutes 20
    python benchmarks/any_model.py --cells mine.jsonl --summary

`--read` takes scores from further files, such as those of all rows; `--redo` makes scores of the
named methods again; `--record` writes the record, which a run of some tables should not.
"""

from __future__ import annotations

import argparse
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import _cells
import _small_sets as sets
import numpy as np
from _any_model_summary import report
from _report import parser
from _tables import DEVELOPMENT, HELD_OUT, TABLES, Table, is_there, read
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, r2_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from skdistill import DistilledClassifier, DistilledData, DistilledRegressor, SensitivityCoreset

try:
    from skdistill import AutoDistiller
except ImportError:
    AutoDistiller = None

UNIFORM_DRAWS = 3  # the reference is the mean of as many draws a seed
SMOOTHING = 0.01
METRICS = ("balanced", "accuracy", "log_loss")  # of classes; all are "the larger the better"


# Models -----------------------------------------------------------------------------------------


NETWORK = {
    "hidden_layer_sizes": (64,),
    "batch_size": 64,
    "learning_rate_init": 0.005,
    "max_iter": 100,
    "random_state": 0,
}
MODELS: dict[str, tuple[Any, Any]] = {  # for classes, for numbers
    "linear": (LogisticRegression(max_iter=500), Ridge()),
    "k-nn": (KNeighborsClassifier(3), KNeighborsRegressor(3)),
    "forest": (
        RandomForestClassifier(100, random_state=0),
        RandomForestRegressor(100, random_state=0),
    ),
    "boosting": (
        HistGradientBoostingClassifier(random_state=0),
        HistGradientBoostingRegressor(random_state=0),
    ),
    "svm": (SVC(C=10.0, gamma="scale"), SVR(C=10.0, gamma="scale")),
    "network": (MLPClassifier(**NETWORK), MLPRegressor(**NETWORK)),
    "bayes-or-tree": (GaussianNB(), DecisionTreeRegressor(min_samples_leaf=5, random_state=0)),
}


def model_for(name: str, table: Table) -> Any:
    """Fresh model of a name."""
    return clone(MODELS[name][table.numbers])


def fitted(model: Any, small: DistilledData) -> Any:
    """Train a model on the small set, with weights of mean one if it takes them."""
    weight = small.sample_weight
    if np.ptp(weight) > 0 and has_fit_parameter(model, "sample_weight"):
        return model.fit(small.X, small.y, sample_weight=weight / weight.mean())
    return model.fit(small.X, small.y)


def probabilities(model: Any, X: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities of all classes, also of those that the model has not seen."""
    full = np.zeros((len(X), n_classes))
    full[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return (1 - SMOOTHING) * full + SMOOTHING / n_classes


def scores(model: Any, table: Table) -> list[float | None]:
    """R², or the three scores of classes; the last only where the model has probabilities."""
    predicted = model.predict(table.X_test)
    if table.numbers:
        return [float(r2_score(table.y_test, predicted))]
    loss = None
    if hasattr(model, "predict_proba"):
        p = probabilities(model, table.X_test, len(table.classes))
        loss = -float(log_loss(table.y_test, p, labels=table.classes))
    return [
        float(balanced_accuracy_score(table.y_test, predicted)),
        float(accuracy_score(table.y_test, predicted)),
        loss,
    ]


# Small sets -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """A way of making a small set.

    Attributes
    ----------
    title : str
        What the table calls it.
    make : callable
        ``make(table, m, rng)`` gives a DistilledData; of an `own` method
        ``make(table, m, rng, model)`` gives the model trained on a set made for it.
    classes_only : bool
        It cannot do numbers.
    own : bool
        It makes rows for each model by itself.
    metric : str or None
        The only score that it is made for.
    """

    title: str
    make: Callable[..., Any]
    classes_only: bool = False
    own: bool = False
    metric: str | None = None

    def applies(self, numbers: bool) -> bool:
        """Tell whether it is tried: numbers have one score."""
        return not numbers or (not self.classes_only and self.metric in (None, METRICS[0]))


def seed_of(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def coreset(use_weights: bool = True, **options: Any) -> Callable[..., DistilledData]:
    """Rows of `SensitivityCoreset`."""

    def make(table: Table, m: int, rng: np.random.Generator) -> DistilledData:
        made = SensitivityCoreset(m, random_state=seed_of(rng), **options)
        small = made.fit_distill(table.X, table.y)
        return small if use_weights else DistilledData(small.X, small.y)

    return make


def scoring(metric: str, table: Table) -> Any:
    """Scoring of a metric: a name, or the log loss of smoothed probabilities."""
    if table.numbers:
        return "r2"
    if metric != "log_loss":
        return {"balanced": "balanced_accuracy", "accuracy": "accuracy"}[metric]

    def smoothed(model: Any, X: Any, y: Any) -> float:
        if not hasattr(model, "predict_proba"):
            return float(accuracy_score(y, model.predict(X)))
        p = probabilities(model, X, len(table.classes))
        return -float(log_loss(y, p, labels=table.classes))

    return smoothed


def auto_alone(metric: str) -> Callable[..., DistilledData]:
    """Make one set for all models, chosen by a panel."""

    def make(table: Table, m: int, rng: np.random.Generator) -> DistilledData:
        made = AutoDistiller(m, scoring=scoring(metric, table), random_state=seed_of(rng))
        return made.fit_distill(table.X, table.y)

    return make


def auto_inside(metric: str) -> Callable[..., Any]:
    """Make a set for each model, chosen by the model's own score."""

    def make(table: Table, m: int, rng: np.random.Generator, model: Any) -> Any:
        made = AutoDistiller(m, scoring=scoring(metric, table), random_state=seed_of(rng))
        wrapped = DistilledRegressor if table.numbers else DistilledClassifier
        return wrapped(model, made).fit(table.X, table.y)

    return make


METHODS: dict[str, Method] = {
    "uniform": Method("stratified uniform rows", sets.uniform),
    "uniform-again": Method("uniform rows, drawn again", sets.uniform),
    "balanced": Method("class-balanced uniform rows", sets.balanced, classes_only=True),
    "systematic": Method(
        'SensitivityCoreset(sampling="systematic")', coreset(sampling="systematic")
    ),
    "medoids": Method('SensitivityCoreset(sampling="medoids")', coreset(sampling="medoids")),
    "medoids-balanced": Method(
        "medoids, balanced, without weights",
        coreset(False, sampling="medoids", class_share="balanced"),
        classes_only=True,
    ),
    "cluster-centroids": Method(
        "ClusterCentroids (imbalanced-learn)", sets.cluster_centroids, classes_only=True
    ),
    "near-miss": Method("NearMiss", sets.near_miss, classes_only=True),
    "condensed": Method("CondensedNearestNeighbour", sets.condensed, classes_only=True),
    "agglomerative": Method("agglomerative clusters", sets.agglomerative),
    "k-means": Method("k-means medoids, equal shares", sets.kmeans_medoids),
    "herding": Method("herding", sets.herding),
    "k-centre": Method("k-centre", sets.k_centre),
}
for metric in METRICS:
    METHODS[f"auto-alone:{metric}"] = Method(
        "AutoDistiller() alone", auto_alone(metric), metric=metric
    )
    METHODS[f"auto:{metric}"] = Method(
        "AutoDistiller() in the meta-estimator", auto_inside(metric), own=True, metric=metric
    )
SIZES = {  # rows for a number of training rows and of classes; numbers count as two classes
    "200": lambda n, k: 200,
    "20-a-class": lambda n, k: 20 * k,
    "1-percent": lambda n, k: round(n / 100),
    "100-a-class": lambda n, k: 100 * k,  # the next two are for TDBench's measure
    "10-a-class": lambda n, k: 10 * k,
}
LARGEST_SHARE = 1 / 3  # of the training rows: more is no reduction
FEWEST_ROWS = 20


def missing_packages() -> dict[str, str]:
    """Methods that cannot run here, and why."""
    found = {}
    if find_spec("imblearn") is None:
        for name in ("cluster-centroids", "near-miss", "condensed"):
            found[name] = "imbalanced-learn is not installed"
    if AutoDistiller is None:
        for name in METHODS:
            if name.startswith("auto"):
                found[name] = "this version of the package has no AutoDistiller"
    return found


# The run ----------------------------------------------------------------------------------------


def n_rows(size: str, table: Table) -> int | None:
    """Rows of a size, None if the table is too small for it."""
    m = SIZES[size](len(table.X), max(len(table.classes), 2))
    return m if max(FEWEST_ROWS, len(table.classes)) <= m <= LARGEST_SHARE * len(table.X) else None


def run_method(table: Table, size: str, name: str, seed: int, models: list[str], keep) -> None:
    """Score models on the rows of one method; `keep` is called with each as soon as it is known.

    Values are the scores, CPU seconds of making the rows (of an `own` method: and of training the
    model on them), and their number; of a failure the message.
    """
    method, m = METHODS[name], n_rows(size, table)
    stream = zlib.crc32(f"{table.name} {size} {name}".encode())
    draws = range(UNIFORM_DRAWS if name == "uniform" else 1)
    rngs = [np.random.default_rng([seed, draw, stream]) for draw in draws]
    began, failure, sets_made = time.process_time(), None, []
    if not method.own:
        try:
            sets_made = [method.make(table, m, rng) for rng in rngs]
        except Exception as error:  # of a rival or of this package: a result too
            failure = error
    seconds = (time.process_time() - began) / len(rngs)
    for model in models:
        key = (table.name, size, name, model, seed)
        try:
            if failure is not None:
                raise failure
            if method.own:
                began = time.process_time()
                trained = method.make(table, m, rngs[0], model_for(model, table))
                seconds, rows = time.process_time() - began, len(trained.distilled_)
                found = [scores(trained, table)]
            else:
                found = [scores(fitted(model_for(model, table), s), table) for s in sets_made]
                rows = len(sets_made[0])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            print(*key, reason, flush=True)
            keep(key, reason)
            continue
        columns = zip(*found, strict=True)
        mean = (None if None in column else float(np.mean(column)) for column in columns)
        keep(key, *map(_short, mean), round(seconds, 3), rows)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def can_be_judged(method: str, model: str) -> bool:
    """Tell whether the score that a method is made for can be had from a model."""
    needs = method in METHODS and METHODS[method].own and METHODS[method].metric == "log_loss"
    return not needs or hasattr(MODELS[model][0], "predict_proba")


def run_table(name: str, seed: int, args, known, keep, deadline: float) -> bool:
    """Make all scores of a table and seed that are not known; False when time is over."""
    methods = [m for m in args.methods if METHODS[m].applies(TABLES[name].numbers)]
    jobs = [("all", "all"), *((size, method) for size in args.sizes for method in methods)]
    todo = {
        job: [
            model
            for model in args.models
            if can_be_judged(job[1], model) and not known((name, *job, model, seed))
        ]
        for job in jobs
    }
    todo = {job: models for job, models in todo.items() if models}
    if not todo or time.perf_counter() > deadline:
        return not todo
    table = read(name, args.data, seed)
    began = time.process_time()
    for (size, method), models in todo.items():
        if time.perf_counter() > deadline:
            return False
        if size == "all":
            for model in models:
                start = time.process_time()
                trained = model_for(model, table).fit(table.X, table.y)
                seconds = round(time.process_time() - start, 3)
                values = [*map(_short, scores(trained, table)), seconds, len(table.X)]
                keep((name, "all", "all", model, seed), *values)
        elif n_rows(size, table) is not None:
            run_method(table, size, method, seed, models, keep)
    used = time.process_time() - began
    print(f"{name}, seed {seed}: {len(todo)} sets, {used:.0f} s of CPU time", flush=True)
    return True


def main() -> None:
    groups = {"development": list(DEVELOPMENT), "held-out": list(HELD_OUT), "all": list(TABLES)}
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.set_defaults(seeds=3)
    _cells.add_option(options)
    options.add_argument("--read", type=Path, nargs="+", default=[], help="further files of scores")
    options.add_argument("--tables", nargs="+", default=["all"], choices=[*groups, *TABLES])
    options.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    options.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options.add_argument("--sizes", nargs="+", default=list(SIZES)[:3], choices=SIZES)
    options.add_argument("--scores", nargs="+", default=list(METRICS), choices=METRICS)
    options.add_argument("--redo", nargs="+", default=[], choices=METHODS, help="make them again")
    options.add_argument("--minutes", type=float, default=np.inf, help="begin nothing after them")
    options.add_argument("--record", action="store_true", help="write the record, not print only")
    options.add_argument("--summary", action="store_true", help="what is known; no fits")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # models that did not converge, levels that were not seen
    args.tables = list(dict.fromkeys(t for name in args.tables for t in groups.get(name, [name])))
    cells, others = _cells.Cells(args.cells), [_cells.Cells(path) for path in args.read]
    for part in (cells, *others):
        for key in [key for key in part if key[2] in args.redo]:
            del part[key]

    def known(key: tuple) -> bool:
        return any(key in part for part in (cells, *others))

    for name, why in missing_packages().items():
        if name in args.methods:
            print(f"{name} is left out: {why}")
            args.methods.remove(name)
    if not args.summary:
        threadpool_limits(1)  # seconds of a core, and small fits are no faster with more
        deadline = time.perf_counter() + 60 * args.minutes
        there = [name for name in args.tables if is_there(name, args.data)]
        if len(there) < len(args.tables):
            print(f"not found: {', '.join(t for t in args.tables if t not in there)}")
        for seed, name in product(range(args.seeds), there):
            if not run_table(name, seed, args, known, cells.keep, deadline):
                break
    found: dict = {}
    for part in (*others, cells):
        found.update(part)
    titles = {name: method.title for name, method in METHODS.items()}
    report(found, titles, args)


if __name__ == "__main__":
    main()
