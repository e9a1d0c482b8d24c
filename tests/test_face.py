"""`import adaprep`, `python -m adaprep`, and modules of the same names elsewhere on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adaprep

HOME = Path(adaprep.__file__).resolve().parents[1]


def python(*args: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    searched = os.pathsep.join([*([str(path)] if path else []), str(HOME)])
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": searched, **environment},
        cwd=path or HOME,
    )


@pytest.mark.parametrize("name", sorted(set(adaprep.__all__) - {"AdaptiveSegmenter", "load"}))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(adaprep, name).__doc__
    assert name in dir(adaprep)


def test_the_names_that_run_networks_need_torch_only_when_they_are_used() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport adaprep; adaprep.propose; print('ok')"
    assert python("-c", code).stdout == "ok\n"
    pytest.importorskip("torch")
    assert adaprep.AdaptiveSegmenter.__doc__
    assert adaprep.load.__doc__


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'proposal'; it has: .*propose"):
        adaprep.proposal  # noqa: B018


def test_from_label_map_to_label_map() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 12:25] = 1
    fine = adaprep.resize(adaprep.propose(labels, [1]), (16, 16))
    small = adaprep.sample(labels, fine)
    scores = np.stack([small == 0, small == 1]).astype(np.float32)
    back = adaprep.interpolate_labels(scores, fine, 40)
    assert (back == labels).mean() > 0.95


def test_python_m_adaprep_is_the_command_line() -> None:
    result = python("-m", "adaprep", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: adaprep [OPTIONS] COMMAND")


@pytest.mark.parametrize("name", ["cli.py", "pipeline.py", "pipeline/__init__.py", "pipeline/notes.txt"])
def test_modules_of_the_same_name_beside_the_user_do_not_hide_ours(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("print('not adaprep')\n" if name.endswith(".py") else "notes\n")
    result = python("-m", "adaprep", "datasets", "--json", path=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("[")


def test_one_that_was_imported_before_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    result = python("-c", "import pipeline, adaprep", path=tmp_path)
    assert result.returncode == 1
    assert "a module named 'pipeline'" in result.stderr
    assert "Rename it, or import adaprep first." in result.stderr
