#!/bin/sh
# Proves the notes' Node case by case; what is given goes to `simverify verify`.
set -eu
cd "$(dirname "$0")/.."
EXTRAS=""
[ ! -x .venv/bin/pytest ] || EXTRAS="[dev]"
. scripts/install.sh
exec .venv/bin/simverify verify "$@"
