"""What is written: rows as they came, in the format asked for, with weights that add up."""

from __future__ import annotations

import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skdistill import DistilledData
from skdistill.cli.reading import read_table
from skdistill.cli.table import InputError


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    return path.read_text(encoding="utf-8").splitlines()


def test_csv_to_csv_copies_the_cells(run, houses_csv, tmp_path):
    output = run(houses_csv, "-n", 40, "-o", tmp_path / "small.csv")
    assert "40 rows, weights in 'weight'" in output
    header, *small = read_lines(tmp_path / "small.csv")
    original_header, *original = read_lines(houses_csv)
    assert header == original_header + ",weight"
    assert len(small) == 40
    assert all(line.rpartition(",")[0] in original for line in small)
    weights = [float(line.rpartition(",")[2]) for line in small]
    assert min(weights) > 0


def test_weights_add_up_to_the_training_rows(run, tmp_path):
    run("diabetes", "-n", 60, "--loss", "kmeans", "-o", tmp_path / "small.npz")
    small = DistilledData.load(tmp_path / "small.npz")
    assert small.sample_weight.sum() == pytest.approx(331, rel=0.25)


def test_tsv_to_tsv(run, houses, tmp_path):
    houses.to_csv(tmp_path / "houses.tsv", sep="\t", index=False)
    run(tmp_path / "houses.tsv", "-n", 40, "-o", tmp_path / "small.tsv")
    small = pd.read_csv(tmp_path / "small.tsv", sep="\t")
    assert list(small) == [*houses, "weight"]
    assert set(small["price"]) <= set(houses["price"])


def test_semicolons_are_found_and_kept(run, houses, tmp_path):
    houses.to_csv(tmp_path / "houses.csv", sep=";", index=False)
    output = run(tmp_path / "houses.csv", "-n", 40, "-o", tmp_path / "small.csv")
    assert "5 columns" in output
    assert read_lines(tmp_path / "small.csv")[0] == "zip;city;area;rooms;sold;price;weight"


def test_names_of_rows_survive(run, houses, tmp_path):
    """A csv file whose header lacks the first column, as R writes it."""
    houses.index = [f"row {i}" for i in range(len(houses))]
    text = houses.to_csv(index=True, index_label=False)
    (tmp_path / "named.csv").write_text(text, encoding="utf-8")
    run(tmp_path / "named.csv", "-n", 40, "-o", tmp_path / "small.csv")
    small = pd.read_csv(tmp_path / "small.csv", index_col=0)
    assert list(small) == [*houses, "weight"]
    pd.testing.assert_series_equal(small["area"], houses.loc[small.index, "area"])


def test_dropped_columns_are_written(run, houses_csv, tmp_path):
    output = run(houses_csv, "--drop", "zip", "--drop", "sold", "-o", tmp_path / "small.csv")
    assert "3 columns" in output
    assert "zip" in pd.read_csv(tmp_path / "small.csv")


def test_a_column_named_weight_stays(run, houses, tmp_path):
    houses.rename(columns={"rooms": "weight"}).to_csv(tmp_path / "houses.csv", index=False)
    output = run(tmp_path / "houses.csv", "-n", 40, "-o", tmp_path / "small.csv")
    assert "weights in 'weight_'" in output
    assert list(pd.read_csv(tmp_path / "small.csv"))[-2:] == ["price", "weight_"]


@pytest.fixture
def mixed(houses: pd.DataFrame) -> pd.DataFrame:
    """Return a table with every kind of column that parquet knows."""
    rng = np.random.default_rng(1)
    n = len(houses)
    mixed = houses.assign(
        when=pd.date_range("2020-01-01", periods=n),
        zoned=pd.date_range("2020-01-01", periods=n, tz="Europe/Rome"),
        took=pd.to_timedelta(rng.integers(1, 9, n), unit="h"),
        kind=pd.Categorical(rng.choice(["a", "b"], n)),
        count=pd.array(rng.integers(0, 5, n), dtype="Int64"),
        flag=pd.array(rng.choice([True, False], n), dtype="boolean"),
        void=np.full(n, np.nan),
        Label=rng.choice(["good", "bad"], n),
    )
    mixed.loc[3, ["count", "flag", "when", "zoned", "took", "kind"]] = None
    return mixed


