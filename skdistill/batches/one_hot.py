"""One-hot classes that are written down only where they are looked at."""

from __future__ import annotations

from typing import Any

from .. import _torch as torch


class OneHot:
    """One-hot rows of classes, as memory for their codes alone: 8 bytes a row instead of 8 a class.

    Indexing gives a dense tensor, of the rows asked for.

    Parameters
    ----------
    codes : int64 Tensor of shape (n,)
    n_classes : int
    """

    def __init__(self, codes: Any, n_classes: int) -> None:
        self.codes = codes
        self.shape = (len(codes), n_classes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> Any:
        """Dense float64 Tensor (k, n_classes) of the rows at an index or a slice."""
        codes = self.codes[index]
        dense = torch.zeros((len(codes), self.shape[1]), dtype=torch.float64, device=codes.device)
        return dense.scatter_(1, codes[:, None], 1.0)

    def subset(self, index: Any) -> OneHot:
        """Rows at `index`, in the same form: a view for a slice."""
        return OneHot(self.codes[index], self.shape[1])


def targets_at(targets: Any, index: Any) -> Any:
    """Targets of some rows, in the form that all of them have; None without targets."""
    if targets is None:
        return None
    return targets.subset(index) if isinstance(targets, OneHot) else targets[index]
