"""Defaults of `DatasetDistiller` against the plain technique on many small settings.

A setting is a table, a number of learnt rows and what was done to the training targets: nothing,
wrong labels, or 5 % of the numbers moved by eight standard deviations. Each scheme makes the same
steps from the same split and the same first kernel width, and is scored on untouched, clean test
rows (balanced accuracy or R2, in points; of the defaults also accuracy in points and the fall of
log loss in hundredths); gains are paired with uniform start and uniform batches.
Schemes were chosen on the settings of the part "choose"; those of the part "held out" chose
nothing, and those of the part "shares" show one table with more and more wrong labels. With
`--cells` every score is appended to a file, and a run that was broken off goes on from there.
"""

from __future__ import annotations

import itertools
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _cells import Cells, add_option
from _report import load_table, mean_and_error, parser, plt, save
from importance import MADE, mnist
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller

SCHEMES = {
    "plain": {"init": "uniform", "batch_sampling": "uniform"},
    "k-means start": {"init": "kmeans", "batch_sampling": "uniform"},
    "start alone": {"batch_sampling": "uniform"},
    "cross-entropy": {"batch_loss": "cross_entropy", "reweight": False},
    "squared error": {"batch_loss": "squared_error"},
    "bounded": {"batch_loss": "bounded"},
    "defaults": {},
    "defaults, 60 % of the steps": {},
}
ALSO = {"accuracy": 2, "log loss": 3}  # of the defaults; place among the values of a cell
SHARE_OF_STEPS = {"defaults, 60 % of the steps": 0.6}  # 1 for all other schemes

TRAIN_ROWS, TEST_ROWS = 4000, 4000
FAR = 8.0  # standard deviations that an outlier is moved by
LEVELS = 12  # most levels of a column that is one-hot encoded
TARGETS = {  # tables as parquet files; others are made or have a loader
    "magic": "class",
    "electricity": "class",
    "phishing": "Result",
    "adult": "class",
    "bank_marketing": "y",
    "shuttle": "class",
    "mammography": "class",
    "avila": "Class",
    "kr_vs_k": "white-depth-of-win",
    "online_shoppers": "Revenue",
    "ann_thyroid": "Class",
    "mushroom": "class",
    "credit_default": "default payment next month",
    "diamonds": "price",
    "bike_sharing": "cnt",
    "beijing_pm25": "pm2.5",
    "gas_turbine": "NOX",
    "ames": "SalePrice",
    "steel_energy": "Usage_kWh",
}
LEFT_OUT = {
    "bank_marketing": ["duration"],
    "credit_default": ["ID"],
    "bike_sharing": ["casual", "registered", "instant"],
    "beijing_pm25": ["No"],
    "gas_turbine": ["CO"],
    "steel_energy": ["CO2(tCO2)"],
}
SETTINGS = {  # part -> (table, learnt rows, what was done to the targets)
    "choose": [
        ("letter", 52, "clean"),
        ("letter", 52, "20 % wrong"),
        ("magic", 10, "clean"),
        ("magic", 10, "20 % wrong"),
        ("rare_mode_classes", 20, "clean"),
        ("rare_mode_classes", 20, "20 % wrong"),
        ("mnist", 10, "clean"),
        ("electricity", 10, "20 % wrong"),
        ("avila", 24, "clean"),
        ("online_shoppers", 10, "20 % wrong"),
        ("california_housing", 20, "clean"),
        ("california_housing", 20, "5 % outliers"),
        ("rare_mode_numbers", 20, "clean"),
        ("gas_turbine", 20, "5 % outliers"),
        ("bike_sharing", 20, "clean"),
        ("heavy_tails", 50, "clean"),
    ],
    "shares": [("letter", 52, f"{share} % wrong") for share in (10, 30, 40)],
    "held out": [
        ("credit_default", 10, "clean"),
        ("credit_default", 20, "20 % wrong"),
        ("phishing", 10, "clean"),
        ("phishing", 10, "20 % wrong"),
        ("kr_vs_k", 36, "clean"),
        ("kr_vs_k", 54, "20 % wrong"),
        ("shuttle", 14, "clean"),
        ("mushroom", 10, "20 % wrong"),
        ("bank_marketing", 10, "20 % wrong"),
        ("adult", 10, "clean"),
        ("ann_thyroid", 9, "20 % wrong"),
        ("mammography", 10, "clean"),
        ("friedman", 20, "clean"),
        ("friedman", 20, "5 % outliers"),
        ("diamonds", 20, "clean"),
        ("beijing_pm25", 20, "5 % outliers"),
        ("steel_energy", 20, "clean"),
        ("ames", 20, "5 % outliers"),
    ],
}
NUMBERS = {
    "california_housing",
    "rare_mode_numbers",
    "gas_turbine",
    "bike_sharing",
    "heavy_tails",
    "friedman",
    "diamonds",
    "beijing_pm25",
    "steel_energy",
    "ames",
}


