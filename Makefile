# What people and CI run. Everything here needs Go, gcc, make and node; `make test` gets the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null | sed 's/^v//' | grep . || echo 0.1.0)
GOFLAGS_BUILD := -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
GOFILES := $(shell git ls-files -co --exclude-standard '*.go' 2>/dev/null)
APP := webui/app
PAGE := webui/dist/index.html
FUZZTIME ?= 10s
SOAK ?= 30m
TOOL := go tool -modfile=tools.mod

export CGO_ENABLED := 1
# without this SQLite flushes with fsync, which on ext4 writes the file's time stamp to the journal with each commit
export CGO_CFLAGS := -O2 -g -DHAVE_FDATASYNC=1

.PHONY: run
run: build ## build all, then show it with simulated devices
	exec bin/fieldgate demo

.PHONY: build
build: page bin/fieldgate ## the page and the binary

# go build decides for itself what is stale; the page is embedded, so it comes first.
.PHONY: bin/fieldgate
bin/fieldgate: $(PAGE)
	go build $(GOFLAGS_BUILD) -o $@ ./cmd/fieldgate

.PHONY: page
page: $(PAGE) ## the page alone

$(PAGE): $(APP)/node_modules/.package-lock.json $(shell git ls-files -co --exclude-standard $(APP) 2>/dev/null)
	npm --prefix $(APP) run build
	touch webui/dist/.placeholder $@

$(APP)/node_modules/.package-lock.json: $(APP)/package.json $(APP)/package-lock.json
	npm --prefix $(APP) ci --no-audit --no-fund
	touch $@

.PHONY: test
test: test-tools build test-go test-page test-e2e test-deb ## everything that can be tested here

.PHONY: test-tools
test-tools: # what the tests drive: brokers, slaves and a browser that we did not write
	packaging/test-tools.sh

.PHONY: test-go
test-go: $(PAGE)
	mkdir -p build
	set +e; go test -race -timeout 30m ./... 2>&1 | tee build/test.log; status=$$?; set -e; \
	echo; echo "go test: $$(grep -c '^ok' build/test.log || true) packages ok, $$(grep -cE '^(FAIL|---.FAIL|panic:)' build/test.log || true) lines of failure"; exit $$status

.PHONY: test-page
test-page: $(APP)/node_modules/.package-lock.json
	npm --prefix $(APP) test

.PHONY: test-e2e
test-e2e: build
	npm --prefix $(APP) run e2e

.PHONY: test-deb
test-deb: # needs root, for it changes its root folder
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory deb && packaging/test.sh; else echo "test-deb: skipped, only root may change the root folder"; fi

.PHONY: check
check: check-format check-vet check-lint check-imports check-page ## what must hold before anything is merged

.PHONY: check-format
check-format:
	@bad=$$(gofmt -l $(GOFILES)); if [ -n "$$bad" ]; then echo "gofmt -w these files:"; echo "$$bad"; exit 1; fi

.PHONY: check-vet
check-vet:
	go vet ./...

.PHONY: check-lint
check-lint:
	$(TOOL) staticcheck ./...
	$(TOOL) errcheck -ignoretests -exclude .errcheck ./...
	$(TOOL) revive -config revive.toml -set_exit_status -exclude ./webui/app/node_modules/... ./...

.PHONY: check-imports
check-imports: # the import table, docs/conformance.md, openapi.json; the test cache does not see other packages change
	go test -count=1 ./internal/archtest ./internal/conformance
	go test -count=1 -run OpenAPI ./webui/...

.PHONY: check-page
check-page: $(APP)/node_modules/.package-lock.json
	npm --prefix $(APP) run check

.PHONY: judge
judge: test-tools ## the MQTT conversations against Debian's mosquitto; docs/conformance.md lists every difference
	FIELDGATE_JUDGE=/usr/sbin/mosquitto go test -count=1 -run TestJudge ./broker

.PHONY: bench
bench: build ## docs/performance.md, beside Debian's mosquitto; PART=broker,durable,spool,elision,memory,hot,bridges,idle picks some
	FIELDGATE=$(CURDIR)/bin/fieldgate BENCH_PAGE=$(CURDIR)/docs/performance.md BENCH_PART="$(PART)" BENCH_ROUNDS=$(ROUNDS) BENCH_ROW="$(ROW)" \
		go test -count=1 -timeout 60m -v -run '^TestBench$$' ./internal/loadtest

.PHONY: soak
soak: build ## mixed load, kills, slow readers for SOAK (30m): nothing lost, nothing grows
	FIELDGATE=$(CURDIR)/bin/fieldgate FIELDGATE_SOAK=$(SOAK) go test -count=1 -timeout 0 -run '^TestSoak$$' ./internal/loadtest -v

.PHONY: benchmarks
benchmarks: ## Go benchmarks of all packages
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: faults
faults: ## 10,000 faults on Modbus lines, 1,000 unplug cycles
	MODBUS_FAULTS=10000 MODBUS_UNPLUGS=1000 go test -count=1 -timeout 40m -v -run 'FaultsOnTheLine|UnplugCycles' ./bridges/modbus

.PHONY: abuse
abuse: ## round trips of 1,000 clients with and without abusers beside them, by hand
	go test -run '^$$' -bench Abuse -benchtime 1x ./broker

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	packaging/fuzz.sh $(FUZZTIME)

.PHONY: powercut
powercut: ## 2,000 states in which a power cut may leave the data; POWERCUT names the recorder (../shared/tools/powercut), else our own
	packaging/powercut.sh

.PHONY: deb
deb: build ## the Debian package, in build/
	VERSION=$(VERSION) packaging/deb.sh

.PHONY: cover
cover: ## test coverage by function, in build/
	mkdir -p build
	go test -coverpkg=./... -coverprofile=build/cover.out ./...
	go tool cover -func=build/cover.out | tail -1
	go tool cover -html=build/cover.out -o build/cover.html

.PHONY: install-tools
install-tools: test-tools ## Debian and npm packages that the tests need
	npm --prefix $(APP) ci --no-audit --no-fund

.PHONY: clean
clean: ## what was built
	rm -rf bin build $(APP)/node_modules
	find webui/dist -mindepth 1 ! -name .placeholder -delete

.PHONY: help
help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
