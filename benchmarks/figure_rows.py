"""Picture of the start page: the score of boosting against its number of rows, from a record.

    python benchmarks/figure_rows.py

reads ``results/budgets.json`` and writes ``docs/_static/rows.png``. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend is chosen first

HERE = Path(__file__).parent
LINES = {  # column of the record -> label, colour, points of the label above the end of the line
    "all rows": ("all rows", "#1f4e79", 6),
    "AutoDistiller": ("AutoDistiller", "#d95f02", 10),
    "class-balanced uniform rows": ("uniform, equal classes", "#7b6fb0", 2),
    "uniform rows": ("uniform rows", "#6b7078", -6),
}
ERROR = "difference to uniform rows"
Points = list[tuple[int, float, float]]  # rows, score, standard error


def points(record: dict) -> dict[str, dict[str, Points]]:
    """Group of tables -> column -> points; the lines of single tables are left out."""
    found: dict[str, dict[str, Points]] = {}
    for row in record["rows"]:
        cell = dict(zip(record["header"], row, strict=True))
        if " tables: " not in cell["tables"]:
            continue
        group = found.setdefault(cell["tables"], {name: [] for name in LINES})
        for name in LINES:
            error = cell[ERROR][1] if name == "AutoDistiller" else 0.0
            if cell[name] != "":
                group[name].append((cell["rows"], cell[name], error))
    return found


def draw(record: dict) -> plt.Figure:
    """One panel for classes, one for numbers; labels stand at the lines."""
    groups = points(record)
    figure, axes = plt.subplots(
        1, len(groups), figsize=(4.4 * len(groups), 3.9), layout="constrained"
    )
    for axis, (title, group) in zip(axes, groups.items(), strict=True):
        for name, (label, colour, above) in LINES.items():
            if not group[name]:
                continue
            rows, scores, errors = zip(*group[name], strict=True)
            if name == "all rows":
                axis.axhline(scores[0], color=colour, lw=2)
            else:
                bars = errors if any(errors) else None
                axis.errorbar(rows, scores, yerr=bars, fmt="o-", color=colour, ms=5, elinewidth=1)
            axis.annotate(
                label,
                (rows[-1], scores[-1]),
                (9, above),
                textcoords="offset points",
                color=colour,
                va="center",
                fontsize=9,
            )
        number, _, rest = title.partition(" tables: ")
        score, _, kind = rest.partition(", ")
        axis.set(
            xscale="log", title=f"{number} tables of {kind}", xlabel="rows trained on", ylabel=score
        )
        axis.set_xticks(rows, [f"{m:,}" for m in rows])
        axis.minorticks_off()
        axis.set_xlim(rows[0] * 0.85, rows[-1] * 4.4)
        axis.spines[["right", "top"]].set_visible(False)
    return figure


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--out", type=Path, default=HERE.parent / "docs" / "_static" / "rows.png")
    out = made.parse_args().out
    record = json.loads((HERE / "results" / "budgets.json").read_text(encoding="utf-8"))
    draw(record).savefig(out, dpi=150)


if __name__ == "__main__":
    main()
