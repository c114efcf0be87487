"""Sphinx settings. Nothing is fetched while building: no intersphinx, no remote images."""

import re
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

# The tutorials are the examples: copied here, run, and shown with what they print.
tutorials = HERE / "tutorials"
shutil.rmtree(tutorials, ignore_errors=True)
for example in sorted((HERE.parent / "examples").glob("[0-9]*.py")):
    tutorials.mkdir(exist_ok=True)
    shutil.copy(example, tutorials)

project = "insiren"
author = "The insiren developers"
copyright = "2026, The insiren developers"
version = release = installed_version("insiren")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "images", "conf.py"]  # .py is a source suffix here

myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds for one cell; the first call of anything compiles

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"insiren {release}"


def leave_out_empty(app, docname, source):
    """Take from the contents the folders that hold nothing yet: Sphinx warns of them, and a warning is an error."""
    for folder in ("tutorials", "decisions"):
        if docname == "index" and not any((HERE / folder).glob("[0-9]*")):
            source[0] = re.sub(rf"```{{toctree}}\n[^`]*{folder}/\*\n```\n", "", source[0])


def keep_bars(app, what, name, obj, options, lines):
    """Keep |Q| and the like as they are: between bars reStructuredText would look for a substitution."""
    lines[:] = [re.sub(r"\|([^|`\s]+)\|", r"\\|\1\\|", line) for line in lines]


def setup(app):
    app.connect("source-read", leave_out_empty)
    app.connect("autodoc-process-docstring", keep_bars)
