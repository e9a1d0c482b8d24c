"""Licence, citation, constraints, changelog, glossary and results agree with each other and with the code."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
SETUP = ConfigParser()
SETUP.read(REPOSITORY / "setup.cfg", encoding="utf-8")

APACHE_2 = "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645"
"""SHA-256 of the unchanged text of the licence, runs of white space as one blank."""

TERMS = (
    "target boundary", "nearest boundary", "proposal", "sampling tensor", "folded cell", "fixed warp",
    "trimap", "train id", "upper bound", "void", "crop", "grid", "lambda", "resolution", "sampler",
    "auxiliary network", "base network", "split", "workspace", "store", "block", "equal cost",
)  # fmt: skip

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "docs/*.py", "workflows/*.md")
    for path in REPOSITORY.glob(pattern)
)


def text_of(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def pinned() -> dict[str, str]:
    lines = [line for line in text_of("workflows/constraints.txt").splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def declared() -> list[Requirement]:
    """Everything that setup.cfg asks for, in whatever extra."""
    texts = [SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values()]
    return [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]


def test_the_licence_is_the_one_that_setup_cfg_names() -> None:
    words = " ".join(text_of("LICENSE").split())
    assert hashlib.sha256(words.encode()).hexdigest() == APACHE_2
    assert SETUP["metadata"]["license_expression"] == "Apache-2.0"
    assert "LICENSE" in SETUP["metadata"]["license_files"].split()


def test_the_citation_is_of_this_version_and_of_the_paper() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert str(citation["version"]) == SETUP["metadata"]["version"]
    assert citation["license"] == SETUP["metadata"]["license_expression"]
    assert [author["name"] for author in citation["authors"]] == [SETUP["metadata"]["author"]]
    (paper,) = citation["references"]
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Marin", "He", "Vajda", "Chatterjee", "Tsai", "Yang", "Boykov"]
    assert paper["year"] == 2019
    assert paper["title"] in re.sub(r"\s+", " ", text_of("README.md"))


def test_the_changelog_has_this_version_below_what_is_unreleased() -> None:
    heads = re.findall(r"(?m)^## \[([^]]+)\]", text_of("CHANGELOG.md"))
    assert heads[:2] == ["Unreleased", SETUP["metadata"]["version"]]


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_constraints_pin_a_version_that_setup_cfg_allows(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    assert name in pinned(), "run: .venv/bin/python workflows/constraints.py > workflows/constraints.txt"
    assert requirement.specifier.contains(pinned()[name], prereleases=True)


def test_constraints_name_packages_and_versions_alone() -> None:
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned().values())
    assert list(pinned()) == sorted(pinned())


@pytest.mark.parametrize(
    ("variables", "used"),
    [({}, ""), ({"CI": "true"}, "workflows/constraints.txt"), ({"ADAPREP_CONSTRAINTS": "mine"}, "mine")],
)
def test_ci_installs_the_pinned_versions_and_users_the_newest(
    variables: dict[str, str], used: str, tmp_path: Path
) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    script = f'source "{REPOSITORY}/workflows/environment.sh"; make_environment dev'
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.findall(r"--constraint (\S+)", ran.stdout) == ([used] if used else [])
    assert ran.stdout.endswith("--editable .[dev]\n")


def test_hooks_are_known_commands() -> None:
    hooks = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert {"ruff", "ruff-format", "mypy", "end-of-file-fixer"} <= {hook["id"] for hook in hooks}


def test_every_term_is_defined_once() -> None:
    heads = [head.lower() for head in re.findall(r"(?m)^### (.+)$", text_of("docs/glossary.md"))]
    assert len(heads) == len(set(heads))
    assert set(TERMS) <= set(heads)


def test_links_to_the_glossary_lead_to_terms() -> None:
    heads = re.findall(r"(?m)^##+ (.+)$", text_of("docs/glossary.md"))
    anchors = {head.lower().replace(" ", "-") for head in heads}
    for page in PAGES:
        for anchor in re.findall(r"glossary\.md#([a-z-]+)", page.read_text(encoding="utf-8")):
            assert anchor in anchors, f"{page.relative_to(REPOSITORY)}: no term {anchor}"


def test_the_first_page_leads_to_the_glossary() -> None:
    assert "(glossary.md)" in text_of("docs/index.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_no_page_claims_the_gains_of_networks_that_are_not_converged(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\d.])[+]?(13\.2|17\.5)(?!\d)|\b(13|17) points", text)


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "results.py"))


@pytest.fixture(scope="module")
def figures() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text_of("docs/results.json"))
    return found


def test_the_results_page_is_what_its_figures_say(
    generator: dict[str, Any], figures: list[dict[str, Any]]
) -> None:
    assert text_of("docs/results.md") == generator["written"](figures), "run: python docs/results.py"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_pages_claim_what_the_tables_say_to_the_digit(
    page: str, generator: dict[str, Any], figures: list[dict[str, Any]]
) -> None:
    text = text_of(page)
    assert text.count("<!-- written by docs/results.py -->") == 1
    assert text == generator["said"](figures, text), "run: python docs/results.py"


def test_no_figure_is_that_of_a_network_that_is_still_improving(figures: list[dict[str, Any]]) -> None:
    rows = [row for experiment in figures for region in experiment["regions"] for row in region["rows"]]
    assert rows
    assert not [row for row in rows if row["improving"]]


def test_the_page_of_trials_is_what_its_figures_say() -> None:
    written = runpy.run_path(str(DOCS / "trials.py"))["written"]
    assert text_of("docs/trials.md") == written(json.loads(text_of("docs/trials.json"))), (
        "run: python docs/trials.py"
    )


def test_the_example_of_the_python_names_runs() -> None:
    (code,) = re.findall(r"(?s)```python\n(.*?)```", text_of("docs/api/index.md"))
    labels = np.zeros((96, 96), np.uint8)
    labels[30:60, 40:70] = 13
    names: dict[str, Any] = {"labels": labels, "image": np.zeros((96, 96, 3), np.uint8)}
    exec(code, names)
    assert names["phi"].shape == (2, 8, 8)
    assert names["samples"].shape == (64, 64, 3)


def test_the_python_names_are_documented() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    for name in (
        "target_boundaries", "nearest_boundary", "energy", "solve", "uniform", "resize", "project", "flip",
        "folded_cells", "sample", "interpolate", "interpolate_labels", "ConfusionMatrix", "trimap_accuracy",
        "object_recall", "AdaptiveSegmenter", "open_store", "Dataset",
    ):  # fmt: skip
        assert re.search(rf"\b{name}\b", pages), name
