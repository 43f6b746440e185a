# The commands of this repository. `make up` and `make test` are the only two that set anything up; both can be run again
# at any time and then do only what is missing.

export GOTOOLCHAIN := local

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Programs are static and carry no paths of the machine that built them. A checkout of another user has no VCS stamp.
BUILD := go build -trimpath -buildvcs=false
STRIP := -s -w

# The daemons that apron runs as its children, at the versions that engine/go.mod pins.
DAEMONS := bin/containerd bin/containerd-shim-runc-v2 bin/buildkitd
PLUGINS := bin/cni/bridge bin/cni/loopback bin/cni/host-local
PINS    := engine/go.mod engine/go.sum
DAEMON_TAGS := no_btrfs,no_devmapper,no_zfs,osusergo,netgo

TEST_TIMEOUT ?= 40m

.DEFAULT_GOAL := help
.PHONY: help up down build build-race build-failpoint packages test test-parts test-clients examples conformance crash compatibility race faults chaos soak protocols check bench bench-proxy scaling-table lint

help: ## say what the commands are
	@echo "apron: App Runner on your own machines"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 23

up: ## install what is missing, build, start apron and deploy the example
	@scripts/install-packages build run
	@$(MAKE) --no-print-directory build
	@bin/apron doctor
	@bin/apron serve --detach
	@bin/apron deploy examples/hello-python --name hello-python --if-changed --ask

down: ## stop everything that `make up` started; the data stay
	@if [ -x bin/apron ]; then bin/apron down; else echo "There is no bin/apron, so nothing runs."; fi

build: $(DAEMONS) $(PLUGINS) bin/runc ## build bin/
	@CGO_ENABLED=0 $(BUILD) -ldflags "$(STRIP) -X main.version=$(VERSION)" -o bin/apron ./cmd/apron
	@CGO_ENABLED=0 $(BUILD) -ldflags "$(STRIP)" -o bin/apron-log ./cmd/apron-log

bin/containerd bin/buildkitd &: $(PINS)
	@echo "build containerd and buildkitd (a few minutes the first time)"
	@cd engine && CGO_ENABLED=0 $(BUILD) -tags $(DAEMON_TAGS) -ldflags "$(STRIP)" -o ../bin/ \
		github.com/containerd/containerd/v2/cmd/containerd \
		github.com/moby/buildkit/cmd/buildkitd
	@touch bin/containerd bin/buildkitd

bin/containerd-shim-runc-v2: $(PINS) scripts/build-shim
	@echo "build containerd's shim"
	@CGO_ENABLED=0 scripts/build-shim -trimpath -buildvcs=false -tags $(DAEMON_TAGS) -ldflags "$(STRIP)"
	@touch bin/containerd-shim-runc-v2

$(PLUGINS) &: $(PINS)
	@echo "build the network plugins"
	@cd engine && CGO_ENABLED=0 $(BUILD) -ldflags "$(STRIP)" -o ../bin/cni/ \
		github.com/containernetworking/plugins/plugins/main/bridge \
		github.com/containernetworking/plugins/plugins/main/loopback \
		github.com/containernetworking/plugins/plugins/ipam/host-local
	@touch $(PLUGINS)

bin/runc: $(PINS)
	@scripts/install-packages build
	@echo "build runc"
	@cd engine && CGO_ENABLED=1 $(BUILD) -tags seccomp -ldflags "$(STRIP)" -o ../bin/runc github.com/opencontainers/runc
	@touch bin/runc

packages: ## install the packages of the distribution that building, running and testing need
	@scripts/install-packages build run test

# $(call beside,DIR) puts the daemons of bin/ beside another apron.
beside = for each in apron-log cni $(notdir $(DAEMONS) bin/runc); do ln -sfn ../$$each $(1)/$$each; done

build-race: build # bin/race/apron tells its data races; the daemons beside it are those of bin/
	@mkdir -p bin/race
	@CGO_ENABLED=1 $(BUILD) -race -o bin/race/apron ./cmd/apron
	@$(call beside,bin/race)

build-failpoint: build # bin/failpoint/apron ends itself at a point of an operation
	@mkdir -p bin/failpoint
	@CGO_ENABLED=0 $(BUILD) -tags failpoint -o bin/failpoint/apron ./cmd/apron
	@$(call beside,bin/failpoint)

test: packages build bin/h2spec check build-race build-failpoint ## run the whole test suite; needs root, because it runs real containers
	@$(MAKE) --no-print-directory -j 2 test-parts test-clients # the clients mostly keep one processor busy with starting themselves
	@go test -race -p 1 -timeout $(TEST_TIMEOUT) $$(go list ./test/... | grep -v -e /test/conformance -e /test/examples)

