#!/usr/bin/env python3
"""What a verified SMS webhook costs: CPU of the server per request, ours journalled, the peers' kept nowhere; interleaved.

    load-tests/bench/webhook.py [--binary PATH] [--requests N] [--rounds R] [--connections C]

Peers: bare axum, which only reads and answers (`cargo build --release -p vestibule-load-tests --bin bare_axum`, beside the
gateway's binary); FastAPI on uvicorn and fastify on Node, each with the provider's own validator, installed below
target/bench-webhook. --without leaves peers out.
Signatures are made before the clock starts.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "load-tests/bench/peers"
HOME = ROOT / "target/bench-webhook"
TOKEN, URL = "a token of ours", "https://gw.example.com/webhooks/sms"


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def request(number):
    form = {"AccountSid": "AC1", "Body": f"Hello, this is message {number}", "From": f"+1415555{number % 10_000:04}",
            "MessageSid": f"SM{number:032}", "NumMedia": "0", "To": "+14155550100"}
    text = URL + "".join(f"{name}{form[name]}" for name in sorted(form))
    signature = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
    body = urllib.parse.urlencode(form)
    return (f"POST /webhooks/sms HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"X-Twilio-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


async def send(port, requests):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for data in requests:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"a request got {head[:80]!r}")
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        await reader.readexactly(length)
    writer.close()


async def load(port, requests, connections):
    await asyncio.gather(*[send(port, requests[index::connections]) for index in range(connections)])


def install():
    if not (HOME / "venv/bin/uvicorn").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)
        subprocess.run([HOME / "venv/bin/pip", "install", "-q", "fastapi", "uvicorn[standard]", "python-multipart", "twilio"], check=True)
    if not (HOME / "node_modules/twilio").exists():
        (HOME / "package.json").write_text('{"type": "module"}')
        subprocess.run(["npm", "install", "--silent", "fastify", "@fastify/formbody", "twilio"], cwd=HOME, check=True)
    (HOME / "webhook_node.mjs").write_text((PEERS / "webhook_node.mjs").read_text())


def ours(binary, folder, port):
    process = subprocess.Popen([binary, "serve", "--data-dir", folder, "--sip", f"127.0.0.1:{free_port()}",
                                "--http", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    (pathlib.Path(folder) / "token").write_text(TOKEN)
    key = (pathlib.Path(folder) / "api-key").read_text().strip()
    provider = {"name": "SMS", "kind": "twilio", "url": URL, "secrets": [f"file:{folder}/token"]}

    def ask(method, path, body):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers, method=method)
        urllib.request.urlopen(asked, timeout=10).read()

    ask("PUT", "/api/v1/routing/draft/providers/sms", provider)
    ask("POST", "/api/v1/routing/publish", {"note": "bench"})
    return process


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=str(ROOT / "target/release/vestibule"))
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--without", nargs="*", default=[], choices=["axum", "fastapi", "fastify"])
    options = parser.parse_args()
    if not {"fastapi", "fastify"} <= set(options.without):
        install()
    with tempfile.TemporaryDirectory() as folder:
        ports = {name: free_port() for name in ("vestibule", "axum", "fastapi", "fastify")}
        environment = {**os.environ, "TOKEN": TOKEN, "URL": URL, "PORT": str(ports["fastify"])}
        peers = {
            "axum": ([str(pathlib.Path(options.binary).resolve().with_name("bare_axum")), str(ports["axum"])], folder),
            "fastapi": ([HOME / "venv/bin/uvicorn", "webhook_fastapi:app", "--port", str(ports["fastapi"]),
                         "--log-level", "error"], PEERS),
            "fastify": (["node", "webhook_node.mjs"], HOME),
        }
        servers = {"vestibule": ours(options.binary, folder, ports["vestibule"])}
        for name, (command, home) in peers.items():
            if name not in options.without:
                servers[name] = subprocess.Popen(command, cwd=home, env=environment)
        try:
            time.sleep(3)
            costs, number = {name: [] for name in servers}, 0
            for _ in range(options.rounds):
                for name, server in servers.items():
                    requests = [request(number + index) for index in range(options.requests)]
                    number += options.requests
                    before, began = cpu(server.pid), time.monotonic()
                    asyncio.run(load(ports[name], requests, options.connections))
                    took = time.monotonic() - began
                    costs[name].append(1e6 * (cpu(server.pid) - before) / options.requests)
                    print(f"{name:10} {costs[name][-1]:7.1f} us of CPU a request, {options.requests / took:6.0f} requests/s", flush=True)
            ours_median = statistics.median(costs["vestibule"])
            for name, cost in costs.items():
                print(f"{name:10} ours is {ours_median / statistics.median(cost):4.1f} times it; min {min(cost):.1f} median {statistics.median(cost):.1f} max {max(cost):.1f} us of CPU a request")
        finally:
            for server in servers.values():
                server.terminate()
            for server in servers.values():
                server.wait(20)


if __name__ == "__main__":
    main()
