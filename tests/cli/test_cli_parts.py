"""The parts of the command line on their own: guesses, splits, encoding, the comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from skdistill.cli.compare import compare, make_estimator
from skdistill.cli.preprocess import dates_to_days, fill_missing_text, make_preprocessor
from skdistill.cli.table import InputError
from skdistill.cli.task import guess_task, split_rows


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.array([0.0, 1.0, 1.0]), "classification"),
        (np.array([0.5, 1.0, 1.0]), "regression"),
        (np.arange(10), "classification"),
        (np.arange(11), "regression"),
        (np.repeat(np.arange(40), 10), "classification"),
        (np.repeat(np.arange(40), 9), "regression"),
        (np.repeat(np.arange(51), 100), "regression"),
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


def test_dates_to_days():
    dates = pd.to_datetime(["1970-01-02 00:00", None, "1969-12-31 12:00"])
    frame = pd.DataFrame(
        {
            "plain": dates,
            "zoned": dates.tz_localize("UTC").tz_convert("Asia/Tokyo"),
            "took": pd.to_timedelta([24, 36, None], unit="h"),
        }
    )
    expected = [[1, 1, 1], [np.nan, np.nan, 1.5], [-0.5, -0.5, np.nan]]
    np.testing.assert_array_equal(dates_to_days(frame), expected)


def test_fill_missing_text():
    frame = pd.DataFrame(
        {
            "mixed": np.array(["a", 1, None], dtype=object),
            "kind": pd.Categorical([np.nan, "b", "b"]),
            "text": pd.array(["c", pd.NA, "d"], dtype="string"),
        }
    )
    expected = [["a", "missing", "c"], ["1", "b", "missing"], ["missing", "b", "d"]]
    np.testing.assert_array_equal(fill_missing_text(frame), np.array(expected, dtype=object))


def test_rare_categories_share_a_column():
    values = ["often"] * 300 + ["also"] * 300 + [f"rare {i}" for i in range(5)]
    preprocessor, described = make_preprocessor(pd.DataFrame({"c": values}))
    features = preprocessor.fit_transform(pd.DataFrame({"c": values}))
    assert features.shape == (605, 3)
    assert described == "1 category one-hot, no value missing"
    unseen = preprocessor.transform(pd.DataFrame({"c": ["rare 1", "never seen"]}))
    np.testing.assert_array_equal(unseen[0], unseen[1])


def test_pixels_share_a_scale():
    X = np.array([[0.0, 200.0], [0.0, 100.0]])
    apart, _ = make_preprocessor(X)
    together, described = make_preprocessor(X, share_scale=True)
    np.testing.assert_allclose(apart.fit_transform(X), [[0, 1], [0, -1]])
    np.testing.assert_allclose(together.fit_transform(X), X / X.std())
    assert "together" in described


def test_preprocessors_can_be_cloned_and_name_their_columns(houses):
    preprocessor, _ = make_preprocessor(houses.drop(columns="price"))
    fitted = clone(preprocessor).fit(houses)
    assert len(fitted.get_feature_names_out()) == fitted.transform(houses).shape[1]


def regression_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose target is a noiseless line."""
    X = np.random.default_rng(n).normal(size=(n, 2))
    return X, X @ [1.0, 2.0]


def test_compare_uses_the_rows_it_names():
    train, test = regression_rows(60), regression_rows(20)
    wrong = train[0][:10], -train[1][:10], np.ones(10)
    everything, small, uniform = compare(
        LinearRegression(), StandardScaler(), "regression", train, wrong, test, n_draws=3
    )
    assert (everything.n_rows, small.n_rows, uniform.n_rows) == (60, 10, 10)
    assert everything.scores == pytest.approx([1.0])
    assert uniform.scores == pytest.approx([1.0] * 3)
    assert small.scores[0] < -1
    assert all(second > 0 for second in everything.seconds + small.seconds + uniform.seconds)


def test_compare_passes_weights():
    X, y = regression_rows(40)
    weights = np.ones(40)
    y = y.copy()
    y[:10] += 100
    weights[:10] = 0
    test = regression_rows(20)
    small = compare(LinearRegression(), StandardScaler(), "regression", (X, y), (X, y, weights),
                    test)[1]  # fmt: skip
    assert small.scores == pytest.approx([1.0])


@pytest.mark.parametrize("name", ["logistic", "ridge", "forest", "knn", "krr"])
def test_the_scale_of_weights_does_not_matter(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.where(X[:, 0] + 0.3 * rng.normal(size=60) > 0, "yes", "no")
    weights = None if name == "knn" else rng.uniform(1, 3, 60)
    results = []
    for factor in (1, 1000):
        scaled = None if weights is None else factor * weights
        estimator = make_estimator(name, "classification", 60, seed=0)
        found = compare(
            estimator, StandardScaler(), "classification", (X, y), (X, y, scaled), (X, y)
        )
        results.append(found[1].scores)
    assert results[0] == results[1]
    assert results[0][0] > 0.8


def test_uniform_rows_of_a_single_class_predict_it():
    X = np.arange(200.0)[:, None]
    y = np.where(X[:, 0] == 7, "rare", "common")
    both = np.array([7, 8])
    uniform = compare(
        LogisticRegression(),
        StandardScaler(),
        "classification",
        (X, y),
        (X[both], y[both], None),
        (X, y),
    )[2]
    assert uniform.scores == pytest.approx([0.995] * 5)


def test_contenders_leave_the_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002 - the state that must not change
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rows = regression_rows(30)
    compare(LinearRegression(), StandardScaler(), "regression", rows, (*rows, None), rows)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
