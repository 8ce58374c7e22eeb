#!/usr/bin/env bash
# docs/reference/ says what the program's tables say.
#
# usage: test_reference.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$build/trainer" help --format markdown --out "$work/reference"
diff -r "$source/docs/reference" "$work/reference" || {
    echo "FAILED: docs/reference is behind the program's tables (<); run scripts/update-reference" >&2
    exit 1
}
