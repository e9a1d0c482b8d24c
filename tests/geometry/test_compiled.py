"""Compiled loops that Numba keeps are compiled anew when what they are made of changes."""

import ast
import hashlib
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def compiled_modules() -> list[Path]:
    paths = sorted((ROOT / "pipeline").rglob("*.py"))
    return [path for path in paths if "numba.njit(" in path.read_text()]


def borrowed(path: Path) -> set[str]:
    """Modules of ours whose names stand in functions that have a decorator."""
    tree = ast.parse(path.read_text())
    sources = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline")
        for alias in node.names
    }
    names = {
        name.id
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.decorator_list
        for name in ast.walk(function)
        if isinstance(name, ast.Name)
    }
    return {sources[name] for name in names & sources.keys()}


def digest(module: str) -> str:
    source = ROOT / Path(*module.split(".")).with_suffix(".py")
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


@pytest.mark.parametrize("path", compiled_modules(), ids=lambda path: path.stem)
def test_a_module_of_compiled_loops_names_what_else_they_are_compiled_from(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    noted = getattr(module, "COMPILED_WITH", {})
    expected = {name: digest(name) for name in borrowed(path)}
    assert noted == expected, f"write COMPILED_WITH = {expected} into {path.relative_to(ROOT)}"


def test_the_modules_that_share_compiled_operations_are_found() -> None:
    found = {path.stem for path in compiled_modules() if borrowed(path)}
    assert found == {"_boundary_kernels", "png_filters"}
