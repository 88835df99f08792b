"""Problems so small that loops over rows, layers and networks can be written out in tests."""

from __future__ import annotations

from typing import Any

import torch

from skdistill.kernels import Kernel
from skdistill.networks import MLP, ConvFeatures, ConvNet
from skdistill.objectives import Batch, Context

CPU = torch.device("cpu")
F64 = torch.float64
IMAGE = (1, 4, 6)
WIDTH = 24  # features: those of an image
# Smooth, so that differences give gradients.
NETWORKS = {"mlp": MLP(9, activation="tanh"), "convnet": ConvNet(4, activation="tanh")}


def generator(seed: int = 0, device: Any = "cpu") -> torch.Generator:
    """Random numbers of a seed."""
    return torch.Generator(device=device).manual_seed(seed)


def linear_module(input_shape: tuple[int, ...], n_outputs: int) -> torch.nn.Module:
    """Features are 9 linear maps of the row."""
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(WIDTH, 9, bias=False),
        torch.nn.Linear(9, n_outputs),
    )


def small_context(
    network: Any, kind: str = "classes", q: int = 3, m: int = 6, **changes
) -> Context:
    """Circumstances of a technique over networks; rows are images where the network wants them."""
    image = IMAGE if isinstance(network, ConvNet | ConvFeatures) else None
    kernel = Kernel("rbf", 1.0)
    return Context(kind, m, WIDTH, q, kernel, generator(), CPU, image_shape=image, **changes)


def small_batch(q: int = 3) -> tuple[Batch, torch.Tensor]:
    """40 rows in float64 with one-hot classes, of which the first is frequent, and weights."""
    g = generator(1)
    rows = torch.randn(40, WIDTH, generator=g, dtype=F64)
    codes = torch.randint(2 * q, (40,), generator=g) % (q + 1) % q
    weights = torch.rand(40, generator=g, dtype=F64)
    return Batch(rows, torch.eye(q, dtype=F64)[codes]), weights


def small_start(q: int = 3, m: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (m, 24) to learn in float64, and one-hot classes (m, q) in turn."""
    rows = torch.randn(m, WIDTH, generator=generator(3), dtype=F64)
    return rows, torch.eye(q, dtype=F64)[torch.arange(m) % q]
