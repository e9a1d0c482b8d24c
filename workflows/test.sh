#!/usr/bin/env bash
# Installs adaprep with what its tests need into .venv and runs them. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source workflows/environment.sh
make_environment dev
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
build_docs
.venv/bin/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal "$@"
