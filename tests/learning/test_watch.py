"""Rows that are trained on tell whether all was lost, and take no random number for it."""

from __future__ import annotations

import pytest
import torch

from skdistill.batches.training_set import TrainingSet
from skdistill.learning import watch
from skdistill.learning.watch import Watch
from skdistill.objectives import Objective
from skdistill.support import Support

N = 100


class Told(Objective):
    """Gets a share of the rows right that stands in the support; it draws random numbers."""

    def __init__(self, generator):
        self.generator = generator

    def predictor(self, support):
        right = int(support["right"])

        def outputs(rows):
            torch.rand(3, generator=self.generator)
            place, truth = rows[:, 0], rows[:, 1].long()
            targets = torch.eye(2)[truth]
            return torch.where((place < right)[:, None], targets, 1 - targets)

        return outputs


def collapsed(before, after, ones=50, kind="classes"):
    """Whether it is told for rows right before and after, of 100 with so many of the class 1."""
    truth = (torch.arange(N) % 2 if ones == 50 else torch.arange(N) < ones).long()
    rows = torch.stack([torch.arange(N), truth], 1).float()
    generator = torch.Generator().manual_seed(0)
    data = TrainingSet(rows, torch.eye(2)[truth], torch.ones(N), truth)
    objective, state = Told(generator), generator.get_state()
    found = Watch(data, kind, generator)
    support = Support(rows[:2], None, {"right": torch.tensor([float(before)])})
    assert not found.collapsed(objective, support)  # nothing was seen of a start
    found.start(objective, support)
    support.extra["right"] = torch.tensor([float(after)])
    told = found.collapsed(objective, support)
    assert torch.equal(generator.get_state(), state)
    return told


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(90, 50, True), (90, 95, False), (90, 75, False), (90, 65, True), (60, 50, False)],
)
def test_half_of_what_is_known_beyond_chance_is_lost(before, after, expected):
    assert collapsed(before, after) == expected


def test_a_start_as_good_as_the_most_frequent_class_has_nothing_to_lose():
    assert not collapsed(90, 50, ones=90)


def test_other_targets_are_measured_from_their_mean():
    assert collapsed(98, 80, kind="numbers")  # R2 of .92 and .2
    assert not collapsed(98, 95, kind="numbers")
    assert not collapsed(76, 70, kind="numbers")  # of .04, as good as nothing


def test_a_part_of_many_rows_is_looked_at(monkeypatch):
    monkeypatch.setattr(watch, "SEEN_ROWS", 20)
    assert collapsed(90, 50)
    assert not collapsed(90, 85)
