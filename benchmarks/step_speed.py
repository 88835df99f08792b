"""One training step for the RBF kernel, derived by hand, against plain PyTorch autograd.

Both compute the same loss and the same gradients of one batch, in single precision: the squared
error of ``K a + b``, and its gradients in the rows, a, b and, where it is learnt, the log scale.
Autograd's version is what one would write: squared distances by a matrix product, minus, ``exp``.
The two take turns in one run; medians. The floor is the time of the step's matrix products alone,
two of b x d by d x m and three of b x m by m x q: 4 b d m + 6 b m q flops.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from _report import dot_chart, parser, save

from skdistill.batches.training_set import Batch
from skdistill.objectives._ridge.heads import SquaredError
from skdistill.objectives._ridge.rbf_steps import RBFSteps
from skdistill.support import Support

BATCH, FEATURES, OUTPUTS = 5000, 784, 10
NAMES = ("rows", "dual", "intercept", "log_scale")


def problem(m: int, seed: int) -> tuple[Support, Batch, torch.Tensor]:
    """Random rows of typical length 1, a support near some of them, weights of the batch."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(BATCH, FEATURES, generator=generator) / FEATURES**0.5
    targets = torch.eye(OUTPUTS)[torch.randint(OUTPUTS, (BATCH,), generator=generator)]
    V = rows[:m] + 0.1 * torch.randn(m, FEATURES, generator=generator) / FEATURES**0.5
    extra = {
        "log_scale": torch.zeros(1),
        "dual": torch.randn(m, OUTPUTS, generator=generator),
        "intercept": torch.randn(OUTPUTS, generator=generator),
    }
    return Support(V, None, extra), Batch(rows, targets), torch.full((BATCH,), 1 / BATCH)


def by_hand(
    support: Support, batch: Batch, weight: torch.Tensor, learn_scale: bool
) -> Callable[[], dict]:
    """Return the step of `KernelRidge`."""
    steps = RBFSteps(learn_scale)

    def step() -> dict:
        head = SquaredError()
        a, b = support["dual"], support["intercept"]
        return steps.direct(support, a, b, batch, weight, head)

    return step


def by_autograd(
    support: Support, batch: Batch, weight: torch.Tensor, learn_scale: bool
) -> Callable[[], dict]:
    """Return the same step in plain PyTorch; a scale that is fixed is 1 and left out."""
    names = NAMES if learn_scale else NAMES[:3]

    def step() -> dict:
        learnt = [support[name].detach().requires_grad_() for name in names]
        V, a, b = learnt[:3]
        U = batch.rows * learnt[3].exp() if learn_scale else batch.rows
        distance = (U * U).sum(1)[:, None] + (V * V).sum(1)[None] - 2 * U @ V.T
        F = torch.exp(-distance.clamp(min=0)) @ a + b
        loss = 0.5 * (weight @ (F - batch.targets).square()).sum()
        return dict(zip(names, torch.autograd.grad(loss, learnt), strict=True))

    return step


def products(support: Support, batch: Batch, weight: torch.Tensor) -> Callable[[], None]:
    """Return the products of the step alone, into memory that is there already."""
    K = torch.empty(BATCH, len(support))
    V, a = support.rows, support["dual"]
    like_V, like_a, like_F = torch.empty_like(V), torch.empty_like(a), torch.empty(BATCH, OUTPUTS)

    def step() -> None:
        torch.mm(batch.rows, V.T, out=K)
        torch.mm(K, a, out=like_F)
        torch.mm(K.T, like_F, out=like_a)
        torch.mm(like_F, a.T, out=K)
        torch.mm(K.T, batch.rows, out=like_V)

    return step


def check(ours: dict, theirs: dict) -> None:
    """Raise an error where the gradients differ by more than rounding."""
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-5)


def milliseconds(steps: list[Callable[[], object]], budget: float) -> np.ndarray:
    """Take steps in turn for `budget` seconds, at least five times; times (repeats, steps)."""
    times: list[list[float]] = []
    end = time.perf_counter() + budget
    while len(times) < 5 or time.perf_counter() < end:
        found = []
        for step in steps:
            began = time.perf_counter()
            step()
            found.append(1000 * (time.perf_counter() - began))
        times.append(found)
    return np.array(times)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--budget", type=float, default=6, help="seconds a case (default 6)")
    args = options.parse_args()
    rows, values = [], {}
    for learn_scale in (True, False):
        scale = "learnt" if learn_scale else "fixed"
        for m in (10, 100, 500):
            case = problem(m, seed=0)
            ours, theirs = by_hand(*case, learn_scale), by_autograd(*case, learn_scale)
            check(ours(), theirs())  # and warms up
            times = milliseconds([ours, theirs, products(*case)], args.budget)
            median = [float(t) for t in np.median(times, axis=0)]
            gain = float(np.median(times[:, 1] / times[:, 0]))
            flops = 4 * BATCH * FEATURES * m + 6 * BATCH * m * OUTPUTS
            rate = flops / median[2] / 1e6
            rows.append([scale, m, *median, gain, median[0] / median[2], f"{rate:.0f}"])
            values[f"m = {m}, scale {scale}"] = {
                name: (value, 0.0)
                for name, value in zip(("by hand", "autograd", "products"), median, strict=True)
            }
    header = ["kernel scale", "m", "by hand, ms", "autograd, ms", "products alone, ms"]
    header += ["autograd / by hand", "by hand / products", "GFLOP/s of the products"]
    settings = {"batch": BATCH, "features": FEATURES, "outputs": OUTPUTS, "budget": args.budget}
    settings["threads"] = torch.get_num_threads()
    figure = dot_chart(values, "milliseconds", "A training step", log=True)
    save("step_speed", args.out, header, rows, settings, figure)


if __name__ == "__main__":
    main()
