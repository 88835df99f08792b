"""Networks for the steps of a technique: fresh ones each time, or some trained along the way."""

from __future__ import annotations

from typing import Any, Protocol

from ... import _torch as torch
from ...networks import Architecture
from ...networks._architecture import Parameters
from ...optimizers import Adam

ONLINE_RATE = 1e-3
GOLDEN = (5**0.5 - 1) / 2
ONLINE_ROWS = 100  # learnt rows in a step of a network; more rows are gone through in turn


class Pool(Protocol):
    """Where a step gets its networks from."""

    def lend(self, dtype: Any) -> Parameters:
        """Networks for the next step."""

    def update(self, rows: Any, targets: Any) -> None:
        """Train what was lent on rows (m, d) and targets (m, q), if at all."""


class RandomPool:
    """Fresh networks in each step.

    Parameters
    ----------
    architecture : Architecture
    count : int
        Networks in a step.
    generator : torch.Generator
    """

    def __init__(self, architecture: Architecture, count: int, generator: Any) -> None:
        self.architecture, self._count, self._generator = architecture, count, generator

    def lend(self, dtype: Any) -> Parameters:
        """Networks for the next step."""
        return self.architecture.initial(self._count, self._generator, dtype)

    def update(self, rows: Any, targets: Any) -> None:
        """Nothing: they are not used again."""


class TrainedPool:
    """Networks that are trained on the current set, a step whenever they are used, and renewed.

    Parameters
    ----------
    architecture : Architecture
    count : int
        Networks in a step.
    size : int
        Networks of the pool.
    max_updates : int
        Steps after which a network is replaced by a fresh one.
    n_rows : int
        Of the set.
    generator : torch.Generator
    """

    def __init__(
        self,
        architecture: Architecture,
        count: int,
        size: int,
        max_updates: int,
        n_rows: int,
        generator: Any,
    ) -> None:
        self.architecture, self._count, self._generator = architecture, count, generator
        self._max_updates = max_updates
        order = torch.randperm(n_rows, generator=generator, device=generator.device)
        self._parts = order.split(ONLINE_ROWS)
        self._members = [self._fresh() for _ in range(size)]
        # Ages are spread from the start on; else all would be renewed at about the same time.
        self._left = [1 + max_updates * k // size for k in range(size)]
        self._lent: list[int] = []

    def lend(self, dtype: Any) -> Parameters:
        """Networks for the next step, drawn without replacement."""
        device = self._generator.device
        order = torch.randperm(len(self._members), generator=self._generator, device=device)
        self._lent = order[: self._count].tolist()
        lent = [self._members[k][0] for k in self._lent]
        return {name: torch.cat([params[name] for params in lent]).to(dtype) for name in lent[0]}

    def update(self, rows: Any, targets: Any) -> None:
        """Train the networks that were lent by one step; replace those that had their share."""
        for k in self._lent:
            params, optimizer = self._members[k]
            self._step(params, optimizer, self._left[k], rows.float(), targets.float())
            self._left[k] -= 1
            if self._left[k] <= 0:
                self._members[k], self._left[k] = self._fresh(), self._max_updates

    def trained(self, params: Parameters, rows: Any, targets: Any) -> Parameters:
        """Train copies of networks on a set, to ages that are spread as those in the pool."""
        count = len(next(iter(params.values())))
        # Multiples of the golden ratio: any number of networks, counted from the first, is spread.
        ages = [int(self._max_updates * ((k + 1) * GOLDEN % 1)) for k in range(count)]
        params = {name: p.detach().clone() for name, p in params.items()}
        found = {name: p.clone() for name, p in params.items()}
        optimizer = _make_optimizer(params)
        for step in range(max(ages)):
            self._step(params, optimizer, step, rows, targets)
            for k in [k for k, age in enumerate(ages) if age == step + 1]:
                for name, p in params.items():
                    found[name][k] = p[k]
        return found

    def _fresh(self) -> tuple[Parameters, Adam]:
        params = self.architecture.initial(1, self._generator)
        return params, _make_optimizer(params)

    def _step(
        self, params: Parameters, optimizer: Adam, number: int, rows: Any, targets: Any
    ) -> None:
        """Train networks by one step along the squared error, in place."""
        part = self._parts[number % len(self._parts)]
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        with torch.enable_grad():
            outputs = self.architecture.outputs(leaves, rows.detach()[part])
            # A sum over networks: none sees another.
            value = (outputs - targets.detach()[part]).square().sum(2).mean(1).sum()
            gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        optimizer.step(list(gradients), 1.0)


def _make_optimizer(params: Parameters) -> Adam:
    tensors = list(params.values())
    return Adam(tensors, [ONLINE_RATE] * len(tensors), betas=(0.9, 0.999))
