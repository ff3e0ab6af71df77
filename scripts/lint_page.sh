#!/usr/bin/env bash
# The page: its scripts parse as modules; no inline script or style, nothing from elsewhere.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

page=crates/gateway/src/admin/page
for script in "$page"/*.js; do
  node --input-type=module --check <"$script"
done
if grep -nE '<script>|<style|style="| on[a-z]+="|(src|href)="(https?:)?//' "$page"/*.html; then
  echo "the page holds inline code, or loads something from elsewhere" >&2
  exit 1
fi
