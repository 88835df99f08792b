"""A complete technique: prototypes of classes, for nearest neighbours."""

from __future__ import annotations

from typing import ClassVar

import torch

from skdistill.objectives import Objective


class SoftPrototypes(Objective):
    """Learn rows near which the real rows of their class lie (Seo & Obermayer, 2003).

    A learnt row claims a real one with a softmax of squared distances; the loss is the
    cross-entropy of what the classes claim together.

    Parameters
    ----------
    sharpness : float, default=10.0
        Of the softmax; a typical row has length 1.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    balances_classes: ClassVar[bool] = True

    def __init__(self, sharpness: float = 10.0) -> None:
        self.sharpness = sharpness

    def batch_loss(self, support, batch, weights):
        """Cross-entropy of a batch; `weights` make sums estimates of the mean over all rows."""
        log_p = self.log_probabilities(support, batch.rows)
        return -(weights @ (log_p * batch.targets).sum(1))

    def predictor(self, support):
        """Model that says which rows are important, and which step was the best."""
        return lambda rows: self.log_probabilities(support, rows.to(support.rows))

    def log_probabilities(self, support, rows):
        """Logarithm of the probability of each class (b, q) for rows (b, d)."""
        nearness = -self.sharpness * torch.cdist(rows, support.rows).square()
        return (torch.softmax(nearness, 1) @ support.labels).clamp(min=1e-12).log()
