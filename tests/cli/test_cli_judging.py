"""Which rows are tried, what judges them, and what is done with the test rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from skdistill import AutoDistiller, DistilledData
from skdistill.cli import main
from skdistill.cli.reading import read_table
from skdistill.cli.table import InputError

pytestmark = pytest.mark.usefixtures("short_contest")


@pytest.fixture
def rare(tmp_path):
    """Write a table of 3 % positives, and return its path."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 3))
    y = np.where(X[:, 0] + 0.5 * rng.normal(size=1000) > 2.1, "bad", "good")
    frame = pd.DataFrame(X.round(3), columns=list("abc")).assign(y=y)
    frame.to_csv(tmp_path / "rare.csv", index=False)
    return tmp_path / "rare.csv"


def test_auto_is_the_default_and_shows_what_it_tried(capsys, rare, tmp_path):
    out = tmp_path / "small.csv"
    arguments = ["-n", 40, "--estimator", "boosting", "--scoring", "roc_auc", "-o", out]
    assert main([str(a) for a in (rare, *arguments)]) == 0
    told = capsys.readouterr().out
    assert "small set: 40 of 750 training rows, AutoDistiller: " in told
    assert "kinds of rows, each scored by boosting on held-out training rows:" in told
    assert "rows tried" in told and "\nuniform " in told
    header = next(line for line in told.splitlines() if line.startswith("boosting on"))
    assert header.split()[2:] == ["rows", "roc_auc", "accuracy", "ROC", "AUC", "avg",
                                  "precision", "fit", "seconds"]  # fmt: skip
    lines = rare.read_text().splitlines()
    assert all(line.rpartition(",")[0] in lines for line in out.read_text().splitlines())


@pytest.mark.parametrize("method", ["auto", "distill"])
@pytest.mark.usefixtures("few_steps")
def test_whoever_waits_sees_how_far_the_work_is(capsys, monkeypatch, method):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["diabetes", "-n", "10", "--no-compare", "--method", method]) == 0
    told = capsys.readouterr()
    assert "Distiller]" in told.err and "Distiller]" not in told.out


def test_rows_of_own_have_their_own_target():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 2))
    y = X[:, 0] + rng.normal(size=1200)
    tree = DecisionTreeRegressor(random_state=0)
    auto = AutoDistiller(
        20, candidates="rows", estimator=tree, n_rounds=1, n_exchanges=8, random_state=0
    )
    small = auto.fit_distill(X, y)
    np.testing.assert_array_equal(small.X, X[small.indices])
    np.testing.assert_array_equal(small.y, y[small.indices])
    assert not any("denoised" in name for name in auto.candidate_scores_["candidate"])


def test_class_counts_are_told(run, rare):
    told = run(rare, "-n", 40)
    assert "\nclasses: bad: " in told and ", good: " in told
    assert "ROC AUC" in told and "avg precision" in told


def test_the_estimator_may_need_a_package(complaint, monkeypatch, rare):
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    assert "pip install xgboost" in complaint(rare, "--estimator", "xgboost")


def test_scores_of_numbers(run):
    told = run("diabetes", "-n", 30, "--scoring", "neg_root_mean_squared_error")
    assert "neg_root_mean_squared_error" in told and "R2" in told


def test_no_comparison_holds_nothing_out(run, rare, tmp_path):
    for option in (["--no-compare"], ["--test-size", 0]):
        told = run(rare, "-n", 40, *option, "-o", tmp_path / "a.csv")
        assert "small set: 40 of 1,000 training rows" in told and "fit seconds" not in told


def test_test_rows_are_written(run, rare, tmp_path):
    small, test = tmp_path / "small.csv", tmp_path / "test.parquet"
    told = run(rare, "-n", 40, "--no-compare", "-o", small, "--test-out", test)
    assert "the 250 test rows" in told
    frames = pd.read_csv(small).drop(columns="weight"), pd.read_parquet(test)
    assert list(frames[0]) == list(frames[1])
    both = pd.concat(frames).merge(pd.read_csv(rare), how="left", indicator=True)
    assert (both["_merge"] == "both").all()
    assert len(both.drop_duplicates()) == 290


# Weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz"])
def test_a_written_file_can_be_read_again(run, rare, tmp_path, suffix):
    small, smaller = tmp_path / f"small{suffix}", tmp_path / f"smaller{suffix}"
    run(rare, "-n", 60, "-o", small)
    table = read_table(str(small))
    assert list(table.X) == ["a", "b", "c"] and set(table.y) == {"good", "bad"}
    assert table.weight.sum() == pytest.approx(750)
    told = run(small, "-n", 20, "--no-compare", "-o", smaller)
    assert "3 columns" in told and "weights are in" in told
    again = read_table(str(smaller))
    assert list(again.frame) == list(table.frame)
    assert again.weight.sum() == pytest.approx(750)


