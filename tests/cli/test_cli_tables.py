"""Text files as they come: nothing shifted, guessed wrong or lost."""

from __future__ import annotations

import numpy as np
import pytest

from skdistill.cli.arguments import make_parser
from skdistill.cli.reading import read_table
from skdistill.cli.table import InputError

pd = pytest.importorskip("pandas")


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return str(path)


def test_rows_that_end_in_a_comma(tmp_path):
    rows = "".join(f"{'yes' if i % 2 else 'no'},0.{i},2.0,\n" for i in range(1, 9))
    table = read_table(written(tmp_path, "target,a,b\n" + rows))
    assert set(table.y) == {"yes", "no"}
    assert list(table.X.columns) == ["a", "b"] and table.X["a"].iloc[0] == 0.1


def test_rows_of_more_cells_than_the_header(tmp_path):
    with pytest.raises(InputError, match="4 cells and its header names 3 columns"):
        read_table(written(tmp_path, "target,a,b\nyes,1,2,3\nno,4,5,6\nno,7,8,9\n"))


def test_a_name_that_stands_twice(tmp_path):
    with pytest.raises(InputError, match="header names 'a' twice"):
        read_table(written(tmp_path, "a,a,y\n1,2,0\n3,4,1\n"))


def test_row_numbers_of_to_csv_are_no_feature(tmp_path):
    frame = pd.DataFrame({"a": np.arange(5.0) ** 2, "y": [0, 0, 0, 1, 1]})
    table = read_table(written(tmp_path, frame.to_csv()))
    assert list(table.X.columns) == ["a"] and "names the rows" in table.notes[0]
    assert "Unnamed: 0" in table.frame  # it is written with the others all the same


@pytest.mark.parametrize("names", [[9, 4, 7, 1, 0], list("uvwxy")])
def test_names_of_rows_are_no_feature(tmp_path, names):
    frame = pd.DataFrame({"a": np.arange(5.0) ** 2, "y": [0, 0, 0, 1, 1]}, index=names)
    assert list(read_table(written(tmp_path, frame.to_csv())).X.columns) == ["a"]


def test_classes_called_none(tmp_path):
    table = read_table(written(tmp_path, "a,y\n1,None\n2,NA\n3,null\n4,b\n"))
    assert set(table.y) == {"None", "NA", "null", "b"}
    with pytest.raises(InputError, match="missing or infinite in 1 of 2"):
        read_table(written(tmp_path, "a,y\n1,\n2,b\n"))


def test_several_columns_to_drop(tmp_path):
    path = written(tmp_path, 'a,b,"c,d",y\n1,2,3,0\n4,5,6,1\n')
    assert list(read_table(path, drop=("a,b",)).X.columns) == ["c,d"]
    assert list(read_table(path, drop=("c,d", "a")).X.columns) == ["b"]
    with pytest.raises(InputError, match="no column 'p', 'q'"):
        read_table(path, drop=("p,q",))


def test_arguments(capsys):
    parse = make_parser().parse_args
    assert parse(["t.csv", "-n", "1%"]).n_samples == 0.01
    assert parse(["t.csv", "-n", "0.25"]).n_samples == 0.25
    assert parse(["t.csv", "-n", "50"]).n_samples == 50
    for wrong in ("150%", "few", "-1"):
        with pytest.raises(SystemExit):
            parse(["t.csv", "-n", wrong])
    with pytest.raises(SystemExit) as stop:
        parse(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("skdistill ")
