"""What `preprocessor="auto"` makes of the columns of a table."""

from __future__ import annotations

import datetime
import decimal
import fractions
import uuid

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skdistill.tables import TableEncoder

pd = pytest.importorskip("pandas")
pytest.importorskip("skrub")

N = 120
VALUES = np.random.default_rng(0).normal(size=N).round(2) * 100
DAYS = pd.date_range("2020-01-01", periods=N)
NUMBERS = {
    "thousands": [f"{v * 100:,.2f}" for v in VALUES],
    "decimal comma": [f"{v:.2f}".replace(".", ",") for v in VALUES],
    "dollars": [f"${abs(v):.2f}" for v in VALUES],
    "per cent": [f"{v:.1f} %" for v in VALUES],
    "question mark": ["?" if i % 20 == 0 else f"{v:.2f}" for i, v in enumerate(VALUES)],
    "unit": [f"{v:.2f} km/h" for v in VALUES],
    "minus behind": [f"{abs(v):.2f}" + ("-" if v < 0 else "") for v in VALUES],
    "reais": [f"R$ {v:.2f}" for v in VALUES],
    "fractions": [fractions.Fraction(int(v), 7) for v in VALUES],
    "decimals": [decimal.Decimal(f"{v:.2f}") for v in VALUES],
    "objects": np.array(VALUES.tolist(), dtype=object),
    "nullable": pd.Series(VALUES.astype(int), dtype="Int64").mask(VALUES > 50),
    "boolean": pd.Series(VALUES > 0, dtype="boolean").mask(VALUES > 50),
}
DATES = {
    "iso": DAYS.strftime("%Y-%m-%d"),
    "day first": DAYS.strftime("%d/%m/%Y"),
    "month by name": DAYS.strftime("%b %d, %Y"),
    "short year": DAYS.strftime("%d-%b-%y"),
    "afternoon": DAYS.strftime("%m/%d/%Y 03:30 PM"),
    "objects": DAYS.date,
    "period objects": list(pd.period_range("2020-01-01", periods=N, freq="D")),
    "zone": DAYS.tz_localize("Europe/Zurich"),
    "period": pd.period_range("2020-01-01", periods=N, freq="D"),
    "gaps": pd.Series(DAYS).mask(VALUES > 50),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_one_column(name):
    encoder = TableEncoder().fit(pd.DataFrame({"a": NUMBERS[name]}))
    assert [column.kind for column in encoder.columns_] == ["number"]
    assert encoder.get_feature_names_out().tolist() == ["a"]


@pytest.mark.parametrize("name", DATES)
def test_dates_grow_with_time(name):
    frame = pd.DataFrame({"a": DATES[name]})
    encoder = TableEncoder(scale=False)
    features = encoder.fit_transform(frame)
    assert [column.kind for column in encoder.columns_] == ["date"]
    known = frame["a"].notna().to_numpy()
    days = (DAYS - pd.Timestamp(0)).days.to_numpy()
    assert_allclose(np.floor(features[known, 0]), days[known])
    assert not any("hour" in feature for feature in encoder.get_feature_names_out())
    assert np.isfinite(features).all()  # the median stands for a missing date


def test_hour_is_that_of_the_clock():
    times = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=N, freq="h", tz="Asia/Tokyo")})
    bare = times.assign(t=times["t"].dt.tz_localize(None))
    assert_allclose(TableEncoder().fit_transform(times), TableEncoder().fit_transform(bare))


