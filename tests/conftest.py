"""Settings of the property tests, and data that many tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

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


@pytest.fixture(scope="session")
def digits():
    """Training rows, test rows and the labels of both; read only, since all tests share them."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, random_state=0, stratify=y)
    for part in parts:
        part.flags.writeable = False
    return parts
