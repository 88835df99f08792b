"""Settings of the documentation build: ``sphinx-build -W docs docs/_build/html``."""

from __future__ import annotations

import inspect
import os
import sys
import warnings

from docutils import nodes
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401  the gallery's scan of names needs it
)

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, os.path.abspath("_ext"))
sys.path.insert(0, os.path.abspath(".."))

import skdistill

project = "skdistill"
author = "the skdistill developers"
copyright = "2026, the skdistill developers"
version = release = skdistill.__version__

extensions = [
    "benchmark_table",
    "changelog",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# Source links lead to a public copy where its address is given, else to pages of this site.
SOURCE = os.environ.get("SKDISTILL_SOURCE_URL", "").rstrip("/")
extensions.append("sphinx.ext.linkcode" if SOURCE else "sphinx.ext.viewcode")

# Links into other projects need their inventories, from the network: only when asked for.
if os.environ.get("SKDISTILL_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
    }

templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "**/*.rst.inc",
    "auto_examples/**/*.ipynb",
    "auto_examples/**/*.py.md5",
    "**/sg_execution_times.rst",
    "sg_execution_times.rst",
]
default_role = "py:obj"
nitpicky = False

autosummary_generate = True
autodoc_default_options = {"inherited-members": True, "member-order": "groupwise"}
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

doctest_global_setup = "import numpy as np"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = f"skdistill {version}"
html_logo = html_favicon = "_static/logo.svg"
html_theme_options = {
    "logo": {"text": "skdistill", "alt_text": "skdistill: start page"},
    "navigation_with_keys": False,
    "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
    "switcher": {"json_url": "_static/versions.json", "version_match": version},
    "show_version_warning_banner": True,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "benchmarks": [], "getting_started": []}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["style.css"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": [
        f"../examples/{part}" for part in ("start_here", "tables", "images", "research")
    ],
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"/plot_",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skdistill",),
    "reference_url": {"skdistill": None},
    "only_warn_on_example_error": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "plot_gallery": True,
}

# Docstrings inherited from scikit-learn refer to labels of its own documentation.
SCIKIT_LEARN = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "modules/df_output_transform.html",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "r2_score": "modules/model_evaluation.html#r2-score-the-coefficient-of-determination",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}


def link_to_scikit_learn(app, env, node, contnode):
    """Point a reference that this documentation does not have to scikit-learn's."""
    page = SCIKIT_LEARN.get(node["reftarget"])
    if page is None:
        return None
    uri = f"https://scikit-learn.org/stable/{page}"
    return nodes.reference("", "", contnode, internal=False, refuri=uri)


def linkcode_resolve(domain, info):
    """Address of an object's source lines, for ``sphinx.ext.linkcode``."""
    if domain != "py" or not info["module"].startswith("skdistill"):
        return None
    found = sys.modules.get(info["module"])
    for part in info["fullname"].split("."):
        found = getattr(found, part, None)
    try:
        found = inspect.unwrap(getattr(found, "fget", None) or found)
        path = inspect.getsourcefile(found)
        lines, first = inspect.getsourcelines(found)
    except (OSError, TypeError):  # an attribute that is no code
        return None
    root = os.path.dirname(os.path.dirname(skdistill.__file__))
    return f"{SOURCE}/{os.path.relpath(path, root)}#L{first}-L{first + len(lines) - 1}"


def setup(app):
    """Connect what is defined here."""
    app.connect("missing-reference", link_to_scikit_learn)


# An example that warns teaches the warning: the gallery is built with warnings as errors.
warnings.filterwarnings("error", module=r"skdistill\.")
