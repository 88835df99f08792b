"""The contest of candidates: who stays, who wins, and what happens when one fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdistill.selection.contest import (
    Entry,
    gains,
    hold_contest,
    make_entries,
    survivors,
    winner,
)
from skdistill.selection.part import Part, SmallSet, split


def make_part(n=60, codes=None, numbers=None, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    if codes is None and numbers is None:
        codes = np.arange(n) % 2
    y = codes if numbers is None else numbers[:, 0]
    key = np.arange(n).astype(np.uint64)
    return Part(X, y, lambda a: a, np.arange(n), X, codes, numbers, np.ones(n), key, 0)


class Fixed:
    """A candidate that makes its first rows, and a judge that knows how good each candidate is."""

    def __init__(self, name, weights=(False,), error=None):
        self.name, self.weights, self.error = name, weights, error
        self.made = 0

    def make(self, part, budget, rng):
        if self.error is not None:
            raise self.error
        self.made += 1
        which = np.arange(budget)
        small = part.small_set(which, np.ones(budget))
        return SmallSet(self.name, small.features, small.y, small.weight, small.index, which)


class Known:
    takes_weights = True

    def __init__(self, scores, noise=0.0):
        self.scores, self.rng, self.noise = scores, np.random.RandomState(0), noise

    def score(self, small, use_weights, held):
        return self.scores[small.X, use_weights] + self.noise * self.rng.normal()


def contest(candidates, judge, n_rounds=3):
    entries = make_entries(candidates, [judge])
    best = hold_contest(
        make_part(),
        entries,
        [judge],
        10,
        n_rounds=n_rounds,
        held_out=0.2,
        rng=np.random.RandomState(0),
        say=lambda message: None,
    )
    return entries, entries[best]


def test_the_best_wins_and_those_behind_leave():
    candidates = [Fixed("uniform"), *(Fixed(str(i)) for i in range(12))]
    scores = {("uniform", False): 0.5, **{(str(i), False): i / 20 for i in range(12)}}
    entries, best = contest(candidates, Known(scores))
    assert best.candidate.name == "11"
    rounds = [len(entry.scores) for entry in entries]
    assert rounds[0] == 3  # uniform rows stay
    assert rounds[-1] == 3 and rounds[1] == 1


def test_uniform_rows_win_where_the_others_gain_less_than_the_noise():
    candidates = [Fixed("uniform"), Fixed("a"), Fixed("b")]
    flat = {("uniform", False): 0.5, ("a", False): 0.5001, ("b", False): 0.4999}
    assert contest(candidates, Known(flat, noise=0.05), 6)[1].candidate.name == "uniform"
    better = {**flat, ("b", False): 0.9}
    assert contest(candidates, Known(better, noise=0.05), 6)[1].candidate.name == "b"


def test_weights_are_tried_only_where_a_judge_takes_them():
    candidates = [Fixed("uniform"), Fixed("a", (False, True))]
    scores = {("uniform", False): 0.5, ("a", False): 0.4, ("a", True): 0.8}
    entries, best = contest(candidates, judge := Known(scores))
    assert best.use_weights and len(entries) == 3
    assert candidates[1].made == 3  # one set serves both
    judge.takes_weights = False
    assert len(make_entries(candidates, [judge])) == 2


def test_a_candidate_that_fails_leaves_with_its_reason():
    candidates = [Fixed("uniform"), Fixed("a", error=RuntimeError("no such rows\nmore"))]
    entries, best = contest(candidates, Known({("uniform", False): 0.5}))
    assert best.candidate.name == "uniform"
    assert entries[1].reason == "RuntimeError: no such rows"


def test_all_failing_is_an_error_with_every_reason():
    candidates = [Fixed(name, error=RuntimeError(f"no {name}")) for name in ("uniform", "a")]
    with pytest.raises(ValueError, match=r"uniform: RuntimeError: no uniform; a: .*no a"):
        contest(candidates, Known({}))


def test_another_round_of_uniform_rows_is_needed_where_they_fail():
    candidates = [Fixed("uniform", error=RuntimeError("no")), Fixed("a"), Fixed("b")]
    scores = {("a", False): 0.4, ("b", False): 0.8}
    assert contest(candidates, Known(scores))[1].candidate.name == "b"


def test_gains_of_several_judges_count_alike():
    # The second judge's scores are a thousand times as large; each prefers another candidate.
    scores = {"uniform": (0.0, 0.0), "a": (1.0, 0.0), "b": (0.0, 1000.0)}
    entries = [Entry(Fixed(name), False, [np.array(s)] * 2) for name, s in scores.items()]
    gain = gains(entries)
    np.testing.assert_allclose(gain[1], gain[2])
    assert (gain[0] == 0).all() and (gain[1] > 0).all()


def test_survivors_keep_the_first():
    gain = np.array([[0.0], [-3.0], [-1.0], [-2.0]])
    assert_array_equal(survivors(gain, 2), [0, 2])


def test_winner_by_one_round_is_the_best():
    assert winner(np.array([[0.0], [0.2], [0.1]])) == 1
    assert winner(np.array([[0.0], [-0.2], [-0.1]])) == 0


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 99),
)
def test_split_is_alike_in_classes(sizes, share, seed):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    a, b = split(make_part(len(codes), codes), share, np.random.RandomState(seed))
    assert_array_equal(np.sort(np.concatenate([a, b])), np.arange(len(codes)))
    held = np.bincount(codes[b], minlength=len(sizes))
    assert (np.abs(held - share * np.array(sizes)) < 2).all()
    assert (held < np.array(sizes)).all()  # no class is lost to choose from


def test_split_is_alike_in_numbers():
    numbers = np.random.default_rng(0).exponential(size=(1000, 1))
    a, b = split(make_part(1000, None, numbers), 0.2, np.random.RandomState(0))
    assert len(b) == pytest.approx(200, abs=1)
    quantiles = [0.1, 0.5, 0.9]
    found = np.quantile(numbers[b], quantiles) / np.quantile(numbers[a], quantiles)
    np.testing.assert_allclose(found, 1, atol=0.05)
