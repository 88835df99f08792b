"""Settings of the property tests, and data that many tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

settings.register_profile(
    "default",
    max_examples=25,
    deadline=None,  # the first example pays for imports
    derandomize=bool(os.environ.get("CI")),
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


@pytest.fixture(scope="session")
def digits():
    """Training rows, test rows and the labels of both; read only, since all tests share them."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, random_state=0, stratify=y)
    for part in parts:
        part.flags.writeable = False
    return parts
