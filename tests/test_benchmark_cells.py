"""The file that long benchmarks append their scores to: what is kept comes back."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

SOURCE = Path(__file__).parents[1] / "benchmarks" / "_cells.py"


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("_cells", SOURCE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_kept_cells_are_read_back(module, tmp_path):
    path = tmp_path / "cells.jsonl"
    cells = module.Cells(path)
    cells.keep(("letter", 50, "k-means"), np.float64(0.5), None)
    cells.keep(("letter", 20, "k-means"), 0.25, "failed")
    cells.keep(("letter", 50, "k-means"), 0.75, None)  # a later value takes the place
    expected = {
        ("letter", 50, "k-means"): [0.75, None],
        ("letter", 20, "k-means"): [0.25, "failed"],
    }
    assert cells == expected
    assert module.Cells(path) == expected
    assert len(path.read_text().splitlines()) == 3


def test_goes_on_after_a_line_that_was_broken_off(module, tmp_path):
    path = tmp_path / "cells.jsonl"
    module.Cells(path).keep(("a", 1), 1.0)
    with path.open("a") as file:
        file.write('[["b", 2], [2.')
    cells = module.Cells(path)
    assert cells == {("a", 1): [1.0]}
    cells.keep(("b", 2), 3.0)
    assert module.Cells(path) == {("a", 1): [1.0], ("b", 2): [3.0]}


def test_refuses_values_made_with_other_settings(module, tmp_path):
    path = tmp_path / "cells.jsonl"
    module.Cells(path, {"size": "cpu", "steps": None}).keep(("a",), 1.0)
    assert module.Cells(path, {"size": "cpu", "steps": None}) == {("a",): [1.0]}
    assert json.loads(path.read_text().splitlines()[0]) == {"size": "cpu", "steps": None}
    for other in ({"size": "gpu", "steps": None}, None):
        with pytest.raises(SystemExit, match=r"cells\.jsonl holds values made with .*cpu"):
            module.Cells(path, other)


def test_refuses_settings_for_values_without_any(module, tmp_path):
    path = tmp_path / "cells.jsonl"
    module.Cells(path).keep(("a",), 1.0)
    with pytest.raises(SystemExit, match="made with None"):
        module.Cells(path, {"size": "cpu"})


def test_without_a_file(module):
    cells = module.Cells(None, {"size": "cpu"})
    cells.keep(("a",), 1.0)
    assert cells == {("a",): [1.0]}
    options = argparse.ArgumentParser()
    module.add_option(options)
    assert options.parse_args([]).cells is None
    assert options.parse_args(["--cells", "x"]).cells == Path("x")
