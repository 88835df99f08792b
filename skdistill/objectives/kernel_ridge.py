r"""Rows for kernel ridge regression (kernel inducing points).

The predictor is :math:`f(x) = \sum_j a_j k(x, v_j) + b`. Rows v, kernel scales and either labels or
dual coefficients a are learnt. For a squared loss the labels need no learning rate: at given rows
the best ones solve a ridge problem on the batch, and by the envelope theorem the gradient in the
rows is that at fixed coefficients (variable projection). For classes the cross-entropy of
softmax(f / T) follows, with a, b and T learnt directly.

With the linear kernel, squared losses see the rows through their moments, and steps need no batches
(see `_gram`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from numbers import Real
from typing import Any, ClassVar

from .. import _torch as torch
from ..batches.training_set import BLOCK_ROWS, Batch, Sample, TrainingSet, score
from ..kernels import KERNELS
from ..support import Support
from ._ridge import huber, moments
from ._ridge.autograd import AutogradSteps
from ._ridge.dropout import Dropout
from ._ridge.heads import CrossEntropy, SquaredError
from ._ridge.labels import LabelSystem, cholesky_solve, label_system
from ._ridge.rbf_steps import RBFSteps
from .base import Objective
from .context import Context, Stage

LOSSES = ("auto", "cross_entropy", "squared_error", "huber")
SOLVE_STEPS = 600  # of variable projection, which for classes cross-entropy follows
FIRST_SHARE, FIRST_STEPS = 0.6, 150  # that begin with it in runs of few steps
DUAL_STEPS = (1200, 12_000)  # least and most steps of cross-entropy
DUAL_WORK = 400_000  # steps times rows: few rows need many steps, and those are cheap
BATCH = 1024
ROWS_PER_SUPPORT = 5  # batch rows for each learnt row, or a label solve fits the batch's noise
GRAM_WIDTH = 2048  # most features of a linear kernel whose moments replace the rows
UNIT_DROPOUT, UNIT_DROPOUT_ROWS = 0.2, 50  # fewer learnt rows learn nothing by heart
DUAL_RATE = 0.02  # relative to the root mean square of the coefficients
OTHER_RATE = 0.02  # of log scales, intercept, labels and log temperature
START_TEMPERATURE = 0.1
START_RIDGE = 1e-5  # least ridge of the coefficients that cross-entropy starts from
LABEL_RIDGE = 1e-6
SMOOTHING_STEPS = 100  # batches that the training error is averaged over
SMOOTHING = 0.1  # most that is taken from the label of a class and spread over all classes


class KernelRidge(Objective):
    r"""Learn rows whose kernel ridge predictor fits the real rows.

    Parameters
    ----------
    reg : "auto" or float, default="auto"
        Ridge. With solved labels it is mu in :math:`\frac12 E |f - y|^2 + \frac{\mu}{2} |f|_H^2`,
        and "auto" chooses it on held-out rows. With fixed or learnt labels it is lambda in
        :math:`f = k_{xS} (K_{SS} + \lambda I)^{-1} Y`, relative to the mean of the diagonal of
        :math:`K_{SS}`, and "auto" is 1e-6.

    loss : {"auto", "cross_entropy", "squared_error", "huber"}, default="auto"
        "auto" is the cross-entropy for classes and the squared error for anything else. "huber" is
        for numbers with outliers: beyond 1.35 robust standard deviations the error counts as it
        is and not squared, and held-out rows are scored by their absolute error. Without a
        target it is the error of the Nystroem approximation, whatever is given here.

    dropout : float in [0, 1) or "auto", default="auto"
        Share of the coordinates of real rows that is set to 0, others at random in each step of
        cross-entropy; the rest grows so that lengths stay. It keeps rows of hundreds of dense
        features, such as `~skdistill.networks.ConvFeatures`, from being learnt by heart. "auto" is
        0.2 for 50 and more learnt rows, where the real rows have length 1 and more than 128
        features, few of them 0; else it is 0.

    References
    ----------
    .. [1] T. Nguyen, Z. Chen, J. Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR
       2021.
    .. [2] G. Golub, V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
       problems whose variables separate", SIAM J. Numer. Anal. 10, 1973.

    Examples
    --------
    >>> from skdistill.objectives import KernelRidge
    >>> KernelRidge(loss="squared_error")
    KernelRidge(loss='squared_error')
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"none", "classes", "multilabel", "numbers"})
    learns_labels: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    compares_starts: ClassVar[bool] = True

    def __init__(
        self, reg: str | float = "auto", loss: str = "auto", dropout: float | str = "auto"
    ) -> None:
        self.reg = reg
        self.loss = loss
        self.dropout = dropout

    def setup(self, context: Context) -> None:
        """Settle loss, labels and ridge; see `Objective.setup`."""
        super().setup(context)
        self._check_parameters(context)
        if callable(context.kernel.name):
            raise ValueError(
                f"kernel={context.kernel.name!r} is a callable, which has no gradient in the rows; "
                f"use one of {KERNELS}."
            )
        rbf = context.kernel.name in ("rbf", "mirror_rbf")
        self._learn_scale = rbf and context.learn_kernel
        self._steps: Any = AutogradSteps(context.kernel)
        if rbf:
            self._steps = RBFSteps(self._learn_scale, context.kernel.n_odd)
        self._ridges = context.ridges if self.reg == "auto" else (float(self.reg),)
        self._label_ridge = LABEL_RIDGE if self.reg == "auto" else float(self.reg)
        by_classes = self.loss == "auto" and context.kind == "classes"
        self._cross_entropy = self.loss == "cross_entropy" or by_classes
        self._robust = self.loss == "huber" and context.kind != "none"
        self._plan = self._stage_names(context)
        self._stage = ""
        self._system: LabelSystem | None = None
        self._whole: Sample | None = None  # what the moments are of
        self._moments: moments.Moments | None = None
        self._dropout = Dropout(context.generator)
        self._smoothing, self._hits, self._seen = 0.0, 0.0, 0
        self._held_out_error: float | None = None

    def _stage_names(self, context: Context) -> tuple[str, ...]:
        if context.kind == "none":
            return ("subspace",)
        if context.learn_labels in (True, False):
            return ("labels",)
        # Solved labels are those of least squares: asked for by name, they are the end.
        if self._cross_entropy and context.learn_labels == "auto":
            return ("solve", "dual")
        self._cross_entropy = False
        return ("solve",)

    def _check_parameters(self, context: Context) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss!r} of KernelRidge is unknown; use one of {LOSSES}.")
        number = isinstance(self.reg, Real) and math.isfinite(self.reg) and self.reg > 0
        if self.reg != "auto" and not number:
            raise ValueError(f"reg={self.reg!r} of KernelRidge must be 'auto' or positive.")
        share = isinstance(self.dropout, Real) and 0 <= self.dropout < 1
        if self.dropout != "auto" and not share:
            raise ValueError(
                f"dropout={self.dropout!r} of KernelRidge must be 'auto' or a number from 0 to "
                "below 1."
            )
        if self.loss == "cross_entropy" and context.kind != "classes":
            raise ValueError(
                f"loss='cross_entropy' of KernelRidge needs classes as y, got {context.kind}; use "
                "loss='squared_error'."
            )
        if self.loss == "huber" and context.kind not in ("numbers", "none"):
            raise ValueError(
                f"loss='huber' of KernelRidge needs numbers as y, got {context.kind}; use "
                "loss='auto'."
            )
        if self.loss == "huber" and context.learn_labels in (True, False):
            raise ValueError(
                f"loss='huber' of KernelRidge solves the labels, which "
                f"learn_labels={context.learn_labels!r} does not; use learn_labels='auto'."
            )

    def reweights(self, kind: str, rows_per_class: float) -> bool:
        """See `Objective.reweights`; with a row a class there is none for what is rare."""
        return kind == "numbers" or rows_per_class <= 1

    def favourite_batches(self, kind: str, rows_per_class: float) -> str:
        """See `Objective.favourite_batches`: the decision boundary; nothing else paid."""
        return "margin" if kind == "classes" else "uniform"

    # Stages ----------------------------------------------------------------------------------

    def stages(self, max_iter: int | None) -> list[Stage]:
        """Variable projection, and for classes cross-entropy; see `Objective.stages`."""
        m = self._context.n_support
        large = None
        if not self._sees_moments():
            large = self._context.batch_size or max(BATCH, ROWS_PER_SUPPORT * m)
        if len(self._plan) == 1:
            n_steps = SOLVE_STEPS if max_iter is None else max_iter
            return [Stage(self._plan[0], n_steps, large, torch.float64, _check_every(n_steps))]
        least, most = DUAL_STEPS
        if max_iter is None:
            warm, direct = SOLVE_STEPS, min(most, max(least, DUAL_WORK // m))
        else:
            # A few steps of cross-entropy undo more than they gain: the first steps solve labels.
            first = min(round(FIRST_SHARE * max_iter), FIRST_STEPS)
            warm = min(SOLVE_STEPS, max(first, max_iter // 4))
            direct = max_iter - warm
        small = self._context.batch_size or BATCH
        return [
            Stage("solve", warm, large, torch.float64, _check_every(warm)),
            Stage("dual", direct, small, torch.float32, _check_every(direct)),
        ]

    def _sees_moments(self) -> bool:
        """Whether moments of all rows take the place of batches, where those would be large."""
        context = self._context
        squared = self._plan[0] != "labels" or not self._cross_entropy
        squared = squared and not self._robust  # whose weights of rows change
        small = context.batch_size is None and context.n_features <= GRAM_WIDTH
        return context.kernel.name == "linear" and squared and small

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`; `scale` (width,) or (1,) is that of the RBF kernel."""
        support = Support(rows.clone(), labels)
        if isinstance(self._steps, RBFSteps):
            if scale is None:
                scale = rows.new_full((1,), math.sqrt(self._context.kernel.gamma))
            support.rows = rows * scale
            support.extra["log_scale"] = scale.log()
        if labels is not None:
            support.extra["dual"] = torch.zeros_like(labels)
            support.extra["intercept"] = labels.new_zeros(labels.shape[1])
            support.extra["ridge"] = rows.new_tensor([self._ridges[0]])
        if self._cross_entropy:
            support.extra["log_temperature"] = rows.new_full((1,), math.log(START_TEMPERATURE))
        return support

    def rows(self, support: Support) -> Any:
        """Rows in coordinates; see `Objective.rows`."""
        if "log_scale" in support.extra:
            return support.rows / support["log_scale"].exp()
        return support.rows

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """See `Objective.begin`; cross-entropy starts from a label solve."""
        self._stage, self._hits, self._seen = stage.name, 0.0, 0
        if stage.batch_size is None and sample is not self._whole:
            self._whole, self._moments = sample, moments.moments(sample)
        if stage.name != "dual":
            return support.to(stage.dtype)
        support = support.to(torch.float64)
        system = self._label_system(support, sample)
        a, b = system.solve(max(START_RIDGE, float(support["ridge"])))
        support.extra.update(dual=a, intercept=b)
        return support.to(stage.dtype)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`. A row moves `learning_rate` kernel widths, whatever its length."""
        free = support.rows.shape[1] if support.free is None else support.free
        rates = {"rows": self._context.learning_rate / math.sqrt(free)}
        if self._learn_scale:
            rates["log_scale"] = OTHER_RATE
        if stage.name == "dual":
            unit = float(support["dual"].square().mean().sqrt()) or 1.0
            rates |= {"dual": DUAL_RATE * unit, "intercept": OTHER_RATE}
        if stage.name == "labels" and self._context.learn_labels:
            rates["labels"] = OTHER_RATE
        if self._cross_entropy and stage.name != "solve":
            rates["log_temperature"] = OTHER_RATE
        return rates

    # Steps -----------------------------------------------------------------------------------

    def gradients(
        self, support: Support, batch: Any, weights: Any, names: list[str]
    ) -> tuple[Any, list[Any]]:
        """Loss and gradients, derived by hand for the RBF kernel; see `Objective.gradients`."""
        if isinstance(batch, Sample):
            value, found = self._of_moments(support)
        elif self._stage == "solve":
            mu = float(support["ridge"])
            if self._robust:
                K, K_SS = self._kernels(support, batch)
                weights = huber.batch_weights(K, K_SS, batch.targets, weights, mu)
            value, found = self._steps.solved(support, batch, weights, mu)
        elif self._stage == "subspace":
            value, found = self._steps.subspace(support, batch, weights, self._label_ridge)
        else:
            value, found = self._with_head(support, batch, weights)
        return value, [found.get(name) for name in names]

    def _of_moments(self, support: Support) -> tuple[Any, dict[str, Any]]:
        assert self._moments is not None  # made when the stage began
        if self._stage == "solve":
            return moments.solved(support, self._moments, float(support["ridge"]))
        if self._stage == "subspace":
            return moments.subspace(support, self._moments, self._label_ridge)
        return moments.labelled(support, self._moments, self._label_ridge)

    def _with_head(self, support: Support, batch: Batch, weights: Any) -> tuple[Any, dict]:
        head: Any = SquaredError()
        if self._cross_entropy:
            head = CrossEntropy(support["log_temperature"], self._smoothing)
            if self._share_dropped:
                batch = self._dropped(batch)
        if self._stage == "dual":
            a, b = support["dual"], support["intercept"]
            found = self._steps.direct(support, a, b, batch, weights, head)
        else:
            found = self._steps.labelled(support, batch, weights, self._label_ridge, head)
        if self._cross_entropy:
            found["log_temperature"] = head.gradient
            self._hits, self._seen = self._hits + head.hits, self._seen + 1
            if self._seen == SMOOTHING_STEPS:
                self._adapt_smoothing()
        return head.value, found

    @property
    def _share_dropped(self) -> float:
        """`dropout`, with "auto" replaced."""
        if isinstance(self.dropout, str):
            many = self._context.n_support >= UNIT_DROPOUT_ROWS
            return UNIT_DROPOUT if many and self._context.unit_rows else 0.0
        return self.dropout

    def _dropped(self, batch: Batch) -> Batch:
        """Batch with a share of its coordinates at 0."""
        return Batch(self._dropout(batch.rows, self._share_dropped), batch.targets)

    def _kernels(self, support: Support, batch: Batch) -> tuple[Any, Any]:
        """Kernel of a batch and the support, and that of the support."""
        return self._steps.kernel(batch.rows, support), self._steps.support_kernel(support)

    def _reweighted(self, support: Support, sample: Sample) -> Sample:
        """Sample with the weights of Huber's loss."""
        K_SS, mu = self._steps.support_kernel(support), float(support["ridge"])
        return huber.reweighted_sample(
            lambda rows: self._steps.kernel(rows, support), K_SS, sample, mu
        )

    # Predictor and scores --------------------------------------------------------------------

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """See `Objective.predictor`; needs `choose` where coefficients are solved for."""
        a, b = support["dual"], support["intercept"]

        def predict(rows: Any) -> Any:
            return torch.addmm(b, self._steps.kernel(rows, support), a)

        return predict

    def temperature(self, support: Support) -> float:
        """See `Objective.temperature`: learnt with cross-entropy."""
        found = support.extra.get("log_temperature")
        return START_TEMPERATURE if found is None else float(found.exp())

    def solve(self, support: Support, sample: Sample) -> None:
        """Set up the label problem; see `Objective.solve`."""
        if self._stage == "solve":
            if self._robust:
                sample = self._reweighted(support, sample)
            self._system = self._label_system(support, sample)
        elif self._stage == "labels":
            K_SS = self._steps.support_kernel(support)
            support.extra["dual"] = cholesky_solve(K_SS, support.labels, self._label_ridge)

    def scores(self, support: Support, held_out: TrainingSet) -> dict[Hashable, float]:
        """See `Objective.scores`; with solved labels there is a choice of ridges."""
        if self._stage == "subspace":
            return {None: -self._nystroem_error(support, held_out)}
        if self._stage == "solve" and self._system is not None:
            return self._ridge_scores(support, held_out, self._system)
        found = super().scores(support, held_out)
        self._held_out_error = 1 - found[None]
        return found

    def _ridge_scores(
        self, support: Support, held_out: TrainingSet, system: LabelSystem
    ) -> dict[Hashable, float]:
        context = self._context
        K = [self._steps.kernel(rows, support) for rows in _blocks(held_out)]
        outputs = {}
        for ridge, (a, b) in zip(self._ridges, system.solve_each(self._ridges), strict=True):
            outputs[ridge] = torch.cat([torch.addmm(b, block, a) for block in K])
        if context.kind == "classes" and not context.several_parts:
            # Which ridge gets a few hundred rows right is chance; their squared error says more.
            fits = {ridge: score(outputs[ridge], held_out, "numbers") for ridge in outputs}
            best = max(fits, key=lambda ridge: fits[ridge])
            outputs = {best: outputs[best]}
        if self._robust:
            return {ridge: huber.absolute_score(F, held_out) for ridge, F in outputs.items()}
        return {ridge: score(found, held_out, context.kind) for ridge, found in outputs.items()}

    def expect(self, score: float) -> None:
        """See `Objective.expect`: the smoothing of labels follows it."""
        self._held_out_error = 1 - score

    def choose(self, support: Support, choice: Hashable) -> None:
        """Coefficients for a ridge, that of the support if None; see `Objective.choose`."""
        if self._stage != "solve" or self._system is None:
            return
        ridge = float(support["ridge"]) if choice is None else float(choice)  # type: ignore[arg-type]
        support.extra["dual"], support.extra["intercept"] = self._system.solve(ridge)
        support.extra["ridge"] = support["ridge"].new_tensor([ridge])

    def _adapt_smoothing(self) -> None:
        """Smooth labels as far as the training error falls short of that on held-out rows.

        Without it rows and coefficients grow until the training rows are all right; where the two
        errors agree (few rows for the problem), smoothing would only cost.
        """
        if self._held_out_error:
            error = 1 - float(self._hits) / self._seen
            self._smoothing = SMOOTHING * max(0.0, 1 - error / self._held_out_error)
        self._hits, self._seen = 0.0, 0

    def _label_system(self, support: Support, sample: Sample) -> LabelSystem:
        if self._moments is not None and sample is self._whole:
            return moments.label_system(self._moments, support.rows)
        K_SS = self._steps.support_kernel(support)
        return label_system(lambda rows: self._steps.kernel(rows, support), K_SS, sample)

    def _nystroem_error(self, support: Support, held_out: TrainingSet) -> float:
        weight = held_out.weight / held_out.weight.sum()
        batch = Batch(held_out.rows.to(support.rows.dtype), None)
        value, _ = self._steps.subspace(
            support, batch, weight.to(support.rows.dtype), self._label_ridge
        )
        return float(value)


def _blocks(data: TrainingSet) -> list[Any]:
    return list(torch.split(data.rows, BLOCK_ROWS))


def _check_every(n_steps: int) -> int:
    """Space looks at held-out rows: a dozen a stage.

    With more of them, patience would end long stages before the learning rate has fallen, which is
    when scores improve most.
    """
    return max(1, n_steps // 12)
