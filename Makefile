# Every target sets up what it needs on a fresh Debian machine and says so first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# rustup puts cargo into the home folder, which a fresh shell may not look into yet.
CARGO ?= $(shell command -v cargo || echo $(HOME)/.cargo/bin/cargo)
VENV := target/peers
AXE := target/axe

# What Debian packages provide: command → package.
BUILD_TOOLS := curl:curl cc:build-essential c++:build-essential cmake:cmake
# Where a Debian package puts spoken sentences, with their words.
SPEECH := /usr/share/pocketsphinx/test/data/librivox
TEST_TOOLS := chromium:chromium chromedriver:chromium-driver opusdec:opus-tools espeak-ng:espeak-ng sox:sox openssl:openssl jq:jq

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.PHONY: demo
demo: setup-build ## Run the gateway with a fake WhatsApp and answer a ringing call in the browser.
	@echo "==> building (a first build takes some minutes, later ones seconds)"
	@$(CARGO) build --release --locked
	@models/get.sh tiny.en || echo "==> no speech model: calls are not written down, everything else works" >&2
	@target/release/tandem demo $(ARGS)

.PHONY: test
test: setup-build setup-test ## Run every test.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	then tests/with-postgres.sh $(CARGO) nextest run --workspace --locked --no-fail-fast; \
	else tests/with-postgres.sh $(CARGO) test --workspace --locked --no-fail-fast; fi

.PHONY: bench
bench: setup-build setup-speech model ## Run the benchmarks: a packet, a decision, a second of text, a summary, 100 calls.
	$(CARGO) bench --locked --bench forward
	$(CARGO) bench --locked --bench shard
	$(CARGO) bench --locked --bench recording
	$(CARGO) bench --locked --bench fork
	$(CARGO) bench --locked --bench decide
	benches/speech.sh
	$(CARGO) bench --locked --bench asr
	$(CARGO) bench --locked --bench summary
	tests/load.sh

.PHONY: interop
interop: setup-build ## Try RTP over QUIC against GStreamer's, both ways.
	@pkg-config --exists gstreamer-app-1.0 2>/dev/null && pkg-config --exists gstreamer-net-1.0 \
	|| { $(call apt,pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base); }
	$(CARGO) run --quiet --locked --manifest-path tests/interop/roq/Cargo.toml --target-dir target/interop

.PHONY: model
model: ## Bring the speech model: English; MODEL=base for many languages.
	@$(call install,python3:python3)
	@python3 -m pip --version >/dev/null 2>&1 || { $(call apt,python3-pip); }
	@models/get.sh $(or $(MODEL),tiny.en)

.PHONY: setup-build
setup-build:
	@$(call install,$(BUILD_TOOLS))
	@if ! command -v $(CARGO) >/dev/null; then $(call apt,rustup) && $(CARGO) --version >/dev/null \
	|| { echo "Rust is missing and this Debian has no rustup: install it from https://rustup.rs, then run make again." >&2; exit 1; }; fi

.PHONY: setup-test
setup-test: $(VENV)/ready $(AXE)/axe.min.js setup-speech model
	@$(call install,$(TEST_TOOLS))
	@{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || { $(call postgres); }

.PHONY: setup-speech
setup-speech:
	@[ -d $(SPEECH) ] || { $(call apt,pocketsphinx-testdata); }

# An independent WebRTC stack that plays the customer's phone, and an independent speech recogniser.
$(VENV)/ready: tests/peers/requirements.txt
	@$(call install,python3:python3)
	@python3 -c 'import ensurepip' 2>/dev/null || { $(call apt,python3-venv); }
	@echo "==> setting up the independent peers, WebRTC and speech (Python, 0.5 GB in $(VENV))"
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: -r tests/peers/requirements.txt
	@touch $@

# axe-core, which looks for what people who cannot see or point would stumble over. A Python package has it, which is
# unpacked and not run.
$(AXE)/axe.min.js: tests/console/axe.txt
	@$(call install,python3:python3)
	@python3 -m pip --version >/dev/null 2>&1 || { $(call apt,python3-pip); }
	@echo "==> fetching axe-core"
	@rm -rf $(AXE) && mkdir -p $(AXE)
	@python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
		--requirement $< --dest $(AXE)
	@python3 -m zipfile -e $(AXE)/*.whl $(AXE)/in && mv $(AXE)/in/*/axe.min.js $@

# $(call install,command:package …): installs the packages whose commands are missing.
install = missing=""; for pair in $(1); do command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair\#\#*:}"; done; \
	if [ -n "$$missing" ]; then $(call apt,$$missing); fi
# Installs PostgreSQL's programs alone: Debian would also make a cluster and start it at every boot, so for the time of the
# installation a file says not to.
postgres = $(call apt,postgresql-common) && sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	quiet=/etc/postgresql-common/createcluster.d/tandem-tests.conf; \
	$$sudo mkdir -p "$${quiet%/*}" && echo "create_main_cluster = false" | $$sudo tee "$$quiet" >/dev/null && \
	{ $(call apt,postgresql); code=$$?; $$sudo rm -f "$$quiet"; [ "$$code" = 0 ]; }
# $(call apt,packages)
apt = echo "==> installing from Debian: $(1)"; sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1) >/dev/null
