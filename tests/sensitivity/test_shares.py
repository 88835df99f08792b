"""How a budget is shared among classes: met to within one row, whatever their sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdistill.sensitivity.shares import CLASS_SHARES, class_budgets, class_shares


@pytest.mark.parametrize(
    ("weight", "budget", "class_share", "expected"),
    [
        ([60, 30, 10], 10, "proportional", [6, 3, 1]),
        ([60, 30, 10], 9, "balanced", [3, 3, 3]),
        ([60, 30, 10], 10, "balanced", [4, 3, 3]),
        ([90, 10], 40, "sqrt", [30, 10]),
        ([1e6, 1, 1], 5, "proportional", [3, 1, 1]),
        ([1, 1, 1], 3, "proportional", [1, 1, 1]),
        ([1, 1, 8], 10, {0: 5, 1: 3, 2: 2}, [5, 3, 2]),
        ([1, 1, 8], 20, {2: 0.2, 1: 0.3, 0: 0.5}, [10, 6, 4]),
    ],
)
def test_class_budgets(weight, budget, class_share, expected):
    share = class_shares(class_share, np.array(weight, dtype=float))
    assert share.sum() == pytest.approx(1)
    assert class_budgets(share, budget).tolist() == expected


@given(st.data())
def test_shares_are_met_to_within_one_row(data):
    weight = np.array(data.draw(st.lists(st.floats(0.01, 1000), min_size=1, max_size=8)))
    budget = data.draw(st.integers(len(weight), 300))
    share = class_shares(data.draw(st.sampled_from(CLASS_SHARES)), weight)
    counts = class_budgets(share, budget)
    assert counts.sum() == budget
    assert (counts >= 1).all()
    if (share * budget >= 1).all():  # no class was raised at the cost of the others
        assert (np.abs(counts - share * budget) < 1 + 1e-6).all()


@given(st.data())
def test_small_classes_give_all_their_rows_and_the_others_share_the_rest(data):
    size = np.array(data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=8)))
    budget = data.draw(st.integers(len(size), int(size.sum())))
    share = class_shares(data.draw(st.sampled_from(CLASS_SHARES)), size.astype(float))
    counts = class_budgets(share, budget, size)
    assert counts.sum() == budget
    assert (counts >= 1).all()
    assert (counts <= size).all()
    free = counts < size
    # What a class that is not used up has, beyond the first row, is in proportion to its share.
    ratio = counts[free] / share[free]
    wide = counts[free] > 1
    if wide.sum() > 1:
        a, b = ratio[wide].argmin(), ratio[wide].argmax()
        given, parts = counts[free][wide], share[free][wide]
        assert given[b] - 2 <= parts[b] / parts[a] * (given[a] + 1)


def test_fewer_rows_than_classes():
    with pytest.raises(ValueError, match="n_samples=2 is fewer than the 3 classes"):
        class_budgets(np.full(3, 1 / 3), 2)


@pytest.mark.parametrize(
    ("class_share", "message"),
    [
        ({"a": 1}, r"has no share for \['b'\]"),
        ({"a": 1, "b": 1, "c": 1}, r"names \['c'\]"),
        ({"a": 1, "b": 0}, "must give each class a positive number"),
        ({"a": 1, "b": float("nan")}, "must give each class a positive number"),
    ],
)
def test_wrong_mappings(class_share, message):
    with pytest.raises(ValueError, match=message):
        class_shares(class_share, np.ones(2), np.array(["a", "b"]))
