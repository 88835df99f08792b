"""The directive ``changelog``: CHANGELOG.md as a page.

It knows the little Markdown that the file uses: headings, lists, code and links.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


class Changelog(SphinxDirective):
    """The sections of the changelog below the page's title."""

    def run(self):
        """Parse the file."""
        self.env.note_dependency(str(CHANGELOG))
        lines = as_rst(CHANGELOG.read_text(encoding="utf-8")).splitlines()
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(
            StringList(lines, source=str(CHANGELOG)), 0, holder, match_titles=True
        )
        return holder.children


def as_rst(text: str) -> str:
    """ReStructuredText of the changelog without its title."""
    text = re.sub(r"\A# .*\n", "", text)
    text = re.sub(r"\[([^\]]+)\]\((http[^)]+)\)", r"\1 (\2)", text)
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)
    lines = []
    for line in text.splitlines():
        heading = re.match(r"(##+) (.*)", line)
        if heading:
            title = heading.group(2).strip("[]")
            lines += [title, ("-" if len(heading.group(1)) == 2 else "~") * len(title)]
        else:
            lines.append(line)
    return "\n".join(lines)


def setup(app):
    """Register the directive."""
    app.add_directive("changelog", Changelog)
    return {"parallel_read_safe": True}
