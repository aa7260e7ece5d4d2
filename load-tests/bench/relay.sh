#!/bin/bash
# CPU time of a second of one bridged call with two-way audio: the gateway and rtpengine (in user space) by turns, so
# that both see the same machine.
#
#   load-tests/bench/relay.sh [ROUNDS [SECONDS [CALLS]]]       default: 3 rounds of 10 s with 300 calls
#
# The gateway's calls come by SIP, wait in a queue, are taken over the API and answered by a telephone of the driver's;
# rtpengine's are made by its control protocol. The same packets go through both: PCMU, 20 ms, 50 a second and
# direction. Needs rtpengine (Debian: rtpengine-daemon); without it only the gateway is measured. CPU time counts, of the
# whole process, user and system, from /proc. The driver needs a core of its own: run it on a quiet box. Loopback only.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=${GATEWAY:-${CARGO_TARGET_DIR:-$root/target}/release/vestibule}
[ -x "$binary" ] || (cd "$root" && cargo build --release --locked -p vestibule)
exec python3 "$root/load-tests/bench/relay.py" "$binary" "${1:-3}" "${2:-10}" "${3:-300}"
