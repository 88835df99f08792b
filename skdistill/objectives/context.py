"""What a technique is told before training, and what it answers: circumstances and stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Context:
    """What a technique needs to know before training.

    Attributes
    ----------
    kind : {"none", "classes", "multilabel", "numbers"}
        Kind of target.
    n_support, n_features, n_outputs : int
        Learnt rows, their coordinates, outputs of the predictor.
    kernel : Kernel
        On coordinates.
    learn_labels : "auto", "solve" or bool
    learn_kernel : bool
    learning_rate : float
        Distance that a learnt row moves in a step at first, in units of the technique.
    batch_size : int or None
        None leaves it to the technique.
    ridges : tuple of float
        Candidates for the ridge, the first one preferred until held-out rows say otherwise.
    several_parts : bool
        Whether scores are averaged over several held-out parts, each of which must then score all
        choices.
    image_shape : tuple of int or None
        Channels, height and width of rows that are images, of product `n_features`.
    unit_rows : bool
        Whether rows, as the user has them, have many features, few of them 0, and length 1.
    generator : torch.Generator
    device : torch.device
    """

    kind: str
    n_support: int
    n_features: int
    n_outputs: int
    kernel: Any
    generator: Any
    device: Any
    learn_labels: str | bool = "auto"
    learn_kernel: bool = True
    learning_rate: float = 0.12
    batch_size: int | None = None
    ridges: tuple[float, ...] = (1e-7,)
    several_parts: bool = False
    image_shape: tuple[int, int, int] | None = None
    unit_rows: bool = False


@dataclass(frozen=True)
class Stage:
    """A part of training with its own learnables.

    Attributes
    ----------
    name : str
    n_steps : int
    batch_size : int or None
        None: no batches. Each step, like everything else in the stage, sees all rows: `gradients`
        gets a `Sample`, the same object at every step, in place of a batch, and no weights.
    dtype : torch.dtype
        That rows, batch and learnables are in.
    check_every : int
        Steps between two looks at the held-out rows.
    """

    name: str
    n_steps: int
    batch_size: int | None
    dtype: Any
    check_every: int = 100
