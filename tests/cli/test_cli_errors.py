"""Whatever the user gets wrong: one line on stderr that names it and the way out, status 2."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from skdistill.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("no_such.csv", "there is no file 'no_such.csv'"),
        ("digits --target x", "digits is embedded"),
        ("digits --drop x", "digits is embedded"),
        ("digits -n 5000", "-n 5,000 is more than the 1,347 training rows"),
        ("digits -n 5", "-n 5 is less than the 10 classes of 'digit'"),
        ("digits -n 0", "-n 0 is less than the 10 classes"),
        ("diabetes -n 1", "-n 1 is less than the 2 rows"),
        ("digits -n -3", "'-3' is not a whole number"),
        ("digits -n many", "'many' is not a whole number"),
        ("digits --seed 4294967296", "is not a whole number below 2^32"),
        ("digits --test-size 1", "'1' is not a number between 0 and 1"),
        ("digits --test-size half", "'half' is not a number between 0 and 1"),
        ("digits --test-size -0.1", "'-0.1' is not a number between 0 and 1"),
        ("digits --test-size 0 --test-out a.csv", "--test-out has no rows to write"),
        ("digits --no-compare --picture a.png", "--picture shows a comparison"),
        ("digits --scoring goodness", "'goodness' is no score of scikit-learn"),
        ("digits --scoring f1", "--scoring f1 does not go with the target"),
        ("digits --scoring roc_auc_ovr --estimator ridge", "Every candidate failed"),
        ("digits --loss kmeans --method auto", "take --method coreset"),
        ("digits --test-size 0.001", "change --test-size"),
        ("digits --test-size 0.999", "change --test-size"),
        ("digits --method magic", "invalid choice: 'magic'"),
        ("digits --loss hinge", "invalid choice: 'hinge'"),
        ("digits --estimator svm", "invalid choice: 'svm'"),
        ("diabetes --estimator logistic", "--estimator logistic is for classes"),
        ("diabetes --loss cross_entropy", "--loss cross_entropy is for classes"),
        ("digits -o no/such/folder/out.npz", "there is no folder"),
        ("digits -o out.xlsx", "'out.xlsx' must end in one of .csv"),
        ("digits --picture out.doc", "'out.doc' must end in one of"),
        ("digits --picture no/such/folder/out.png", "there is no folder"),
        ("", "the following arguments are required: SOURCE"),
    ],
)
def test_wrong_arguments(complaint, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in complaint(*arguments.split())


def test_unknown_target(complaint, houses_csv):
    assert "has no column 'cost'; its columns are zip, city, area" in complaint(
        houses_csv, "--target", "cost"
    )


def test_unknown_column_to_drop(complaint, houses_csv):
    assert "has no column 'colour'" in complaint(houses_csv, "--drop", "colour")


def test_dropped_target(complaint, houses_csv):
    assert "cannot be dropped" in complaint(houses_csv, "--target", "area", "--drop", "area")


def test_folder_as_source_and_as_output(complaint, tmp_path):
    assert "must end in one of" in complaint(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read" in complaint(tmp_path / "folder.csv")
    assert "is a folder" in complaint("digits", "-o", tmp_path)


def test_output_over_the_table_itself(complaint, houses_csv):
    before = houses_csv.read_bytes()
    assert "is the table itself" in complaint(houses_csv, "-o", houses_csv)
    assert "is the table itself" in complaint(
        houses_csv, "-o", houses_csv.parent / ".." / houses_csv.parent.name / houses_csv.name
    )
    assert houses_csv.read_bytes() == before


def test_output_that_fails_only_when_written(complaint, tmp_path, monkeypatch):
    def full(self, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skdistill.data.DistilledData.save", full)
    message = complaint("diabetes", "-n", 20, "-o", tmp_path / "out.npz")
    assert "cannot be written: No space left on device" in message


TABLES = {
    "empty.csv": ("", "cannot be read"),
    "header.csv": ("a,b,target\n", "is empty: it has no rows"),
    "header_alone.csv": ("a,b,target", "is empty: it has no rows"),
    "one_column.csv": ("only:other\n1:2\n", "target 'only:other'; cells are separated by a comma"),
    "huge.csv": ("x,y\n" + "1,1e300\n2,2.5e301\n3,1\n" * 9, "'y' goes up to 2.5e+301"),
    "ids.csv": ("x,y\n" + "".join(f"{i % 3},id{i}\n" for i in range(20)), "which are no classes"),
    "days.csv": ("x,y\n" + "".join(f"1,2020-01-{i}\n" for i in range(10, 30)), "are no classes"),
    "gap_in_text.csv": ("x,y\n" + "1,$2\n" * 19 + "2,?\n", "missing or infinite in 1 of"),
    "single_class.csv": ("x,y\n" + "1,a\n2,a\n" * 9, "'y' has a single class, a"),
    "single_number.csv": ("x,y\n" + "1,1.5\n2,1.5\n" * 9, "'y' has a single value, 1.5"),
    "gap.csv": ("x,y\n" + "1,a\n2,\n" * 9, "'y' is missing or infinite in 9 of"),
    "gap_number.csv": ("x,y\n" + "1,1.5\n2,\n" * 9, "'y' is missing or infinite in 9 of"),
    "infinite.csv": ("x,y\n" + "1,a\ninf,b\n" * 9, "column 'x' holds infinity"),
    "few.csv": ("x,y\n1,a\n2,b\n", "2 rows are too few"),
    "ragged.csv": ("x,y\n1,2\n1,2,3,4\n", "cannot be read"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_cannot_be_learnt_from(complaint, name, tmp_path):
    text, message = TABLES[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert message in complaint(tmp_path / name)


def test_bytes_that_are_no_text(complaint, tmp_path):
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 4)
    assert "cannot be read" in complaint(tmp_path / "binary.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_files_that_are_not_what_their_name_says(complaint, suffix, tmp_path):
    path = tmp_path / f"fake{suffix}"
    path.write_bytes(b"PK\x03\x04 not at all")
    assert "cannot be read" in complaint(path)


def test_text_target_with_more_classes_than_rows_asked_for(complaint, houses_csv):
    message = complaint(houses_csv, "--target", "zip", "--task", "classification")
    assert "classes" in message


def test_texts_are_no_regression_target(complaint, houses, tmp_path):
    houses.dropna().to_csv(tmp_path / "full.csv", index=False)
    message = complaint(tmp_path / "full.csv", "--target", "city", "--task", "regression")
    assert "'city' holds texts" in message


def test_lists_in_a_column(complaint, tmp_path):
    frame = pd.DataFrame({"x": range(30), "tags": [["a"]] * 30, "y": [0, 1, 2] * 10})
    frame.to_parquet(tmp_path / "lists.parquet")
    message = complaint(tmp_path / "lists.parquet")
    assert "column 'tags' holds values of the type" in message and "--drop tags" in message
    message = complaint(tmp_path / "lists.parquet", "--target", "tags")
    assert "the target 'tags' holds lists" in message


def test_dates_as_target(complaint, tmp_path):
    frame = pd.DataFrame({"x": range(30), "y": pd.date_range("2020-01-01", periods=30)})
    frame.to_parquet(tmp_path / "dates.parquet")
    assert "'y' holds dates" in complaint(tmp_path / "dates.parquet")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(3)}, "has no array X; it holds a"),
        ({}, "has no array X; it holds nothing"),
        ({"X": np.ones((3, 2))}, "has no target array 'y'; it holds X"),
        ({"X": np.ones(3), "y": np.ones(3)}, "must be 2-D"),
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, "one value a row"),
        ({"X": np.ones((3, 2)), "y": np.ones((3, 2))}, "one value a row"),
        ({"X": np.array([["a"], ["b"]]), "y": np.ones(2)}, "must hold real numbers"),
        ({"X": np.ones((3, 2), complex), "y": np.ones(3)}, "must hold real numbers"),
        ({"X": np.ones((3, 2)), "y": np.ones(3, complex)}, "must hold numbers or texts"),
        ({"X": np.full((3, 2), np.inf), "y": np.ones(3)}, "holds infinity"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, "has no rows"),
        ({"X": np.ones((3, 0)), "y": np.ones(3)}, "no column besides the target"),
        ({"X": np.array([[None]]), "y": np.ones(1)}, "cannot be read"),
    ],
)
def test_npz_files_without_a_table(complaint, arrays, message, tmp_path):
    np.savez(tmp_path / "some.npz", **arrays)
    assert message in complaint(tmp_path / "some.npz")


@pytest.mark.parametrize("arguments", ["houses.csv", "digits -o out.csv", "digits -o out.parquet"])
def test_without_pandas(complaint, arguments, houses_csv, monkeypatch):
    monkeypatch.chdir(houses_csv.parent)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert 'needs pandas: pip install "skdistill[io]"' in complaint(*arguments.split())


def test_without_a_parquet_engine(complaint, tmp_path, monkeypatch):
    (tmp_path / "some.parquet").write_bytes(b"PAR1")
    for engine in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, engine, None)
    assert 'pip install "skdistill[io]"' in complaint(tmp_path / "some.parquet")


def test_without_matplotlib(complaint, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    message = complaint("digits", "--picture", "out.png")
    assert 'needs matplotlib: pip install "skdistill[plot]"' in message


def test_errors_of_the_program_keep_their_traceback(monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr("skdistill.cli.job.compare", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["diabetes", "-n", "20"])