def test_parquet_to_parquet_keeps_types(run, mixed, tmp_path):
    mixed.to_parquet(tmp_path / "mixed.parquet")
    output = run(tmp_path / "mixed.parquet", "-n", 40, "-o", tmp_path / "small.parquet")
    assert "target Label (the column named Label): 2 classes" in output
    assert "2 dates" in output and "1 duration" in output
    small = pd.read_parquet(tmp_path / "small.parquet")
    expected = pd.read_parquet(tmp_path / "mixed.parquet")
    assert list(small) == [*mixed, "weight"]
    assert dict(small.dtypes)["zoned"] == expected.dtypes["zoned"]
    pd.testing.assert_series_equal(small.dtypes[:-1], expected.dtypes)


def test_parquet_keeps_an_index(run, mixed, tmp_path):
    mixed.index = [f"row {i}" for i in range(len(mixed))]
    mixed.to_parquet(tmp_path / "mixed.parquet")
    run(tmp_path / "mixed.parquet", "-n", 40, "-o", tmp_path / "small.parquet")
    small = pd.read_parquet(tmp_path / "small.parquet")
    pd.testing.assert_series_equal(small["area"], mixed.loc[small.index, "area"])


def test_parquet_keeps_numbers_of_rows(run, houses, tmp_path):
    houses.index = pd.RangeIndex(1000, 1240)
    houses.to_parquet(tmp_path / "houses.parquet")
    run(tmp_path / "houses.parquet", "-n", 40, "-o", tmp_path / "small.parquet")
    small = pd.read_parquet(tmp_path / "small.parquet")
    pd.testing.assert_series_equal(small["area"], houses.loc[small.index, "area"])


def test_parquet_to_npz_is_a_distilled_set(run, mixed, tmp_path):
    mixed.to_parquet(tmp_path / "mixed.parquet")
    output = run(tmp_path / "mixed.parquet", "-n", 40, "-o", tmp_path / "small.npz")
    assert "weights in 'sample_weight'" in output
    small = DistilledData.load(tmp_path / "small.npz")
    assert list(small.X) == list(mixed.drop(columns="Label"))
    assert list(small.classes) == ["bad", "good"]
    assert read_table(str(tmp_path / "small.npz")).target == "Label"
    np.testing.assert_array_equal(small.y, mixed["Label"].iloc[small.indices])
    np.testing.assert_array_equal(small.X["area"], mixed["area"].iloc[small.indices])


def test_npz_to_npz(run, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)).astype(np.float32), rng.choice(["a", "b"], 120)
    np.savez(tmp_path / "in.npz", X=X, y=y, feature_names=["one", "two", "three"])
    run(tmp_path / "in.npz", "-n", 30, "-o", tmp_path / "small.npz")
    small = DistilledData.load(tmp_path / "small.npz")
    np.testing.assert_array_equal(small.X, X[small.indices])
    np.testing.assert_array_equal(small.y, y[small.indices])
    assert small.X.dtype == np.float32
    assert list(small.feature_names) == ["one", "two", "three"]
    run(tmp_path / "small.npz", "-n", 10)  # and can be read again


