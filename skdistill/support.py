"""The learnt state: rows, labels, and whatever else the technique learns.

One object is cloned when a better set is found and restored at the end, so that rows never meet
labels or kernel scales of another step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from . import _torch as torch


@dataclass
class Support:
    """Learnt rows and what belongs to them.

    Attributes
    ----------
    rows : Tensor of shape (m, width)
        In the objective's coordinates.
    labels : Tensor of shape (m, q) or None
        Real-valued targets; one-hot where they stand for classes.
    extra : dict of str to Tensor
        Other learnables and results of a technique: kernel scales, dual coefficients, temperature.
    free : int or None
        Leading columns of `rows` that may move; None lets all of them.
    """

    rows: Any
    labels: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    free: int | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Any:
        """Return a learnable by name: "rows", "labels" or a key of `extra`."""
        return getattr(self, name) if name in ("rows", "labels") else self.extra[name]

    def clone(self) -> Support:
        """Copy with memory of its own, without gradients."""
        return self._map(lambda tensor: tensor.detach().clone())

    def to(self, dtype: Any) -> Support:
        """Copy in another float type."""
        return self._map(lambda tensor: tensor.detach().to(dtype, copy=True))

    def is_finite(self) -> bool:
        """Whether every number of it is finite, and so is what stands in it as a logarithm."""
        tensors = [self.rows, *self.extra.values()]
        for name, tensor in self.extra.items():
            if name.startswith("log_"):  # the factor, and what is divided by it
                tensors += [tensor.exp(), tensor.neg().exp()]
        if self.labels is not None:
            tensors.append(self.labels)
        return all(all_finite(tensor) for tensor in tensors)

    def _map(self, change: Any) -> Support:
        labels = None if self.labels is None else change(self.labels)
        extra = {name: change(tensor) for name, tensor in self.extra.items()}
        return Support(change(self.rows), labels, extra, self.free)


def all_finite(tensor: Any) -> bool:
    """Whether every number of a tensor is finite; one pass, since steps ask for many small ones."""
    if not tensor.numel():
        return True
    least, most = torch.aminmax(tensor.detach())  # NaN if there is one
    return math.isfinite(least) and math.isfinite(most)
