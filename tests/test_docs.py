"""The pages name things that exist, fit on a screen, and take their figures from records."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

import skdistill
from skdistill import _docs, evaluation, features, inspection, networks, objectives

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not DOCS.exists():
    pytest.skip("the tests run without the source tree", allow_module_level=True)
PAGES = [
    page
    for page in DOCS.rglob("*.rst*")
    if not {"_build", "auto_examples", "generated", "_templates"} & set(page.parts)
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
README = (ROOT / "README.md").read_text(encoding="utf-8")
WIDTH = 88  # columns of code that fit beside both sidebars at 1300 pixels


def module_at(path: Path):
    """A Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cells = module_at(DOCS / "_ext" / "record_cells.py")


def code_lines(text: str) -> list[str]:
    """Lines of the code blocks and of the examples of a page, as they are shown."""
    found, block, margin = [], None, None  # indentation of the directive, and of its code
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = margin = None
        if block is not None and line.strip():
            margin = indent if margin is None else margin
            found.append(line[margin:])
        elif line.lstrip().startswith((">>> ", "... ")):
            found.append(line.lstrip())
        directive = re.match(r"\s*\.\. (code-block|[\w-]+)::", line)
        if block is None and (
            directive[1] == "code-block" if directive else line.rstrip().endswith("::")
        ):
            block = indent
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_links_between_pages(name):
    folder = (ROOT / name).parent
    for target in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", TEXTS[name]):
        page = DOCS / target[1:] if target.startswith("/") else folder / target
        assert page.with_suffix(".rst").exists() or "auto_examples" in target, target


def test_links_to_labels():
    labels = set(re.findall(r"^\.\. _([\w-]+):\s*$", "\n".join(TEXTS.values()), flags=re.MULTILINE))
    for name, text in TEXTS.items():
        for target in re.findall(r":ref:`(?:[^`<]*<)?([^`>]+)>?`", text):
            example = re.fullmatch(r"sphx_glr_auto_examples_(\w+?)_(plot_\w+\.py)", target)
            there = (ROOT / "examples" / Path(*example.groups())).exists() if example else False
            there = there or target in labels
            assert there, f"{name}: {target}"


def test_scripts_that_pages_name_exist():
    texts = {
        **TEXTS,
        "README.md": README,
        "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(),
    }
    for name, text in texts.items():
        for script in re.findall(r"\b(?:benchmarks|examples|tests)/\w+\.py", text):
            assert (ROOT / script).exists(), f"{name} names {script}"


@pytest.mark.parametrize("page", sorted((DOCS / "user_guide").glob("*.rst")), ids=lambda p: p.stem)
def test_guide_pages_begin_with_what_to_type(page):
    if page.stem != "index":
        top = "\n".join(page.read_text(encoding="utf-8").splitlines()[:26])
        assert re.search(r">>> |::\n|code-block|literalinclude|- ``fit\(", top)


def test_gallery_has_its_sections():
    conf = (DOCS / "conf.py").read_text(encoding="utf-8")
    sections = {path.parent.name for path in (ROOT / "examples").glob("*/README.rst")}
    assert sections == {"start_here", "tables", "images", "research"}
    assert all(f'"{section}"' in conf for section in sections)
    assert not list((ROOT / "examples").glob("*.py")), "an example belongs to a section"


@pytest.mark.parametrize("name", TEXTS)
def test_code_is_no_wider_than_the_column(name):
    assert [line for line in code_lines(TEXTS[name]) if len(line) > WIDTH] == []


def test_width_is_seen():
    assert code_lines(f"::\n\n    {'x' * 99}\n\ntext\n\n>>> f(1)\n") == ["x" * 99, ">>> f(1)"]


def test_supported_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = TEXTS["docs/getting_started.rst"]
    rows = dict(re.findall(r"   \* - ([\w, -]+)\n     - ([\d.]+)\n", page))
    extras = project["optional-dependencies"]
    users = [line for name in ("plot", "io", "tables", "dask") for line in extras[name]]
    wanted = [*project["dependencies"], *(line for line in users if "skdistill" not in line)]
    stated = {name: version for names, version in rows.items() for name in names.split(", ")}
    oldest = dict(re.sub(r"\[.*\]", "", line).split(">=") for line in wanted)
    assert stated == {**oldest, "Python": project["requires-python"].removeprefix(">=")}
    pythons = [line.rpartition(" ")[2] for line in project["classifiers"] if "3." in line]
    assert f"Python {pythons[0]} to {pythons[-1]}" in README
    assert f"Python {' | '.join(pythons)}]" in README, "the badge names other versions"


def test_readme_and_guide_have_the_same_chart():
    chart = TEXTS["docs/user_guide/decision_chart.rst.inc"]
    guide = re.findall(r"^   \* - (.*)$", chart, flags=re.MULTILINE)
    readme = re.findall(r"^\| (?!-)([^|]+) \|", README, flags=re.MULTILINE)
    assert readme == guide


SEARCHED = (
    "dataset distillation, dataset condensation, coreset, data reduction, subsampling, imbalanced, "
    "synthetic data, hyper-parameter search, TabPFN, prototype selection, LightGBM, XGBoost, "
    "a million rows"
)


@pytest.mark.parametrize("words", SEARCHED.split(", "))
def test_words_that_people_search_for(words):
    assert words.lower() in " ".join(" ".join(TEXTS.values()).lower().split())


