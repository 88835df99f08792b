"""Files that are read in parts."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from skdistill.cli import stream
from skdistill.streaming import coreset as streams


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(stream, "PART_ROWS", 50)
    monkeypatch.setattr(stream, "BATCH_ROWS", 50)
    monkeypatch.setattr(streams, "CHUNK_ROWS", 100)
    monkeypatch.setattr("skdistill.streaming.merge_reduce.LEAST_SUMMARY", 40)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_rows_of_the_whole_file(run, houses, tmp_path, suffix):
    source, out = tmp_path / f"houses{suffix}", tmp_path / f"small{suffix}"
    separator = "\t" if suffix == ".tsv" else ","
    if suffix == ".parquet":
        houses.to_parquet(source)
    else:
        houses.to_csv(source, index=False, sep=separator)
    told = run(source, "--target", "price", "--drop", "zip", "-n", 20, "-o", out, "--stream")
    assert "target price, regression; in the first rows 3 numbers" in told
    assert "20 rows for 240, weights in 'weight'" in told
    if suffix == ".parquet":
        small = pd.read_parquet(out)
    else:
        small = pd.read_csv(out, sep=separator, dtype={"zip": str})
    assert small.columns.tolist() == [*houses.columns, "weight"]
    assert small["weight"].sum() == pytest.approx(240)
    merged = small.merge(houses, how="left", on=list(houses.columns), indicator=True)
    assert (merged["_merge"] == "both").all()


def test_text_stays_text(run, tmp_path):
    frame = pd.DataFrame({"code": ["a7"] * 50 + ["007"] * 50, "y": np.arange(100) % 2})
    frame["x"] = np.random.default_rng(0).normal(size=100)
    frame.to_csv(tmp_path / "codes.csv", index=False)
    run(tmp_path / "codes.csv", "--target", "y", "-n", 20, "-o", tmp_path / "o.csv", "--stream")
    small = pd.read_csv(tmp_path / "o.csv", dtype={"code": str})
    assert set(small["code"]) == {"a7", "007"}


@pytest.mark.parametrize("named", [True, False])
def test_weights_count_and_are_written_in_their_column(run, houses, tmp_path, named):
    source, out = tmp_path / "houses.csv", tmp_path / "small.csv"
    column = "repeats" if named else "sample_weight"
    houses.insert(1, column, np.arange(240) % 4)
    houses.to_csv(source, index=False)
    option = ("--weight", column) if named else ()
    told = run(source, "--target", "price", *option, "-n", 20, "-o", out, "--stream")
    assert f"weights in '{column}'" in told
    assert ("by its name (--weight none takes none)" in told) == (not named)
    small = pd.read_csv(out)
    assert small.columns.tolist() == houses.columns.tolist()
    assert small[column].sum() == pytest.approx(houses[column].sum())
    run(source, "--target", "price", "--weight", "none", "-n", 20, "-o", out, "--stream")
    small = pd.read_csv(out)
    assert small.columns.tolist() == [*houses.columns, "weight"]
    assert small["weight"].sum() == pytest.approx(240)


def test_columns_left_out_do_not_choose_rows_and_are_written(run, houses, tmp_path):
    chosen = []
    for number in range(2):
        frame = houses.assign(noise=np.random.default_rng(number).normal(size=240) ** 9)
        frame.insert(0, "id", np.arange(1, 241))
        source, out = tmp_path / "houses.csv", tmp_path / "small.csv"
        frame.to_csv(source, index=False)
        drop = ("--target", "price", "--drop", "noise")
        told = run(source, *drop, "-n", 20, "-o", out, "--stream")
        assert "the column 'id' names the rows and is no feature" in told
        small = pd.read_csv(out)
        assert small.columns.tolist() == [*frame.columns, "weight"]
        chosen.append(small["id"].tolist())
    assert chosen[0] == chosen[1]


def test_a_target_written_as_text(run, houses, tmp_path):
    houses["price"] = houses["price"].map("${:,.2f}".format)
    houses.to_csv(tmp_path / "houses.csv", index=False)
    out = tmp_path / "small.csv"
    told = run(tmp_path / "houses.csv", "--target", "price", "-n", 20, "-o", out, "--stream")
    assert "regression" in told and len(pd.read_csv(out)) == 20


def test_complaints(complaint, houses, tmp_path):
    source, out = tmp_path / "houses.csv", tmp_path / "small.csv"
    houses.to_csv(source, index=False)
    assert "for csv, tsv and parquet files" in complaint("digits", "--stream", "-n", 5, "-o", out)
    assert "it needs -n and -o" in complaint(source, "--stream")
    assert "it needs -n and -o" in complaint(source, "--stream", "-n", 5)
    wanted = ("--stream", "-n", 5, "-o", out)
    assert "has no column 'cost'" in complaint(source, "--target", "cost", *wanted)
    assert "must end in .csv" in complaint(source, "--stream", "-n", 5, "-o", tmp_path / "a.npz")
    houses["w"] = -1.0
    houses.to_csv(source, index=False)
    assert "must be a number of at least 0" in complaint(source, "--weight", "w", *wanted)
    assert "no column besides" in complaint(
        source, "--drop", ",".join(houses.columns[:-1]), *wanted
    )
    houses.loc[200, "price"] = np.nan
    houses.to_csv(source, index=False)
    assert "missing or infinite in 1 of 40 rows" in complaint(source, "--target", "price", *wanted)
    source.write_text("a,b\n")
    assert "has no rows" in complaint(source, *wanted)
    assert not out.exists()


def test_bar_tells_rows_rate_and_time_left():
    out = io.StringIO()
    bar = stream._Bar(out)
    bar.show(500, 0.5)
    bar.end()
    assert out.getvalue().startswith("\r[###############...............] 500 rows, ")
    assert "rows/s" in out.getvalue() and "s left" in out.getvalue()
