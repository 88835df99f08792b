"""Temperature of the softmax over a predictor's outputs, from rows it was not trained on."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

FARTHEST = 5.0  # the logarithm of the temperature stays within it


def fit_temperature(outputs: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> float:
    r"""Temperature T for which softmax(outputs / T) has the least log loss.

    Parameters
    ----------
    outputs : ndarray of shape (n, q)
        Of held-out rows.
    targets : ndarray of shape (n, q)
        One-hot classes.
    weight : ndarray of shape (n,)
        Not negative, and not all zero.

    Returns
    -------
    float
        Between exp(-5) and exp(5).

    Notes
    -----
    As in Platt's method the targets are drawn in a little, by 1 / (n + 2): rows that are all right
    would else call for certainty.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.
    """
    share = weight / weight.sum()
    # Effective number of rows: the same for weights in any unit.
    shrink = 1 / (1 / np.square(share).sum() + 2)
    soft = (1 - shrink) * targets + shrink / targets.shape[1]

    def loss(log_temperature: float) -> float:
        scaled = outputs * math.exp(-log_temperature)
        return -float(share @ (soft * log_softmax(scaled, axis=1)).sum(axis=1))

    found = minimize_scalar(loss, bounds=(-FARTHEST, FARTHEST), method="bounded")
    return math.exp(found.x)
