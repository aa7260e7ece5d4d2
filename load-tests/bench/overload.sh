#!/bin/bash
# What a gateway does with twice, five and ten times the calls that it is rated for.
#
#   load-tests/bench/overload.sh [SECONDS]        default: 10 s of each overload
#
# The ordinary calls (RATE, 2000 a second) for 5 s, the overload, the ordinary calls for 8 s. The gateway has one core
# (GATEWAY_CPU, 0) and the callers another (CALLERS_CPU, 1), as if they were two machines: callers that share the
# gateway's core measure themselves. It runs at the priority that its service unit gives it, where that is allowed.
# Loopback only. Prints a table a run; the closing lines say what did not hold.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-10}
rate=${RATE:-2000}
target=${CARGO_TARGET_DIR:-$root/target}/release
gateway=${GATEWAY:-$target/vestibule}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p vestibule -p vestibule-load-tests

cat > "$work/gateway" << EOF2
#!/bin/sh
exec taskset -c ${GATEWAY_CPU:-0} nice -n -8 "$gateway" "\$@"
EOF2
chmod +x "$work/gateway"

status=0
for row in "2 0.9" "5 0.9" "10 0.8"; do
    read -r factor least <<< "$row"
    cat > "$work/overload-$factor.toml" << EOF2
name = "overload-$factor"
number = "+14155550100"
calls_per_second = $rate
seconds = 5
hold_ms = 0
[overload]
factor = $factor
seconds = $seconds
after_seconds = 8
[limits]
answer_p99_ms = 500
refused_p99_ms = 200
goodput_share = $least
normal_within_s = 3
EOF2
    taskset -c "${CALLERS_CPU:-1}" "$target/vestibule-load-tests" run --scenario "$work/overload-$factor.toml" --gateway "$work/gateway" \
        --report "$work/report" || status=1
done
exit $status
