"""Numbers written as text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdistill.tables.number_text import find_convention, numbers_of_texts, parse_number

numbers = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2)


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("1,163", ".", 1163.0),
        ("1,163", ",", 1.163),
        ("-$1.50", ".", -1.5),
        ("$-1.50", ".", -1.5),
        ("3 %", ".", 3.0),
        ("(20)", ".", -20.0),
        ("1'000", ".", 1000.0),
        ("CHF 5", ".", 5.0),
        ("\u22125", ".", -5.0),
        ("1e5", ".", 1e5),
        ("1.234.567,5", ",", 1234567.5),
    ],
)
def test_cells(text, decimal, number):
    assert parse_number(text, decimal) == number


@pytest.mark.parametrize("text", ["", "%", ",", ".", "12:30", "2020-01-01", "V57", "007", "1,2,3"])
def test_what_is_no_number(text):
    assert parse_number(text, ".") is None


@given(st.lists(numbers, min_size=1), st.sampled_from([("{:,.2f}", ".", ","), ("{:.2f}", ".", "")]))
def test_either_convention_is_read_back(values, form):
    texts = [form[0].format(value) for value in values]
    swapped = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    expected = np.array(values, dtype=np.float64)
    assert find_convention(texts) == "."
    np.testing.assert_array_equal(numbers_of_texts(texts, "."), expected)
    assert find_convention(swapped) == ","
    np.testing.assert_array_equal(numbers_of_texts(swapped, ","), expected)


def test_marks_of_missing_values_among_numbers():
    texts = [str(i / 7) for i in range(19)]
    assert find_convention([*texts, "?"]) == "."
    assert find_convention([*texts, "unknown"]) == "."
    assert find_convention([*texts, "V57", "E12", "E13"]) is None  # codes, not marks
    assert find_convention(["01234", "12345"]) is None  # codes with leading zeros
    assert find_convention(["?", "NA"]) is None
