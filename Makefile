# Everything a person or CI does with Steelyard. `make` lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Programs of administrators are not always in a user's PATH.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# Go needs a place for its caches even where no HOME is set.
HOME ?= $(shell getent passwd "$$(id -u)" | cut -d: -f6)
export HOME
# The checked-in BPF object and the static binaries need no C library.
export CGO_ENABLED := 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD := go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
# Network namespaces and BPF are for root.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
AS_ROOT := $(if $(SUDO),-exec 'sudo -E')

# What lint, generate and the tests call, as program:package of Debian and
# Ubuntu. Building, the demo and the daemon need none of it.
TOOLS := clang-19:clang-19 llvm-strip-19:llvm-19 clang-format-19:clang-format-19 \
	gcc:gcc gcc:libc6-dev dnsmasq:dnsmasq-base dig:bind9-dnsutils nginx:nginx-light curl:curl iperf3:iperf3

# Run from its source, not a tool of go.mod: its two hundred modules are none
# of the product's business.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BPF_SOURCES := $(wildcard bpf/*.[ch] testenv/*/bpf/*.[ch])
# What runs many goroutines in the product is also tested with the race
# detector, which needs a C compiler.
CONCURRENT := ./control/... ./dataplane/neigh
FUZZTIME ?= 60s
ORACLERUNS ?= 20

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Build, then watch clients, the balancer and backends at work on this machine
	@$(SUDO) build/lab demo

lab: build ## Raise the demo's network and leave it up to play with
	@$(SUDO) build/lab up

build: ## Build build/steelyard and build/lab, static
	@mkdir -p build
	$(BUILD) -o build/ ./cmd/...

generate: deps ## Compile bpf/ into the object that is checked in
	go generate ./...

test: deps lint check-generated ## Install what is missing, check everything, run every test
	CGO_ENABLED=1 go test -race -count=1 -vet=off $(AS_ROOT) $(CONCURRENT)
	go test -count=1 -vet=off $(AS_ROOT) ./...

bench: build ## Measure throughput and cost per packet on this machine
	@$(SUDO) build/lab bench

fuzz: deps ## Run each fuzz target for FUZZTIME (60s), and the oracle ORACLERUNS (20) times
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ { names[++n] = $$1 } /^ok/ { for (; n > 0; n--) print $$2, names[n] }' | \
	while read -r package target; do \
		echo "== $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $(AS_ROOT) "$$package" </dev/null; \
	done
	go test -count=$(ORACLERUNS) -timeout 0 -run '^(TestOracle|TestFlowsStay)$$' $(AS_ROOT) ./dataplane/xdp

lint: deps ## Check style, suspicious code, who imports whom, and go.mod
	go run $(GOLANGCI_LINT) run ./...
	clang-format-19 --dry-run -Werror $(BPF_SOURCES)
	go mod tidy -diff

# The tree is not touched: the object is compiled in a copy of it.
check-generated: deps ## Check that generated files are what their sources give
	@copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	cp -a bpf dataplane testenv go.mod go.sum "$$copy"; \
	(cd "$$copy" && go generate ./...); \
	find bpf dataplane testenv -name '*_bpfe[lb].*' | while read -r file; do \
		cmp "$$file" "$$copy/$$file" || { echo "$$file is out of date: run make generate"; exit 1; }; \
	done

fmt: deps ## Format Go and C
	gofmt -w .
	clang-format-19 -i $(BPF_SOURCES)

clean: ## Remove what make built
	rm -rf build

# A server that tests start must not start by itself: policy-rc.d says no to
# the packages' scripts while they are installed.
deps: ## Install the packages that tests and generate need, if missing
	@missing=; \
	for tool in $(TOOLS); do \
		command -v "$${tool%%:*}" >/dev/null || missing+=" $${tool##*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "apt-get is not here: please install what Debian calls$$missing"; exit 1; }; \
	echo "installing$$missing"; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e "$$policy" ]; then \
		trap '$(SUDO) rm -f "$$policy"' EXIT; \
		printf '#!/bin/sh\nexit 101\n' | $(SUDO) install -m 755 /dev/stdin "$$policy"; \
	fi; \
	log=$$($(SUDO) apt-get -qq update 2>&1 && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing 2>&1) || \
		{ echo "$$log"; exit 1; }

.PHONY: help demo lab build generate test bench fuzz lint check-generated fmt clean deps
