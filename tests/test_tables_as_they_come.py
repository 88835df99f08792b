"""DataFrames of any library with ``preprocessor="auto"``, through every estimator."""

from __future__ import annotations

import copy
import decimal
import pickle
from io import BytesIO

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skdistill import DatasetDistiller, DistilledClassifier, DistilledData, SensitivityCoreset
from skdistill.evaluation import evaluate
from skdistill.tables import TableEncoder

pytestmark = pytest.mark.usefixtures("quick_fits")

pd = pytest.importorskip("pandas")
pytest.importorskip("skrub")

N = 200
LIBRARIES = ("pandas", "polars", "pyarrow")


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.default_rng(0)
    y = rng.choice(["no", "yes"], N)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=N) + 2 * (y == "yes"),
            "c": np.where(rng.random(N) < 0.8, y, "else"),
            "d": pd.date_range("2020-01-01", periods=N, freq="7h"),
        },
        index=np.arange(1000, 1000 + N),
    )
    frame.iloc[3, 0], frame.iloc[5, 1], frame.iloc[7, 2] = np.nan, None, pd.NaT
    return frame, y


def of_library(frame, library):
    if library == "polars":
        return pytest.importorskip("polars").from_pandas(frame)
    if library == "pyarrow":
        return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)
    return frame


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_are_the_users_own(mixed, library):
    frame, y = mixed
    X = of_library(frame, library)
    coreset = SensitivityCoreset(30, preprocessor="auto", random_state=0)
    small = coreset.fit_distill(X, y)
    assert type(small.X) is type(X)
    chosen = frame.iloc[coreset.indices_].reset_index(drop=library != "pandas")
    rows = small.X if library == "pandas" else small.to_pandas()[["a", "c", "d"]]
    expected = chosen.set_index("index").rename_axis(None) if library == "pandas" else chosen
    pd.testing.assert_frame_equal(rows, expected, check_dtype=library == "pandas")
    assert coreset.transform(X).shape == (N, 30)
    file = BytesIO()
    small.save(file)
    file.seek(0)
    again = DistilledData.load(file)
    assert type(again.X) is type(X)
    pd.testing.assert_frame_equal(again.to_pandas(), small.to_pandas(), check_dtype=False)


@pytest.mark.parametrize("library", LIBRARIES)
def test_estimator_inside_gets_the_users_columns(mixed, library):
    frame, y = mixed
    X = of_library(frame, library)
    coreset = SensitivityCoreset(40, preprocessor="auto", random_state=0)
    pipeline = make_pipeline(TableEncoder(), LogisticRegression())
    model = DistilledClassifier(pipeline, coreset).fit(X, y)
    assert model.score(X, y) > 0.85
    assert DistilledClassifier(distiller=coreset).fit(X, y).score(X, y) > 0.85


def test_learnt_rows_of_a_table(mixed):
    X, y = mixed
    distiller = DatasetDistiller(6, preprocessor="auto", max_iter=20, random_state=0)
    small = distiller.fit_distill(X, y)
    assert small.feature_names.tolist()[:3] == ["a", "c_else", "c_no"]
    assert small.to_pandas().shape == (6, small.X.shape[1] + 2)
    for estimator in (None, make_pipeline(DummyClassifier())):
        model = DistilledClassifier(estimator, distiller).fit(X, y)
        assert model.predict(X).shape == (N,)
    assert DistilledClassifier(distiller=distiller).fit(X, y).score(X, y) > 0.85
    assert evaluate(distiller, X, y, protocol="kernel_ridge")[0] > 0.85
    assert evaluate(distiller, X, y, protocol=DummyClassifier()).shape == (1,)


def test_grid_search_over_a_pipeline(mixed):
    X, y = mixed
    coreset = SensitivityCoreset(40, preprocessor="auto", random_state=0)
    pipeline = make_pipeline(coreset, LogisticRegression())
    search = GridSearchCV(pipeline, {"sensitivitycoreset__n_samples": [10, 40]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.8


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "c"], "other values than numbers in the columns .*'c'"),
        (["d"], "columns of dates or durations, .*'d'"),
        (["a", "d"], "columns of dates or durations, .*'d'"),
        (["a"], "contains NaN"),
    ],
)
@pytest.mark.parametrize("distiller", [SensitivityCoreset(9), DatasetDistiller(9)])
def test_errors_name_the_way_out(mixed, library, columns, message, distiller):
    frame, y = mixed
    X = of_library(frame[columns], library)
    with pytest.raises(ValueError, match=rf"{message}.*preprocessor='auto'"):
        distiller.fit(X, y)


def test_an_error_about_categories_names_them(mixed):
    frame, y = mixed
    X = frame[["c"]].astype("category")
    with pytest.raises(ValueError, match=r"other values than numbers in the columns .*'c'"):
        SensitivityCoreset(9).fit(X, y)


def test_lists_with_texts_keep_their_numbers():
    rows = [[3, "red"], [3, "blue"], [40, "red"], [40, "blue"]] * 30
    y = ["a", "a", "b", "b"] * 30
    coreset = SensitivityCoreset(4, preprocessor="auto", random_state=0)
    model = DistilledClassifier(distiller=coreset).fit(rows, y)
    assert model.score(rows, y) == 1
    assert {type(value) for value in coreset.fit(rows, y).distilled_.X[:, 0]} == {int}


def test_arrays_of_numbers_are_as_without():
    X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    plain = SensitivityCoreset(20, random_state=0).fit_distill(X, y)
    auto = SensitivityCoreset(20, preprocessor="auto", random_state=0).fit_distill(X, y)
    assert_array_equal(auto.X, plain.X)
    assert_array_equal(auto.sample_weight, plain.sample_weight)
    X[3, 1] = np.nan
    small = SensitivityCoreset(100, preprocessor="auto", random_state=0).fit_distill(X, y)
    assert np.isnan(small.X).sum() == 1  # filled in for the scores, and only there


