#!/usr/bin/env python3
"""What a mail costs: CPU of the server for one of 10 kB by a connection of its own, ours and the peers', interleaved.

    load-tests/bench/mail.py [--binary PATH] [--mails N] [--rounds R] [--connections C]

Ours journals before 250, and reads and resolves; `plain` neither asks the name service nor keeps the mail as it came, `kept`
keeps it, `checked` also finds out where it comes from, with a name server of the bench, whose answers are kept. Peers: aiosmtpd
with Python's parser and fdatasync, and Postfix's smtp-sink, which throws mails away. Postfix's smtp-source sends (deploy/setup
--bench installs it); aiosmtpd and dnslib come into target/bench-mail.
"""

import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "target/bench-mail"
PATH = "/usr/sbin:/usr/bin:/sbin"
TO = "help@example.com"


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def name_server():
    """Says that no name exists: smtp-source signs nothing, and SPF has nothing to go by but that."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))

    def serve():
        while True:
            asked, peer = line.recvfrom(4096)
            # The question goes back as it is, as an answer (QR, RA) of NXDOMAIN without records.
            line.sendto(asked[:2] + b"\x81\x83" + asked[4:6] + bytes(6) + question(asked), peer)

    threading.Thread(target=serve, daemon=True).start()
    return "127.0.0.1:%d" % line.getsockname()[1]


def question(asked):
    end = 12
    while asked[end]:
        end += asked[end] + 1
    return asked[12:end + 5]


def ours(binary, folder, port, **settings):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VESTIBULE_")}
    environment |= {"VESTIBULE_SMTP_LISTEN": f"127.0.0.1:{port}", "VESTIBULE_SMTP_CONNECTIONS_PER_SOURCE_MAX": "1000",
                    "VESTIBULE_JOURNAL_COMMIT_WINDOW_MS": "5"} | settings
    return subprocess.Popen([binary, "serve", "--data-dir", folder, "--sip", f"127.0.0.1:{free_port()}", "--http",
                             f"127.0.0.1:{free_port()}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def send(port, mails, connections):
    tool = shutil.which("smtp-source", path=PATH) or sys.exit("smtp-source is not installed: deploy/setup --bench")
    # Without -d each mail has a connection of its own.
    done = subprocess.run([tool, "-s", str(connections), "-m", str(mails), "-l", "10000", "-f", "ann@example.org", "-t", TO,
                           f"inet:127.0.0.1:{port}"], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        sys.exit(f"smtp-source: {done.stdout} {done.stderr}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=str(ROOT / "target/release/vestibule"))
    parser.add_argument("--mails", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    if not (HOME / "venv/bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)
    subprocess.run([HOME / "venv/bin/pip", "install", "-q", "--disable-pip-version-check", "aiosmtpd==1.4.6"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        ports = {name: free_port() for name in ("plain", "kept", "checked", "aiosmtpd", "smtp-sink")}
        variants = {
            "plain": {"VESTIBULE_MAIL_AUTHENTICATE": "false", "VESTIBULE_MAIL_RAW_DAYS_KEPT": "0"},
            "kept": {"VESTIBULE_MAIL_AUTHENTICATE": "false"},
            "checked": {"VESTIBULE_MAIL_DNS_SERVERS": name_server()},
        }
        servers = {name: ours(options.binary, f"{folder}/{name}", ports[name], **more) for name, more in variants.items()}
        servers["aiosmtpd"] = subprocess.Popen(
            [HOME / "venv/bin/python", ROOT / "load-tests/bench/peers/mail_aiosmtpd.py", str(ports["aiosmtpd"])])
        sink = shutil.which("smtp-sink", path=PATH)
        servers["smtp-sink"] = subprocess.Popen([sink, "-u", "nobody", f"inet:127.0.0.1:{ports['smtp-sink']}", "1000"])
        try:
            time.sleep(4)
            costs = {name: [] for name in servers}
            for name in servers:
                send(ports[name], 200, options.connections)
            for _ in range(options.rounds):
                for name, server in servers.items():
                    before, began = cpu(server.pid), time.monotonic()
                    send(ports[name], options.mails, options.connections)
                    took = time.monotonic() - began
                    # What is written behind the answer belongs to it.
                    time.sleep(0.5)
                    costs[name].append(1e6 * (cpu(server.pid) - before) / options.mails)
                    print(f"{name:10} {costs[name][-1]:7.1f} us of CPU a mail, {options.mails / took:6.0f} mails/s", flush=True)
            for name, cost in costs.items():
                print(f"{name:10} min {min(cost):.1f} median {statistics.median(cost):.1f} max {max(cost):.1f} us of CPU a mail")
        finally:
            for server in servers.values():
                server.terminate()
            for server in servers.values():
                server.wait(20)


if __name__ == "__main__":
    main()
