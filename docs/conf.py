"""How Sphinx builds these pages: `bash workflows/docs.sh`. They are plain Markdown, to be read on GitHub too."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

project = "adaprep"
version = release = installed_version("adaprep")
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"adaprep {release}"
exclude_patterns = ["images"]
myst_heading_anchors = 3

CHAPTERS = {
    "Start": ("quick-start", "your-own-data", "datasets", "real-data"),
    "Use": ("commands", "recipes", "running", "scaling", "training", "evaluating", "choosing"),
    "Understand": ("method", "appendix-a", "results", "performance", "stores", "reliability", "code"),
}
"""Pages in reading order. One that is not listed fails the build; one that is listed need not be there."""


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the table of contents to the first page, where GitHub would show it as code."""
    if page != "index":
        return
    for caption, names in CHAPTERS.items():
        present = [name for name in names if (Path(app.srcdir) / f"{name}.md").exists()]
        source[0] += "\n".join(
            ["\n\n```{toctree}", ":hidden:", f":caption: {caption}", "", *present, "```\n"]
        )


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
