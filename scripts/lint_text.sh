#!/usr/bin/env bash
# What must not stand in the project: paths of one machine, secrets, unfinished marks; `unsafe` in
# code of ours.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

faults=0
refuse() { # what it is, the pattern, the files
  local what=$1 pattern=$2
  shift 2
  if git grep --untracked -nIE "$pattern" -- "$@" ':!scripts/lint_text.sh'; then
    echo "$what" >&2
    faults=1
  fi
}

refuse "a path of one machine" '(^|[^a-z.])/(root|home/[a-z]+)/' '*.rs' '*.md' '*.toml' '*.py' '*.sh' Makefile
refuse "an unfinished mark" '\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(' '*.rs' '*.py' '*.js'
# The one module that may: it asks the kernel what no safe crate asks.
refuse "unsafe code" '\bunsafe +(fn|impl|trait|\{)|#!?\[allow\(unsafe_code' '*.rs' \
  ':!crates/gateway/src/upstream/unacked.rs'
refuse "a test that is left out" '#\[ignore' '*.rs'
exit $faults
