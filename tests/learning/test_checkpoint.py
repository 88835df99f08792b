"""A fit that stops in the middle and is started again ends as if it never had stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from skdistill import DatasetDistiller
from skdistill.learning import checkpoint as checkpoints
from skdistill.networks import MLP
from skdistill.objectives import OBJECTIVES, SHORT_NAMES, DistributionMatching

pytestmark = pytest.mark.usefixtures("quick_fits")


class StopError(Exception):
    """In place of a crash."""


class Forgetful(DistributionMatching):
    """A technique that does not say how to write its state down."""

    resumes = False


def problem(kind="classes", n=300):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    y = X[:, 0] * X[:, 1]
    if kind == "none":
        return X, None
    return X, y if kind == "numbers" else (y > 0).astype(int)


LITTLE = {"network": MLP(8), "n_experts": 2, "syn_steps": 3, "unroll_steps": 4, "window": 2}


def technique(name):
    """A technique by name, over the smallest network and with little to do, where it has such."""
    objective = (OBJECTIVES.get(name) or SHORT_NAMES[name])()
    return objective.set_params(
        **{k: v for k, v in LITTLE.items() if k in objective.get_params(deep=False)}
    )


def stop_after(monkeypatch, n_writings):
    """Let the fit end after some writings of the file."""
    left = [n_writings]
    write = checkpoints.Checkpoint.write

    def counted(self):
        write(self)
        left[0] -= 1
        if not left[0]:
            raise StopError

    monkeypatch.setattr(checkpoints.Checkpoint, "write", counted)


# Few rows are trained on in folds, many with one part held out; uniform batches on all rows.
CASES = {
    "folds": ("classes", 60, {}),
    "one part": ("classes", 3500, {}),
    "numbers": ("numbers", 60, {}),
    "nothing held out": ("classes", 120, {"early_stopping": False}),
    "no target": ("none", 120, {}),
    "moments": ("numbers", 120, {"kernel": "linear", "early_stopping": False}),
    "sgd": ("numbers", 120, {"optimizer": "sgd", "early_stopping": False}),
}
SHORT = ("dm", "dsa", "rfad", "frepo", "ncfm", "mtt")
TECHNIQUES = ("nearest_neighbors", "unrolled_training", *SHORT)
CASES |= {name: ("classes", 60, {"objective": name, "batch_size": 16}) for name in TECHNIQUES}


@pytest.mark.parametrize(("case", "n_writings"), [*((c, 4) for c in CASES), ("folds", 1)])
def test_goes_on_exactly(case, n_writings, tmp_path, monkeypatch):
    kind, n, options = CASES[case]
    X, y = problem(kind, n)
    path = tmp_path / "fit.npz"
    if "objective" in options:
        options = {**options, "objective": technique(options["objective"])}
    distiller = DatasetDistiller(8, max_iter=12, refresh_every=3, random_state=3, **options)
    expected = distiller.fit_distill(X, y)
    curve, iterations = distiller.loss_curve_, distiller.n_iter_
    distiller.set_params(checkpoint=path)
    with monkeypatch.context() as patch:
        stop_after(patch, n_writings)
        with pytest.raises(StopError):
            distiller.fit(X, y)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.npz"]
    small = distiller.fit_distill(X, y)
    np.testing.assert_array_equal(small.X, expected.X)
    if expected.targets is not None:
        np.testing.assert_array_equal(small.targets, expected.targets)
    assert distiller.loss_curve_ == curve
    assert distiller.n_iter_ == iterations
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("objective", ["kernel_ridge", "dm"])
def test_goes_on_from_the_file_and_not_from_the_start(objective, tmp_path, monkeypatch):
    X, y = problem(n=2500)
    path = tmp_path / "fit.npz"
    options = {"max_iter": 40, "refresh_every": 5, "random_state": 3, "batch_size": 32}
    distiller = DatasetDistiller(8, objective=objective, checkpoint=path, **options)
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(StopError):
            distiller.fit(X, y)
    with monkeypatch.context() as patch:
        writings = []
        patch.setattr(checkpoints.Checkpoint, "write", lambda self: writings.append(1))
        distiller.fit(X, y)
    whole = []
    monkeypatch.setattr(checkpoints.Checkpoint, "write", lambda self: whole.append(1))
    distiller.fit(X, y)
    assert len(writings) == len(whole) - 5


def test_other_data_and_parameters(tmp_path, monkeypatch):
    X, y = problem()
    path = tmp_path / "fit.npz"
    distiller = DatasetDistiller(8, max_iter=40, random_state=3, checkpoint=path)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(StopError):
            distiller.fit(X, y)
    with pytest.raises(ValueError, match="belongs to a fit with other values of X"):
        distiller.fit(X + 1, y)
    with pytest.raises(ValueError, match="belongs to a fit with other values of max_iter"):
        distiller.set_params(max_iter=41).fit(X, y)
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="is not a file of DatasetDistiller"):
        distiller.fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random_state": None}, "random_state is None; pass an integer"),
        ({"objective": Forgetful()}, "which Forgetful is not"),
    ],
)
def test_what_cannot_be_repeated(options, message, tmp_path):
    X, y = problem()
    options = {"random_state": 0, "max_iter": 2, **options}
    with pytest.raises(ValueError, match=message):
        DatasetDistiller(8, checkpoint=tmp_path / "fit.npz", **options).fit(X, y)


# Together twenty; with SKDISTILL_KILLS=20 in the environment twenty each.
KILLS = {"kernel": 8, "network": 6, "stream": 6}


def test_survives_kills_at_random_moments(tmp_path, forking):
    """One process has imported everything, and forks one that works for each kill."""
    kills = {work: int(os.environ.get("SKDISTILL_KILLS", n)) for work, n in KILLS.items()}
    script = Path(__file__).with_name("killed.py").read_text()
    done = forking.run(script, str(tmp_path), "80", json.dumps(kills))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.keys() == kills.keys()
    for work, found in told.items():
        assert found["killed"] >= kills[work] and found["whole"] >= 1, work
        assert found["resumed"] >= 2, work
        assert found["same"], work
