"""The direction of imports, read from the source, and what importing the package loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skdistill

ROOT = Path(skdistill.__file__).parent

# The rooms from top to bottom. A module imports from its own room and from rooms further down;
# rooms in one line do not know each other.
ROOMS = [
    {"__init__", "__main__"},
    {"cli"},  # python -m skdistill
    {"evaluation"},  # scores of a small set
    {"meta"},  # estimators trained on a small set
    {"auto"},  # the best of several small sets
    {"selection"},  # candidates, and the contest that one of them wins
    {"distiller", "inspection"},  # learnt rows; pictures
    {"learning"},  # the course of a fit that learns rows
    {"coreset"},  # chosen rows
    {"streaming"},  # merge and reduce; where chunks come from
    {"base"},  # what every distiller shares
    {"objectives", "sensitivity"},  # techniques; scores, and from scores to a weighted sample
    {"features"},  # what nearness is measured in
    {"batches"},  # real rows as a technique sees them
    {"networks"},
    {"kernels", "support", "optimizers"},
    {"data", "tables"},  # the small set; features of any table
    {"_input"},  # what is read from the user
    {"_device", "_files"},
    {"_torch", "_docs"},
]
SHOWS_ESTIMATORS = 10  # rooms from `base` up
OPTIONAL = {
    "clevercsv",
    "dask",
    "distributed",
    "duckdb",
    "lightgbm",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "skrub",
    "xgboost",
}


def room(module: str) -> str:
    """Name the room that holds a dotted module of the package."""
    return [*module.split("."), "__init__"][1]


def floor(module: str) -> int:
    """Give the number of the floor that holds a dotted module of the package, 0 at the top."""
    for number, names in enumerate(ROOMS):
        if room(module) in names:
            return number
    raise AssertionError(f"{module} is in no room: give it one in {__file__}")


def modules() -> dict[str, ast.Module]:
    """Parse the package: dotted name -> syntax tree."""
    trees = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


TREES = modules()
PACKAGES = {name for name in TREES if any(other.startswith(name + ".") for other in TREES)}


def imported(module: str, node: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield the dotted modules that one statement imports, relative ones resolved."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = node.module or ""
        if node.level:
            parts = module.split(".")
            # In a package's __init__ one dot is the package itself, elsewhere the one around it.
            parts = parts[: len(parts) - node.level + (module in PACKAGES)]
            source = ".".join([*parts, source] if source else parts)
        for alias in node.names:
            submodule = f"{source}.{alias.name}"
            yield submodule if submodule in known else source


def imports(module: str, tree: ast.AST) -> list[str]:
    """List every module imported anywhere in the tree, inside functions too."""
    known = set(TREES) | {"sklearn.base"}
    return [name for node in ast.walk(tree) for name in imported(module, node, known)]


def imports_on_loading(module: str, tree: ast.AST) -> list[str]:
    """List the modules imported while the module loads: outside functions and TYPE_CHECKING."""
    names: list[str] = []
    pending = list(ast.iter_child_nodes(tree))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        names.extend(imported(module, node, set(TREES)))
        pending.extend(ast.iter_child_nodes(node))
    return names


def upward(module: str, tree: ast.AST) -> list[str]:
    """List the imports that reach from a module to another room that is not further down."""
    own = [name for name in imports(module, tree) if name.split(".")[0] == "skdistill"]
    elsewhere = [name for name in own if room(name) != room(module)]
    # A room that stands in no table, such as an attribute of the package itself, is no module.
    return [name for name in elsewhere if floor(name) <= floor(module)]


@pytest.mark.parametrize("module", sorted(TREES))
def test_direction_of_imports(module):
    assert upward(module, TREES[module]) == []


def test_direction_sees_every_form():
    source = """
from skdistill.coreset import SensitivityCoreset
from .. import _torch as torch
from .._device import resolve_device
from . import ridge

def late():
    import skdistill.base
    from .. import meta
"""
    found = upward("skdistill.kernels.invented", ast.parse(source))
    assert sorted(found) == ["skdistill.base", "skdistill.coreset", "skdistill.meta"]


@pytest.mark.parametrize(
    "module",
    sorted(
        name
        for name in TREES
        if floor(name) > SHOWS_ESTIMATORS
        and room(name) not in ("objectives", "features", "networks", "tables")
    ),
)
def test_sklearn_base_stays_above(module):
    # Techniques, features and networks are estimators, so that their parameters can be searched.
    assert "sklearn.base" not in imports(module, TREES[module])


@pytest.mark.parametrize("module", sorted(TREES))
def test_optional_packages_inside_functions(module):
    roots = {name.split(".")[0] for name in imports_on_loading(module, TREES[module])}
    assert not roots & OPTIONAL


def test_no_circles():
    # Wherever the import stands: in a function or for types alone it ties two modules as well.
    graph = {
        module: {
            name
            for name in imports(module, tree)
            if name in TREES and name != module and name not in PACKAGES
        }
        for module, tree in TREES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import skdistill
assert not {"numpy", "sklearn"} & set(sys.modules)  # they wait until a name is asked for
assert set(dir(skdistill)) > {*skdistill.__all__, "objectives"}
assert not hasattr(skdistill, "nothing")
print(skdistill.objectives.KernelRidge())
from skdistill import *
import skdistill.networks
print(SensitivityCoreset())
"""


def test_importing_needs_neither_torch_nor_optional_packages():
    # scikit-learn may load pandas on its own, so what is in sys.modules would prove nothing.
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    command = [sys.executable, "-c", WITHOUT, "torch", *OPTIONAL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("KernelRidge()\nSensitivityCoreset()\n", "")
