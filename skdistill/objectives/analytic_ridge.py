r"""Closed-form distilled sets: no steps, one pass over the rows.

For the linear kernel m >= q rows can carry the ridge solution of all rows exactly, q being the
number of outputs (Chen, Huang & Weng, 2024, show when a distilled set recovers the parameters of
linear ridge regression). The rows taken here are our derivation: with W (d, q) the solution on all
rows, and a (m, q) the coefficients whose :math:`V_0^T a` comes closest to it at the starting rows,
the rows nearest to V_0 with :math:`V^T a = W` are

.. math:: V = V_0 + a (a^T a)^{-1} (W - V_0^T a)^T .

For any other kernel rows cannot in general be found for a given solution, and the start keeps its
rows: only the labels are solved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

from .. import _torch as torch
from ..batches.training_set import Sample
from ..support import Support
from ._ridge.labels import cholesky_solve, label_system
from .base import Objective
from .context import Context, Stage


class AnalyticRidge(Objective):
    r"""Closed-form rows and labels for ridge regression: the instant floor of the ridge objectives.

    Parameters
    ----------
    reg : float, default=1e-6
        Ridge of the regression on all rows,
        :math:`\frac12 E |f - y|^2 + \frac{\mathrm{reg}}{2} |f|^2`.

    References
    ----------
    .. [1] Y. Chen, W. Huang, T.-W. Weng, "Provable and Efficient Dataset Distillation for Kernel
       Ridge Regression", NeurIPS 2024. https://openreview.net/forum?id=WI2VpcBdnd

    Examples
    --------
    >>> from skdistill.objectives import AnalyticRidge
    >>> AnalyticRidge(reg=1e-3)
    AnalyticRidge(reg=0.001)
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes", "multilabel", "numbers"})
    learns_labels: ClassVar[bool] = True
    needs_steps: ClassVar[bool] = False

    def __init__(self, reg: float = 1e-6) -> None:
        self.reg = reg

    def setup(self, context: Context) -> None:
        """Check the parameter; see `Objective.setup`."""
        super().setup(context)
        if not (isinstance(self.reg, Real) and math.isfinite(self.reg) and self.reg > 0):
            raise ValueError(f"reg={self.reg!r} of AnalyticRidge must be a positive number.")

    def stages(self, max_iter: int | None) -> list[Stage]:
        """There are none."""
        return []

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`; the kernel's own scale is used, whatever `scale` says."""
        nothing = torch.zeros_like(labels)
        return Support(rows.clone(), labels, {"dual": nothing, "intercept": nothing[0].clone()})

    def solve(self, support: Support, sample: Sample) -> None:
        """Labels, and for the linear kernel rows, from one pass over the sample."""
        if self._context.kernel.name == "linear" and len(support) >= support["dual"].shape[1]:
            self._solve_linear(support, sample)
            return
        V = support.rows.double()
        kernel = self._context.kernel
        system = label_system(lambda rows: kernel(rows, V), kernel(V, V), sample)
        support.extra["dual"], support.extra["intercept"] = system.solve(self.reg)

    def _solve_linear(self, support: Support, sample: Sample) -> None:
        V = support.rows.double()
        d = V.shape[1]
        eye = torch.eye(d, dtype=torch.float64, device=V.device)
        # Ridge regression on the coordinates: the label problem with the unit rows as support.
        W, intercept = label_system(lambda rows: rows, eye, sample).solve(self.reg)
        # The least ridge that makes the solve safe; V then repairs what it leaves.
        a = V @ cholesky_solve(V.T @ V, W, 1e-6 * float(V.square().sum()) / d + 1e-300)
        gram = a.T @ a
        change = cholesky_solve(gram, (W - V.T @ a).T, 1e-14 * float(gram.trace()) + 1e-300)
        support.rows = V + a @ change
        support.extra["dual"], support.extra["intercept"] = a, intercept

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """See `Objective.predictor`."""
        V, a, b = support.rows, support["dual"], support["intercept"]
        return lambda rows: self._context.kernel(rows.to(a.dtype), V) @ a + b
