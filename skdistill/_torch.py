"""PyTorch, imported at the first attribute access.

Importing torch takes longer than the rest of the package together, and users who only load a
distilled set or clone an estimator never need it. Modules write ``from skdistill import _torch as
torch`` and use it as they would use torch itself.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import torch

    return getattr(torch, name)
