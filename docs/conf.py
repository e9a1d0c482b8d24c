"""How Sphinx builds these pages: `bash workflows/docs.sh`. They are plain Markdown, to be read on GitHub too."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature

project = "adaprep"
version = release = installed_version("adaprep")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
default_role = "code"  # of docstrings: `name` without a role
autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch"]  # so that the pages are the same where there is no PyTorch
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has the types
smartquotes = False  # h' is no quotation, --dataset no dash
html_theme = "furo"
html_title = f"adaprep {release}"
exclude_patterns = ["images"]
myst_heading_anchors = 3

CHAPTERS = {
    "Start": ("quick-start", "your-own-data", "datasets", "real-data"),
    "Use": (
        "commands",
        "recipes",
        "running",
        "object-stores",
        "scaling",
        "training",
        "evaluating",
        "export",
        "choosing",
    ),
    "Understand": (
        "method",
        "appendix-a",
        "results",
        "trials",
        "performance",
        "stores",
        "reliability",
        "code",
        "glossary",
    ),
    "Python": ("api/index", "api/geometry", "api/metrics", "api/segmenter", "api/stores", "api/datasets"),
}
"""Pages in reading order. One that is not listed fails the build; one that is listed need not be there."""

ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], "
    r"~?(?:numpy\.)?dtype\[((?:[^][]|\[[^][]*\])*)\]\]"
)
"""How a signature shows `NDArray[...]`."""


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the table of contents to the first page, where GitHub would show it as code."""
    if page != "index":
        return
    for caption, names in CHAPTERS.items():
        present = [name for name in names if (Path(app.srcdir) / f"{name}.md").exists()]
        source[0] += "\n".join(
            ["\n\n```{toctree}", ":hidden:", f":caption: {caption}", "", *present, "```\n"]
        )


def add_fields(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Append the fields of a class that carry a comment, which is what explains them in the code."""
    if what != "class":
        return
    fields = re.findall(r"(?m)^    (\w+): .*?  # (.+)$", inspect.getsource(thing))
    if fields and "Attributes" not in lines:
        lines += ["", "Attributes", "----------"]
        for field, comment in fields:
            lines += [field, f"    {comment}"]


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Arrays as the code writes them; of a class derived from a mocked one, its own arguments."""
    if what == "class" and "__init__" in vars(thing):
        own = signature_of(thing.__init__, bound_method=True)
        arguments = stringify_signature(own, show_return_annotation=False, unqualified_typehints=True)

    def short(text: str | None) -> str | None:
        return text and ARRAY.sub(r"NDArray[\1]", text)

    return short(arguments), short(returned)


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", add_fields, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten)