def test_a_column_of_weights(rare, run, tmp_path):
    frame = pd.read_csv(rare)
    frame.insert(1, "count", np.arange(len(frame)) % 3 + 1)
    path = tmp_path / "counted.csv"
    frame.to_csv(path, index=False)
    table = read_table(str(path), weight="count")
    assert list(table.X) == ["a", "b", "c"] and table.weight.sum() == frame["count"].sum()
    told = run(path, "--weight", "count", "-n", 20, "--no-compare", "-o", tmp_path / "o.csv")
    assert "weights in 'count'" in told
    assert pd.read_csv(tmp_path / "o.csv")["count"].sum() == pytest.approx(frame["count"].sum())
    for wrong in ("y", "b"):  # a text, and numbers below zero
        with pytest.raises(InputError, match=r"cannot be the column|number of at least 0"):
            read_table(str(path), "y", weight=wrong)
    with pytest.raises(InputError, match="no column 'amount'"):
        read_table(str(path), weight="amount")


def test_a_column_named_weight_may_be_something_else(tmp_path):
    path = str(tmp_path / "animals.csv")
    frame = pd.DataFrame({"y": [0, 1] * 5, "size": range(0, 20, 2), "weight": range(10)})
    frame.to_csv(path, index=False)
    assert read_table(path).weight_name == "weight"
    assert list(read_table(path, weight="none").X) == ["size", "weight"]
    assert read_table(path, "weight").weight is None
    assert list(read_table(path, drop=("weight",)).X) == ["size"]
    frame[["weight", "size", "y"]].to_csv(path, index=False)
    assert read_table(path).weight is None


def test_weights_of_an_npz_file(run, complaint, tmp_path):
    X, w = np.random.default_rng(0).normal(size=(80, 2)), np.arange(80.0)
    np.savez(tmp_path / "a.npz", X=X, y=np.arange(80) % 2, sample_weight=w, other=w[::-1])
    path = str(tmp_path / "a.npz")
    np.testing.assert_array_equal(read_table(path).weight, w)
    np.testing.assert_array_equal(read_table(path, weight="other").weight, w[::-1])
    assert read_table(path, weight="none").weight is None
    run(path, "-n", 10, "--no-compare", "-o", tmp_path / "small.npz")
    assert DistilledData.load(tmp_path / "small.npz").sample_weight.sum() == pytest.approx(w.sum())
    assert "no array 'z'" in complaint(path, "--weight", "z")
    np.savez(path, X=X, y=np.arange(80) % 2, sample_weight=np.full(80, 1e307))
    assert "go up to 1e+307; divide them by their mean" in complaint(path)


def test_a_class_of_half(run, tmp_path):
    frame = pd.DataFrame({"a": np.arange(80.0) ** 2, "y": [0.5, 1.0] * 40})
    frame.to_csv(tmp_path / "a.csv", index=False)
    told = run(tmp_path / "a.csv", "--task", "classification", "-n", 10, "-o", tmp_path / "o.csv")
    assert "classes: 0.5: " in told
    assert set(pd.read_csv(tmp_path / "o.csv")["y"]) == {0.5, 1.0}


@pytest.mark.parametrize("values", [[0.5, 1.0, 0.5], ["b", "a", "b"]])
@pytest.mark.usefixtures("few_steps")
def test_learnt_labels_follow_the_classes(run, tmp_path, values):
    frame = pd.DataFrame({"a": np.arange(90.0) % 3, "y": values * 30})
    frame.to_csv(tmp_path / "a.csv", index=False)
    run(tmp_path / "a.csv", "--task", "classification", "-n", 4, "--method", "distill",
        "-o", tmp_path / "o.npz")  # fmt: skip
    small = DistilledData.load(tmp_path / "o.npz")
    assert list(small.classes) == sorted(set(values))
    np.testing.assert_array_equal(small.classes[small.targets.argmax(axis=1)], small.y)


def test_row_numbers_by_their_name(tmp_path):
    path = str(tmp_path / "a.csv")
    frame = pd.DataFrame({"ID": range(9), "year": range(1990, 1999), "y": [0, 1, 0] * 3})
    frame.to_csv(path, index=False)
    assert list(read_table(path).X) == ["year"]
    assert "'ID' names the rows" in read_table(path).notes[0]
