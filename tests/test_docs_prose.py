"""Running text of the README, the first pages and the guide: short, and no figures of its own.

A figure in a sentence comes from a record, by the role ``:record:``; others belong into tables.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not DOCS.exists():
    pytest.skip("the tests run without the source tree", allow_module_level=True)
FIRST = ("index", "getting_started", "faq", "comparison", "glossary", "citing", "benchmarks")
PAGES = [ROOT / "README.md", *(DOCS / f"{name}.rst" for name in FIRST)]
PAGES += sorted((DOCS / "user_guide").glob("*.rst"))
LONGEST = 36  # words of a sentence
VERSIONS = r"Python 3\.\d+( to 3\.\d+)?|scikit-learn \d\.\d+|arXiv:[\d.]+"


def prose(text: str) -> list[str]:
    """Sentences of a page, without code, tables, names and what the record says."""
    text = re.sub(r"```.*?```|^\|.*$|^#+ .*$|!?\[[^]]*\]\([^)]*\)", "", text, flags=re.M | re.S)
    text = re.sub(r":record:`[^`]*`|``[^`]*``|:math:`[^`]*`", "C", text)
    text = re.sub(r":\w+:`([^`<]*)[^`]*`|`[^`]*`_?", "C", text)
    kept, margin = [], None  # margin: the indentation of a directive or of a line before code
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if margin is not None and line.strip() and indent <= margin:
            margin = None
        code = line.lstrip().startswith((">>> ", "... ")) or margin is not None
        kept.append("" if code or line.lstrip().startswith("..") else line)
        if margin is None and re.match(r"\s*\.\. |.*::$", line):
            margin = indent
    text = re.sub(VERSIONS, "", "\n".join(kept))
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d\.) )", text)
    joined = (" ".join(block.split()) for block in blocks)
    return [s for block in joined for s in re.split(r"(?<=[.?!:;])\s+", block) if s]


def figures(sentence: str) -> list[str]:
    """Decimals and errors of a sentence."""
    return re.findall(r"(?<![\w.])\d*\.\d+|±", sentence)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_in_text_come_from_records(page):
    found = [s for s in prose(page.read_text(encoding="utf-8")) if figures(s)]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sentences_are_short(page):
    text = page.read_text(encoding="utf-8")
    assert [s for s in prose(text) if len(s.split()) > LONGEST] == []


def test_figures_are_seen():
    text = (
        "It gains 0.7 ± 0.1 points. See :record:`r; a; b` and ``C=0.1``.\n\n.. math::\n\n   0.5\n"
    )
    assert [figures(s) for s in prose(text)] == [["0.7", "±", "0.1"], []]
    assert prose("Type::\n\n    x = 0.5\n\nThen\nread.") == ["Type::", "Then read."]
