"""Techniques of dataset distillation, each from two starts and on three kinds of batches.

All runs of a technique make the same steps with the same networks; a run differs from its
neighbours by where rows start and how batches are drawn. What is scored is the public protocol
(`skdistill.evaluation.evaluate`): fresh networks trained on the learnt rows alone, without
augmentation. Training rows and a validation part follow from the seed; `--part validation` scores
on the latter, for whoever changes a setting, so that nothing is ever chosen by the test part.
Ridge techniques (KIP, RFAD, FRePo) are also scored by the predictor that their rows are made for.
Rows of no technique stand for comparison: drawn at random, k-means centres (with one row a class
the class means), and k-means on a sensitivity coreset. Seconds are those of a fit, process CPU
seconds without an accelerator, wall seconds with one.

With `--cells` every score is appended to a file, and a run that was broken off goes on from there.
`--size cpu` needs minutes a problem. `--size defaults` compares the distiller's defaults with
uniform starts and batches, on sets of which a batch holds a small part. `--size gpu` has published
widths and steps, and wants an accelerator:
    python benchmarks/techniques.py --size gpu --cells techniques_gpu.jsonl
Published steps take hours a run: `--steps 500` makes at most so many, with fewer experts, and
`--minutes 9` begins no other run after that time. `--plain` leaves out the comparison of starts and
batches. A run of some techniques is a record of its own, with their names. Experts are kept in
files beside `--cells`.
CIFAR-10 is read from cifar10.npz (keys as in mnist.npz, images as rows, channels first), else from
JPEG copies in cifar10_jpeg.npz, which lose some quality, else by torchvision.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _cells import Cells, add_option
from _report import dot_chart, mean_and_error, parser, save
from sklearn.datasets import fetch_openml, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller, objectives
from skdistill.evaluation import evaluate
from skdistill.networks import ConvNet, NetworkClassifier

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
STARTS = ("uniform", "sensitivity_kmeans")
BATCHES = {
    "uniform": {"batch_sampling": "uniform"},
    "importance": {"batch_loss": "cross_entropy", "reweight": False},
    "reweighted": {"batch_loss": "cross_entropy", "reweight": True},
    "margin": {"batch_loss": "margin"},
}
COMBINATIONS = [(start, batches) for start in STARTS for batches in BATCHES]
PLAINLY, DEFAULTS = COMBINATIONS[0], ("auto", "defaults")
BATCHES["defaults"] = {}
PLAIN = {  # rows of no technique
    "uniform": "random rows",
    "kmeans": "k-means",
    "sensitivity_kmeans": "sensitivity k-means",
}
NONE = "no technique"
RIDGE = ("KIP", "RFAD", "FRePo")
OWN = ", own predictor"
VALIDATION_ROWS = 2000
UNIT_ROWS = 10_000  # training rows that the units of the evaluation are taken from
JPEG = "cifar10_jpeg.npz"


PUBLISHED = {  # steps; DC and DSA use 1,000 networks for 10 steps each, IDC 2,000 for 100
    "KIP": 5000,
    "RFAD": 10_000,
    "FRePo": 100_000,
    "DM": 20_000,
    "NCFM": 20_000,
    "DC": 10_000,
    "DSA": 10_000,
    "IDC": 200_000,
    "MTT": 5000,
    "RaT-BPTT": 60_000,
}
FEWEST_EXPERTS = 3
# A kernel of pixels needs more steps than networks, and they are cheaper.
SHORT = {**dict.fromkeys(PUBLISHED, 150), "KIP": 600}
# The best of a few on the validation part of seed 0, from uniform starts with uniform batches.
RATES = {"KIP": 0.4}


UNROLLED = {"unroll_steps": 30, "window": 10}


@dataclass(frozen=True)
class Setting:
    """What all runs of a problem share.

    Attributes
    ----------
    width : int
        Filters of each block of the networks, of techniques and of the evaluation.
    steps : dict of str to int
        Of each technique.
    rates : dict of str to float
        Learning rate of a technique, where it is not the distiller's default.
    batch : int
        Real rows of a class in a step.
    n_train, n_test : int or None
        Rows used at most; None uses all.
    n_networks : int
        Of the evaluation.
    refresh : int
        Steps between two looks at the losses of the real rows.
    inner_loop : int or "auto"
        Epochs that DC and DSA train their network for after a step.
    experts : dict
        Parameters of `TrajectoryMatching`.
    expert_batch : int
        Real rows in a step of its experts.
    unrolled : dict
        Parameters of `UnrolledTraining`.
    """

    width: int = 16
    steps: dict[str, int] = field(default_factory=SHORT.copy)
    rates: dict[str, float] = field(default_factory=RATES.copy)
    batch: int = 32
    n_train: int | None = None
    n_test: int | None = None
    n_networks: int = 3
    refresh: int = 25
    inner_loop: int | str = 5
    experts: dict[str, Any] = field(default_factory=dict)
    expert_batch: int = 64
    unrolled: dict[str, Any] = field(default_factory=UNROLLED.copy)


def published(max_start_epoch: int, unroll_steps: int, window: int) -> Setting:
    """Widths, steps and experts of the papers."""
    return Setting(
        width=128,
        steps=PUBLISHED,
        rates={},
        batch=256,
        n_networks=5,
        refresh=100,
        inner_loop="auto",
        experts={"n_experts": 100, "max_start_epoch": max_start_epoch},
        expert_batch=256,
        unrolled={"unroll_steps": unroll_steps, "window": window},
    )


def limited(s: Setting, most: int | None, folder: Path | None) -> Setting:
    """At most so many steps, and as much fewer experts, kept in a folder if one is given."""
    experts = dict(s.experts)
    if folder is not None:
        experts["expert_folder"] = folder
    if most is None:
        return replace(s, experts=experts)
    share = min(1.0, most / s.steps["MTT"])
    experts["n_experts"] = max(FEWEST_EXPERTS, round(share * experts["n_experts"]))
    steps = {name: min(n, most) for name, n in s.steps.items()}
    return replace(s, steps=steps, experts=experts)


EXPERTS = {
    "syn_steps": 10,
    "lr_init": 0.02,
    "lr_teacher": 0.03,
    "n_experts": 4,
    "max_start_epoch": 5,
}
FEW_EXPERTS = {
    "syn_steps": 5,
    "lr_init": 0.04,
    "lr_teacher": 0.03,
    "n_experts": 3,
    "max_start_epoch": 3,
    "expert_epochs": 1,
}
BRIEF = Setting(
    steps={**dict.fromkeys(SHORT, 100), "KIP": 600},
    batch=12,
    n_train=2000,
    n_test=1000,
    n_networks=2,
    refresh=50,
    experts=FEW_EXPERTS,
)
PROBLEMS: dict[str, dict[tuple[str, int], Setting]] = {
    "cpu": {
        ("digits", 1): Setting(experts=EXPERTS),
        ("mnist", 1): replace(BRIEF, rates={**RATES, "MTT": 0.5}),
        ("digits", 10): Setting(experts=EXPERTS),
    },
    "defaults": {
        (data, m): replace(BRIEF, n_train=4000, n_test=2000)
        for data in ("mnist", "cifar10")
        for m in (1, 3)
    },
    "gpu": {
        (data, m): published(*sizes)
        for data in ("mnist", "cifar10")
        for m, *sizes in ((1, 2, 120, 40), (10, 20, 200, 60), (50, 40, 300, 100))
    },
}


# Techniques: the objective, and options of the distiller that go with it --------------------------


def _kip(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.KernelRidge(loss="squared_error"), {
        "kernel": "ntk",
        "learn_labels": True,
        "image_shape": None,
    }


def _rfad(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.FeatureRegression(network, pool="random", n_networks=2), {}


def _frepo(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.FeatureRegression(network, pool="trained"), {}


def _dm(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.DistributionMatching(network), {}


def _ncfm(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.CharacteristicFunctionMatching(network), {}


def _dc(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.GradientMatching(network, augment=None, inner_loop=s.inner_loop), {}


def _dsa(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.GradientMatching(network, inner_loop=s.inner_loop), {}


def _idc(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.GradientMatching(
        network, distance="mse", augment="color_crop_cutout", train_on="real", factor=2
    ), {"images": 4}  # half of each side: four images are as many numbers as one


def _mtt(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.TrajectoryMatching(network, **s.experts), {"batch_size": s.expert_batch}


def _unrolled(s: Setting, network: ConvNet) -> tuple[Any, dict]:
    return objectives.UnrolledTraining(network, **s.unrolled), {}


TECHNIQUES: dict[str, Callable[[Setting, ConvNet], tuple[Any, dict]]] = {
    "KIP": _kip,
    "RFAD": _rfad,
    "FRePo": _frepo,
    "DM": _dm,
    "NCFM": _ncfm,
    "DC": _dc,
    "DSA": _dsa,
    "IDC": _idc,
    "MTT": _mtt,
    "RaT-BPTT": _unrolled,
}


# Data ---------------------------------------------------------------------------------------------


def read(data: str, folder: Path) -> list[np.ndarray]:
    """Training images and labels, test images and labels; images are rows, bytes if they can be."""
    if data == "digits":
        X, y = load_digits(return_X_y=True)
        X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
        X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    elif (folder / f"{data}.npz").exists():
        stored = np.load(folder / f"{data}.npz")
        X, y, X_test, y_test = (stored[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    elif data == "mnist":
        bunch = fetch_openml("mnist_784", as_frame=False)
        X, X_test = np.split(bunch.data.astype(np.uint8), [60_000])
        y, y_test = np.split(bunch.target.astype(int), [60_000])
    elif (folder / JPEG).exists():
        from conv_features import read as read_copies  # needs Pillow

        X, y, X_test, y_test = read_copies(JPEG.removesuffix(".npz"), folder)
    else:
        from torchvision.datasets import CIFAR10

        parts = [CIFAR10(folder, train, download=True) for train in (True, False)]
        X, X_test = (part.data.transpose(0, 3, 1, 2) for part in parts)
        y, y_test = (np.array(part.targets) for part in parts)
    X, X_test = (np.ascontiguousarray(part).reshape(len(part), -1) for part in (X, X_test))
    return [X, y, X_test, y_test]


def split(found: list[np.ndarray], s: Setting, seed: int, part: str) -> list[np.ndarray]:
    """Training rows of a seed, and the rows to score on."""
    X, y, X_test, y_test = found
    held_out = min(VALIDATION_ROWS, len(X) // 5)
    X, X_held_out, y, y_held_out = train_test_split(
        X, y, test_size=held_out, random_state=seed, stratify=y
    )
    X, y = X[: s.n_train], y[: s.n_train]
    if part == "validation":
        return [X, y, X_held_out[: s.n_test], y_held_out[: s.n_test]]
    return [X, y, X_test[: s.n_test], y_test[: s.n_test]]


def compared_with(size: str) -> list[tuple[str, str]]:
    """List the starts and batches besides uniform ones."""
    return [DEFAULTS] if size == "defaults" else COMBINATIONS[1:]


# Runs ---------------------------------------------------------------------------------------------


def clock() -> float:
    """Seconds of the process; on the wall where an accelerator works."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def fit(
    problem: tuple[str, int], s: Setting, technique: str, start: str, batches: str, seed: int, X, y
) -> tuple[DatasetDistiller, float]:
    """Learn rows; the fitted distiller and its seconds."""
    data, m = problem
    network = ConvNet(width=s.width)
    options: dict[str, Any] = {"image_shape": SHAPES[data], "batch_size": s.batch * 10}
    if technique == NONE:
        objective = objectives.DistributionMatching(network)
    else:
        objective, own = TECHNIQUES[technique](s, network)
        options |= own | BATCHES[batches]
    if technique in s.rates:
        options["learning_rate"] = s.rates[technique]
    distiller = DatasetDistiller(
        10 * m * options.pop("images", 1),
        objective=objective,
        init=start,
        max_iter=s.steps.get(technique, 0),
        refresh_every=s.refresh,
        class_balance=True,
        early_stopping=False,  # the steps are given
        random_state=seed,
        **options,
    )
    began = clock()
    distiller.fit(X, y)
    return distiller, clock() - began


