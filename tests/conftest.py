"""Settings of the test run and of its property tests, and data that many tests share."""

from __future__ import annotations

import os
import re

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker is one process of several; libraries read this once, when they are imported.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import pytest
from forked import Forking
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skdistill import AutoDistiller
from skdistill.learning import held_out
from skdistill.learning.kernel_search import GAMMAS, search_rbf

COMMON = settings(
    deadline=None,  # the first example pays for imports
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "default", COMMON, max_examples=25, derandomize=bool(os.environ.get("CI"))
)
# For hours of search: pytest tests/fuzz --hypothesis-profile=deep
settings.register_profile("deep", COMMON, max_examples=10_000, print_blob=True)
settings.load_profile("default")


def pytest_configure(config):
    """Load the profile asked for before tests are collected, which derive settings from it."""
    settings.load_profile(config.getoption("--hypothesis-profile", None) or "default")


def pytest_collection_modifyitems(items):
    """Refuse names of tests that differ from process to process: workers must find the same."""
    for item in items:
        if re.search(r"at ?0x[0-9a-f]+", item.nodeid):
            raise pytest.UsageError(f"{item.nodeid} holds an address; see tests/named.py.")


@pytest.fixture(scope="session")
def digits():
    """Training rows, test rows and the labels of both; read only, since all tests share them."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, random_state=0, stratify=y)
    for part in parts:
        part.flags.writeable = False
    return parts


@pytest.fixture
def short_contest(monkeypatch):
    """Let a contest of AutoDistiller by default take one round, and exchange few rows."""
    monkeypatch.setattr("skdistill.auto.ROUNDS", (1, 1))
    monkeypatch.setitem(AutoDistiller.__init__.__kwdefaults__, "n_exchanges", 4)


@pytest.fixture
def quick_fits(monkeypatch):
    """Learn rows with fewer held-out parts and kernels: a test is not about how good they are."""
    monkeypatch.setattr(held_out, "PARTS", 2)
    monkeypatch.setitem(search_rbf.__kwdefaults__, "gammas", GAMMAS[::3])


@pytest.fixture(scope="session")
def forking():
    """Run programs in processes of their own, without the seconds that imports take."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    process = Forking()
    yield process
    process.close()
