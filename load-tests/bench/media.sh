#!/bin/bash
# CPU time of a second of one call's audio, both ways, and how well packets keep their 20 ms, with 1000 calls.
#
#   load-tests/bench/media.sh [ROUNDS [SCENARIO]]       default: 3 rounds of media-1000
#
# Each round starts a gateway of its own. Generator and gateway share the machine: on two cores the generator's own
# work shows in the pacing, so run it on a quiet box. Loopback only.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
rounds=${1:-3}
scenario=${2:-media-1000}
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -p vestibule -p vestibule-load-tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for round in $(seq "$rounds"); do
    # Limits are judged below, over the medians.
    "$target/release/vestibule-load-tests" run --scenario "$scenario" --gateway "$target/release/vestibule" \
        --report "$work/$round" | tail -n 1 || true
done
python3 - "$work" << 'P'
import json, pathlib, statistics, sys
runs = [json.loads(path.read_text()) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json"))]
if not runs:
    sys.exit("no run came to its end")
middle = lambda value: statistics.median(map(value, runs))
print("| medians of", len(runs), "rounds | |\n| --- | --- |")
print(f"| CPU a call-second, ms | {middle(lambda r: r['cpu_ms_per_call_second']):.3f} |")
print(f"| of which media threads, ms | {middle(lambda r: r['cpu']['media_s'] * 1000 / r['call_seconds']):.3f} |")
print(f"| off 20 ms, p50 and p99, ms | {middle(lambda r: r['pacing_ms']['p50']):.3f}, {middle(lambda r: r['pacing_ms']['p99']):.3f} |")
print(f"| sequence errors, all rounds | {sum(r['audio']['sequence_errors'] for r in runs)} |")
print(f"| failed calls, all rounds | {sum(sum(r['failed'].values()) for r in runs)} |")
P
