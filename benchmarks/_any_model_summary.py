"""Tables and picture of `any_model.py`, from the scores that it kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from _report import as_table, mean_and_error, plt, save
from _tables import DEVELOPMENT, TABLES

FLOOR = 0.01  # of the loss of uniform rows, in units of the score
METRICS = ("balanced", "accuracy", "log_loss")
LABELS = {"balanced": "balanced accuracy, R²", "accuracy": "accuracy", "log_loss": "log loss"}
IN_TABLES = {  # methods that have a column in the table of tables
    "balanced": "balanced uniform",
    "systematic": "systematic",
    "medoids": "medoids",
    "medoids-balanced": "balanced medoids",
    "agglomerative": "agglomerative",
    "auto-alone": "AutoDistiller alone",
    "auto": "AutoDistiller inside",
}
Found = dict[tuple, list]  # (table, size, method, model, seed) -> scores, seconds, rows


@dataclass(frozen=True)
class Cell:
    """A table and a model under one method, from the seeds that all three scores are known for."""

    table: str
    regret: float
    sure: bool  # uniform rows lose more than chance and more than the floor
    floored: bool
    gain: tuple[float, float]  # over uniform rows, paired: mean and standard error

    def below(self, errors: int) -> bool:
        """Tell whether it lies below uniform rows by more than so many standard errors."""
        mean, error = self.gain
        return error > 0 and mean < -errors * error


def score(values: list | None, metric: str, numbers: bool) -> float | None:
    """Score of kept values; None where it is not known, or the method failed."""
    if values is None or isinstance(values[0], str) or (numbers and metric != METRICS[0]):
        return None
    return values[METRICS.index(metric)]


def cells_of(found: Found, size: str, method: str, metric: str, args) -> list[Cell]:
    """Cells of a method at a size."""
    cells = []
    for table in args.tables:
        numbers = TABLES[table].numbers
        for model in args.models:
            rows = []
            for seed in range(args.seeds):
                three = [("all", "all"), (size, "uniform"), (size, method)]
                keys = [(table, *pair, model, seed) for pair in three]
                rows.append([score(found.get(key), metric, numbers) for key in keys])
            known = np.array([row for row in rows if None not in row], float)
            if len(known):
                cells.append(_cell(table, *known.T))
    return cells


def _cell(table: str, everything: np.ndarray, uniform: np.ndarray, own: np.ndarray) -> Cell:
    loss, error = mean_and_error(everything - uniform)
    regret = (everything - own).mean() / max(loss, FLOOR)
    return Cell(
        table,
        float(np.clip(regret, -1, 2)),
        sure=loss > max(2 * error, FLOOR),
        floored=loss < FLOOR,
        gain=mean_and_error(own - uniform),
    )


def per_table(cells: list[Cell]) -> dict[str, float]:
    """Mean regret of each table over its models."""
    tables = dict.fromkeys(cell.table for cell in cells)
    return {t: float(np.mean([c.regret for c in cells if c.table == t])) for t in tables}


def plain_name(method: str) -> str:
    """Name without the score that a method is made for."""
    return method.split(":")[0]


def methods_for(metric: str, args) -> list[str]:
    """Methods that are judged by a score."""
    return [m for m in args.methods if ":" not in m or m.endswith(f":{metric}")]


def summary(found: Found, titles: dict[str, str], args) -> list[list]:
    """Rows of the table: one for each size, score and method."""
    table = []
    for size in (s for s in args.sizes if s != "10-a-class"):
        for metric in args.scores:
            for method in methods_for(metric, args):
                cells = cells_of(found, size, method, metric, args)
                if not cells:
                    continue
                means = per_table(cells)
                parts = [
                    [v for t, v in means.items() if t in DEVELOPMENT],
                    [v for t, v in means.items() if t not in DEVELOPMENT],
                    list(means.values()),
                    [v for t, v in means.items() if not TABLES[t].numbers],
                    [v for t, v in means.items() if TABLES[t].numbers],
                ]
                worst = max(means, key=lambda t: means[t])
                sure = [cell.regret for cell in cells if cell.sure]
                made = [
                    v[-2]
                    for k, v in found.items()
                    if k[1:3] == (size, method)
                    and k[0] in args.tables
                    and not isinstance(v[0], str)
                ]
                table.append(
                    [
                        f"{size}, {LABELS[metric]}",
                        titles[method],
                        *(mean_and_error(part) if part else "" for part in parts[:2]),
                        mean_and_error(parts[2]) if parts[0] and parts[1] else "",
                        *(mean_and_error(part) if part else "" for part in parts[3:]),
                        f"{means[worst]:.2f} {worst}",
                        float(np.mean(sure)) if sure and args.seeds > 1 else "",
                        f"{len(cells)} ({sum(cell.floored for cell in cells)})",
                        f"{sum(c.below(1) for c in cells)} ({sum(c.below(2) for c in cells)})"
                        if args.seeds > 1
                        else "",
                        float(np.mean(made)),
                    ]
                )
    return table


HEADER = [
    "rows, score",
    "small set",
    "development tables",
    "held-out tables",
    "all tables",
    "tables of classes",
    "tables of numbers",
    "worst table",
    "sure cells",
    "cells (floored)",
    "below uniform by 1 (2) errors",
    "CPU s a set",
]


def by_table(found: Found, titles: dict[str, str], args, size: str = "200") -> tuple[list, list]:
    """Header and rows of the regrets of each table at one size."""
    methods = methods_for(METRICS[0], args)
    regrets = {m: per_table(cells_of(found, size, m, METRICS[0], args)) for m in methods}
    methods = [m for m in methods if regrets[m] and plain_name(m) in IN_TABLES]
    rows = []
    for table in args.tables:
        if any(table in regrets[m] for m in methods):
            half = "development" if table in DEVELOPMENT else "held out"
            half = half if any(t in DEVELOPMENT for t in args.tables) else ""
            rows.append([table, half, *(regrets[m].get(table, "") for m in methods)])
    return ["table", "half", *(IN_TABLES[plain_name(m)] for m in methods)], rows


def without_empty(header: list, rows: list[list]) -> tuple[list, list]:
    """Columns that say something."""
    kept = [i for i in range(len(header)) if any(row[i] != "" for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def tdbench(found: Found, titles: dict[str, str], args) -> list[list]:
    """Rows of TDBench's measure: regret against ten random rows a class, equal shares."""
    rows = []
    for size in ("10-a-class", "20-a-class", "100-a-class"):
        for method in methods_for(METRICS[0], args):
            regrets = []
            for table, model in ((t, m) for t in args.tables for m in args.models):
                if TABLES[table].numbers:
                    continue
                three = [("all", "all"), ("10-a-class", "balanced"), (size, method)]
                found_here = [
                    [
                        score(found.get((table, *pair, model, seed)), METRICS[0], False)
                        for pair in three
                    ]
                    for seed in range(args.seeds)
                ]
                known = np.array([row for row in found_here if None not in row], float)
                if len(known):
                    everything, random, own = known.mean(0)
                    if everything - random > FLOOR:
                        regrets.append((everything - own) / (everything - random))
            if regrets:
                quartiles = np.percentile(regrets, [25, 50, 75])
                rows.append([size, titles[method], *map(float, quartiles), len(regrets)])
    return rows