def test_picture_shows_the_record():
    picture = module_at(ROOT / "benchmarks" / "figure_rows.py")
    record = json.loads((ROOT / "benchmarks" / "results" / "budgets.json").read_text())
    shown = picture.points(record)
    assert len(shown) == 2
    for row in record["rows"]:
        cell = dict(zip(record["header"], row, strict=True))
        for name in picture.LINES if cell["tables"] in shown else ():
            found = {m: score for m, score, _ in shown[cell["tables"]][name]}
            assert found.get(cell["rows"], "") == cell[name]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0.8134, 0.0041], "0.813 ± 0.004"),
        ([0.6547, 0.0113], "0.655 ± 0.011"),
        ([1.0, 8e-06], "1.0000 ± <0.0001"),
        ([98.591, 0.09], "98.59 ± 0.09"),
        ([-3.16, 3.5], "-3 ± 4"),
        ([1234.5, 120.0], "1,234 ± 120"),
        ([0.971, 0.0], "0.971"),
        (824064, "824,064"),
        (72.09, "72.1"),
        ("  iid", "… iid"),
    ],
)
def test_digits_follow_the_error(value, expected):
    assert cells.text(value) == expected


def test_gains_losses_and_the_best():
    assert cells.verdict("over uniform", [0.03, 0.01]) == ["gain"]
    assert cells.verdict("over uniform", [-0.03, 0.01]) == ["loss"]
    assert cells.verdict("over uniform", [0.03, 0.02]) == []
    assert cells.verdict("score", [0.9, 0.01]) == []
    assert cells.verdict("any", "+0.5 ± 0.1 ▲") == ["gain"]
    rows = [["a", [0.5, 0.1]], ["a", [0.7, 0.1]], ["b", [0.2, 0.1]]]
    assert cells.best(["table", "score"], rows, "score") == {(1, 1), (2, 1)}
    assert cells.best(["table", "score"], rows, "-score") == {(0, 1), (2, 1)}


def test_stacked_columns_lose_nothing():
    header = ["table", "km: x", "km: y", "rs: x", "rs: y", "s"]
    made = cells.stack(header, [["a", 1, 2, 3, "", 5], ["b", 6, "", "", "", 7]], "start")
    assert made[0] == ["table", "start", "x", "y", "s"]
    assert made[1] == [["a", "km", 1, 2, 5], ["a", "rs", 3, "", ""], ["b", "km", 6, "", 7]]


def test_split_tables_have_no_empty_column():
    header = ["part", "x", "y", "z"]
    made = cells.split(header, [["a", 1, "", 2], ["a", 3, "", 4], ["b", "", 5, 6]])
    assert made == [
        ("a", ["x", "z"], [[1, 2], [3, 4]]),
        ("b", ["y", "z"], [[5, 6]]),
    ]


def test_version_switcher_knows_this_version():
    listed = json.loads((DOCS / "_static" / "versions.json").read_text(encoding="utf-8"))
    assert skdistill.__version__ in {entry["version"] for entry in listed}


def test_figure_of_a_record(tmp_path):
    record = {
        "header": ["table", "m", "score"],
        "rows": [["a", 5, [0.51, 0.02]], ["b", 5, [1.0, 0.3]]],
    }
    (tmp_path / "r.json").write_text(json.dumps(record))
    assert cells.figure(tmp_path, "r; b, 5; score") == "1.0 ± 0.3"
    record["rows"].append(["b, large", 5, [0.7, 0.1]])
    (tmp_path / "r.json").write_text(json.dumps(record))
    assert cells.figure(tmp_path, "r; b, large, 5; score") == "0.70 ± 0.10"
    with pytest.raises(ValueError, match="0 rows"):
        cells.figure(tmp_path, "r; c; score")


def test_figures_in_text_are_in_their_records():
    for text in TEXTS.values():
        for request in re.findall(r":record:`([^`]+)`", text):
            assert cells.figure(ROOT / "benchmarks" / "results", request)


def public_estimators():
    """Public classes that have an HTML representation."""
    rooms = (skdistill, features, networks, objectives)
    classes = [getattr(room, name) for room in rooms for name in room.__all__]
    return [kind for kind in classes if hasattr(kind, "_get_doc_link")]


@pytest.mark.parametrize("kind", public_estimators(), ids=lambda kind: kind.__name__)
def test_html_representations_link_to_a_page(kind, monkeypatch):
    monkeypatch.setattr(_docs.DocLinkMixin, "_doc_link_module", "skdistill")
    monkeypatch.setattr(_docs.DocLinkMixin, "_doc_link_template", "https://d/generated/{page}.html")
    estimator = kind.__new__(kind)
    module, _, name = kind._doc_link_url_param_generator(estimator)["page"].rpartition(".")
    assert estimator._get_doc_link() == f"https://d/generated/{module}.{name}.html"
    api = TEXTS["docs/api/index.rst"]
    listed = [part.split("\n")[0].strip() for part in api.split(".. currentmodule::")[1:]]
    blocks = dict.fromkeys(listed, "")
    for part in api.split(".. currentmodule::")[1:]:
        blocks[part.split("\n")[0].strip()] += part
    assert re.search(rf"^   {name}$", blocks[module], flags=re.MULTILINE)


def test_reference_lists_every_public_name():
    api = TEXTS["docs/api/index.rst"]
    for room in (skdistill, evaluation, features, inspection, networks, objectives):
        for name in room.__all__:
            listed = re.search(rf"^   {name}$", api, flags=re.MULTILINE)
            assert listed or not callable(getattr(room, name)), f"{room.__name__}.{name}"


def test_no_link_without_an_address():
    if not _docs.ADDRESS:
        assert skdistill.SensitivityCoreset()._get_doc_link() == ""
