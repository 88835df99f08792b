"""PyTorch, imported at the first attribute access.

Importing torch takes longer than the rest of the package together, and users who only load a
distilled set or clone an estimator never need it. Modules write ``from skdistill import _torch as
torch`` and use it as they would use torch itself.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any


def __getattr__(name: str) -> Any:
    import torch

    _watch_forks()
    value = getattr(torch, name)
    globals()[name] = value  # found without this function from now on: steps ask thousands of times
    return value


@cache
def _watch_forks() -> None:
    """Have forked processes work on one core: the threads that share out work are not copied.

    A pool of OpenMP waits for them forever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_work_alone)


def _work_alone() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="openmp")  # scikit-learn's
