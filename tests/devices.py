"""What tests on a CUDA device share: marks, and when two fits on one count as the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def assert_same_fit(found, expected, rtol=1e-3):
    """Losses and nearly all pixels agree.

    Sums on a CUDA device are made in an order of their own in each run, and Adam makes much of the
    rounding of a gradient near 0.
    """
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=rtol)
    difference = np.abs(found.distilled_.X - expected.distilled_.X)
    assert np.quantile(difference, 0.98) < 5 * rtol
