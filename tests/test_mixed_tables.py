"""A made table with the troubles of real ones, through pipelines and searches, seeded."""

from __future__ import annotations

import datetime
import decimal
import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, ShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline

from skdistill import (
    AutoDistiller,
    DatasetDistiller,
    DistilledClassifier,
    DistilledRegressor,
    SensitivityCoreset,
)
from skdistill.tables import TableEncoder

pytestmark = pytest.mark.usefixtures("quick_fits")

pd = pytest.importorskip("pandas")
pytest.importorskip("skrub")

N = 240


def gaps(values, every, missing):
    found = list(values)
    found[::every] = [missing] * len(found[::every])
    return found


@pytest.fixture(scope="module")
def troubles():
    """Return columns of every kind, classes that are rare, and numbers that follow from both."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=N)
    price = 1000 * np.exp(signal)
    when = pd.Timestamp("2023-12-25") + pd.to_timedelta(rng.integers(0, 400, N), unit="D")
    frame = pd.DataFrame(
        {
            "price as text": gaps([f"{value:,.0f}" for value in price], 20, "?"),
            "dollars": [f"${value:.2f}" for value in price],
            "decimal comma": gaps([f"{v:.3f}".replace(".", ",") for v in signal], 30, ""),
            "share": [f"{100 * v:.1f} %" for v in rng.random(N)],
            "decimals": [decimal.Decimal(f"{v:.2f}") for v in signal],
            "heavy": signal * np.exp(rng.normal(size=N) * 3),
            "Int64": pd.array(gaps(rng.integers(0, 9, N), 11, None), dtype="Int64"),
            "flag": pd.array(gaps(rng.random(N) < 0.5, 13, None), dtype="boolean"),
            "date as text": gaps(when.strftime("%Y-%m-%d"), 25, None),
            "date": gaps(when, 17, pd.NaT),
            "plain date": [datetime.date(2020, 1, 1 + k % 28) for k in range(N)],
            "took": pd.to_timedelta(rng.integers(0, 99, N), unit="h"),
            "month": pd.PeriodIndex(when, freq="M"),
            "colour": gaps(rng.choice(["red", "blue", "Red "], N), 9, None),
            "level": pd.Categorical(
                gaps(rng.choice(["low", "high"], N), 8, None), ["low", "mid", "high"], ordered=True
            ),
            "zone": rng.choice([f"zone {k}" for k in range(70)], N),
            "code": [f"{k:05d}" for k in rng.integers(0, 12, N)],
            "mixed": [k if k % 3 else f"x{k % 4}" for k in rng.integers(0, 9, N)],
            "words": [" ".join(rng.choice(["big", "old", "red", "house"], 3)) for _ in range(N)],
            "key": [f"{k:x}-{rng.integers(1e9):x}" for k in range(N)],
            "void": [None] * N,
            "nan": np.full(N, np.nan),
            "constant": ["same"] * N,
            "once": [*["often"] * (N - 1), "once"],
            "a count": np.arange(N) % 5,
        },
        index=rng.permutation(N) + 1000,
    )
    numbers = pd.Series(signal + 0.1 * rng.normal(size=N), frame.index, name="amount")
    classes = pd.Series(np.digitize(numbers, [0, 1.5]), frame.index, name="kind")
    return frame, classes.map({0: "low", 1: "high", 2: "rare"}), numbers


def parts(troubles, task):
    frame, classes, numbers = troubles
    return train_test_split(frame, classes if task == "classes" else numbers, random_state=0)


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_through_pipelines_and_a_search(troubles, task):
    X, X_test, y, y_test = parts(troubles, task)
    model = LogisticRegression(max_iter=300) if task == "classes" else Ridge()
    meta = DistilledClassifier if task == "classes" else DistilledRegressor
    coreset = SensitivityCoreset(60, preprocessor="auto", random_state=0)
    learnt = DatasetDistiller(12, preprocessor="auto", max_iter=30, random_state=0)
    encoded = make_pipeline(TableEncoder(), model)
    floor = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encoded.fit(X, y).score(X_test, y_test) > floor  # on all rows
        for chosen in (
            make_pipeline(coreset, model),  # as features
            meta(encoded, coreset),
            meta(distiller=coreset),
            meta(distiller=learnt),
        ):
            assert chosen.fit(X, y).score(X_test, y_test) > floor, chosen
        search = GridSearchCV(
            make_pipeline(meta(encoded, coreset)),
            {f"{meta.__name__.lower()}__distiller__n_samples": [30, 60]},
            cv=ShuffleSplit(1, random_state=0),
            error_score="raise",
        )
        assert search.fit(X, y).best_score_ > floor
        assert search.score(X_test, y_test) > floor
    small = coreset.fit_distill(X, y)
    pd.testing.assert_frame_equal(small.X, X.loc[small.X.index])
    assert small.y.tolist() == y.loc[small.X.index].tolist()


def test_what_the_columns_are(troubles):
    encoder = TableEncoder().fit(troubles[0])
    kinds = dict(zip(encoder.names_, (column.kind for column in encoder.columns_), strict=True))
    numbers = ["price as text", "dollars", "decimal comma", "share", "decimals", "heavy", "Int64",
               "flag", "void", "nan", "a count"]  # fmt: skip
    dates = ["date as text", "date", "plain date", "month"]
    texts = ["zone", "words"]
    found = {kind: [n for n in kinds if kinds[n] == kind] for kind in kinds.values()}
    assert (found["number"], found["date"], found["text"]) == (numbers, dates, texts)
    assert found["left out"] == ["key"] and found["duration"] == ["took"]
    assert found["category"] == ["colour", "level", "code", "mixed", "constant", "once"]


def test_rows_for_a_model_that_is_named(troubles):
    X, X_test, y, y_test = parts(troubles, "numbers")
    columns = ["dollars", "colour", "words", "date as text"]
    X, X_test = X[columns], X_test[columns]
    auto = AutoDistiller(40, preprocessor="auto", n_rounds=1, n_exchanges=0, random_state=0)
    model = make_pipeline(TableEncoder(), RandomForestRegressor(10, random_state=0))
    assert DistilledRegressor(model, auto).fit(X, y).score(X_test, y_test) > 0.7


def test_an_estimator_without_an_encoder_names_the_way_out(troubles):
    X, _, y, _ = parts(troubles, "classes")
    coreset = SensitivityCoreset(40, preprocessor="auto", random_state=0)
    forest = RandomForestClassifier(5, random_state=0)
    columns = X[["heavy", "colour", "void"]]
    with pytest.raises((TypeError, ValueError)) as told:
        DistilledClassifier(forest, coreset).fit(columns, y)
    assert "make_pipeline(skdistill.tables.TableEncoder(), estimator)" in told.value.__notes__[0]
    auto = AutoDistiller(40, preprocessor="auto", n_rounds=1, n_exchanges=0, random_state=0)
    with pytest.raises(ValueError, match=r"Every candidate failed.*TableEncoder") as told:
        DistilledClassifier(forest, auto).fit(columns, y)
    assert str(told.value).count("could not convert") <= 3
