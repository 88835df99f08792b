"""Learnt rows from the command line: what is compared, written and refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skdistill import DistilledData


def test_learnt_rows_are_scored_by_their_own_predictor(run, tmp_path, few_steps):
    output = run("diabetes", "--method", "distill", "-n", 12, "-o", tmp_path / "small.npz")
    assert "small set: 12 rows for 331 training rows, DatasetDistiller(" in output
    assert "krr on the small set is the predictor that its rows were learnt for" in output
    small = DistilledData.load(tmp_path / "small.npz")
    assert small.X.shape == (12, 10) and small.targets.shape == (12, 1)
    assert np.isclose(small.sample_weight.sum(), 331)


def test_encoded_columns_are_named_and_numbers_keep_their_units(
    run, houses_csv, tmp_path, few_steps
):
    path = tmp_path / "small.csv"
    options = ("--method", "distill", "--drop", "zip", "--estimator", "ridge")
    output = run(houses_csv, "-n", 12, "-o", path, *options)
    assert "12 learnt rows, 4 columns encoded as" in output
    assert "is the predictor that its rows" not in output
    small = pd.read_csv(path)
    assert {"area", "rooms", "city_Ulm", "city_missing", "price", "weight"} <= set(small)
    assert 60 < small["area"].mean() < 100


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_a_loss_of_the_other_method_names_the_way_out(complaint, loss):
    message = complaint("digits", "--method", "distill", "--loss", loss)
    assert f"--loss {loss} is not for --method distill; take cross_entropy" in message
