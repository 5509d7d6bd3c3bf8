.DEFAULT_GOAL := help
SHELL := bash
BIN := bin
LINT := go tool -modfile=.ci/lint/go.mod golangci-lint
FUZZTIME ?= 10s
STORM ?= 20000
BENCHTIME ?= 1s

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# grpcnotrace: gRPC, which wiemu-containers links, without its web pages, whose templates cost 3 MB.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -tags grpcnotrace

# wiemu-server is to be below 20 MB: what is not inlined in wiemu's own code and in that of Redis, where no time goes, saves 1.3 MB.
SMALL := -gcflags=github.com/wiemu/wiemu/...=-l -gcflags=github.com/alicebob/miniredis/...=-l

# The packages whose tests have lines that begin with a text: the others need not be linked.
with = $$(git grep --untracked -l '^$(1)' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|')

build: ## Build wiemu and wiemu-workload into bin/: all that programs of this machine need
	@rm -f $(BIN)/wiemu-places $(BIN)/wiemu-containers $(BIN)/wiemu-server # of another state of the sources, perhaps
	$(GO_BUILD) -o $(BIN)/ ./cmd/wiemu ./cmd/wiemu-workload

build-all: build ## ... and wiemu-containers and wiemu-server, for containers and clusters
	@mkdir -p $(BIN)/volume
	$(GO_BUILD) -o $(BIN)/ ./cmd/wiemu-containers
	$(GO_BUILD) $(SMALL) -o $(BIN)/ ./cmd/wiemu-server

kubectl: ## Build the real kubectl from its Go module into bin/ (minutes, the first time)
	@mkdir -p $(BIN)
	cd cmd/wiemu/testdata/kubectl && version=$$(go list -m -f '{{.Version}}' k8s.io/kubectl) && \
		CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1$${version#v0}" -o $(CURDIR)/$(BIN)/kubectl .

azurite: ## Install Azurite from npm into bin/
	@mkdir -p $(BIN)/npm
	cp internal/resource/storage/azurite/testdata/package*.json $(BIN)/npm/
	npm ci --silent --no-audit --no-fund --prefix $(BIN)/npm
	ln -sf npm/node_modules/.bin/azurite $(BIN)/azurite

e2e: build ## Run every embedded scenario as processes, on a machine with Go alone
	$(BIN)/wiemu scenario run $(if $(WIEMU_REQUIRE),--fail-on-missing)

# They begin first, or else each would run on one of the processors alone when all others are done.
LONGEST := ./internal/scenario ./cmd/wiemu ./internal/timeshift ./internal/console ./scenarios/conformance

test: ## The whole test suite
	go test -timeout 30m $(LONGEST) ./...

# What -X sets is an empty variable of that package: the default is another one then.
BY_PROXY := '-ldflags=-s -w -X=github.com/wiemu/wiemu/internal/backend.defaultNetwork=proxy'

# The pages are left out: what they show is the default's, and make test runs them.
test-proxy: ## ... of what starts programs, which then reach the lab by its proxy: the default is to lead them
	GOFLAGS="$$(go env GOFLAGS) $(BY_PROXY)" go test -timeout 30m -skip '^(TestREADME|TestPage)' ./cmd/wiemu ./internal/run ./internal/scenario ./scenarios/... ./harness/...

# Left out is what starts programs that are linked without it, and the library a second time.
race: ## ... with the race detector (needs a C compiler)
	go test -race -timeout 30m -skip '^(TestREADME|TestPageOf.*|TestKubectlCreatesTokens|TestNodeReadsASecret|TestFlood|TestEachScenarioFailsWithoutItsCause)$$' $(LONGEST) ./...

arm64: ## Tests of what is written for arm64, emulated (qemu-user-static); what the emulator lacks is counted as left out
	.ci/arm64

accuracy: ## How many replies are Entra ID's, request by request; FLAGS="-o json"
	go run ./scenarios/accuracy $(FLAGS)

conformance: build ## The official clients against bin/wiemu; FLAGS="--run REGEX --mode proxy -o json"
	go run ./scenarios/conformance $(FLAGS)

conformance-table: ## ... and write the table of docs/conformance.md
	$(MAKE) conformance FLAGS=--update-table

conformance-update: ## ... with the newest versions that run here, pinned
	$(MAKE) conformance FLAGS="--update --update-table"

# With BENCHTIME=1x it is to see that they work: once each, the longest ones in short.
ONCE := $(filter 1x,$(BENCHTIME))

bench: build-all go-bench ## Benchmarks: exchanges against bare RSA, start, memory (wrk is used if it is there)
	.ci/bench $(BIN) $(if $(ONCE),1)

go-bench: ## ... those of go test alone
	go test -run '^$$' -bench . -benchtime $(BENCHTIME) $(if $(ONCE),-short) $(call with,func Benchmark)

storm: ## Keys rotate 50 times a second while 8 clients exchange; STORM=1000000 is the long form
	STORM=$(STORM) go test -count=1 -timeout 0 -run '^TestStorm$$' -v ./internal/server

# Each package is built once for all of its targets, which go test -fuzz links anew for each.
fuzz: ## Run every fuzz target for FUZZTIME (10s, or a number of runs: 5000x)
	@set -e; program=$$(mktemp); trap 'rm -f "$$program"' EXIT; \
	packages=$(call with,func Fuzz); [ -n "$$packages" ] || { echo 'no fuzz targets found: expected a clone, in which git finds them' >&2; exit 1; }; \
	for package in $$packages; do \
		go test -c -ldflags='-s -w' -fuzz . -o "$$program" $$package; \
		cd $$package; targets=$$("$$program" -test.list '^Fuzz'); cache=$$(go env GOCACHE)/fuzz/$$(go list); \
		for target in $$targets; do \
			echo "fuzz $$package $$target"; \
			"$$program" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) -test.fuzzminimizetime 10x -test.fuzzcachedir "$$cache"; \
		done; cd $(CURDIR); \
	done

lint: ## gofmt, vet for every system, golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these files'; exit 1; }
	go vet -tags e2e ./...
	go run -C .ci/lint ./systems $(CURDIR) linux/arm64 darwin/arm64 windows/amd64
	$(LINT) run

e2e-compose: build-all ## Stacks of containers, and every scenario that makes sense there (Docker): .ci/docker run make e2e-compose
	.ci/images workload curl
	go test -tags e2e -count 1 -timeout 30m -v ./harness/containers ./internal/compose/... ./internal/containers
	go test -tags e2e -count 1 -timeout 10m -v -run '^TestLedInContainers$$' ./cmd/wiemu
	$(BIN)/wiemu scenario run --on compose

e2e-all: e2e e2e-compose e2e-kind ## All three backends, one after another (Docker)

e2e-kind: build-all kubectl ## A cluster with a real kubelet, 15 minutes (Docker): .ci/docker run make e2e-kind; NODE_IMAGE=kindest/node:v1.37.0
	.ci/images curl node server workload
	go test -tags e2e -count 1 -timeout 20m -v -run '^TestClusterThatWasThereAlready$$' ./internal/deploy
	go test -tags e2e -count 1 -parallel 16 -timeout 40m -v -run '^TestCluster$$' ./internal/kind
	PATH=$(CURDIR)/$(BIN):$$PATH go test -tags e2e -count 1 -timeout 20m -run '^Test(PageOfKind|Kind.*)$$' ./cmd/wiemu
	$(BIN)/wiemu scenario run --on kind

e2e-images: build-all ## Images for tests with Docker: wiemu:local, wiemu/workload:local, and a stand-in for curlimages/curl where that cannot be pulled
	.ci/images

node-image: ## The kind node image, where kindest/node cannot be pulled (root, debootstrap, jq; 9 minutes the first time)
	internal/kind/nodeimage/build.sh $(NODE_IMAGE)

node-image-clean: ## Remove that image and its cache (Go's own caches stay: go clean -cache)
	docker images -q --filter label=dev.wiemu.nodeimage | sort -u | xargs -r docker rmi -f
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/wiemu/nodeimage"

clean: ## Remove what build made
	rm -rf $(BIN)

.PHONY: help build build-all kubectl azurite e2e e2e-compose e2e-kind e2e-all e2e-images node-image node-image-clean test test-proxy race arm64 accuracy conformance conformance-table conformance-update bench go-bench storm fuzz lint clean
