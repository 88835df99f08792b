"""Bad input of DatasetDistiller gets an error that names the parameter and the way out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from skdistill import DatasetDistiller, DistilledData, SensitivityCoreset
from skdistill.networks import MLP, ConvFeatures
from skdistill.objectives import (
    AnalyticRidge,
    DistributionMatching,
    GradientMatching,
    KernelRidge,
    TrajectoryMatching,
)
from skdistill.objectives.base import Objective

pytestmark = pytest.mark.usefixtures("quick_fits")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = np.arange(60) % 3
NUMBERS = X[:, 0] + 0.1 * rng.normal(size=60)
OBJECTIVES = ("kernel_ridge", "analytic_ridge", "distribution_matching")


def quick(**params):
    return DatasetDistiller(**{"n_samples": 6, "max_iter": 3, "random_state": 0, **params})


def refuses(message, *args, error=ValueError, **params):
    with pytest.raises(error, match=message):
        quick(**params).fit(*(args or (X, y)))


def learns(table, target=None, **params):
    """Fit and check that all that is handed out is finite."""
    distiller = quick(**params).fit(table, target)
    small = distiller.distilled_
    assert len(small) == distiller.n_samples
    assert np.isfinite(small.X).all()
    assert (small.sample_weight > 0).all()
    assert np.isfinite(distiller.transform(table)).all()
    if target is not None:
        assert np.isfinite(distiller.make_predictor().predict(table)).all()
    return distiller


# Parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("objective", "nothing"),
        ("objective", 3),
        ("objective", None),
        ("objective", len),
        ("init", "nothing"),
        ("init", 3),
        ("init", None),
        ("init", X[:6]),
        ("init", sp.csr_matrix(X[:6])),
        ("optimizer", "nothing"),
        ("optimizer", 3),
        ("optimizer", None),
        ("batch_loss", "nothing"),
        ("batch_loss", 3),
        ("batch_loss", None),
        ("batch_sampling", "nothing"),
        ("max_iter", -1),
        ("max_iter", 1.5),
        ("max_iter", np.nan),
        ("max_iter", "many"),
        ("max_iter", None),
        ("learning_rate", 0),
        ("learning_rate", -1.0),
        ("learning_rate", np.nan),
        ("learning_rate", np.inf),
        ("learning_rate", "fast"),
        ("learning_rate", None),
        ("uniform_mixing", -0.1),
        ("uniform_mixing", 1.1),
        ("uniform_mixing", np.nan),
        ("uniform_mixing", "half"),
        ("uniform_mixing", None),
        ("uniform_mixing", [0.1, 0.5]),
        ("refresh_every", 0),
        ("refresh_every", "often"),
        ("batch_size", 0),
        ("batch_size", "large"),
        ("learn_labels", "all"),
        ("reweight", "yes"),
        ("class_balance", "yes"),
        ("validation_fraction", 0),
        ("validation_fraction", np.nan),
        ("n_iter_no_change", 0),
        ("tol", -1),
        ("tol", np.nan),
        ("image_shape", 64),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_parameters_are_named_with_their_value(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of DatasetDistiller") as caught:
        quick(**{name: value}).fit(X, y)
    assert repr(value)[:8] in str(caught.value)


@pytest.mark.parametrize("value", [(0.1,), (0.1, 0.5, 1), (-0.1, 1), (0, 1.1), ("a", 1)])
def test_a_pair_of_mixings_is_two_shares(value):
    refuses("uniform_mixing=.*two numbers from 0 to 1", uniform_mixing=value)


@pytest.mark.parametrize("value", [0, 1, (0, 1), (1, 0.0)])
def test_the_ends_of_the_mixing_are_allowed(value):
    learns(X, y, uniform_mixing=value, batch_size=8)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), "three positive integers"),
        ((1, 3, 1.0), "three positive integers"),
        ((0, 3, 1), "three positive integers"),
        ((3, 3, 1), "has 9 values, but X has 3 features"),
    ],
)
def test_image_shapes(shape, message):
    refuses(message, image_shape=shape)


@pytest.mark.parametrize("technique", [DistributionMatching, GradientMatching, TrajectoryMatching])
def test_frozen_features_are_no_networks(technique):
    refuses(
        r"network=ConvFeatures\(\) is one frozen feature map.*FeatureRegression\(network",
        error=TypeError,
        objective=technique(network=ConvFeatures()),
    )


@pytest.mark.parametrize("name", ["init", "objective"])
def test_a_class_instead_of_an_instance(name):
    value = SensitivityCoreset if name == "init" else KernelRidge
    refuses(
        rf"{name}={value.__name__} is a class; pass an instance", error=TypeError, **{name: value}
    )


def test_parameters_of_objectives():
    refuses(r"reg=-1.0 of KernelRidge must be 'auto' or positive", objective=KernelRidge(reg=-1.0))
    refuses("loss='nothing' of KernelRidge is unknown", objective=KernelRidge(loss="nothing"))
    refuses("reg=-1.0", objective=AnalyticRidge(reg=-1.0))
    refuses("n_networks=0", objective=DistributionMatching(n_networks=0))
    refuses("no gradient", kernel=lambda A, B: A @ B.T)


@pytest.mark.parametrize("asked", [True, "solve"])
def test_labels_that_a_technique_does_not_learn(asked):
    refuses(
        f"learn_labels={asked!r} .*learns no labels; use learn_labels='auto'",
        objective="distribution_matching",
        learn_labels=asked,
    )


def test_no_steps_keep_the_start():
    start = DistilledData(X[:6], y[:6])
    distiller = learns(X, y, init=start, max_iter=0)
    np.testing.assert_allclose(distiller.distilled_.X, X[:6], atol=1e-12)
    assert distiller.n_iter_ == 0


# Starts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (DistilledData(X[:6, :2], y[:6]), ValueError, "rows of 2 features, but X has 3"),
        (DistilledData(X[:5], y[:5]), ValueError, "has 5 rows, .* asks for 6; use n_samples=5"),
        (DistilledData(X[:9], y[:9]), ValueError, "has 9 rows, .* asks for 6; use n_samples=9"),
        (DistilledData(X[:6]), ValueError, "no y, but y was passed to fit"),
        (DistilledData(X[:6], y[:6] + 1), ValueError, "holds classes that y does not: 3"),
        (DistilledData(X[:6], NUMBERS[:6]), ValueError, r"y does not: .*, \.\.\.; .*'regression'"),
        (DistilledData(X[:6], np.eye(3)[y[:6]]), ValueError, r"shape \(6, 3\)"),
        (DistilledData(sp.csr_matrix(X[:6]), y[:6]), TypeError, r"sparse rows.*X\.toarray\(\)"),
        (DistilledData(np.full((6, 3), "a"), y[:6]), TypeError, "X must hold real numbers"),
        (DistilledData(X[:6] + 1j, y[:6]), TypeError, "X must hold real numbers"),
        (DistilledData([[None, 1, 2]] * 6, y[:6]), ValueError, "its X must be finite"),
        (DistilledData([[{}, 1, 2]] * 6, y[:6]), TypeError, "X must hold real numbers"),
        (DistilledData(np.full((6, 3), np.nan), y[:6]), ValueError, "its X must be finite"),
        (
            DistilledData(X[:6], y[:6], targets=np.full((6, 3), np.inf)),
            ValueError,
            "its targets must be finite",
        ),
    ],
)
def test_given_rows_that_do_not_fit(given, error, message):
    refuses(rf"init=DistilledData.*{message}", init=given, error=error)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.array(list("abcabc")), TypeError, "y must hold real numbers"),
        (np.full(6, np.nan), ValueError, "y must be finite"),
        (np.column_stack([NUMBERS, NUMBERS])[:6], ValueError, "y of 2 columns, .* of fit has 1"),
    ],
)
def test_given_numbers_that_do_not_fit(given, error, message):
    refuses(f"init=.*{message}", X, NUMBERS, init=DistilledData(X[:6], given), error=error)


def test_targets_of_other_classes_are_no_soft_labels():
    """Columns of `targets` belong to `classes`: those of another target must not be taken over."""
    wrong = np.eye(3)[2 - y[:6]]
    other = DistilledData(X[:6], y[:6], targets=wrong, classes=[0, 1, 5])
    options = {"learn_labels": False, "max_iter": 0}
    assert_array_equal(learns(X, y, init=other, **options).distilled_.y, y[:6])
    same = DistilledData(X[:6], y[:6], targets=wrong, classes=[0, 1, 2])
    assert_array_equal(learns(X, y, init=same, **options).distilled_.y, 2 - y[:6])


def test_distillers_that_do_not_fit():
    refuses("init=KMeans.*has no distilled_ after fit", init=KMeans(6, n_init=1), error=TypeError)
    refuses(r"init=SensitivityCoreset\(.*has 4 rows", init=SensitivityCoreset(4))
    other = SensitivityCoreset(6).fit(X[:, :2], y)
    refuses("init=FrozenEstimator.*of 2 features, but X has 3", init=FrozenEstimator(other))


def test_rows_of_the_fit_before_that_do_not_fit():
    distiller = quick(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True: .* of 3 features, but X has 2"):
        distiller.fit(X[:, :2], y)
    with pytest.raises(ValueError, match=r"warm_start=True: .* has 6 rows, .* asks for 7"):
        distiller.set_params(n_samples=7).fit(X, y)


# Targets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_in_targets(objective, bad):
    broken = NUMBERS.copy()
    broken[3] = bad
    refuses("Input y contains (NaN|infinity)", X, broken, objective=objective)
    refuses("Input y contains (NaN|infinity)", X, np.c_[NUMBERS, broken], objective=objective)


@pytest.mark.parametrize("bad", [np.nan, None, pd.NA])
def test_missing_labels(bad):
    labels = np.array(["a", "b", "c"], dtype=object)[y]
    labels[:2] = bad
    refuses("y contains NaN or None, 2 of 60 labels; leave those rows out", X, labels)
    refuses("y contains NaN or None, 2 of 60", pd.DataFrame(X), pd.Series(labels))


def test_labels_of_several_types():
    labels = np.array(["a", "b", 3], dtype=object)[y]
    refuses(r"types \['int', 'str'\].*y\.astype\(str\)", X, labels, error=TypeError)


def test_missing_targets_are_named():
    refuses(r"objective=AnalyticRidge\(\) .* y is missing; pass y", X, objective="analytic_ridge")
    message = "loss='cross_entropy' of KernelRidge needs classes as y, got none"
    refuses(message, X, objective=KernelRidge(loss="cross_entropy"))
    for objective in ("kernel_ridge", "distribution_matching"):  # these need none
        assert learns(X, objective=objective).distilled_.y is None


def test_classes_are_wanted_and_numbers_come():
    for target in (NUMBERS, np.column_stack([y % 2, y // 2])):
        refuses(
            "objective=DistributionMatching.*y is of kind",
            X,
            target,
            objective="distribution_matching",
        )
        refuses("needs classes as y", X, target, objective=KernelRidge(loss="cross_entropy"))
        refuses("batch_loss='cross_entropy' needs classes", X, target, batch_loss="cross_entropy")
    refuses("batch_loss='margin' needs classes", X, NUMBERS, batch_loss="margin")
    message = "continuous.*Use target_type='regression'"
    refuses(message, X, NUMBERS, target_type="classification")


class OnlyNumbers(Objective):
    """A technique for regression alone."""

    kinds = frozenset({"numbers"})

    def predictor(self, support):
        return lambda rows: rows @ support.rows.T


def test_numbers_are_wanted_and_classes_come():
    refuses(r"OnlyNumbers\(\) works with .*'numbers'.*of kind 'classes'", objective=OnlyNumbers())
    labels = np.array(["a", "b", "c"])[y]
    refuses("target_type='regression' needs a numeric y", X, labels, target_type="regression")
    assert learns(X, y, target_type="regression").distilled_.y.dtype.kind == "f"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("balance", ["auto", True])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_class_smaller_than_its_share_of_the_batch(objective, balance, batch_size):
    rare = np.append(np.zeros(58, dtype=int), [1, 2])
    options = {"objective": objective, "class_balance": balance, "batch_size": batch_size}
    balanced = balance is True or objective == "distribution_matching"
    draws = objective != "analytic_ridge" and batch_size == 8
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        distiller = learns(X, rare, **options)
    # Such batches may do worse than none, which is another warning.
    told = [str(w.message) for w in told if w.category is not ConvergenceWarning]
    assert [message[:4] for message in told] == ["Rows"] * (balanced and draws)
    assert_array_equal(distiller.classes_, [0, 1, 2])
    if objective == "distribution_matching":  # its rows keep the class they start with
        assert set(distiller.distilled_.y) == {0, 1, 2}


def few_of_a_class(**options):
    """Fit of rows of which those named "rare" are few, and the warnings."""
    rare = np.where(np.arange(60) < 7, "rare", np.where(X[:, 0] > 0, "x", "z")).astype(object)
    technique = DistributionMatching(MLP(8))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        learns(X, rare, **{"objective": technique, "max_iter": 5, **options})
    return told


def test_a_class_whose_rows_are_drawn_again_is_named_once():
    (told,) = few_of_a_class(batch_size=30)
    assert told.category is UserWarning and told.filename == __file__
    message = str(told.message)
    assert (
        "drawn with replacement: class 'rare' has 7 rows and a share of 10 in a batch of 30."
        in (message)
    )
    assert "batch_size=21 or less repeats none" in message
    assert "class_balance=False" in message


def test_many_classes_whose_rows_are_drawn_again_are_counted():
    labels = np.minimum(np.arange(60) // 2, 6)  # six classes of two rows, one of 48
    with pytest.warns(UserWarning, match="class 0 has 2 rows.*class 2 has 2.*; 3 more are in"):
        options = {"class_balance": True, "batch_size": 35, "batch_loss": "cross_entropy"}
        learns(X, labels, n_samples=7, objective="kernel_ridge", **options)


def test_experts_that_see_rows_of_a_class_again():
    technique = TrajectoryMatching(MLP(8), n_experts=1, syn_steps=2, expert_epochs=1)
    (told,) = few_of_a_class(objective=technique, batch_size=30)
    assert "class 'rare' has 7 rows" in str(told.message)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 21},  # the rows are just enough
        {"batch_size": 60},  # all rows, none twice
        {"batch_size": 30, "class_balance": False},
        {"batch_size": 30, "max_iter": 0},
    ],
)
def test_nothing_is_said_where_no_row_is_drawn_again(options):
    assert few_of_a_class(**options) == []


def test_fewer_rows_than_classes():
    refuses("n_samples=2 gives 2 rows, fewer than the 3 classes.*at least 3", n_samples=2)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.where(y == 1, np.nan, 1.0), "sample_weight contains NaN"),
        (np.where(y == 1, -1.0, 1.0), "Negative values in.*sample_weight"),
        (np.zeros(60), "sample_weight is zero for every row|at least one non-zero"),
        (np.ones(59), "sample_weight.shape"),
    ],
)
def test_bad_weights(weight, message):
    refuses(message, X, y, weight)


# Losses that make rows important ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda t, f: np.full(len(t), np.nan), ValueError, "finite, non-negative"),
        (lambda t, f: np.full(len(t), np.inf), ValueError, "finite, non-negative"),
        (lambda t, f: -np.ones(len(t)), ValueError, "from -1.0 to -1.0; square them"),
        (lambda t, f: t - f, ValueError, r"shape \(30,\), but returned shape \(30, 3\)"),
        (lambda t, f: np.ones((len(t), 1)), ValueError, r"returned shape \(30, 1\)"),
        (lambda t, f: np.ones(len(t) - 1), ValueError, r"returned shape \(29,\)"),
        (lambda t, f: 1.0, ValueError, r"returned shape \(\)"),
        (lambda t, f: [[1], [1, 2]], ValueError, "one loss for each row"),
        (lambda t, f: np.ones(len(t)) + 0j, TypeError, "real numbers.*complex128"),
        (lambda t, f: ["a"] * len(t), TypeError, "real numbers.*list"),
        (lambda t, f: None, TypeError, "real numbers.*NoneType"),
    ],
)
def test_bad_losses_of_a_callable(loss, error, message):
    refuses(f"batch_loss=<function.*{message}", batch_loss=loss, batch_size=8, error=error)


@pytest.mark.parametrize(
    "loss",
    [
        lambda t, f: np.zeros(len(t)),
        lambda t, f: t.argmax(1) != f.argmax(1),
        lambda t, f: [1] * len(t),
        lambda t, f: np.full(len(t), 1e308),
    ],
    ids=["zero", "bool", "list", "huge"],
)
def test_odd_losses_of_a_callable(loss):
    learns(X, y, batch_loss=loss, batch_size=8)


# Data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.coo_matrix])
def test_sparse_rows(form):
    refuses("Sparse data.*TruncatedSVD.*SensitivityCoreset", form(X), y, error=TypeError)
    with pytest.raises(TypeError, match="Sparse"):
        quick().fit(X, y).transform(form(X))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((60, 1, 8, 8)), r"X.reshape\(60, 64\) and, where .* image_shape="),
        (np.zeros((60, 8, 8, 3)), r"X.reshape\(60, 192\).*transpose\(0, 3, 1, 2\)"),
        (np.zeros((60, 2, 3)), r"X.reshape\(60, 6\)"),
        (X[:, 0], "Expected 2D array"),
        (X + 1j, "Complex data not supported"),
        (np.full((60, 3), "a"), "Convert your data to numeric"),
        (np.where(X > 2, np.nan, X), "Input X contains NaN"),
        (np.where(X > 2, np.inf, X), "Input X contains infinity"),
    ],
)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_tables_of_the_wrong_kind(table, message, objective):
    refuses(message, table, y, objective=objective)


def test_a_sparse_target():
    refuses("A sparse y", X, sp.csr_matrix(np.eye(3)[y]), error=TypeError)


@pytest.mark.parametrize("target", ["numbers", "classes"])
@pytest.mark.parametrize(
    "table",
    [
        np.ones((60, 3)),
        X * 1e12 + 1e6,
        X * 1e-12,
        np.random.default_rng(0).standard_cauchy((200, 4)),
    ],
    ids=["constant", "large", "small", "heavy tails"],
)
def test_odd_rows(table, target):
    rng = np.random.default_rng(1)
    values = rng.normal(size=len(table))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows that are not distinct, divergence
        if target == "numbers":
            learns(table, values, max_iter=10, n_samples=3)
        else:
            learns(table, values > 0, max_iter=10, n_samples=2)


def test_a_constant_target_and_a_single_class():
    np.testing.assert_allclose(
        learns(X, np.full(60, 3.5)).make_predictor().predict(X), 3.5, atol=1e-6
    )
    assert_array_equal(learns(X, np.zeros(60, dtype=int)).distilled_.y, 0)
