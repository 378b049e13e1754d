#!/bin/sh
# Style, types and tests; what is given goes to pytest.
set -eu
cd "$(dirname "$0")/.."
EXTRAS="[dev]"
. scripts/install.sh
.venv/bin/ruff check --quiet .
.venv/bin/ruff format --quiet --check .
.venv/bin/mypy
exec .venv/bin/pytest -n 2 "$@"