def scores(distiller, data: str, s: Setting, technique: str, seed: int, parts) -> dict[str, float]:
    """Mean score of fresh networks, and that of the technique's own ridge regression."""
    X, _, X_test, y_test = parts
    network = NetworkClassifier(
        ConvNet(width=s.width),
        image_shape=SHAPES[data],
        n_networks=s.n_networks,
        random_state=seed,
    )
    found = {technique: evaluate(distiller, X_test, y_test, network, X_train=X[:UNIT_ROWS]).mean()}
    if technique in RIDGE:
        found[technique + OWN] = evaluate(distiller, X_test, y_test, "kernel_ridge")[0]
    return found


def run(problems: dict[tuple[str, int], Setting], args, cells: Cells) -> None:
    """Make all runs that are not done yet.

    A run that is broken off has all techniques, at least as they were published.
    """
    rounds = [[(NONE, start, "none") for start in PLAIN]]
    rounds += [[(t, *PLAINLY) for t in args.techniques]]
    if not args.plain:
        rounds += [[(t, *c) for t in args.techniques for c in compared_with(args.size)]]
    found, began = {}, time.perf_counter()
    for wanted, problem, seed in product(rounds, problems, range(args.seeds)):
        data, m = problem
        todo = [job for job in wanted if (data, m, *job, seed) not in cells]
        if not todo:
            continue
        if data not in found:
            found[data] = read(data, args.data)
        s = problems[problem]
        parts = split(found[data], s, seed, args.part)
        for job in todo:
            if time.perf_counter() - began > 60 * args.minutes:
                return
            distiller, seconds = fit(problem, s, *job, seed, *parts[:2])
            for name, score in scores(distiller, data, s, job[0], seed, parts).items():
                key = (data, m, name, *job[1:], seed)
                cells.keep(key, round(float(score), 5), round(seconds, 2))
            print(f"{data} {m}, {', '.join(job)}, seed {seed}", flush=True)


