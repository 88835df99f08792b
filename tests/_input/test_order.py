"""Orders by packed words are those of a lexicographic sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdistill._input.order import one_of_each_stretch, order_by, order_of_hashes


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 64), st.sampled_from([1, 4, 64])
)
def test_order_is_that_of_words_then_keys_then_positions(seed, n, n_bits, key_bits):
    rng = np.random.default_rng(seed)
    word = rng.integers(0, 2**n_bits, n, dtype=np.uint64)
    if seed % 2:
        word[rng.integers(0, n, n // 2)] = word[0]  # ties, more than a quarter of them at times
    key = rng.integers(0, 2**key_bits, n, dtype=np.uint64)
    place = np.arange(n)
    np.testing.assert_array_equal(order_by(word, n_bits), np.lexsort((place, word)))
    np.testing.assert_array_equal(order_by(word, n_bits, key), np.lexsort((place, key, word)))
    np.testing.assert_array_equal(order_of_hashes(key), np.argsort(key, kind="stable"))


@pytest.mark.parametrize(("n", "n_chosen"), [(10, 10), (1000, 7), (2**20, 2**13)])
def test_one_row_of_each_stretch(n, n_chosen):
    chosen = one_of_each_stretch(n, n_chosen, np.random.RandomState(0))
    assert len(np.unique(chosen)) == n_chosen
    np.testing.assert_array_equal(chosen * n_chosen // n, np.arange(n_chosen))
