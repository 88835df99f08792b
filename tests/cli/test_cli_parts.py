"""The parts of the command line on their own: guesses, splits, encoding, the comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier

from skdistill.cli.compare import compare
from skdistill.cli.estimators import ESTIMATORS, make_estimator
from skdistill.cli.features import encode
from skdistill.cli.scores import check_scores, make_scores, score_all
from skdistill.cli.table import InputError, Table
from skdistill.cli.task import check_target, guess_task, split_rows


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.array([0.0, 1.0, 1.0]), "classification"),
        (np.arange(10), "classification"),
        (np.arange(11), "regression"),
        (np.repeat(np.arange(40), 10), "classification"),
        (np.repeat(np.arange(40), 9), "regression"),
        (np.repeat(np.arange(51), 100), "regression"),
        (np.array([0.5, 1.0, 1.0]), "classification"),  # of two numbers
        (np.array([0.5, 1.0, 1.5] * 3), "regression"),
    ],
)
def test_guess_task(y, task):
    assert guess_task(y) == task


def test_split_is_stratified_and_complete():
    y = np.repeat(["a", "b", "c"], [60, 20, 1])
    train, test = split_rows(y, "classification", 0.25, seed=0)
    assert sorted([*train, *test]) == list(range(81))
    assert list(np.unique(y[test], return_counts=True)[1]) == [15, 5]
    assert "c" in y[train]
    again, _ = split_rows(y, "classification", 0.25, seed=0)
    other, _ = split_rows(y, "classification", 0.25, seed=1)
    assert np.array_equal(train, again) and not np.array_equal(train, other)


@pytest.mark.parametrize(("n", "share"), [(2, 0.5), (100, 0.001), (100, 0.999)])
def test_split_of_too_few_rows(n, share):
    with pytest.raises(InputError, match="change --test-size"):
        split_rows(np.arange(float(n)), "regression", share, seed=0)


def array_table(X: np.ndarray, shape: tuple[int, ...] = ()) -> Table:
    return Table("rows", X, np.arange(len(X)) % 2, "y", row_shape=shape)


def test_pixels_share_a_scale():
    X = np.array([[0.0, 200.0], [0.0, 100.0]])
    rows = np.arange(2)
    apart = encode(array_table(X), rows, rows)
    together = encode(array_table(X, (1, 2)), rows, rows[:0])
    np.testing.assert_allclose(apart.train, [[0, 1], [0, -1]])
    np.testing.assert_allclose(together.train, X / X.std())
    assert "together" in together.description and together.test.shape == (0, 2)
    for features in (apart, together):
        np.testing.assert_allclose(features.in_units(features.train), X)


def test_features_of_a_frame_have_their_units(houses):
    X = houses.drop(columns="price")
    table = Table("rows", X, houses["price"].to_numpy(), "price", frame=houses)
    features = encode(table, np.arange(200), np.arange(200, 240))
    assert features.train.shape == (200, len(features.names)) and len(features.test) == 40
    units = dict(zip(features.names, features.in_units(features.train).T, strict=True))
    np.testing.assert_allclose(units["area"], X["area"][:200], rtol=1e-5)
    assert set(np.round(units["city_missing"], 5)) == {0, 1}
    assert "values missing" in features.description


def test_all_refused_columns_are_named_at_once():
    X = pd.DataFrame({"a": [1.0, np.inf], "b": [["x"], ["y"]], "c": [1.0, 2.0], "d e": [{}, {}]})
    table = Table("rows", X, np.arange(2), "y", frame=X)
    with pytest.raises(InputError, match=r"'b' holds .*'d e' holds .*'a' holds infinity") as told:
        encode(table, np.arange(2), np.arange(0))
    assert "--drop 'b,d e,a'" in str(told.value)
    X = X[["a", "c"]]
    with pytest.raises(InputError, match="'a' holds infinity"):  # in the test rows alone
        encode(Table("rows", X, np.arange(2), "y", frame=X), np.arange(1), np.arange(1, 2))


def regression_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose target is a noiseless line."""
    X = np.random.default_rng(n).normal(size=(n, 2))
    return X, X @ [1.0, 2.0]


PLAIN = make_scores("regression", 0, None)


