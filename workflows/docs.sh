#!/usr/bin/env bash
# Installs adaprep with what its documentation needs into .venv and builds it into build/docs; a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
source workflows/environment.sh
make_environment docs
build_docs
echo "build/docs/index.html"
