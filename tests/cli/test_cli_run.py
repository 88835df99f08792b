"""The main job as a user runs it: what it prints, and that it is what was measured."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

LINE = re.compile(r"^(?P<name>.+?)  +(?P<rows>[\d,]+)  (?P<score>-?\d\.\d{3})(?P<rest>.*)$")


def read_scores(output: str) -> dict[str, tuple[int, float, str]]:
    """Return rows, score and the rest of each line of the printed table."""
    matches = [match for line in output.splitlines() if (match := LINE.match(line))]
    return {
        match["name"]: (int(match["rows"].replace(",", "")), float(match["score"]), match["rest"])
        for match in matches
    }


# As `python -m skdistill` does.
MODULE = "import runpy; runpy.run_module('skdistill', run_name='__main__', alter_sys=True)"


def test_digits_in_a_process_of_its_own(forking):
    done = forking.run(MODULE, "digits", "--method", "coreset", strict=True)
    assert (done.returncode, done.stderr) == (0, "")
    scores = read_scores(done.stdout)
    assert list(scores) == ["all rows", "small set", "uniform rows"]
    assert [rows for rows, _, _ in scores.values()] == [1347, 200, 200]
    assert scores["all rows"][1] > 0.95
    assert scores["small set"][1] > 0.85
    assert "+/-" in scores["uniform rows"][2]


def test_errors_of_a_process_are_one_line(forking):
    done = forking.run(MODULE, "no_such.csv")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_a_closed_pipe_is_no_error(forking, tmp_path):
    os.mkfifo(tmp_path / "stdout")
    forking.start(MODULE, "diabetes", "--method", "coreset", folder=tmp_path)
    with open(tmp_path / "stdout") as pipe:
        assert pipe.readline().startswith("diabetes: 442 rows")
    assert forking.wait() == 1
    assert (tmp_path / "stderr").read_text() == ""


def test_same_seed_same_scores(run):
    first, second = (read_scores(run("diabetes", "-n", 80, "--seed", 7)) for _ in range(2))
    other = read_scores(run("diabetes", "-n", 80, "--seed", 8))
    assert {name: line[:2] for name, line in first.items()} == {
        name: line[:2] for name, line in second.items()
    }
    assert first["all rows"][1] != other["all rows"][1]


@pytest.mark.parametrize("source", ["digits", "diabetes"])
@pytest.mark.parametrize("estimator", ["ridge", "forest", "knn", "krr"])
def test_every_estimator(run, source, estimator):
    output = run(source, "-n", 60, "--estimator", estimator)
    assert f"{estimator} on" in output
    assert ("takes no weights" in output) == (estimator == "knn")
    floor = 0.8 if source == "digits" else 0.1
    assert read_scores(output)["all rows"][1] > floor


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "cross_entropy", "squared_error"])
def test_every_loss(run, loss):
    source = "digits" if loss != "squared_error" else "diabetes"
    output = run(source, "-n", 60, "--loss", loss)
    assert f"loss={loss!r}" in output
    assert read_scores(output)["small set"][0] == 60


def test_the_output_tells_what_was_guessed(run, houses_csv):
    output = run(houses_csv, "-n", 40)
    assert "target price (the last column): 240 numbers, regression" in output
    assert "R2" in output and "accuracy" not in output
    assert "features: 3 numbers, 1 category, 1 text" in output
    assert re.search(r"\d+ values missing", output)


def test_task_can_be_chosen(run):
    assert "10 numbers, regression" in run("digits", "-n", 60, "--task", "regression")


def test_test_size(run):
    output = run("diabetes", "-n", 50, "--test-size", 0.5)
    assert read_scores(output)["all rows"][0] == 221
    assert "Scores on 221 test rows" in output


def test_few_rows_give_half_of_them(run, houses, tmp_path):
    houses.iloc[:80].to_csv(tmp_path / "few.csv", index=False)
    assert "small set: 30 of 60 training rows" in run(tmp_path / "few.csv")


def test_all_training_rows_may_be_asked_for(run):
    scores = read_scores(run("diabetes", "-n", 331, "--estimator", "knn"))
    assert scores["small set"][:2] == scores["all rows"][:2] == scores["uniform rows"][:2]


def test_kernel_ridge_on_many_rows_trains_on_a_part_and_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr("skdistill.cli.job.MAX_ROWS_KERNEL_RIDGE", 150)
    monkeypatch.setattr("skdistill.cli.report.MAX_ROWS_KERNEL_RIDGE", 150)
    output = run("diabetes", "-n", 50, "--estimator", "krr")
    scores = read_scores(output)
    assert "all rows" not in scores
    assert scores["many rows"][0] == 150
    assert "150 stand for all" in output


def test_a_class_with_one_row_and_two_rows_of_a_class(run, tmp_path):
    rng = np.random.default_rng(0)
    y = np.array(["common"] * 97 + ["rare"] * 2 + ["alone"])
    np.savez(tmp_path / "rare.npz", X=rng.normal(size=(100, 3)), y=y)
    scores = read_scores(run(tmp_path / "rare.npz", "-n", 3))
    assert scores["all rows"][0] == 75  # with the class that has a single row
    assert scores["small set"][0] == 3


@pytest.mark.parametrize("estimator", ["logistic", "knn"])
def test_fewer_distinct_rows_than_asked_for(run, tmp_path, estimator):
    np.savez(tmp_path / "twins.npz", X=np.arange(60)[:, None] % 3, y=np.arange(60) % 3)
    output = run(tmp_path / "twins.npz", "-n", 20, "--estimator", estimator)
    assert "small set: 3 of 45 training rows (no more are distinct)" in output


def test_a_column_that_says_nothing(run, tmp_path):
    np.savez(tmp_path / "constant.npz", X=np.ones((60, 2)), y=np.arange(60) % 2)
    output = run(tmp_path / "constant.npz", "-n", 2, "--loss", "kernel_ridge")
    assert read_scores(output)["all rows"][1] == pytest.approx(0.5, abs=0.04)