def test_compare_uses_the_rows_it_names():
    train, test = (*regression_rows(60), None), (*regression_rows(20), None)
    wrong = train[0][:10], -train[1][:10], np.ones(10)
    everything, small, uniform = compare(LinearRegression(), PLAIN, train, wrong, test, n_draws=3)
    assert (everything.n_rows, small.n_rows, uniform.n_rows) == (60, 10, 10)
    assert everything.values("R2") == pytest.approx([1.0])
    assert uniform.values("R2") == pytest.approx([1.0] * 3)
    assert small.values("R2")[0] < -1
    assert all(second > 0 for second in everything.seconds + small.seconds + uniform.seconds)


def test_compare_passes_weights():
    X, y = regression_rows(40)
    weights = np.ones(40)
    y = y.copy()
    y[:10] += 100
    weights[:10] = 0
    test = (*regression_rows(20), None)
    everything, small, _ = compare(
        LinearRegression(), PLAIN, (X, y, weights), (X, y, weights), test, n_draws=1
    )
    assert small.values("R2") == everything.values("R2") == pytest.approx([1.0])
    blind = compare(LinearRegression(), PLAIN, (X, y, None), (X, y, None), (X, y, weights))[0]
    assert blind.values("R2")[0] < 1


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_scale_of_weights_does_not_matter(name, n_classes):
    if name in ("lightgbm", "xgboost"):
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    y = np.digitize(X[:, 0] + 0.2 * rng.normal(size=90), np.arange(n_classes - 1) - 0.5)
    weights = None if name == "knn" else rng.uniform(1, 3, 90)
    scores = make_scores("classification", n_classes, None)
    estimator = make_estimator(name, "classification", 90, seed=0)
    given = [(X, y, None if weights is None else factor * weights) for factor in (1, 1024)]
    contenders = compare(estimator, scores, *given, (X, y, None), n_draws=1)
    found = [contender.scores[0] for contender in contenders[:2]]
    assert found[0] == pytest.approx(found[1], nan_ok=True)
    assert found[0]["accuracy"] > 0.7
    if n_classes == 2:
        assert found[0]["ROC AUC"] > 0.8 and found[0]["avg precision"] > 0.8
    else:
        assert found[0]["balanced acc"] > 0.7


def test_uniform_rows_of_a_single_class_predict_it():
    X = np.arange(200.0)[:, None]
    y = np.where(X[:, 0] == 7, 1, 0)
    both, scores = np.array([7, 8]), make_scores("classification", 2, "roc_auc")
    rows, small = (X, y, None), (X[both], y[both], None)
    uniform = compare(LogisticRegression(), scores, rows, small, rows, n_draws=2)[2]
    assert uniform.values("accuracy") == pytest.approx([0.995] * 2)
    assert uniform.values("ROC AUC") == pytest.approx([0.5] * 2)


def test_scores_of_rare_classes():
    X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 1, 1, 2])
    model = LogisticRegression(C=1e6).fit(X[:5], y[:5])  # has never seen the last class
    scores = make_scores("classification", 3, None)
    found = score_all(scores, model, (X, y, None))
    assert found["accuracy"] == pytest.approx(5 / 6)
    assert found["balanced acc"] == pytest.approx(2 / 3)
    assert found["log loss"] > 2
    weighted = score_all(scores, model, (X, y, np.array([1.0] * 5 + [0])))
    assert weighted["accuracy"] == 1
    ridge = RidgeClassifier().fit(X, y)
    assert np.isnan(score_all(scores, ridge, (X, y, None))["log loss"])


def test_scores_that_do_not_go_with_the_target():
    for task, y, scoring in (
        ("classification", np.array([0, 1, 2]), "f1"),
        ("regression", np.array([0.5, 1.5, 2]), "accuracy"),
    ):
        with pytest.raises(InputError, match=f"--scoring {scoring} does not go with the target"):
            check_scores(make_scores(task, 3, scoring), scoring, y)
    with pytest.raises(InputError, match="is no score of scikit-learn"):
        make_scores("regression", 0, "goodness")


@pytest.mark.parametrize("values", [[0.5, 1.0, 1.0], ["b", "a", "a"], [2, 1, 1]])
def test_the_rarer_of_two_classes_is_the_one_looked_for(values):
    y = np.array(values)
    codes, labels = check_target(Table("t", None, y, "y"), "classification")
    np.testing.assert_array_equal(labels[codes], y)
    assert codes.tolist() == [1, 0, 0]


def test_contenders_leave_the_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002 - the state that must not change
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rows = (*regression_rows(30), None)
    compare(LinearRegression(), PLAIN, rows, rows, rows)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