@pytest.mark.parametrize("form", [None, "%H:%M:%S", "%I:%M:%S %p"])
def test_times_of_day_are_shares_of_a_day(form):
    minutes = np.arange(N) * 7
    times = [datetime.time(m // 60, m % 60) for m in minutes]
    values = times if form is None else [time.strftime(form) for time in times]
    features = TableEncoder(scale=False).fit_transform(pd.DataFrame({"t": [*values, None]}))
    assert_allclose(features[:N, 0], minutes / (24 * 60))


@pytest.mark.parametrize("factor", [1e-300, 1e39, 1e300])
def test_numbers_of_any_size_are_scaled(factor):
    X = pd.DataFrame({"a": VALUES / 1000, "c": "text"})
    expected = TableEncoder().fit_transform(X)
    encoder = TableEncoder()
    assert_allclose(encoder.fit_transform(X.assign(a=X["a"] * factor)), expected, rtol=1e-5)
    ends = pd.DataFrame({"a": [1.7e308, 1.7e308, 1.7e308, -1.7e308], "c": "text"})
    assert_allclose(TableEncoder().fit_transform(ends)[:, 0], [3**-0.5] * 3 + [-(3**0.5)], 1e-5)


def test_bytes_are_texts():
    words = np.array(["red", "blue"] * (N // 2), dtype=object)
    frame = pd.DataFrame({"c": [word.encode() for word in words]})
    assert_array_equal(
        TableEncoder().fit_transform(frame),
        TableEncoder().fit_transform(pd.DataFrame({"c": words})),
    )


def test_ids_of_any_type_and_dates_that_are_all_missing():
    frame = pd.DataFrame({"n": VALUES, "d": pd.NaT, "u": [uuid.UUID(int=i) for i in range(N)]})
    encoder = TableEncoder()
    assert encoder.fit_transform(frame).shape == (N, 2)
    assert [column.kind for column in encoder.columns_] == ["number", "date", "left out"]


def test_arrow_types():
    pa = pytest.importorskip("pyarrow")
    cents = [decimal.Decimal(f"{v:.2f}") for v in VALUES]
    table = pa.table(
        {"d": pa.array(DAYS.date, pa.date32()), "m": pa.array(cents, pa.decimal128(9, 2))}
    )
    encoder = TableEncoder(scale=False)
    features = encoder.fit_transform(table)
    assert [column.kind for column in encoder.columns_] == ["date", "number"]
    assert_allclose(features[:, -1], VALUES, atol=0.006)
    arrow = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert_allclose(TableEncoder(scale=False).fit_transform(arrow), features)


def test_categories_texts_and_ids():
    words = [f"street {i % 60} of {'abc'[i % 3]}" for i in range(N)]
    frame = pd.DataFrame(
        {
            "c": ["None", "a", None, "b"] * (N // 4),
            "w": words,
            "id": [f"u{i:03d}" for i in range(N)],
            "mixed": [1, "x"] * (N // 2),
        }
    )
    encoder = TableEncoder()
    features = encoder.fit_transform(frame)
    assert [column.kind for column in encoder.columns_] == [
        "category",
        "text",
        "left out",
        "category",
    ]
    assert "left out: id" in encoder.describe()
    names = encoder.get_feature_names_out().tolist()
    assert names[:4] == ["c_None", "c_a", "c_b", "c_missing"]
    assert features.shape == (N, len(names)) and len(set(names)) == len(names)
    assert_array_equal(features[:4, :4], np.eye(4)[[0, 1, 3, 2]])
    new = pd.DataFrame({"c": ["new"], "w": [None], "id": ["?"], "mixed": [2.5]})
    assert_array_equal(encoder.transform(new)[0, :4], np.zeros(4))
    assert np.isfinite(encoder.transform(new)).all()


def test_rare_levels_are_one():
    frame = pd.DataFrame({"c": ["a"] * 300 + ["b"] * 300 + ["x", "y"]})
    encoder = TableEncoder().fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["c_a", "c_b", "c_rare"]
    assert_array_equal(encoder.transform(pd.DataFrame({"c": ["x", "z"]}))[:, 2], [1, 1])


def test_rows_alone_are_encoded_as_in_the_table():
    frame = pd.DataFrame({f"n {k}": v for k, v in NUMBERS.items()})
    frame = frame.assign(**{f"d {k}": v for k, v in DATES.items()}, c=["a", "b", None] * (N // 3))
    encoder = clone(TableEncoder())
    features = encoder.fit_transform(frame)
    assert features.dtype == np.float32
    assert_allclose(encoder.transform(frame.iloc[[7, 3]]), features[[7, 3]], rtol=1e-6)
    numbers = [column.scaled for column in encoder.columns_ for _ in column.names]
    assert_allclose(features[:, numbers].mean(0), 0, atol=1e-4)
    assert_allclose(features[:, numbers].std(0), 1, atol=1e-4)


def test_arrays_of_numbers_pass_untouched():
    X = np.arange(12.0).reshape(4, 3)
    assert TableEncoder().fit_transform(X) is X
    gap = X.copy()
    gap[0, 1] = np.nan
    assert TableEncoder().fit_transform(gap)[0, 1] == np.median(X[1:, 1])
    assert TableEncoder().fit(X).transform(gap)[0, 1] == np.median(X[:, 1])


def test_a_number_beside_a_text_stays_a_number():
    encoder = TableEncoder().fit([[3, "red"], [4.5, "blue"], [None, "red"]])
    assert [column.kind for column in encoder.columns_] == ["number", "category"]
    assert encoder.transform([[4, "red"]]).shape == (1, 3)


def test_all_refused_columns_are_named_at_once():
    frame = pd.DataFrame({"l": [[1], [2]], "a": [1, 2], "b": [{1}, {2}], "z": [1j, 2j]})
    with pytest.raises(TypeError, match=r"'l' holds .*list.*'b' holds .*set.*'z' holds complex"):
        TableEncoder().fit(frame)
    with pytest.raises(ValueError, match=r"infinity in the columns \['a', 'b'\]"):
        TableEncoder().fit(pd.DataFrame({"a": [np.inf, 1], "b": [-np.inf, 0], "c": [0.0, 1]}))
    with pytest.raises(ValueError, match="no column that makes a feature: left out: id"):
        TableEncoder().fit(pd.DataFrame({"id": [f"u{i:03d}" for i in range(N)]}))
