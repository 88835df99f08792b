"""What techniques share whose loss is taken after several steps of a network on the learnt rows."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from ... import _torch as torch
from ..._device import free_memory
from ...batches.training_set import Batch
from ...networks._architecture import Parameters
from ...networks.augmentation import draw_seed
from ...support import Support
from ..context import Context, Stage
from .network_technique import NetworkTechnique
from .students import Plan, Step, gradients_by_steps, unrolled_loss

KEPT, KEPT_SHARE = 2**30, 0.5  # bytes of activations on a CPU; of a GPU's free memory
LOG_RATE = 0.4  # of learning_rate: the step of the logarithm of the step size


class StudentTechnique(NetworkTechnique):
    """Base of techniques whose students have a step size, learnt or given, and a plan each."""

    batch_syn: int | None
    lr_init: float
    learn_lr: bool
    recompute: bool | str

    def setup(self, context: Context) -> None:
        """Check what is common; see `Objective.setup`."""
        super().setup(context)
        if not (isinstance(self.recompute, bool) or self.recompute == "auto"):
            raise ValueError(
                f"recompute={self.recompute!r} of {type(self).__name__} must be True, False or "
                "'auto'."
            )
        if context.n_outputs < 2:
            raise ValueError(
                f"y has one class, but the networks of {type(self).__name__} learn to tell classes "
                "apart; use objective='distribution_matching', which takes one class."
            )
        # On the CPU: what to do next must not wait for a device.
        self._random = torch.Generator().manual_seed(draw_seed(context.generator))

    @abstractmethod
    def _plan(self, support: Support, batch: Any = None, weights: Any = None) -> Plan:
        """Draw what the student of a step is to do."""

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """See `Objective.start`; the step size is learnt with the rows."""
        support = super().start(rows, labels)
        support.extra["log_rate"] = rows.new_tensor(math.log(self.lr_init))
        return support

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """See `Objective.rates`."""
        rates = super().rates(stage, support)
        if self.learn_lr:
            rates["log_rate"] = LOG_RATE * self._context.learning_rate
        return rates

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Loss of where a student arrives; see `Objective.batch_loss`."""
        rate, inner = support["log_rate"].exp(), self._inner_loss(support.labels)
        return unrolled_loss(inner, support.rows, rate, self._plan(support, batch, weights))

    def gradients(
        self, support: Support, batch: Any, weights: Any, names: list[str]
    ) -> tuple[Any, list[Any]]:
        """Loss and its gradients; see `Objective.gradients`."""
        rate, inner = support["log_rate"].exp(), self._inner_loss(support.labels)
        plan = self._plan(support, batch, weights)
        budget = 0 if self.recompute else math.inf
        if self.recompute == "auto":
            device = support.rows.device
            budget = KEPT if device.type == "cpu" else KEPT_SHARE * free_memory(device)
        value, of_rows, of_rate = gradients_by_steps(inner, support.rows, rate, plan, budget)
        found = {"rows": of_rows, "log_rate": rate * of_rate}
        return value, [found[name] for name in names]

    def learnt_parameters(self, support: Support) -> dict[str, Any]:
        """Return the step size; see `Objective.learnt_parameters`."""
        return {"lr_init": float(support["log_rate"].exp())} if self.learn_lr else {}

    def make_estimator(
        self, kind: str, image_shape: tuple[int, int, int] | None, device: str, seed: int
    ) -> Any:
        """Return networks trained with the learnt step size; see `Objective.make_estimator`."""
        estimator = super().make_estimator(kind, image_shape, device, seed)
        return None if estimator is None else estimator.set_params(learning_rate=self.lr_init)

    def _draw_steps(self, support: Support, count: int) -> list[Step]:
        """Draw learnt rows of each step, a pass over all of them after another, and operations."""
        m, steps = len(support), list[Step]()
        size = m if self.batch_syn is None else min(self.batch_syn, m)
        while len(steps) < count:
            parts: Any = [None]
            if size < m:
                order = torch.randperm(m, generator=self._random)
                parts = order.to(support.rows.device, non_blocking=True).split(size)
            for index in parts:
                own = m if index is None else len(index)
                draw = None if self._augmentation is None else self._augmentation.draw(own)
                steps.append((index, draw))
        return steps[:count]

    def _inner_loss(self, labels: Any) -> Callable[[Parameters, Any, Step], Any]:
        """Mean cross-entropy of a student, as a function of its parameters, rows and the step."""

        def inner(params: Parameters, rows: Any, step: Step) -> Any:
            index, draw = step
            targets = labels
            if index is not None:
                rows, targets = rows[index], labels[index]
            if self._augmentation is not None:
                rows = self._augmentation(rows, draw)
            log_p = torch.log_softmax(self._architecture.outputs(params, rows)[0], 1)
            return -(targets * log_p).sum(1).mean()

        return inner

    def _check_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 < float(value) < math.inf):
                raise ValueError(
                    f"{name}={value!r} of {type(self).__name__} must be a positive number."
                )

    def _check_integers(self, least: dict[str, int], or_none: tuple[str, ...] = ()) -> None:
        for name, lowest in least.items():
            value = getattr(self, name)
            if name in or_none and value is None:
                continue
            if not (isinstance(value, Integral) and int(value) >= lowest):
                raise ValueError(
                    f"{name}={value!r} of {type(self).__name__} must be an integer >= {lowest}"
                    f"{', or None' if name in or_none else ''}."
                )
