#!/usr/bin/env bash
# Installs adaprep into .venv and runs it end to end on generated street scenes.
set -euo pipefail
cd "$(dirname "$0")/.."
source workflows/environment.sh
make_environment
.venv/bin/adaprep demo "$@"
