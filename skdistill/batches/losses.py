r"""Losses of real rows that say which of them the batches should hold.

**Cross-entropy and squared error** draw the rows that the current set gets wrong. Wrong labels are
got wrong for good, and so is an outlier: such rows fill the batches.

**Margin.** Let z be the margin of a row, the output of its class less the largest other one. The
0-1 error jumps where z = 0. Smoothed by a normal distribution of width s it is

.. math:: E(z) = \tfrac12 \operatorname{erfc}(z / s) , \qquad
          -E'(z) = \frac{1}{s \sqrt{\pi}} \exp(-(z / s)^2) .

A batch that is drawn in proportion to exp(-(z / s)^2), and not weighted back, follows the gradient
of E as far as the technique's own loss pulls on the drawn rows about equally. The ramp loss,
min(1, max(0, 1/2 - z / s)), has the same derivative with a box in place of the bell: rows near the
decision boundary count, and neither rows that are safe nor rows that are hopeless.

E counts every row alike, and may give up a rare class. The balanced error divides the errors of a
class by the class's share of the rows; dividing by the square root of the share stands half way,
and that is what makes rows important here.

**Bounded** is the same thought for numbers: r^2 exp(-(r / c)^2) of the residual r, with c taken
from the median residual. It grows like the squared error where residuals are usual, and forgets
rows whose target nothing explains.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _torch as torch

LOSSES = ("cross_entropy", "squared_error", "margin", "bounded")
MARGIN_WIDTH = 0.4  # of the boundary, in outputs for one-hot targets
USUAL = 1.4826  # standard deviation of normal residuals, relative to the median of their size
BOUND = 2.5  # residual in such deviations beyond which a row counts less and less


def row_losses(
    loss: Any, outputs: Any, temperature: float, targets: Any, codes: Any, *, kind: str
) -> Any:
    """Losses (k,) of rows that make them important.

    Parameters
    ----------
    loss : {"cross_entropy", "squared_error", "margin", "bounded"} or callable
        "bounded" gives squared errors, which `bounded_losses` bounds once all rows are known. A
        callable gets the targets (k, q), one-hot for classes, and the outputs (k, q), both
        ndarrays.
    outputs : Tensor of shape (k, q)
    temperature : float
        Divisor of the outputs before the softmax.
    targets : Tensor of shape (k, q)
    codes : int64 Tensor of shape (k,) or None
        Classes.
    kind : {"classes", "multilabel", "numbers"}

    Returns
    -------
    Tensor of shape (k,)

    Raises
    ------
    TypeError
        If a callable returns anything but real numbers.
    ValueError
        If a callable returns another shape, or losses that are negative or not finite.
    """
    if callable(loss):
        return called_losses(loss, outputs, targets)
    if loss == "cross_entropy":
        log_p = torch.log_softmax(outputs / temperature, dim=1)
        return -log_p.gather(1, codes[:, None])[:, 0]
    if loss == "margin":
        return margin_losses(margins(outputs, targets, codes, kind))
    return (outputs - targets).square().sum(1)


def margins(outputs: Any, targets: Any, codes: Any, kind: str) -> Any:
    """How far rows are from being classified wrongly; negative where they are.

    Parameters
    ----------
    outputs : Tensor of shape (k, q)
    targets : Tensor of shape (k, q)
    codes : int64 Tensor of shape (k,) or None
        Classes.
    kind : {"classes", "multilabel"}
        With several labels a row its margin is that of its least sure label.

    Returns
    -------
    Tensor of shape (k,)
        Output of the row's class less the largest other one. A label's margin is twice the distance
        of its output from 1/2, on the right side.
    """
    if kind == "multilabel":
        return ((2 * outputs - 1) * (2 * targets - 1)).amin(1)
    of_class = outputs.gather(1, codes[:, None])[:, 0]
    others = outputs.scatter(1, codes[:, None], -math.inf)
    return of_class - others.amax(1)


def margin_losses(z: Any, width: float = MARGIN_WIDTH) -> Any:
    """Slope of the smoothed 0-1 error at margins z (k,), up to a factor."""
    return torch.exp(-(z / width).square())


def bounded_losses(squares: Any) -> Any:
    """Squared residuals (k,), forgotten where they are far beyond the usual ones."""
    usual = USUAL**2 * squares.median()
    if not usual > 0:
        return squares
    return squares * torch.exp(-squares / (BOUND**2 * usual))


def called_losses(loss: Any, outputs: Any, targets: Any) -> Any:
    """Losses (k,) from a callable of the user's, checked."""
    returned = loss(targets.cpu().numpy(), outputs.double().cpu().numpy())
    try:
        found = np.asarray(returned)
    except ValueError as error:  # lists of unequal lengths
        raise ValueError(
            f"batch_loss={loss!r} must return one loss for each row: {error}"
        ) from error
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"batch_loss={loss!r} must return an array of real numbers, but returned "
            f"{type(returned).__name__} of dtype {found.dtype}."
        )
    if found.shape != (len(outputs),):
        raise ValueError(
            f"batch_loss={loss!r} must return one loss for each row, shape {(len(outputs),)}, "
            f"but returned shape {found.shape}."
        )
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise ValueError(
            f"batch_loss={loss!r} must return finite, non-negative losses, but returned "
            f"values from {found.min()} to {found.max()}; square them or take their absolute "
            "value."
        )
    return torch.from_numpy(found.astype(np.float64)).to(outputs.device)
