"""Merge and reduce by itself: sizes, seeds, what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdistill import DistilledData
from skdistill.streaming.merge_reduce import FAN_IN, Sizes, Stream, Window, in_halves, sizes, union

SIZES = Sizes(block=16, summary=4)


def keep_first(parts, n_rows, seed):
    """Reduction that keeps the weight of all and the rows in front."""
    assert 0 <= seed < 2**32
    part = union(parts)
    kept = (
        part.sample_weight[:n_rows] * part.sample_weight.sum() / part.sample_weight[:n_rows].sum()
    )
    return DistilledData(part.X[:n_rows], None, kept, indices=part.indices[:n_rows])


def chunk_of(values, weight=None):
    return DistilledData(np.asarray(values, float).reshape(-1, 1), None, weight)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12))
def test_result_does_not_depend_on_where_chunks_end(lengths):
    n = sum(lengths)
    whole, cut = Stream(SIZES, 0), Stream(SIZES, 0)
    whole.add(chunk_of(np.arange(n)), keep_first)
    start = 0
    for length in lengths:
        cut.add(chunk_of(np.arange(start, start + length)), keep_first)
        start += length
    assert cut.n_seen == n
    for name in ("X", "sample_weight", "indices"):
        a, b = (
            np.concatenate([getattr(part, name) for part in stream.parts()])
            for stream in (whole, cut)
        )
        np.testing.assert_array_equal(a, b)
    weight = sum(part.sample_weight.sum() for part in cut.parts())
    assert weight == pytest.approx(n)
    indices = np.concatenate([part.indices for part in cut.parts()])
    np.testing.assert_array_equal(np.concatenate([p.X[:, 0] for p in cut.parts()]), indices)


def test_memory_grows_with_the_logarithm():
    stream = Stream(SIZES, 0)
    for start in range(0, 16 * 600, 16):
        stream.add(chunk_of(np.arange(start, start + 16)), keep_first)
    assert stream.done[0] == 600
    assert max(len(level) for level in stream.levels) < FAN_IN
    assert len(stream.levels) <= 1 + np.log(600) / np.log(FAN_IN)


@pytest.mark.parametrize("lengths", [[10], [1, 1], [3, 4, 2], [9, 1], [1, 9]])
def test_halves_hold_all_rows_in_order(lengths):
    whole = chunk_of(np.arange(sum(lengths)))
    ends = np.cumsum(lengths)
    parts = [
        DistilledData(whole.X[end - length : end])
        for end, length in zip(ends, lengths, strict=True)
    ]
    halves = [union(half) for half in in_halves(parts)]
    assert [len(half) for half in halves] == [sum(lengths) // 2, -(-sum(lengths) // 2)]
    np.testing.assert_array_equal(np.concatenate([half.X for half in halves]), whole.X)


def test_a_long_rest_is_reduced_at_the_end():
    sizes_of_many = Sizes(block=80, summary=4)
    for n, lengths in ((79, [79]), (80 + 32, [4, 32]), (80 + 33, [4, 4])):
        stream = Stream(sizes_of_many, 0)
        stream.add(chunk_of(np.arange(n)), keep_first)
        stream.close(keep_first)
        assert [len(part) for part in stream.parts()] == lengths
        assert sum(part.sample_weight.sum() for part in stream.parts()) == pytest.approx(n)


def test_each_reduction_has_a_seed_of_its_own():
    seeds = []

    def note(parts, n_rows, seed):
        seeds.append(seed)
        return keep_first(parts, n_rows, seed)

    stream = Stream(SIZES, 0)
    stream.add(chunk_of(np.arange(16 * 64)), note)
    assert len(seeds) == len(set(seeds)) == 64 + 8 + 1
    other = Stream(SIZES, 0, place=(1,))
    first = seeds[0]
    other.add(chunk_of(np.arange(16)), note)
    assert seeds[-1] != first


def test_rows_without_weight_are_counted_and_dropped():
    stream = Stream(SIZES, 0)
    stream.add(chunk_of(np.arange(5), [0, 1, 0, 2, 0]), keep_first)
    (part,) = stream.parts()
    assert stream.n_seen == 5
    assert part.indices.tolist() == [1, 3]
    stream.add(chunk_of(np.arange(2), [0, 0]), keep_first)
    assert stream.n_seen == 7
    assert len(stream.parts()) == 1


def test_the_caller_may_write_over_a_chunk():
    memory = np.arange(10.0).reshape(-1, 1)
    roomy = Sizes(40, 10)
    for held in (Stream(roomy, 0), Window(roomy, 0, length=2)):
        held.add(DistilledData(memory), keep_first)
        memory[:] = -1
        np.testing.assert_array_equal(np.concatenate([p.X for p in held.parts()])[:, 0], range(10))
        memory[:] = np.arange(10.0).reshape(-1, 1)


def test_many_small_chunks_are_put_together():
    stream = Stream(Sizes(10_000, 100), 0)
    for value in range(500):
        stream.add(chunk_of([value]), keep_first)
    assert len(stream.parts()) < 100
    assert np.concatenate([p.X for p in stream.parts()])[:, 0].tolist() == list(range(500))


def test_a_copy_goes_its_own_way():
    stream = Stream(SIZES, 0)
    stream.add(chunk_of(np.arange(16 * 7 + 3)), keep_first)
    before = [part.indices.tolist() for part in stream.parts()]
    stream.copy().add(chunk_of(np.arange(100)), keep_first)
    assert [part.indices.tolist() for part in stream.parts()] == before
    assert stream.n_seen == 16 * 7 + 3


def test_window_forgets_chunks_and_not_rows():
    window = Window(SIZES, 0, length=2)
    for start, length in ((0, 3), (3, 40), (43, 1)):
        window.add(chunk_of(np.arange(start, start + length)), keep_first)
    assert [part.sample_weight.sum() for part in window.parts()] == [pytest.approx(40), 1]
    assert [part.indices[0] for part in window.parts()] == [3, 43]
    window.add(chunk_of([1.0], [0.0]), keep_first)  # a chunk without weight is one, too
    assert [part.indices[0] for part in window.parts()] == [43]
    assert window.n_seen == 45


def test_blocks_hold_several_times_what_they_are_reduced_to():
    assert sizes(100, 16, 2**15, 2**21) == Sizes(2**15, 1000)
    assert sizes(100, 2**10, 2**15, 2**21) == Sizes(2048, 1000)
    assert sizes(50_000, 4, 2**15, 2**21) == Sizes(100_000, 50_000)
