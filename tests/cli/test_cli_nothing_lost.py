"""What was worked for is written first, and whole; what ends the work says so in one line."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from npz_files import npy, replace_member

from skdistill import DistilledData
from skdistill.cli import main
from skdistill.cli.estimators import make_estimator

OLD = b"the old file"


def test_the_set_is_written_before_anything_is_compared(run, tmp_path, monkeypatch):
    genuine, seen = main.__globals__["run"].__globals__["compare"], []

    def compare(*args, **options):
        seen.append(len(DistilledData.load(tmp_path / "small.npz")))
        return genuine(*args, **options)

    monkeypatch.setattr("skdistill.cli.job.compare", compare)
    output = run("diabetes", "-n", 20, "-o", tmp_path / "small.npz")
    assert seen == [20]
    assert output.index("wrote ") < output.index("ridge on")


def test_a_failure_after_the_set_was_written_says_so(complaint, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("no convergence\nat all")

    monkeypatch.setattr("skdistill.cli.job.compare", broken)
    message = complaint("diabetes", "-n", 20, "-o", tmp_path / "small.csv")
    assert "small.csv is written, but what came after it failed: RuntimeError: no conv" in message
    assert len(pd.read_csv(tmp_path / "small.csv")) == 20


@pytest.mark.parametrize("where", ["compare", "draw"])
def test_an_interruption_after_the_set_was_written_keeps_it(where, tmp_path, monkeypatch, capsys):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"skdistill.cli.job.{where}", interrupted)
    out, picture = tmp_path / "small.npz", tmp_path / "small.png"
    with pytest.raises(SystemExit) as stop:
        main(["diabetes", "-n", "20", "-o", str(out), "--picture", str(picture)])
    assert stop.value.code == 130
    assert capsys.readouterr().err == f"python -m skdistill: interrupted; {out} is written\n"
    assert len(DistilledData.load(out)) == 20 and not picture.exists()


@pytest.mark.parametrize("method", ["coreset", "distill"])
def test_an_interruption_of_the_work_itself_writes_nothing(method, tmp_path, monkeypatch, capsys):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    name = "coreset.SensitivityCoreset" if method == "coreset" else "distiller.DatasetDistiller"
    monkeypatch.setattr(f"skdistill.{name}.fit", interrupted)
    out = tmp_path / "small.csv"
    out.write_bytes(OLD)
    with pytest.raises(SystemExit) as stop:
        main(["diabetes", "-n", "20", "--method", method, "-o", str(out)])
    assert stop.value.code == 130
    assert capsys.readouterr().err == "python -m skdistill: interrupted; nothing was written\n"
    assert out.read_bytes() == OLD


# Ctrl-C when learning has gone on for a while.
CTRL_C = """
import os, signal, sys
from skdistill import DatasetDistiller
from skdistill.cli import main

# A process in the background of a shell ignores Ctrl-C, and so do those that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
genuine = DatasetDistiller.fit

def fit(*args):
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    return genuine(*args)

