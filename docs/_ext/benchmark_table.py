"""The directive ``benchmark``: the table that a script in ``benchmarks/`` recorded.

``.. benchmark:: kmeans_quality`` reads ``benchmarks/results/kmeans_quality.json``, shows its table,
offers the record as a csv file, and states the settings and the machine: no figure is copied by
hand. Options:

- ``:picture:`` adds the script's picture; its value is the picture's description;
- ``:stack: NAME`` turns columns "A: b", "A: c" into a column NAME of value A, and columns b and c;
- ``:split:`` makes a table of its own of each value of the first column, without empty columns;
- ``:hide: b, c`` leaves columns to the csv file alone;
- ``:best: b, -c`` prints the largest b (the smallest c) of each group of rows in bold.

A mean is printed to the digits that its standard error leaves. A difference that exceeds two of its
errors, or that the record marks with an arrow, is coloured. The role ``:record:`` prints one cell.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from record_cells import best, figure, flat, is_number, split, stack, text, verdict
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
CAPTIONS = (
    4  # rows of one first cell in the mean, from which it becomes a line of its own above them
)


class Benchmark(SphinxDirective):
    """A recorded table as nodes."""

    required_arguments = 1
    option_spec = {
        "picture": directives.unchanged_required,
        "stack": directives.unchanged_required,
        "split": directives.flag,
        "hide": directives.unchanged_required,
        "best": directives.unchanged_required,
    }

    def run(self):
        """Read the record and build the table."""
        name = self.arguments[0]
        path = RESULTS / f"{name}.json"
        if not path.exists():
            raise self.error(f"{path.name} is missing: run python benchmarks/{name}.py")
        self.env.note_dependency(str(path))
        record = json.loads(path.read_text(encoding="utf-8"))
        header, rows = record["header"], record["rows"]
        if "stack" in self.options:
            header, rows = stack(header, rows, self.options["stack"])
        if "hide" in self.options:
            hidden = [name.strip() for name in self.options["hide"].split(",")]
            kept = [k for k, name in enumerate(header) if name not in hidden]
            header, rows = [header[k] for k in kept], [[row[k] for k in kept] for row in rows]
        parts = split(header, rows) if "split" in self.options else [("", header, rows)]
        wanted = self.options.get("best", "")
        tables = [as_table(*part, best(*part[1:], wanted)) for part in parts]
        note = self.parse_text_to_nodes(StringList([origin(record)], source=str(path)))
        note[0]["classes"].append("benchmark-origin")
        note[0] += [nodes.Text(" "), self.download(name, record)]
        picture = []
        if "picture" in self.options:
            depth = "../" * self.env.docname.count("/")
            uri = f"{depth}../benchmarks/results/{name}.png"
            text = [f".. image:: {uri}", f"   :alt: {self.options['picture']}", "   :width: 100%"]
            picture = self.parse_text_to_nodes(StringList(text, source=str(path)))
        return [*tables, *note, *picture]

    def download(self, name: str, record: dict) -> nodes.Node:
        """Link to the record as a csv file, means and errors in columns of their own."""
        folder = Path(self.env.srcdir) / "generated" / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(flat(record["header"], record["rows"]))
        link = addnodes.download_reference(
            "", "", refdoc=self.env.docname, reftarget=f"/generated/tables/{name}.csv"
        )
        link += nodes.inline("", "Download the table (csv).")
        return link


def as_table(
    caption: str, header: list[str], rows: list[list], bold: set[tuple[int, int]]
) -> nodes.table:
    """Nodes of a table; cells in `bold` (row, column) are the best of their group."""
    groups = [len(list(rows_)) for _, rows_ in itertools.groupby(row[0] for row in rows)]
    captions = len(header) > 3 and len(rows) >= CAPTIONS * len(groups)
    start = 1 if captions else 0
    numeric = [all(is_number(row[k]) for row in rows) for k in range(len(header))]
    group = nodes.tgroup(cols=len(header) - start)
    group += [nodes.colspec(colwidth=1) for _ in header[start:]]
    head, body = nodes.thead(), nodes.tbody()
    names = list(zip(header[start:], numeric[start:], strict=True))
    head += nodes.row("", *(entry(name, ["number"] if n else []) for name, n in names))
    last = None
    for place, row in enumerate(rows):
        if captions and row[0] != last:
            title = entry(text(row[0]), ["group"])
            title["morecols"] = len(header) - 2
            body += nodes.row("", title)
        line = nodes.row()
        for k, value in list(enumerate(row))[start:]:
            repeated = k == 0 and value == last
            classes = ["number"] if numeric[k] else []
            classes += ["words"] if numeric[k] and re.search("[a-z], ", text(value)) else []
            classes += verdict(header[k], value)
            line += entry("" if repeated else text(value), classes, (place, k) in bold)
        last = row[0]
        body += line
    group += [head, body]
    title = [nodes.title("", caption)] if caption else []
    return nodes.table("", *title, group, classes=["benchmark"])


def entry(content: str, classes: list[str], strong: bool = False) -> nodes.entry:
    """One cell."""
    inner = nodes.strong("", content) if strong else nodes.Text(content)
    return nodes.entry("", nodes.paragraph("", "", inner), classes=classes)


def origin(record: dict) -> str:
    """Where the figures come from, in one line."""
    settings = [f"{key} {value}" for key, value in record["settings"].items() if value is not None]
    made_by = record["environment"]
    versions = [f"{key} {made_by[key]}" for key in ("numpy", "scikit-learn", "torch")]
    machine = made_by["gpu"] or f"{made_by['cores']} cores of {made_by['cpu']}"
    script = record.get("script", record["benchmark"])
    return (
        f"``benchmarks/{script}.py``, {', '.join(settings)}; mean ± standard error; {machine}; "
        f"{', '.join(versions)}."
    )


def record_role(name, rawtext, content, lineno, inliner, options=None, context=()):
    """Return a figure for running text: ``:record:`NAME; first cells of a row; column```."""
    try:
        words = figure(RESULTS, content)
    except (OSError, ValueError) as problem:
        message = inliner.reporter.error(f"{rawtext}: {problem}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]
    return [nodes.Text(words)], []


def setup(app):
    """Register the directive and the role."""
    app.add_directive("benchmark", Benchmark)
    app.add_role("record", record_role)
    return {"parallel_read_safe": True}
