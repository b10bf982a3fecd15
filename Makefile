# One build for everything: the whole workspace, the release profile, the committed Cargo.lock. Another choice of
# packages, profile or flags would compile RocksDB's C++ again (about 25 minutes of one core).
# CARGO_TARGET_DIR is respected; without it the build goes to target/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo test bench fmt lint doc fuzz crash load soak deb fixture otel

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO_BUILD := --release --locked
# The documentation is for those who work on it: private items are in it, and help texts are not HTML.
DOC_FLAGS := -D warnings -A rustdoc::private_intra_doc_links -A rustdoc::invalid_html_tags

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what a build needs and is missing (apt-get, rustup); says what; nothing if all is there
	@scripts/setup.sh

build: setup ## Build the gateway and the verifier
	@echo "building into $(CARGO_TARGET_DIR); the first build compiles RocksDB and takes a while"
	@cargo build $(CARGO_BUILD)

demo: build ## See the main job done over real HTTP, in a scratch directory
	@scripts/demo.sh "$(CARGO_TARGET_DIR)/release"

test: setup ## Run every test, doctests included, and print the counts
	@scripts/test.sh

otel: setup ## Build with the feature `otel` (traces) and run what tests it; RocksDB is not compiled again
	@cargo clippy $(CARGO_BUILD) --lib --bins --test otel --features keyward/otel -- -D warnings
	@cargo test $(CARGO_BUILD) --features keyward/otel --test otel

deb: build ## Build the Debian package into target/debian and install, use, upgrade, remove and purge it in an empty root
	@scripts/deb.sh "$(CARGO_TARGET_DIR)/release" "$(CARGO_TARGET_DIR)/debian"
	@as=(); if ((EUID != 0)); then as=(fakeroot); fi; "$${as[@]}" scripts/deb-test.sh "$(CARGO_TARGET_DIR)"/debian/keyward_*.deb

fixture: build ## Make an archive of what this version writes (tests/fixtures), to be committed before bytes change
	@scripts/upgrade-fixture.sh "$(CARGO_TARGET_DIR)/release" "$$(git rev-parse --short HEAD)" "tests/fixtures/$$("$(CARGO_TARGET_DIR)/release/keyward" --version | cut -d' ' -f2)-$$(git rev-parse --short HEAD).tar.gz"

bench: setup ## Run the benches; they print ratios taken within one run
	@cargo bench --locked --bench '*'

man: build ## Write man pages and completions below the target directory
	@mkdir -p "$(CARGO_TARGET_DIR)/man"
	@"$(CARGO_TARGET_DIR)/release/keyward" man --dir "$(CARGO_TARGET_DIR)/man"
	@for shell in bash zsh fish; do "$(CARGO_TARGET_DIR)/release/keyward" completions $$shell >"$(CARGO_TARGET_DIR)/man/keyward.$$shell"; done
	@echo "wrote completions for bash, zsh and fish beside them"

fmt: setup ## Format the code
	@cargo fmt --all

lint: setup ## Formatting, clippy, structure: what CI asks before it tests
	@cargo fmt --all --check
	@cargo clippy $(CARGO_BUILD) --all-targets -- -D warnings

doc: setup ## Build the API documentation; a warning is an error
	@RUSTDOCFLAGS="$(DOC_FLAGS)" cargo doc $(CARGO_BUILD) --no-deps --document-private-items

fuzz: setup ## Mutate the corpora of fuzz/corpus for FUZZ_SECONDS (60) per parser
	@KEYWARD_FUZZ_SECONDS="$${FUZZ_SECONDS:-60}" cargo test $(CARGO_BUILD) --test fuzz -- --nocapture --test-threads 2

crash: setup ## Kill the gateway under load CRASH_ROUNDS (20) times and account for every value
	@KEYWARD_CRASH_ROUNDS="$${CRASH_ROUNDS:-20}" cargo test $(CARGO_BUILD) --test it -- --nocapture crash

load: setup ## Soak, flood, idle connections and many secrets, each for a short time: about two minutes
	@cargo bench --locked --bench load -- ci

soak: setup ## Read at 70 % of the capacity for SOAK_SECONDS (1800) while operators work
	@cargo bench --locked --bench load -- soak "$${SOAK_SECONDS:-1800}"