def test_images_in_an_npz_file(run, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (90, 6, 5), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", X=images, y=np.arange(90) % 3)
    output = run(tmp_path / "images.npz", "-n", 20, "-o", tmp_path / "small.npz")
    assert "30 columns" in output and "scaled together" in output
    small = DistilledData.load(tmp_path / "small.npz")
    np.testing.assert_array_equal(small.X.reshape(-1, 6, 5), images[small.indices])


def test_npz_with_another_target(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(80, 2))
    np.savez(tmp_path / "two.npz", X=X, y=np.zeros(80), depth=X[:, 0])
    assert "target depth: 80 numbers" in run(tmp_path / "two.npz", "--target", "depth", "-n", 20)


def test_booleans_and_missing_numbers(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "bits.npz", X=rng.random((80, 4)) < 0.5, y=np.arange(80) % 2 == 0)
    assert "2 classes" in run(tmp_path / "bits.npz", "-n", 20)
    X = rng.normal(size=(80, 4))
    X[::7, 1] = np.nan
    X[:, 3] = np.nan
    np.savez(tmp_path / "gaps.npz", X=X, y=np.arange(80) % 2)
    assert "values missing" in run(tmp_path / "gaps.npz", "-n", 20)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_embedded_table_as_file(run, suffix, tmp_path):
    path = tmp_path / f"small{suffix}"
    run("diabetes", "-n", 30, "-o", path)
    table = read_table(str(path))
    assert list(table.frame)[-2:] == ["progression", "weight"]
    assert len(table.frame) == 30


def test_embedded_table_without_suffix_is_npz(run, tmp_path):
    run("digits", "-n", 50, "-o", tmp_path / "small")
    assert len(DistilledData.load(tmp_path / "small")) == 50


@pytest.mark.parametrize(
    ("columns", "target", "why"),
    [
        (["y", "a", "b"], "y", "the column named y"),
        (["Class", "y", "b"], "Class", "the column named Class"),
        (["a", "LABEL", "class"], "LABEL", "the column named LABEL"),
        (["a", "label", "target"], "target", "the column named target"),
        (["a", "b", "c"], "c", "the last column"),
    ],
)
def test_default_target(columns, target, why, tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).random((5, 3)), columns=columns)
    frame.to_csv(tmp_path / "some.csv", index=False)
    table = read_table(str(tmp_path / "some.csv"))
    assert (table.target, table.target_note) == (target, why)
    np.testing.assert_array_equal(table.y, frame[target])
    assert list(table.X) == [name for name in columns if name != target]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.array([1, 2, 3], dtype="Int64"), "i"),
        (pd.array([1.5, 2, 3], dtype="Float64"), "f"),
        (pd.array([True, False, True], dtype="boolean"), "b"),
        (pd.Categorical(["a", "b", "a"]), "U"),
        (pd.Categorical([3, 1, 3]), "i"),
        (pd.array(["a", "b", "a"], dtype="string"), "U"),
        (np.array(["a", "b", "a"], dtype=object), "U"),
        ([decimal.Decimal("1.5"), decimal.Decimal(2), decimal.Decimal(3)], "f"),
    ],
)
def test_target_types(values, kind, tmp_path):
    pd.DataFrame({"x": [1, 2, 3], "y": values}).to_parquet(tmp_path / "some.parquet")
    assert read_table(str(tmp_path / "some.parquet")).y.dtype.kind == kind


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["$1,163.50", "$7.25", "($3)"], [1163.5, 7.25, -3]),
        (["1.163,5", "7,25", "3"], [1163.5, 7.25, 3]),
        (["5 %", "7 %", "5 %"], [5, 7, 5]),
        (["no ", " no", "yes"], ["no", "no", "yes"]),
        (["007", "012", "007"], ["007", "012", "007"]),
        (["10000000000000000000", "10000000000000000001"] * 2, None),  # as numbers they are one
    ],
)
def test_targets_written_as_text(cells, values, tmp_path):
    pd.DataFrame({"x": range(len(cells)), "y": cells}).to_csv(tmp_path / "a.csv", index=False)
    table = read_table(str(tmp_path / "a.csv"))
    assert table.y.tolist() == (cells if values is None else values)
    assert ("written as text" in str(table.notes)) == (table.y.dtype.kind == "f")


def test_missing_value_in_a_nullable_target(tmp_path):
    frame = pd.DataFrame({"x": [1, 2], "y": pd.array([1, None], dtype="Int64")})
    frame.to_parquet(tmp_path / "some.parquet")
    with pytest.raises(InputError, match="missing or infinite in 1 of 2 rows"):
        read_table(str(tmp_path / "some.parquet"))


def test_a_file_named_like_an_embedded_table_goes_first(houses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_table("diabetes").X.shape == (442, 10)
    Path("diabetes").mkdir()
    with pytest.raises(InputError, match="must end in one of"):
        read_table("diabetes")
