"""The directive ``benchmark``: the table that a script in ``benchmarks/`` recorded.

``.. benchmark:: kmeans_quality`` reads ``benchmarks/results/kmeans_quality.json`` and states the
settings and the machine below the table, so that no figure is copied by hand. The option
``:picture:`` adds the script's picture; its value is the picture's description.
"""

from __future__ import annotations

import json
from pathlib import Path

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


class Benchmark(SphinxDirective):
    """A recorded table as reStructuredText."""

    required_arguments = 1
    option_spec = {"picture": directives.unchanged_required}

    def run(self):
        """Read the record and parse it as a list-table."""
        name = self.arguments[0]
        path = RESULTS / f"{name}.json"
        if not path.exists():
            raise self.error(f"{path.name} is missing: run python benchmarks/{name}.py")
        self.env.note_dependency(str(path))
        record = json.loads(path.read_text(encoding="utf-8"))
        lines = [".. list-table::", "   :header-rows: 1", "   :class: benchmark", ""]
        last = None
        for row in [record["header"], *record["rows"]]:
            first = "" if row[0] == last else cell(row[0])
            last = row[0]
            lines += [f"   * - {first}", *(f"     - {cell(value)}" for value in row[1:])]
        lines += ["", origin(record), ""]
        if "picture" in self.options:
            depth = "../" * self.env.docname.count("/")
            lines += [f".. image:: {depth}../benchmarks/results/{name}.png"]
            lines += [f"   :alt: {self.options['picture']}", ""]
        return self.parse_text_to_nodes(StringList(lines, source=str(path)))


def cell(value) -> str:
    """Text of one cell; a pair is a mean and its standard error."""
    if isinstance(value, list):
        error = f" ± {value[1]:.1g}" if value[1] else ""  # none of a single value
        return f"{value[0]:.3g}{error}"
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return f"… {text.strip()}" if text.startswith(" ") else text


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


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True}