# Summary ------------------------------------------------------------------------------------------


def cell(values: np.ndarray | None, against: np.ndarray | None) -> str:
    """Mean and standard error; an arrow where paired differences leave two standard errors."""
    if values is None:
        return ""
    mean, error = mean_and_error(100 * values)
    mark = ""
    if against is not None and len(values) > 1:
        difference, spread = mean_and_error(100 * (values - against))
        if abs(difference) > 2 * spread:
            mark = " ▲" if difference > 0 else " ▼"
    return f"{mean:.1f} ± {error:.1f}{mark}"


def summary(done: dict, problems, seeds: int, others: list[tuple[str, str]]) -> list[list]:
    """Rows of the table.

    Uniform batches from the other start are compared with those from uniform rows, other batches
    with uniform ones from the same start. The last line of a problem has the means of these
    differences over techniques, with their standard error over techniques.
    """

    def column(*key, which: int = 0) -> np.ndarray | None:
        found = [done.get((*key, seed)) for seed in range(seeds)]
        return None if None in found else np.array([pair[which] for pair in found])

    rows: list[list] = []
    empty = [""] * len(others)
    for data, m in problems:
        group = f"{data}, {m} a class"
        random = column(data, m, NONE, "uniform", "none")
        if random is None:
            continue
        for start, name in PLAIN.items():
            plain = column(data, m, NONE, start, "none")
            if plain is not None:
                gain = mean_and_error(100 * (plain - random))
                rows.append([group, name, cell(plain, None), *empty, gain, ""])
        gains: dict[tuple[str, str], list[float]] = {}
        for technique in [t + own for t in TECHNIQUES for own in ("", OWN)]:
            first = column(data, m, technique, "uniform", "uniform")
            if first is None:
                continue
            row = [group, technique, cell(first, None)]
            for start, batches in others:
                here = column(data, m, technique, start, batches)
                base = first
                if batches not in ("uniform", "defaults"):
                    base = column(data, m, technique, start, "uniform")
                known = here is not None and base is not None
                row.append(cell(here, base if known else None))
                if known and OWN not in technique:
                    gains.setdefault((start, batches), []).append(100 * (here - base).mean())
            seconds = column(data, m, technique, "uniform", "uniform", which=1).mean()
            gain = mean_and_error(100 * (first - random))
            rows.append([*row, gain, "" if OWN in technique else float(seconds)])
        means = [mean_and_error(gains[c]) if c in gains else "" for c in others]
        if gains:
            rows.append([group, "mean gain", "", *means, "", ""])
    return rows


