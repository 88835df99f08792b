"""What all benchmarks share: data, environment, the table they print and the files they write."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib
import matplotlib
import numpy as np
import scipy
import sklearn
import torch
from sklearn.datasets import fetch_california_housing, fetch_openml, load_digits

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend is chosen first
from matplotlib.ticker import LogLocator, NullLocator

RESULTS = Path(__file__).parent / "results"


def parser(description: str) -> argparse.ArgumentParser:
    """Parser with the options of every benchmark."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--seeds", type=int, default=5, help="number of seeds (default 5)")
    made.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("SKDISTILL_DATA", ".")),
        help="folder with <name>.npz files (X, y) used instead of a download",
    )
    made.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON and the PNG")
    return made


def load_table(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) float64 and target of a public table, from a folder or its real loader."""
    if (folder / f"{name}.npz").exists():
        stored = np.load(folder / f"{name}.npz", allow_pickle=True)
        return stored["X"].astype(np.float64), np.asarray(stored["y"].tolist())
    if name == "digits":
        return load_digits(return_X_y=True)
    if name == "california_housing":
        return fetch_california_housing(return_X_y=True)
    number = {"letter": 6, "friedman": 564}[name]
    bunch = fetch_openml(data_id=number, as_frame=False)
    return bunch.data.astype(np.float64), bunch.target


def environment() -> dict[str, Any]:
    """Versions and hardware, for the record."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
        "cpu": _cpu_name(),
        "cores": joblib.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def mean_and_error(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard error."""
    values = np.asarray(list(values), dtype=float)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def as_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Aligned text table."""
    cells = [list(header), *([_cell(c) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)


def dot_chart(
    values: dict[str, dict[str, tuple[float, float]]], label: str, title: str, log: bool = False
) -> Any:
    """Figure of a panel for each group, a named dot with its error for each series.

    `values` is group -> series -> (mean, error). Names stand at the dots, so that no colour has to
    be looked up.
    """
    columns = min(len(values), 3)
    lines = -(-len(values) // columns)
    series = list(dict.fromkeys(name for group in values.values() for name in group))
    height = 0.7 + lines * (0.9 + 0.24 * len(series))
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(9.5, height),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, group) in zip(axes.flat, values.items(), strict=False):
        places = [series.index(one) for one in group]
        mean, error = np.array(list(group.values()), float).T
        axis.errorbar(mean, places, xerr=error, fmt="o", color="#1f4e79", ms=5)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(label)
        axis.grid(axis="y", color="0.9")
        if log:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_locator(NullLocator())
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(series)), series)
        axis.set_ylim(len(series) - 0.5, -0.5)
    for axis in axes.flat[len(values) :]:
        axis.set_visible(False)
    figure.suptitle(title)
    return figure


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        error = f" ± {value[1]:.2g}" if value[1] else ""  # none of a single value
        return f"{value[0]:.4g}{error}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save(
    name: str,
    out: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    settings: dict[str, Any],
    figure: Any = None,
    script: str | None = None,
) -> None:
    """Print the table and write NAME.json, NAME.txt and, with a figure, NAME.png.

    `script` is the name of the script where it writes several records.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = as_table(header, rows)
    print(table)
    record = {
        "benchmark": name,
        "script": name if script is None else script,
        # Folders are the reader's own and say nothing about the result.
        "settings": {k: v for k, v in settings.items() if not isinstance(v, Path)},
        "environment": environment(),
        "header": list(header),
        "rows": [list(row) for row in rows],
    }
    (out / f"{name}.json").write_text(json.dumps(record, indent=1, default=float) + "\n")
    (out / f"{name}.txt").write_text(table + "\n")
    if figure is not None:
        figure.savefig(out / f"{name}.png", dpi=120, bbox_inches="tight")