@pytest.mark.parametrize("frame", [False, True])
def test_name_and_index_of_a_series_go_along(mixed, frame):
    X, labels = mixed
    y = pd.Series(labels, index=X.index, name="answer")
    rows = X if frame else X[["a"]].fillna(0).to_numpy()
    coreset = SensitivityCoreset(20, preprocessor="auto", random_state=0)
    y.index.name = "row"
    small = coreset.fit(rows, y).distilled_
    table = small.to_pandas()
    assert table["answer"].tolist() == y.loc[table.index].tolist()
    assert list(table.index) == list(y.index[coreset.indices_])
    assert "answer" in small.head() and list(small.to_pandas(y_name="b"))[-2:] == [
        "b",
        "sample_weight",
    ]
    file = BytesIO()
    small.save(file)
    file.seek(0)
    for twin in (DistilledData.load(file), pickle.loads(pickle.dumps(small))):
        pd.testing.assert_frame_equal(twin.to_pandas(), table)
    assert small.normalized().to_pandas().index.equals(table.index)
    model = DistilledClassifier(distiller=coreset).fit(rows, y)
    pd.testing.assert_frame_equal(model.distilled_.to_pandas(), table)


NO_TABLES = {
    "polars LazyFrame": (lambda frame: of_library(frame, "polars").lazy(), r"X\.collect\(\)"),
    "record batch": (lambda frame: of_library(frame, "pyarrow").to_batches()[0], "from_batches"),
    "dict": (lambda frame: frame.to_dict("list"), r"pandas\.DataFrame\(X\)"),
    "list of dicts": (lambda frame: frame.to_dict("records"), r"pandas\.DataFrame\(X\)"),
    "record array": (lambda frame: frame.to_records(), r"pandas\.DataFrame\(X\)"),
    "one name twice": (lambda frame: frame.set_axis(["a", "b", "a"], axis=1), r"names \['a'\]"),
}


@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_names_the_way_out(mixed, kind):
    make, way_out = NO_TABLES[kind]
    frame, y = mixed
    coreset = SensitivityCoreset(20, preprocessor="auto")
    for estimator in (coreset, DistilledClassifier(distiller=coreset), DatasetDistiller(9)):
        with pytest.raises((TypeError, ValueError), match=way_out):
            estimator.fit(make(frame), y)


@pytest.mark.parametrize("kind", ["period", "interval", "date"])
def test_labels_that_are_neither_text_nor_numbers(mixed, kind):
    days = pd.Series(np.where(mixed[1] == "yes", pd.Timestamp("2020"), pd.Timestamp("2021")))
    y = {
        "period": days.dt.to_period("Y"),
        "interval": pd.cut(pd.Series(np.arange(N)), 2),
        "date": days.dt.date,
    }
    with pytest.raises(TypeError, match=r"as text, y\.astype\(str\)"):
        DistilledClassifier(distiller=SensitivityCoreset(20)).fit(mixed[0][["a"]], y[kind])


def test_columns_of_several_levels(mixed):
    frame, y = mixed
    levels = pd.MultiIndex.from_tuples([("p", "a"), ("p", "b"), ("q", "a")])
    coreset = SensitivityCoreset(20, preprocessor="auto", random_state=0)
    small = coreset.fit_distill(frame.set_axis(levels, axis=1), y)
    assert list(small.to_pandas())[-2:] == [("y", ""), ("sample_weight", "")]
    assert set(small.to_pandas()["y"]) == {"no", "yes"}


def test_sparse_frames_are_not_learnt():
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0, 0.0, 2.0])})
    with pytest.raises(TypeError, match="rows are learnt densely"):
        DatasetDistiller(2).fit(frame, [0, 1, 0, 1])


def test_names_of_targets():
    X, names = np.eye(4), ["up", "down"]
    y = pd.DataFrame(np.arange(8.0).reshape(4, 2), columns=names)
    small = SensitivityCoreset(3, sampling="systematic", random_state=0).fit_distill(X, y)
    assert list(small.to_pandas())[-3:] == [*names, "sample_weight"]
    twin = pd.DataFrame(X, columns=["up", "b", "c", "d"])
    small = SensitivityCoreset(3, random_state=0).fit_distill(twin, y["up"])
    assert list(small.to_pandas())[-2:] == ["y", "sample_weight"]  # the name is taken
    with pytest.raises(ValueError, match="target_names must hold 1 names"):
        DistilledData(X, np.arange(4), target_names=names)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_state_of_a_model_holds_no_frame(mixed, library):
    """As skops needs it, which stores arrays, texts and numbers."""
    frame, y = mixed
    coreset = SensitivityCoreset(20, preprocessor="auto", random_state=0)
    coreset.fit(of_library(frame, library), y)

    def kinds(value):
        if isinstance(value, dict):
            return set().union(*map(kinds, value.values()))
        return {type(value).__module__.partition(".")[0]}

    assert kinds(coreset.distilled_.__getstate__()) <= {"numpy", "builtins"}
    again = pickle.loads(pickle.dumps(coreset)).distilled_
    assert type(again.X) is type(coreset.distilled_.X)
    pd.testing.assert_frame_equal(again.to_pandas(), coreset.distilled_.to_pandas())
    assert_array_equal(copy.deepcopy(again).y, again.y)


def test_a_column_that_cannot_be_stored_is_pickled_as_it_is():
    frame = pd.DataFrame({"a": [decimal.Decimal("1.5"), decimal.Decimal(2)]})
    assert pickle.loads(pickle.dumps(DistilledData(frame))).X.equals(frame)
