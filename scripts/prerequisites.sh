#!/usr/bin/env bash
# Sees to the programs that the tests start themselves: Redis and PostgreSQL. Installs what is
# missing where it may do so without asking; else it names the one command, and fails. Further
# programs whose packages have their names are its arguments.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
if ! command -v initdb >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  missing+=(postgresql)
fi
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
for program in "$@"; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y ${missing[*]}"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "The tests need ${missing[*]}. Run: sudo $install" >&2
    exit 1
  fi
  as_root="sudo -n"
fi
if ! command -v apt-get >/dev/null; then
  echo "The tests need ${missing[*]}: install them with this system's package manager." >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq "${missing[@]}" >/dev/null