test-parts:
	@go test -race -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -v /test/)

test-clients:
	@APRON_BIN=$(CURDIR)/bin/race go test -race -timeout $(TEST_TIMEOUT) ./test/conformance ./test/examples

examples: packages build ## deploy each example twice on each runtime it runs on, and tell how long both took
	@APRON_EXAMPLES=all go test -count=1 -v -timeout $(TEST_TIMEOUT) ./test/examples

conformance: packages build-race ## run one script by four clients of App Runner, against an apron that tells its data races
	@APRON_BIN=$(CURDIR)/bin/race go test -race -timeout $(TEST_TIMEOUT) ./test/conformance

crash: packages build-failpoint ## kill apron at each point of each operation, and compare how that ends with a run in peace
	@APRON_CRASH=everywhere go test -race -timeout $(TEST_TIMEOUT) ./test/crash

compatibility: packages build ## write docs/compatibility.md from what the clients of `make conformance` see
	@APRON_COMPATIBILITY=write go test -count=1 -timeout $(TEST_TIMEOUT) -run Answers ./test/conformance

race: packages build-race ## run the end-to-end tests against an apron that tells its data races
	@APRON_BIN=$(CURDIR)/bin/race go test -race -count=1 -timeout $(TEST_TIMEOUT) ./test/e2e ./test/conformance

faults: packages build ## run the tests of faults, with those that take most of a minute each
	@APRON_FAULTS=1 go test -race -count=1 -timeout $(TEST_TIMEOUT) -run 'ADisk|ADatabase|ApronIsStopped|ARegistryThatFails|EndOfADrain' ./test/e2e

SEED ?= $(shell date +%s)
chaos: packages build ## kill parts of apron at random, under traffic: ROUNDS=200, SEED=… for the same rounds again
	@APRON_CHAOS_SEED=$(SEED) APRON_CHAOS_ROUNDS=$(or $(ROUNDS),200) go test -count=1 -v -timeout 0 -run AtRandom ./test/chaos

MINUTES ?= 10
soak: packages build ## let apron work for MINUTES=10, and look whether anything grows
	@APRON_SOAK_MINUTES=$(MINUTES) APRON_CHAOS_SEED=$(SEED) go test -count=1 -v -timeout 0 -run Soak ./test/chaos

check: # what must be true of every commit, apart from the tests
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not in gofmt's form:"; echo "$$unformatted"; exit 1; fi
	@go vet ./...
	@go vet -tags failpoint ./internal/failpoint
	@go mod tidy -diff
	@cd engine && go mod tidy -diff

protocols: packages bin/h2spec ## test HTTPS, HTTP/2, HTTP/3 and gRPC by clients of others
	@go test -race -count=1 -timeout $(TEST_TIMEOUT) ./test/proxy/protocols

bench: packages build ## measure apron beside its peers and print ratios
	@scripts/install-packages bench
	@go test -run '^$$' -bench . -benchtime 1x -timeout $(TEST_TIMEOUT) ./test/bench

# Left out: all PROXIES and PARTS (small idle bodies routes), nothing in a file.
bench-proxy: packages build ## measure the proxy beside HAProxy, nginx and Caddy: ROUNDS=5 SECONDS=3 PROXIES=haproxy,apron PARTS=small OUT=file
	@scripts/install-packages bench-proxy
	@go build -o bin/proxybench ./test/proxybench
	@bin/proxybench -rounds $(or $(ROUNDS),5) -seconds $(or $(SECONDS),3) -only '$(PROXIES)' -parts '$(or $(PARTS),all)' -out '$(OUT)'

scaling-table: ## write the table of docs/scaling.md from the simulation of the autoscaler
	@APRON_SCALING_TABLE=write go test -count=1 -timeout $(TEST_TIMEOUT) -run SimulationIsWhat ./internal/autoscale

lint: bin/golangci-lint ## run the linters
	@bin/golangci-lint run ./...

bin/h2spec: tools/go.mod tools/go.sum # asks a server for all that HTTP/2 says it must do
	@cd tools && CGO_ENABLED=0 $(BUILD) -ldflags "$(STRIP)" -o ../bin/h2spec github.com/summerwind/h2spec/cmd/h2spec
	@touch bin/h2spec

bin/golangci-lint: tools/go.mod tools/go.sum
	@echo "build golangci-lint (a few minutes)"
	@cd tools && CGO_ENABLED=0 $(BUILD) -ldflags "$(STRIP)" -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch bin/golangci-lint
