#!/bin/bash
# CPU time of an answered and ended call: the gateway and Kamailio by turns, so that both see the same machine.
#
#   load-tests/bench/calls.sh [ROUNDS [SECONDS]]        default: 3 rounds of 10 s at 1000, 2000 and 4000 calls/s
#
# Prints a row a run and the medians. RATES="1000 2000" changes the rates. Needs sipp and kamailio
# (deploy/setup --bench). Loopback only. CPU time counts, not wall time: it is read from /proc, for the whole
# process (Kamailio: all its processes) and, for the gateway, for the thread named sip-0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=${1:-3}
seconds=${2:-10}
rates=${RATES:-1000 2000 4000}
binary=${GATEWAY:-${CARGO_TARGET_DIR:-$root/target}/release/vestibule}
work=$(mktemp -d)
started=()

stop() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
    wait 2> /dev/null || true
    rm -rf "$work"
}
trap stop EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Microseconds of CPU so far: of processes, or of one process's threads of a name.
process_us() {
    local total=0 pid fields
    for pid in $1; do
        fields=$(sed 's/.*) //' "/proc/$pid/stat")
        total=$((total + $(echo "$fields" | awk '{ print $12 + $13 }')))
    done
    echo $((total * 1000000 / $(getconf CLK_TCK)))
}
thread_us() {
    local total=0 task
    for task in /proc/"$1"/task/*; do
        [ "$(cat "$task/comm" 2> /dev/null)" = "$2" ] || continue
        total=$((total + $(cut -d' ' -f1 "$task/schedstat") / 1000))
    done
    echo "$total"
}

# Starts the gateway; leaves its pid and port.
start_gateway() {
    local http
    gateway_port=$(free_port) http=$(free_port)
    "$binary" serve --data-dir "$work/data" --sip "127.0.0.1:$gateway_port" --http "127.0.0.1:$http" \
        > "$work/gateway.log" 2>&1 &
    gateway_pid=$!
    started+=("$gateway_pid")
    for _ in $(seq 100); do
        curl -sf -o /dev/null "http://127.0.0.1:$http/readyz" && return
        sleep 0.1
    done
    echo "the gateway did not become ready:" >&2
    tail "$work/gateway.log" >&2
    exit 1
}

start_kamailio() {
    kamailio_port=$(free_port)
    sed "s/@PORT@/$kamailio_port/" "$here/peers/kamailio.cfg" > "$work/kamailio.cfg"
    kamailio -f "$work/kamailio.cfg" -m 1024 -M 16 -x fm -X fm -DD -E \
        -Y "$work" -P "$work/kamailio.pid" > "$work/kamailio.log" 2>&1 &
    started+=("$!")
    sleep 2
    kamailio_pids="$! $(pgrep -P "$!" | tr '\n' ' ')"
}

# One run: NAME PIDS PORT RATE -> "name rate ok failed retransmitted us/call sip-us/call"
run() {
    local name=$1 pids=$2 port=$3 rate=$4 before after thread_before=0 thread_after=0
    local calls=$((rate * seconds)) csv=$work/$name-$rate.csv
    before=$(process_us "$pids")
    [ "$name" = gateway ] && thread_before=$(thread_us "$pids" sip-0)
    (cd "$work" && timeout 300 sipp -sf "$here/call.xml" "127.0.0.1:$port" -i 127.0.0.1 -s +14155550100 -m "$calls" \
        -r "$rate" -l $((rate * 4)) -d 0 -nostdin -recv_timeout 40000 -timeout 240 -buff_size 4194304 \
        -trace_stat -stf "$csv" -fd 1 > "$work/sipp.log" 2>&1) || true
    sleep 1
    after=$(process_us "$pids")
    [ "$name" = gateway ] && thread_after=$(thread_us "$pids" sip-0)
    python3 - "$csv" "$name" "$rate" $((after - before)) $((thread_after - thread_before)) << 'P' | tee -a "$work/rows"
import csv, sys
path, name, rate, cpu, thread = sys.argv[1:]
rows = list(csv.reader(open(path), delimiter=";"))
last = dict(zip(rows[0], rows[-1]))
good, failed, again = (int(last[key]) for key in ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)"))
print(name, rate, good, failed, again, f"{int(cpu) / max(good, 1):.1f}", f"{int(thread) / max(good, 1):.1f}", flush=True)
P
}

[ -x "$binary" ] || (cd "$root" && cargo build --release --locked -p vestibule)
start_gateway
start_kamailio
echo "peer calls/s ok failed retransmitted us/call sip-thread-us/call"
for _ in $(seq "$rounds"); do
    for rate in $rates; do
        run gateway "$gateway_pid" "$gateway_port" "$rate"
        run kamailio "$kamailio_pids" "$kamailio_port" "$rate"
    done
done

python3 - "$work/rows" << 'P'
import collections, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    name, rate, *figures = line.split()
    runs[int(rate), name].append([float(figure) for figure in figures])
print("\n| calls/s | gateway, µs a call | its SIP thread | Kamailio, µs a call | failed: gateway, Kamailio | sent again |")
print("| --- | --- | --- | --- | --- | --- |")
for rate in sorted({rate for rate, _ in runs}):
    ours, theirs = runs[rate, "gateway"], runs[rate, "kamailio"]
    middle = lambda rows, column: statistics.median(row[column] for row in rows)
    total = lambda rows, column: int(sum(row[column] for row in rows))
    print(f"| {rate} | {middle(ours, 3):.0f} | {middle(ours, 4):.0f} | {middle(theirs, 3):.0f} | "
          f"{total(ours, 1)}, {total(theirs, 1)} | {total(ours, 2)}, {total(theirs, 2)} |")
P