def failures(found: Found, titles: dict[str, str], args) -> list[list]:
    """Rows of the failures: which, how many, and the first message."""
    known: dict[str, list[str]] = {}
    for (_table, _size, method, _model, _seed), values in found.items():
        if isinstance(values[0], str):
            known.setdefault(method, []).append(values[0])
    return [[titles.get(m, m), len(texts), texts[0]] for m, texts in known.items()]


def picture(found: Found, titles: dict[str, str], args, size: str = "200") -> Any:
    """Regret of each method: a dot a table, the mean as a bar.

    Tables of classes and of numbers are apart, since some methods are for classes alone.
    """
    methods = methods_for(METRICS[0], args)
    regrets = {m: per_table(cells_of(found, size, m, METRICS[0], args)) for m in methods}
    shown = sorted((m for m in methods if regrets[m]), key=lambda m: -_mean(regrets[m], False))
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(10, 0.36 * len(shown) + 1.5))
    for axis, numbers in zip(axes, (False, True), strict=True):
        for place, method in enumerate(shown):
            for half, colour in ((True, "C0"), (False, "C1")):
                here = [
                    value
                    for table, value in regrets[method].items()
                    if (table in DEVELOPMENT, TABLES[table].numbers) == (half, numbers)
                ]
                axis.plot(here, np.full(len(here), place), "o", ms=4, alpha=0.6, color=colour)
            mean = _mean(regrets[method], numbers)
            axis.plot([mean] * 2, [place - 0.35, place + 0.35], color="k", lw=2.5)
        axis.axvline(0, color="0.6", zorder=0)
        axis.axvline(1, color="0.6", ls="--", zorder=0)
        axis.set_title(
            "tables of numbers, R²" if numbers else "tables of classes, balanced accuracy"
        )
        axis.set_xlabel("relative regret")
    axes[0].set_yticks(range(len(shown)), [titles[m] for m in shown], fontsize=8)
    figure.suptitle(
        f"{size} rows; 0: as good as all rows, 1: as stratified uniform rows; bar: mean"
        + ("; blue: development" if any(table in DEVELOPMENT for table in args.tables) else "")
    )
    figure.tight_layout()
    return figure


def _mean(values: dict[str, float], numbers: bool) -> float:
    here = [value for table, value in values.items() if TABLES[table].numbers == numbers]
    return float(np.mean(here)) if here else np.nan


def report(found: Found, titles: dict[str, str], args) -> None:
    """Print the tables; with `--record` write them, and the picture."""
    settings = {
        "seeds": args.seeds,
        "tables": len({key[0] for key in found if key[0] in args.tables}),
        "models": ", ".join(args.models),
    }
    parts = {
        "any_model": (HEADER, summary(found, titles, args)),
        "any_model_tables": by_table(found, titles, args),
        "any_model_tdbench": (
            ["rows", "small set", "lower quartile", "median", "upper quartile", "cells"],
            tdbench(found, titles, args),
        ),
    }
    if "balanced" not in args.scores:  # tables by name and picture are of that score
        parts = {"any_model_scores": parts["any_model"]}
    elif "200" not in args.sizes:
        parts["any_model_sizes"] = parts.pop("any_model")
        del parts["any_model_tables"]
    failed = failures(found, titles, args)
    for name, (header, rows) in parts.items():
        if not rows:
            continue
        header, rows = without_empty(header, rows)
        print(f"\n{name}")
        if args.record:
            figure = picture(found, titles, args) if name == "any_model" else None
            save(name, args.out, header, rows, settings, figure, script="any_model")
        else:
            print(as_table(header, rows))
    if failed:
        print("\nfailures\n" + as_table(["small set", "cells", "first message"], failed))
