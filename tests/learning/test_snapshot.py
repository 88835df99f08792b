"""Snapshots of object graphs: what changed comes back, what is shared stays shared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from skdistill.learning.snapshot import Registry
from skdistill.learning.trainer import Check, Stop, TrainingResult
from skdistill.support import Support


class Root:
    """An object of this package, as far as snapshots can see."""

    __module__ = "skdistill.invented"


def made():
    """The graph as a fit makes it."""
    root = Root()
    root.data = torch.arange(6.0)
    root.moved = torch.zeros(2)
    root.generator = torch.Generator().manual_seed(0)
    root.found = TrainingResult(Support(root.moved), checks=[])
    root.scores, root.best, root.function = {}, None, len
    return root


def changed(root):
    """The graph after some training."""
    root.moved += 3
    root.generator.manual_seed(7)
    torch.rand(5, generator=root.generator)
    root.new = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T
    root.same_as_new = [root.new, (root.new, root.data)]
    root.found.checks.append(Check(0, 50, {1e-7: 0.5, None: float("inf")}))
    root.scores[0, 50] = Support(root.new, extra={"ridge": root.moved})
    root.best = Stop(0, 50, None)
    root.kind = torch.float32
    root.number = np.float64(0.1)
    return root


def through_json(registry):
    tree, arrays = registry.freeze()
    return json.loads(json.dumps(tree)), arrays


def test_state_comes_back_in_objects_made_anew():
    before = made()
    registry = Registry([before])
    changed(before)
    tree, arrays = through_json(registry)
    root = made()
    moved, result = root.moved, root.found
    Registry([root]).thaw(tree, arrays)
    assert root.moved is moved and root.found is result  # who holds them sees the change
    assert root.moved.tolist() == [3, 3]
    assert root.same_as_new[0] is root.new
    assert root.same_as_new[1][0] is root.new and root.same_as_new[1][1] is root.data
    assert root.new.stride() == before.new.stride() and torch.equal(root.new, before.new)
    assert root.found.support.rows is root.moved
    assert root.found.checks == before.found.checks
    assert isinstance(root.found.checks[0], Check)
    assert root.scores[0, 50].extra["ridge"] is root.moved
    assert root.best == Stop(0, 50, None) and root.kind is torch.float32
    assert root.number == 0.1 and root.function is len
    assert torch.rand(3, generator=root.generator).tolist() == (
        torch.rand(3, generator=before.generator).tolist()
    )


def test_what_stays_as_it_was_made_is_not_written():
    root = made()
    registry = Registry([root])
    root.moved += 1
    _, arrays = registry.freeze()
    assert sorted(a.shape for a in arrays.values() if a.dtype == np.float32) == [(2,)]


def test_what_cannot_be_written_down():
    root = made()
    registry = Registry([root])
    root.new = torch.nn.Linear(1, 1)
    with pytest.raises(TypeError, match="Linear cannot be written down"):
        registry.freeze()


@pytest.mark.parametrize("kind", ["object", "tuple"])
@pytest.mark.parametrize(
    "name",
    [
        "subprocess:Popen",
        "skdistill._input.frames:np.f2py.subprocess.Popen",
        "skdistill.learning.snapshot:np.ndarray",
    ],
)
def test_no_other_class_is_made(kind, name):
    registry = Registry([made()])
    with pytest.raises(ValueError, match="no class of this package"):
        registry.thaw([[0, None, kind, name, []]], {})
    with pytest.raises(ValueError, match="no type of numbers"):
        registry.thaw([["dtype", "load"]], {})
