"""Count the code: lines, the largest module, the largest parameter list, the median function."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]


def main() -> None:
    files = [
        ROOT / "cli.py",
        *sorted((ROOT / "pipeline").rglob("*.py")),
        *sorted((ROOT / "adaprep").rglob("*.py")),
    ]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    functions = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    widest = max(functions, key=_parameters)
    largest = max(lines, key=lambda path: lines[path])
    print(f"production lines: {sum(lines.values()):,} in {len(lines)} modules")
    print(f"largest module: {largest.relative_to(ROOT)}, {lines[largest]} lines")
    print(f"largest parameter list: {widest.name}, {_parameters(widest)}")
    print(f"median function: {median(lengths):g} lines")


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)


if __name__ == "__main__":
    main()
