"""Text files of every form: read right, or refused with the reason and the way out."""

from __future__ import annotations

import csv
import gzip
import io
import random
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skdistill.cli.reading import read_table
from skdistill.cli.table import InputError
from skdistill.cli.text_files import read_text

NAMES = ["a", "b", "c", "y"]
RNG = random.Random(0)
ROWS = [
    [str(RNG.randint(1, 99)), f"{RNG.random():.3f}", RNG.choice(["red", "blue"]),
     RNG.choice(["yes", "no"])]
    for _ in range(40)
]  # fmt: skip


def lines(rows, separator=",", end=""):
    return "".join(separator.join(row) + end + "\n" for row in rows)


def with_third(text):
    return [[a, b, text, y] for a, b, _, y in ROWS]


PLAIN = lines([NAMES, *ROWS])
FILES = {
    "semicolons": lines([NAMES, *ROWS], ";"),
    "tabs": lines([NAMES, *ROWS], "\t"),
    "pipes": lines([NAMES, *ROWS], "|"),
    "rows that end in a comma": lines([NAMES]) + lines(ROWS, ",", ","),
    "all lines end in a comma": lines([NAMES, *ROWS], ",", ","),
    "comments": "# by hand\n# on a day, with commas\n\n" + PLAIN,
    "a comment in between": "# by hand\n" + PLAIN + "# the end\n",
    "a header that is a comment": "#" + PLAIN,
    "a line that names the separator": "sep=;\n" + lines([NAMES, *ROWS], ";"),
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "blank lines": lines([NAMES, *ROWS[:9]]) + "\n" + lines(ROWS[9:]) + "\n\n",
    "byte order mark": "\ufeff" + PLAIN,
    "spaces in the header": lines([[" a", "b ", "c", "y"], *ROWS]),
}


@pytest.mark.parametrize("form", FILES)
def test_forms_of_the_same_table(form, tmp_path):
    (tmp_path / "a.csv").write_bytes(FILES[form].encode())
    text = read_text(tmp_path / "a.csv")
    assert list(text.frame) == NAMES
    assert text.cells.to_pandas().to_numpy().tolist() == ROWS
    assert [dtype.kind for dtype in text.frame.dtypes[:2]] == ["i", "f"]
    assert ("comment lines" in str(text.form.notes)) == form.endswith(("comments", "between"))


