"""Picture of the start page: the score of 200 rows beside that of all rows, from a record.

    python benchmarks/figure_rows.py

reads ``results/learning.json`` and writes ``docs/_static/rows.png``. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend is chosen first

HERE = Path(__file__).parent
NAMES = {
    "california_housing": "California housing",
    "friedman": "Friedman",
    "letter": "letter recognition",
    "digits": "digits",
    "noisy": "noise columns",
    "categories": "mixed columns",
}
KINDS = {
    "uniform, solved labels": ("200 uniform rows", "#8a8f98", "o"),
    "learnt": ("200 learnt rows", "#d95f02", "D"),
}


def points(record: dict) -> dict[str, dict[str, tuple[float, float]]]:
    """Table -> kind of rows -> mean and standard error of the score, budget 200."""
    found: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in NAMES}
    for table, m, how, _, score, *_ in record["rows"]:
        if table in found and m == 200:
            kind = "all rows" if how.startswith("kernel ridge") else how
            found[table][kind] = tuple(score)
    return found


def draw(record: dict) -> plt.Figure:
    """One line a table: uniform rows, learnt rows, all rows."""
    figure, axis = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    for place, (table, scores) in enumerate(reversed(points(record).items())):
        every, learnt = scores["all rows"][0], scores["learnt"][0]
        least = min(value for kind, (value, _) in scores.items() if kind in KINDS)
        axis.plot([least, max(every, learnt)], [place, place], color="#d8dbe0", lw=2, zorder=1)
        axis.plot(every, place, "|", color="#1f4e79", ms=18, mew=3, zorder=2)
        for kind, (_, colour, mark) in KINDS.items():
            mean, error = scores[kind]
            axis.errorbar(mean, place, xerr=error, fmt=mark, color=colour, ms=7, zorder=3)
        axis.text(
            -0.01,
            place,
            NAMES[table],
            transform=axis.get_yaxis_transform(),
            ha="right",
            va="center",
        )
    top = len(NAMES) - 1
    last = points(record)["letter"], top - list(NAMES).index("letter")
    for kind, (label, colour, _) in KINDS.items():
        axis.annotate(
            label,
            (last[0][kind][0], last[1] + 0.22),
            ha="center",
            va="bottom",
            color=colour,
            fontsize=9,
        )
    axis.annotate(
        "all rows",
        (points(record)["california_housing"]["all rows"][0] + 0.012, top + 0.18),
        color="#1f4e79",
        fontsize=9,
        va="bottom",
    )
    axis.set_yticks([])
    axis.set_ylim(-0.6, top + 0.8)
    axis.set_xlabel("score on test rows (accuracy, or R² for numbers), kernel ridge regression")
    axis.spines[["left", "right", "top"]].set_visible(False)
    return figure


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--out", type=Path, default=HERE.parent / "docs" / "_static" / "rows.png")
    out = made.parse_args().out
    record = json.loads((HERE / "results" / "learning.json").read_text(encoding="utf-8"))
    draw(record).savefig(out, dpi=150)


if __name__ == "__main__":
    main()
