# What can be done here. Each target installs what it lacks through the ordinary package managers.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CARGO_TERM_PROGRESS_WHEN ?= never
# What demonstrations run: `release`, or `dev`, the build of the tests.
PROFILE ?= release
BIN := $(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)/univrs

.PHONY: help demo demo-core demo-cluster demo-resources demo-topology demo-faces dashboard images images-ipfs bench-topology up test check bench soak interop fix openapi deps build

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: demo-core demo-cluster demo-resources demo-topology demo-faces ## The main job end to end; cleans up after itself

demo-core: build ## One machine: deploy, scale, update, break, kill, re-adopt, remove
	@scripts/demo-core.sh $(BIN)

demo-resources: build images ## A database from a template: SQL, a kill, backup, restore, and nothing left
	@scripts/demo-resources.sh $(BIN)

demo-cluster: build ## Six machines in three clouds: spread, call across, kill a cloud, heal
	@scripts/demo-cluster.sh $(BIN)

demo-topology: build ## One file of clouds: check, plan, cost, optimise, emit, draw
	@scripts/demo-topology.sh $(BIN)

demo-faces: build ## The dashboard in a browser: deploy, watch, read logs, open the graph, run an MCP tool
	@scripts/demo-faces.sh $(BIN)

up: build ## Stay running in the foreground with the core demo deployed; Ctrl-C removes all
	@scripts/up.sh $(BIN)

test: deps images ## Install what tests need and run all of them
	@scripts/test.sh

check: deps ## Formatting, lints, layers, generated files, docs, licences; writes nothing
	@scripts/check.sh

fix: deps ## What check asks for, as far as a program can do it
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo xtask write-errors write-decisions
	$(MAKE) openapi

openapi: deps ## Write the OpenAPI document and the dashboard's client anew
	UPDATE_EXPECT=1 cargo test --quiet --workspace --test api
	@if command -v npm >/dev/null; then scripts/dashboard-packages.sh && cd dashboard && npm run --silent client; fi

bench: deps bench-topology ## Measurements against peers; prints ratios
	@scripts/bench.sh

bench-topology: build ## The topology compiler against its time and memory limits
	@scripts/bench/topology.sh $(BIN)

soak: deps ## The long seed counts
	@scripts/soak.sh

interop: build images ## Outside suites against the live API
	@scripts/interop.sh $(BIN)

build: deps dashboard
ifeq ($(PROFILE),dev)
	@# With the features that tests have, so that nothing is built twice.
	cargo build --workspace --bin univrs
else
	cargo build --profile $(PROFILE) --package univrs
endif

images: ## The images that templates and tests need, from Debian packages, into target/images
	@scripts/images.sh

images-ipfs: ## The images of the IPFS and object storage templates: minutes of Go, once
	@scripts/images.sh kubo ipfs-cluster s3 balancer

dashboard: ## Build the dashboard for the binary; does nothing without Node
	@scripts/dashboard.sh

deps:
	@scripts/install.sh
