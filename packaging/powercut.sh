#!/bin/bash
# What a power cut may leave: records a broker under load and judges N states (2000) of its disk; then the same with
# durability crash_safe, which must lose something, or the judge is blind. POWERCUT names the folder of a recorder of
# system calls that is not in this repository; without it the one in cmd/fieldgate/testdata does, which sees what SQLite does.
set -euo pipefail
cd "$(dirname "$0")/.."
states=${1:-2000}
tool=${POWERCUT:-../shared/tools/powercut}
if [ ! -e "$tool/main.go" ]; then
	exec env FIELDGATE_POWERCUT_STATES="$states" go test -count=1 -timeout 90m -v -run '^TestSystem_PowerCutLosesNothing$' ./cmd/fieldgate
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$tool" && go build -o "$work/powercut" .)
go test -c -o "$work/rig" ./cmd/fieldgate

# run DURABILITY STATES
run() {
	mkdir "$work/$1"
	FIELDGATE_POWERCUT_DURABILITY=$1 FIELDGATE_POWERCUT_LOAD=$work/$1 "$work/powercut" -dir "$work/$1" -n "$2" \
		-check "env -u FIELDGATE_POWERCUT_LOAD $work/rig -test.run TestPowercut_Judge" -- "$work/rig" -test.run TestPowercut_Load
}
echo "== power_safe: nothing may be lost"
run power_safe "$states"
echo "== crash_safe: something must be lost"
if run crash_safe 70 >"$work/control.log"; then
	cat "$work/control.log"
	echo "powercut: the control lost nothing, so this proves nothing"
	exit 1
fi
tail -1 "$work/control.log"
