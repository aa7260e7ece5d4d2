#!/usr/bin/env python3
"""What idle visitors of chats cost: memory and CPU of the gateway with N sockets open, and the time of a line to all of one.

    load-tests/bench/chat_sockets.py [--binary PATH] [--sockets N] [--seconds S]

Sockets are opened from this process, over loopback, without TLS. Needs as many open files on both sides.
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORIGIN = "http://127.0.0.1:1"


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Site:
    def __init__(self, port, key):
        self.base, self.key, self.port = f"http://127.0.0.1:{port}", key, port

    def ask(self, method, path, body=None, page=False):
        headers = {"Content-Type": "application/json"}
        headers.update({"Origin": ORIGIN} if page else {"Authorization": f"Bearer {self.key}"})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    async def connect(self, token, limit):
        async with limit:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=4096)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write((f"GET /chat/idle/socket?after=0 HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                          f"Sec-WebSocket-Protocol: vestibule.chat.v1, token.{token}\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise SystemExit(f"a socket got {head[:80]!r}")
            asyncio.create_task(self.answer_pings(reader, writer))
            return writer

    @staticmethod
    async def answer_pings(reader, writer):
        try:
            while True:
                first, length = await reader.readexactly(2)
                payload = await reader.readexactly(length)
                if first & 0x0F == 9:
                    writer.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


async def measure(site, pid, sockets, seconds):
    tokens = [site.ask("POST", "/chat/idle/session", {}, page=True)["token"] for _ in range(sockets)]
    before, limit = resident(pid), asyncio.Semaphore(200)
    began, busy = time.monotonic(), cpu(pid)
    writers = await asyncio.gather(*[site.connect(token, limit) for token in tokens])
    opening = cpu(pid) - busy
    print(f"{len(writers)} sockets in {time.monotonic() - began:.1f} s, {1e6 * opening / sockets:.0f} us of CPU each")
    await asyncio.sleep(5)
    idle, began = cpu(pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = 100 * (cpu(pid) - idle) / (time.monotonic() - began)
    after = resident(pid)
    print(f"resident: {before} kB before, {after} kB with them: {(after - before) / sockets:.2f} kB each (user space)")
    print(f"idle for {seconds} s, pings answered: {share:.2f} % of a core")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=ROOT / "target/release/vestibule")
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {**os.environ, "VESTIBULE_CHAT_SESSIONS_PER_MINUTE": "1000000"}
        gateway = subprocess.Popen([options.binary, "serve", "--data-dir", folder, "--sip", f"127.0.0.1:{free_port()}",
                                    "--http", f"127.0.0.1:{port}"], env=environment, stdout=subprocess.DEVNULL)
        try:
            time.sleep(2)
            site = Site(port, (pathlib.Path(folder) / "api-key").read_text().strip())
            site.ask("PUT", "/api/v1/routing/draft/chat_apps/idle", {"name": "Idle", "origins": [ORIGIN]})
            site.ask("POST", "/api/v1/routing/publish", {"note": "idle"})
            asyncio.run(measure(site, gateway.pid, options.sockets, options.seconds))
        finally:
            gateway.terminate()
            gateway.wait(20)


if __name__ == "__main__":
    main()
