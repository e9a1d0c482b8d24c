#!/usr/bin/env bash
# Installs adaprep with what its tests need into .venv and runs them; types and docs are checked meanwhile.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source workflows/environment.sh
make_environment dev
.venv/bin/ruff check .
.venv/bin/ruff format --check .

mkdir -p build
(.venv/bin/mypy && build_docs) >build/checks.txt 2>&1 &
checks=$!
trap 'kill "$checks" 2>/dev/null || true' EXIT
.venv/bin/python -m tests.warm # compiled once, not by every process at its start
# One process more than there are processors: tests of servers and of killed workers wait for a fifth of their time
passed=true
PYTEST_XDIST_AUTO_NUM_WORKERS=$(($(getconf _NPROCESSORS_ONLN) + 1)) \
    .venv/bin/python -m pytest --numprocesses logical --maxprocesses 9 --dist worksteal "$@" || passed=false
wait "$checks" || passed=false
cat build/checks.txt
"$passed"
