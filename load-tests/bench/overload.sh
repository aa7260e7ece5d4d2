#!/bin/bash
# What a gateway does with twice, five and ten times the calls that it can take.
#
#   load-tests/bench/overload.sh [SECONDS]        default: 10 s of each overload
#
# First the most calls a second are looked for that are all answered, with a 99th percentile under 100 ms (RATE=1500
# sets them instead). Then each overload: the ordinary calls for 5 s, the overload, the ordinary calls for 8 s. Callers
# and gateway share the machine, so the callers take a part of what the gateway could have. Loopback only. Prints a
# table a run; the last lines say what held.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-10}
target=${CARGO_TARGET_DIR:-$root/target}/release
gateway=${GATEWAY:-$target/vestibule}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p vestibule -p vestibule-load-tests

run() {
    "$target/vestibule-load-tests" run --scenario "$1" --gateway "$gateway" --report "$work/report" || return 1
}

scenario() {
    cat > "$work/$1.toml" << EOF2
name = "$1"
number = "+14155550100"
calls_per_second = $2
seconds = 5
hold_ms = 0
$3
EOF2
}

rate=${RATE:-}
if [ -z "$rate" ]; then
    for try in 1000 2000 3000 4000 5000 6000 8000 10000; do
        scenario "rate-$try" "$try" $'[limits]\nanswer_p99_ms = 100'
        run "$work/rate-$try.toml" > "$work/log" 2>&1 || break
        rate=$try
    done
    echo "$rate calls a second are all answered; the next step:"
    tail -1 "$work/log"
fi
status=0
for row in "2 0.9" "5 0.9" "10 0.8"; do
    read -r factor least <<< "$row"
    scenario "overload-$factor" "$rate" "[overload]
factor = $factor
seconds = $seconds
after_seconds = 8
[limits]
answer_p99_ms = 500
refused_p99_ms = 200
goodput_share = $least
normal_within_s = 3"
    run "$work/overload-$factor.toml" || status=1
done
exit $status