@pytest.mark.parametrize("third", ["a, b", "a;b;c", "one | two", "two\nlines", 'say "hi"', "NA"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_cells_as_they_came(third, separator, tmp_path):
    rows = with_third(third)
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([NAMES, *rows])
    text = read_text(tmp_path / "a.csv")
    assert text.cells.to_pandas().to_numpy().tolist() == rows
    assert text.frame["c"].iloc[0] == third  # also "NA": a column of nothing else is a name


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("late", [False, True])
def test_letters(encoding, late, tmp_path, run):
    rows = ROWS * (500 if late else 1) + with_third("grün")
    names = NAMES if late else ["größe", *NAMES[1:]]
    (tmp_path / "a.csv").write_bytes(lines([names, *rows]).encode(encoding))
    text = read_text(tmp_path / "a.csv")
    assert list(text.frame) == names and text.frame["c"].iloc[-1] == "grün"
    assert ("not UTF-8" in str(text.form.notes)) == (encoding != "utf-8-sig")
    if not late:
        run(tmp_path / "a.csv", "-n", 20, "--no-compare", "-o", tmp_path / "o.csv")
        assert (tmp_path / "o.csv").read_text(encoding="utf-8").startswith("größe,b,c,y,weight")


def test_a_comma_in_the_header_of_semicolons(tmp_path):
    (tmp_path / "a.csv").write_text(lines([["a, in m", "b", "c", "y"], *ROWS], ";"))
    assert list(read_text(tmp_path / "a.csv").frame) == ["a, in m", "b", "c", "y"]


REFUSED = {
    "no header": (lines(ROWS), "looks like data; say --header none"),
    "no header, numbers": (lines([row[:2] for row in ROWS]), "looks like data"),
    "no header, texts": (lines([row[2:] for row in ROWS]), "looks like data"),
    "names twice": (lines([["a", "b", "a", "b"], *ROWS]), "names 'a', 'b' twice"),
    "a short row": (PLAIN + "1,2\n" + lines(ROWS), "the row '1,2' has 2 cells and its header"),
    "a long row": (PLAIN + "1,2,3,4,5,6\n", "has 6 cells and its header names 4 columns"),
    "zero bytes": (PLAIN.encode("utf-16-le"), "zero bytes"),
    "an open quote": (PLAIN.replace(",yes", ',"yes', 1), "a quote is opened and never closed"),
    "an open quote of a long file": (
        PLAIN.replace(",yes", ',"yes', 1) + lines(ROWS) * 400,
        "a quote is opened and never closed",
    ),
    "a row of 2 MiB": (PLAIN + '1,2,"' + "x\n" * 2**20 + '",yes\n', "longer than 1 MiB"),
    "a title": ("Report,,,\n" + PLAIN, "leaves 3 columns without a name"),
    "units": (lines([NAMES, ["kg", "m", "-", "-"], *ROWS]), "kg,m,-,-, holds no numbers where"),
    "a title of one cell": ("Report\n" + PLAIN, "holds no numbers where"),
    "packed": (gzip.compress(PLAIN.encode()), "packed by gzip"),
    "a workbook": (b"PK\x03\x04", "save it as csv"),
    "nothing": ("\n\n", "it is empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(kind, tmp_path, complaint):
    text, reason = REFUSED[kind]
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = complaint(path)
    assert f"{str(path)!r} cannot be read: " in message and reason in message


def test_the_user_may_say_what_the_first_row_is(tmp_path, run):
    path = tmp_path / "a.csv"
    path.write_text(lines(ROWS))
    table = read_table(str(path), header="none")
    assert list(table.frame) == ["x0", "x1", "x2", "x3"] and len(table.y) == 40
    assert len(read_table(str(path), header="first").y) == 39
    run(path, "--header", "none", "-n", 10, "--no-compare", "-o", tmp_path / "o.csv")
    assert set(pd.read_csv(tmp_path / "o.csv")["x3"]) <= {"yes", "no"}


@pytest.mark.parametrize("names", [["2019", "2020", "c", "y"], ["0", "1", "2", "3"]])
def test_numbers_may_be_names(names, tmp_path):
    (tmp_path / "a.csv").write_text(lines([names, *ROWS]))
    assert list(read_text(tmp_path / "a.csv").frame) == names


def test_what_columns_hold(tmp_path):
    columns = {
        "whole": ["1", "-2", "+3"],
        "gap": ["1", "", "NA"],
        "real": ["1e5", " .5 ", "inf"],
        "flag": ["True", "FALSE", "true"],
        "code": ["007", "012", "100"],
        "text": ["1", "2", "x"],
        "void": ["", "", ""],
    }
    rows = zip(*columns.values(), strict=True)
    (tmp_path / "a.csv").write_text(lines([list(columns), *rows]))
    frame = read_text(tmp_path / "a.csv").frame
    kinds = "".join(dtype.kind for dtype in frame.dtypes)
    assert kinds[1] + kinds[2] + kinds[3] == "ffb" and kinds[4:6] == "OO"
    assert frame["whole"].tolist() == [1, -2, 3]
    assert frame["gap"].isna().tolist() == [False, True, True]
    assert frame["real"].tolist() == [1e5, 0.5, np.inf]


CELL = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=6)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.integers(2, 4).flatmap(lambda k: st.lists(st.lists(CELL, min_size=k, max_size=k),
                                                 min_size=1, max_size=6)),
    st.sampled_from(",;\t|"),
)  # fmt: skip
def test_quoted_cells_are_read_back(tmp_path_factory, rows, separator):
    """Whatever stands in quotes is a cell."""
    names = [f"name{j}" for j in range(len(rows[0]))]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([names, *rows])
    path = tmp_path_factory.getbasetemp() / "quoted.csv"
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    assert read_text(path).cells.to_pandas().to_numpy().tolist() == rows


# Other files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".json", ".jsonl"])
def test_packed_and_json_files(suffix, houses, run, tmp_path):
    path, out = tmp_path / f"houses{suffix}", tmp_path / f"small{suffix}"
    if suffix.startswith(".json"):
        houses.to_json(path, orient="records", lines=suffix == ".jsonl")
    else:
        houses.to_csv(path, index=False, sep="\t" if suffix == ".tsv.gz" else ",")
    assert "5 columns" in run(path, "-n", 40, "--no-compare", "-o", out)
    table = read_table(str(out))
    assert list(table.X) == list(houses)[:-1] and table.weight.sum() == pytest.approx(240)
    merged = table.frame.drop(columns="weight").merge(houses, how="left", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert list(read_table(str(path)).frame["zip"]) == list(houses["zip"])  # 00123 stays a text


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
def test_objects_of_other_shapes(orient, houses, tmp_path):
    houses.to_json(tmp_path / "a.json", orient=orient)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "a.json")).frame, houses)


