"""Dates written as text: what is told at a glance agrees with what is read."""

from __future__ import annotations

from datetime import datetime

import pytest

from skdistill.tables.dates import FORMATS, _Parser

pytest.importorskip("pandas")


@pytest.mark.parametrize(
    "text", ["2020-03-04 05:06 PM", " 4/3/20", "12 Mar 20", "00012", "30.2.20"]
)
def test_the_quick_look_at_one_text_refuses_nothing_that_is_read(text):
    for form in FORMATS:
        parser = _Parser(form)
        assert parser.reads_one(text) or not parser.reads([text])


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_reads_what_it_writes(form):
    text = datetime(2021, 11, 23, 17, 8, 9).strftime(form)
    parser = _Parser(form)
    assert parser.reads_one(text) and parser.reads([text])