def read_frame(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, dates as numbers, and levels one-hot; missing values are the median."""
    frame = pd.read_parquet(folder / "tables" / f"{name}.parquet").drop(
        columns=LEFT_OUT.get(name, [])
    )
    y = frame.pop(TARGETS[name])
    parts = []
    for column in frame:
        values = frame[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            parts += [values.dt.hour, values.dt.dayofweek, values.dt.dayofyear]
        elif pd.api.types.is_numeric_dtype(values):
            parts.append(values.astype(float).fillna(values.astype(float).median()))
        elif values.nunique() <= LEVELS:
            parts.append(pd.get_dummies(values, dtype=float))
    X = np.column_stack([np.asarray(p, dtype=float) for p in parts])
    X = X[:, X.std(0) > 0]
    kind = float if name in NUMBERS else str
    return X, np.asarray(y.astype(kind)).astype(kind)


def read(table: str, done_to: str, folder: Path, seed: int) -> list[np.ndarray]:
    """Training and test rows and targets of a seed; the test targets are clean."""
    rng = np.random.default_rng([seed, 18])
    if table in MADE:
        X, y = MADE[table](TRAIN_ROWS + TEST_ROWS, rng)
    elif table == "mnist":
        X, y = mnist(folder)  # images averaged to 7 x 7 pixels
        X = X.reshape(-1, 7, 4, 7, 4).mean((2, 4), dtype=float).reshape(-1, 49)
    elif table in TARGETS:
        X, y = read_frame(table, folder)
    else:
        X, y = load_table(table, folder)
    keep = rng.permutation(len(X))[: TRAIN_ROWS + TEST_ROWS]
    X, y = X[keep], y[keep]
    if table not in NUMBERS:
        _, codes, held = np.unique(y, return_inverse=True, return_counts=True)
        X, y = X[held[codes] >= 4], y[held[codes] >= 4]
    split = train_test_split(
        X,
        y,
        test_size=min(TEST_ROWS, len(X) // 2),
        random_state=seed,
        stratify=None if table in NUMBERS else y,
    )
    y = split[2].copy()
    share = 0.0 if done_to == "clean" else float(done_to.split()[0]) / 100
    bad = rng.random(len(y)) < share
    if done_to.endswith("wrong"):
        classes = np.unique(y)
        shift = rng.integers(1, len(classes), len(y))
        y[bad] = classes[(np.searchsorted(classes, y) + shift) % len(classes)][bad]
    if done_to.endswith("outliers"):
        y[bad] += (FAR * y.std() * rng.choice([-1, 1], len(y)))[bad]
    return [split[0], split[1], y, split[3]]


def first_width(X: np.ndarray, y: np.ndarray, m: int, seed: int) -> float:
    """`gamma` that the search on held-out rows finds, for all fits of a seed."""
    plain = DatasetDistiller(m, init="uniform", max_iter=0, random_state=seed)
    found = plain.fit(X, y).length_scale_
    unit = plain.set_params(gamma=1.0).fit(X, y).length_scale_
    varies = np.isfinite(unit)  # the length scale of constant features is infinite
    return float(np.median(unit[varies] / found[varies]) ** 2)


def scores(model: DatasetDistiller, table: str, X: np.ndarray, y: np.ndarray) -> list[float]:
    """R2; or balanced accuracy, accuracy and log loss less its sign; in points and hundredths."""
    outputs = model.make_predictor().predict(X)
    if table in NUMBERS:
        return [100 * r2_score(y, outputs)]
    found = model.classes_[outputs.argmax(1)]
    chances = softmax(outputs / (model.temperature_ or 1), axis=1)
    return [
        100 * balanced_accuracy_score(y, found),
        100 * accuracy_score(y, found),
        -100 * log_loss(y, chances, labels=model.classes_),
    ]


def schemes_for(table: str) -> list[str]:
    """Schemes that make sense for a table."""
    left_out: tuple[str, ...] = ("squared error", "bounded")
    if table in NUMBERS:  # whose default is the k-means start with uniform batches
        left_out = ("cross-entropy", "k-means start", "start alone")
    return [name for name in SCHEMES if name not in left_out]


def run_seed(setting: tuple, seed: int, args, cells: Cells) -> None:
    """Score all schemes and numbers of steps of one seed."""
    table, m, done_to = setting
    names = [name for name in schemes_for(table) if name in args.schemes]
    wanted = [(table, m, done_to, seed, name, n) for n in args.steps for name in names]
    wanted = [key for key in wanted if key[5] or key[4] not in SHARE_OF_STEPS]
    wanted = [key for key in wanted if key not in cells]
    if not wanted:
        return
    X, X_test, y, y_test = read(table, done_to, args.data, seed)
    shared = {"gamma": first_width(X, y, m, seed), "random_state": seed}
    for key in wanted:
        *_, name, n = key
        began = time.process_time()
        steps = "auto" if n == 0 else round(SHARE_OF_STEPS.get(name, 1) * n)
        model = DatasetDistiller(m, max_iter=steps, **shared, **SCHEMES[name]).fit(X, y)
        used = time.process_time() - began
        first, *others = (round(value, 3) for value in scores(model, table, X_test, y_test))
        cells.keep(key, first, round(used, 3), *others)


def gains(
    cells: Cells, setting: tuple, name: str, n: int, seeds: int, place: int = 0
) -> np.ndarray:
    """Paired gains of a scheme over the plain technique, a seed each."""
    pairs = (
        (cells.get((*setting, s, name, n), []), cells.get((*setting, s, "plain", n), []))
        for s in range(seeds)
    )
    return np.array([a[place] - b[place] for a, b in pairs if min(len(a), len(b)) > place])


def told(found: np.ndarray) -> str:
    """Mean and standard error, with an arrow outside two of them; the mean alone of one or two."""
    if len(found) == 0:
        return ""
    if len(found) < 3:
        return f"{np.mean(found):+.1f}"
    mean, error = mean_and_error(found)
    mark = "" if abs(mean) <= 2 * error else (" ▲" if mean > 0 else " ▼")
    return f"{mean:+.1f} ± {error:.1f}{mark}"


def counted(settings: list[np.ndarray]) -> str:
    """Of how many settings the gain is outside two standard errors, above and below."""
    marks = [told(found)[-1:] for found in settings if len(found) > 2]
    return f"{marks.count('▲')} above, {marks.count('▼')} below" if marks else ""


def columns(cells: Cells) -> dict[str, tuple[str, int]]:
    """Title of each column of gains, with its scheme and the place among the values of a cell."""
    made = {key[4] for key in cells}
    found = {name: (name, 0) for name in SCHEMES if name != "plain" and name in made}
    if "defaults" in found:
        found |= {f"defaults: {name}": ("defaults", place) for name, place in ALSO.items()}
    return found


def summary(cells: Cells, args) -> list[list]:
    """Rows of the table: a setting each, and the means over settings that chose nothing."""
    rows = []
    shown = columns(cells)
    for n, kind in itertools.product(args.steps, ("classes", "numbers")):
        steps = f"{kind}, {n} steps" if n else f"{kind}, all steps"
        held: dict[str, dict[str, list[np.ndarray]]] = {"": {}}
        for part in args.parts:
            for setting in SETTINGS[part]:
                table, m, done_to = setting
                plain = [cells.get((*setting, s, "plain", n)) for s in range(args.seeds)]
                plain = [values[0] for values in plain if values is not None]
                if (table in NUMBERS) != (kind == "numbers") or not plain:
                    continue
                row = [steps, part, table, m, done_to, len(plain), f"{np.mean(plain):.1f}"]
                for title, (name, place) in shown.items():
                    found = gains(cells, setting, name, n, args.seeds, place)
                    row.append(told(found))
                    if len(found) and part == "held out":
                        for group in ("", done_to):
                            held.setdefault(group, {}).setdefault(title, []).append(found)
                rows.append(row)
        for group, found in held.items():
            size = max(map(len, found.values()), default=0)
            if size > 1:
                means = [np.array([gain.mean() for gain in found.get(name, [])]) for name in shown]
                counts = [counted(found.get(name, [])) for name in shown]
                of = [f"{size} settings", "", group or "all", "", ""]
                rows.append([steps, "mean", *of, *map(told, means)])
                rows.append([steps, "outside two errors", *of, *counts])
    return rows


def picture(cells: Cells, seeds: int, n: int = 200):
    """Gain against the share of wrong labels."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    shares = (0, 10, 20, 30, 40)
    named = {
        "k-means start": "uniform batches, k-means start",
        "cross-entropy": "cross-entropy batches",
        "defaults": "margin batches (default)",
    }
    for k, (name, label) in enumerate(named.items()):
        places, means, errors = [], [], []
        for share in shares:
            done_to = f"{share} % wrong" if share else "clean"
            found = gains(cells, ("letter", 52, done_to), name, n, seeds)
            if len(found) > 1:
                mean, error = mean_and_error(found)
                places.append(share + 0.3 * k)
                means.append(mean)
                errors.append(error)
        axis.errorbar(places, means, errors, marker="^os"[k], capsize=3, label=label)
    axis.axhline(0, color="0.5", lw=1, label="uniform start and batches")
    axis.set_xticks(shares)
    axis.set_xlabel("wrong labels in the training rows (%)")
    axis.set_ylabel("gain in balanced accuracy (points)")
    axis.set_title(f"letter, 52 learnt rows, {n} steps")
    axis.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure


def relative_time(cells: Cells, steps: list[int]) -> str:
    """CPU time of the defaults over that of the plain technique, for each number of steps."""
    parts = []
    for n in steps:
        pairs = [
            (used, cells[*key[:4], "plain", n][1])
            for key, (_, used, *_) in cells.items()
            if key[4:] == ("defaults", n)
            and key[0] not in NUMBERS
            and (*key[:4], "plain", n) in cells
        ]
        if pairs:
            ours, plain = map(sum, zip(*pairs, strict=True))
            parts.append(f"{ours / plain:.1f} ({n or 'all'} steps)")
    return ", ".join(parts)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--parts", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    options.add_argument("--steps", nargs="+", type=int, default=[30, 200], help="0: full length")
    options.add_argument("--schemes", nargs="+", default=list(SCHEMES), choices=SCHEMES)
    options.add_argument("--only", nargs="+", help="tables")
    add_option(options)
    options.add_argument("--summarise", action="store_true", help="what --cells holds; no fits")
    args = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # short runs may not beat their start
    cells = Cells(args.cells)  # (table, m, done to the targets, seed, scheme, steps)

    for seed in range(0 if args.summarise else args.seeds):
        for part in args.parts:
            for setting in SETTINGS[part]:
                if args.only is None or setting[0] in args.only:
                    run_seed(setting, seed, args, cells)
        print(f"seed {seed} done", flush=True)
    header = ["steps", "part", "table", "m", "targets", "seeds", "plain", *columns(cells)]
    settings = {
        "seeds": args.seeds,
        "training rows": f"up to {TRAIN_ROWS}",
        "CPU time of the defaults relative to plain, classes": relative_time(cells, args.steps),
    }
    figure = picture(cells, args.seeds)
    save("batches", args.out, header, summary(cells, args), settings, figure)


if __name__ == "__main__":
    main()