def picture(header: list[str], rows: list) -> Any:
    """How far each technique is above random rows, a panel for each problem."""
    panels: dict[str, dict] = {}
    for row in rows:
        cell = dict(zip(header, row, strict=True))
        if cell["over random rows"] != "" and cell["technique"] != "random rows":
            panels.setdefault(cell["data"], {})[cell["technique"]] = cell["over random rows"]
    return dot_chart(panels, "points over random rows", "Uniform start and batches")


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(seeds=3)
    options.add_argument("--size", choices=list(PROBLEMS), default="cpu")
    options.add_argument("--techniques", nargs="+", default=list(TECHNIQUES), choices=TECHNIQUES)
    options.add_argument("--plain", action="store_true", help="uniform starts and batches only")
    options.add_argument("--problems", nargs="+", help="of those of the size, such as mnist-1")
    options.add_argument("--part", choices=["test", "validation"], default="test")
    add_option(options)
    options.add_argument("--summarise", action="store_true", help="what --cells holds; no fits")
    options.add_argument("--steps", type=int, help="of a run at most (default: those of the size)")
    options.add_argument("--minutes", type=float, default=np.inf, help="begin no run after them")
    args = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    made_with = {"size": args.size, "part": args.part, "steps": args.steps}
    # (data, rows a class, technique, start, batches, seed) -> score, seconds
    cells = Cells(args.cells, made_with)
    folder = None
    if args.cells is not None and args.size == "gpu":
        folder = args.cells.with_suffix(".experts")
    problems = {
        problem: limited(setting, args.steps, folder)
        for problem, setting in PROBLEMS[args.size].items()
        if args.problems is None or f"{problem[0]}-{problem[1]}" in args.problems
    }
    if not args.summarise:
        run(problems, args, cells)
    others = compared_with(args.size)
    titles = [f"{s.replace('_', ' ')}: {b}" for s, b in [PLAINLY, *others] if s != "auto"]
    header = ["data", "technique", *titles, *["defaults"] * (DEFAULTS in others)]
    header += ["over random rows", "s" if torch.cuda.is_available() else "CPU s"]
    table = summary(cells, problems, args.seeds, others)
    filled = [i for i in range(len(header)) if any(row[i] != "" for row in table)]
    found = [p for p in problems if any(row[0] == f"{p[0]}, {p[1]} a class" for row in table)]
    settings: dict[str, Any] = {"size": args.size, "seeds": args.seeds, "part": args.part}
    for problem in found:
        s = problems[problem]
        steps = ", ".join(f"{n} {t}" for t, n in s.steps.items() if t in args.techniques)
        rows = s.n_train or "all"
        settings[f"{problem[0]}-{problem[1]}"] = f"width {s.width}, {rows} rows, steps {steps}"
    if any(data == "cifar10" for data, _ in found) and not (args.data / "cifar10.npz").exists():
        settings["cifar10"] = "JPEG copies" if (args.data / JPEG).exists() else "original"
    name = "techniques" if args.size == "cpu" else f"techniques_{args.size}"
    if args.techniques != list(TECHNIQUES):
        name += "_" + "_".join(t.lower().replace("-", "_") for t in args.techniques)
    gains = {row[0] for row in table if row[1] == "mean gain"}
    compared = [p for p in found if f"{p[0]}, {p[1]} a class" in gains]
    header, table = [header[i] for i in filled], [[row[i] for i in filled] for row in table]
    figure = picture(header, table) if compared else None
    save(name, args.out, header, table, settings, figure, "techniques")


if __name__ == "__main__":
    main()