def test_one_object_a_line_in_a_file_named_json(houses, tmp_path):
    houses.to_json(tmp_path / "a.json", orient="records", lines=True)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "a.json")).frame, houses)


@pytest.mark.parametrize("text", ["[1, 2]", "{", '"text"', "[[1, 2], [3]]", "[]", '{"a": [{}]}'])
def test_json_that_is_no_table(text, complaint, tmp_path):
    (tmp_path / "a.json").write_text(text)
    complaint(tmp_path / "a.json")


def test_nested_json_names_the_columns(complaint, tmp_path):
    frame = pd.DataFrame({"a": [{"b": 1}] * 30, "x": range(30), "y": [0, 1] * 15})
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    assert "column 'a' holds values of the type dict" in complaint(tmp_path / "a.jsonl")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".json", ".jsonl", ".parquet", ".npz"])
def test_standard_input(suffix, houses, run, complaint, monkeypatch, tmp_path):
    path = tmp_path / f"houses{suffix}"
    if suffix == ".npz":
        np.savez(path, X=houses[["area"]], y=houses["price"])
    elif suffix == ".parquet":
        houses.to_parquet(path)
    elif suffix.startswith(".json"):
        houses.to_json(path, orient="records", lines=suffix == ".jsonl")
    else:
        houses.to_csv(path, index=False)

    def piped(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    piped(path.read_bytes())
    told = run("-", "-n", 40, "--no-compare", "-o", tmp_path / f"small{suffix}")
    assert told.startswith("standard input: 240 rows")
    assert len(read_table(str(tmp_path / f"small{suffix}")).y) == 40
    piped(b"a,a\n1,2\n")
    assert "the standard input cannot be read: its header names 'a' twice" in complaint("-")


def test_a_packed_file_that_is_none(complaint, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(PLAIN.encode())
    assert "cannot be read" in complaint(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(PLAIN.encode())[:-20])
    assert "cannot be read" in complaint(tmp_path / "b.csv.gz")


def test_a_stream_has_the_form_of_the_file(run, tmp_path):
    path = tmp_path / "a.csv.gz"
    text = "# by hand\n" + lines([NAMES, *ROWS], "|").replace("red", "rød")
    path.write_bytes(gzip.compress(text.encode("latin-1")))
    run(path, "--stream", "-n", 10, "-o", tmp_path / "o.csv")
    small = pd.read_csv(tmp_path / "o.csv")
    assert list(small) == [*NAMES, "weight"] and set(small["c"]) == {"rød", "blue"}


def test_missing_target_is_told(tmp_path):
    (tmp_path / "a.csv").write_text(PLAIN.replace("yes", ""))
    with pytest.raises(InputError, match="missing or infinite"):
        read_table(str(tmp_path / "a.csv"))