DatasetDistiller.fit = fit
sys.exit(main(["digits", "--method", "distill", "-n", "200", "-o", sys.argv[1]]))
"""


def test_ctrl_c_while_rows_are_learnt(forking, tmp_path):
    out = tmp_path / "small.csv"
    out.write_bytes(OLD)
    done = forking.run(CTRL_C, str(out))
    assert done.returncode == 130
    assert done.stderr == "python -m skdistill: interrupted; nothing was written\n"
    assert out.read_bytes() == OLD and os.listdir(tmp_path) == ["small.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz"])
@pytest.mark.parametrize("method", ["coreset", "distill"])
@pytest.mark.usefixtures("few_steps")
def test_a_full_disk_keeps_the_old_file(complaint, tmp_path, monkeypatch, suffix, method):
    def full(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skdistill._files.os.replace", full)
    out = tmp_path / f"small{suffix}"
    out.write_bytes(OLD)
    short = ["diabetes", "-n", 20, "--method", method, "--test-size", 0.8]
    assert "cannot be written: No space left on device" in complaint(*short, "-o", out)
    assert out.read_bytes() == OLD
    assert os.listdir(tmp_path) == [out.name]


def test_a_full_disk_keeps_the_old_picture(complaint, tmp_path, monkeypatch):
    def full(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skdistill._files.os.replace", full)
    (tmp_path / "a.png").write_bytes(OLD)
    message = complaint("diabetes", "-n", 20, "--picture", tmp_path / "a.png")
    assert "a.png' cannot be written: No space left on device" in message
    assert (tmp_path / "a.png").read_bytes() == OLD and os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("options", [["--method", "distill"], ["--estimator", "krr"]], ids=str)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("few_steps")
def test_one_outlying_cell(run, tmp_path, options, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 5))
    y = (X[:, 0] + 0.3 * rng.normal(size=400) > 0).astype(int)
    X[rng.integers(400), rng.integers(5)] = 1e4
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    out = tmp_path / "small.csv"
    assert "krr on" in run(tmp_path / "rows.npz", "-n", 20, *options, "-o", out)
    assert len(pd.read_csv(out)) == 20


def test_classes_far_from_all_rows_are_the_most_frequent():
    X, y = np.arange(9.0)[:, None], np.array([0, 2, 2, 2, 5, 5, 2, 2, 2])
    model = make_estimator("krr", "classification", 9, 0).fit(X, y)
    assert model.predict([[1e9]]).tolist() == [2]
    assert model.predict([[0.0]]).shape == (1,)


@pytest.mark.usefixtures("few_steps")
def test_two_rows(run, tmp_path):
    assert "krr on" in run("diabetes", "-n", 2, "--method", "distill")
    assert "krr on" in run("diabetes", "-n", 2, "--estimator", "krr")


def test_names_and_labels_do_not_steer_the_terminal(run, complaint, tmp_path, capsys):
    evil = "\x1b[2J\x07x"
    labels = [f"\x1b]0;{k}\x07" for k in range(2)]
    frame = pd.DataFrame({evil: np.arange(40.0), f"y{evil}": labels * 20})
    path = tmp_path / "e\x1bvil.csv"
    frame.to_csv(path, index=False)
    output = run(path, "-n", 10, "-o", tmp_path / "o\x1but.csv", "--loss", "kmeans")
    assert "\x1b" not in output and "\x07" not in output
    assert r"target y\x1b[2J\x07x" in output and r"o\x1but.csv" in output
    for arguments in (("--target", evil + "?"), ("--drop", evil + "\n"), ("-n", 1)):
        assert "\x1b" not in complaint(path, *arguments)
    frame.assign(**{evil: [f"{k}\x1b" for k in range(39)] + ["inf"]}).to_csv(path, index=False)
    assert "\x1b" not in run(path, "-n", 10)


def test_a_fifo_is_not_waited_for(complaint, tmp_path):
    for suffix in (".csv", ".npz", ".parquet"):
        os.mkfifo(tmp_path / f"fifo{suffix}")
        assert "it is no regular file" in complaint(tmp_path / f"fifo{suffix}")


def test_a_folder_that_may_not_be_looked_into(complaint, tmp_path, monkeypatch):
    def refuse(self, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "some.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("pathlib.Path.stat", refuse)
    assert "some.csv' cannot be read: Permission denied" in complaint(tmp_path / "some.csv")
    message = complaint("digits", "-o", tmp_path / "out.csv")
    assert "out.csv' cannot be written: Permission denied" in message


def test_an_npz_bomb(complaint, run, tmp_path):
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    np.savez_compressed(tmp_path / "a.npz", X=X, y=y, payload=np.zeros(10**7))
    assert "40 rows" in run(tmp_path / "a.npz", "-n", 10)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (40, 1000000000)}\n"
    replace_member(tmp_path / "a.npz", "X.npy", npy(header, bytes(64)))
    assert "'X' declares the shape (40, 1000000000)" in complaint(tmp_path / "a.npz")


def test_a_large_table_that_packs_suspiciously_well(complaint, tmp_path, monkeypatch):
    monkeypatch.setattr("skdistill.cli.arrays.MAX_UNPACKED", 2**20)
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((10**5, 4)), y=np.zeros(10**5))
    assert "save it without compression" in complaint(tmp_path / "a.npz")
