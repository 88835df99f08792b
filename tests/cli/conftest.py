"""Tables on disk, and a way to run the command line inside the test process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skdistill import DatasetDistiller
from skdistill.cli import main
from skdistill.cli.compare import compare


@pytest.fixture
def run(capsys):
    """Return a function that runs the command line and gives what it printed.

    Rows are chosen by the quickest method where the arguments name none.
    """

    def run(*arguments: object) -> str:
        said = [str(argument) for argument in arguments]
        if not {"--method", "--loss", "--stream"} & set(said):
            said += ["--method", "coreset"]
        assert main(said) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return run


@pytest.fixture
def complaint(capsys):
    """Return a function that runs the command line and gives the one line it complains in."""

    def complaint(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert stop.value.code == 2
        assert captured.err.endswith("\n") and captured.err.count("\n") == 1
        assert captured.err.startswith("python -m skdistill: ")
        return captured.err

    return complaint


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Draw uniform rows twice: their number matters to their standard error only."""
    monkeypatch.setitem(compare.__kwdefaults__, "n_draws", 2)


@pytest.fixture
def few_steps(monkeypatch, quick_fits):
    """Learn rows in a few steps, where a test is not about how good they are."""
    monkeypatch.setitem(DatasetDistiller.__init__.__kwdefaults__, "max_iter", 20)


@pytest.fixture
def houses() -> pd.DataFrame:
    """Return a table with numbers, categories, gaps, codes with leading zeros and a price."""
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "zip": [f"{code:05d}" for code in rng.integers(100, 900, n)],
            "city": rng.choice(["Bern", "Rom, IT", "Ulm"], n, p=[0.5, 0.3, 0.2]),
            "area": rng.normal(80, 20, n).round(2),
            "rooms": rng.integers(1, 6, n).astype(float),
            "sold": rng.choice([True, False], n),
        }
    )
    frame["price"] = (3000 * frame["area"] + 9000 * frame["rooms"] + rng.normal(0, 9e3, n)).round()
    frame.loc[::17, "rooms"] = np.nan
    frame.loc[::29, "city"] = None
    return frame


@pytest.fixture
def houses_csv(houses: pd.DataFrame, tmp_path: Path) -> Path:
    """Write the houses as csv."""
    path = tmp_path / "houses.csv"
    houses.to_csv(path, index=False)
    return path
