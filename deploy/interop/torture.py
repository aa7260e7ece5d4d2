"""The messages of RFC 4475 and RFC 5118 on the wire: what is answered, against what a user agent server owes.

The expectations stand in index.json beside the messages; column `uas` is read as: the status codes it names, `process`
(any answer that does not call the message broken), or nothing at all for responses.
"""

import json
import pathlib
import re
import select
import socket
import time

# Ports that the messages name in their top Via, where answers without rport go.
VIA_PORTS = (5050, 5060, 5061, 6050, 19823)


class Wire:
    """Our side: one socket that sends, and those to which answers may come."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.sockets = []
        for own in (0, *VIA_PORTS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                sock.bind(("127.0.0.1", own))
                self.sockets.append(sock)
            except OSError:
                sock.close()  # in use on this machine; then answers to that port are not seen
        self.main = self.sockets[0]

    def send(self, data):
        self.main.sendto(data, self.target)

    def receive(self, seconds, enough=lambda rows: False):
        rows, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not enough(rows):
            for sock in select.select(self.sockets, [], [], left)[0]:
                rows.append(sock.recv(65535))
        return rows

    def close(self):
        for sock in self.sockets:
            sock.close()


def ping(wire, mark):
    """Whether the target still answers an OPTIONS."""
    own = wire.main.getsockname()[1]
    wire.send((f"OPTIONS sip:ping@127.0.0.1:{wire.target[1]} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};rport;"
               f"branch=z9hG4bKp{mark}\r\nMax-Forwards: 70\r\nFrom: <sip:ping@127.0.0.1>;tag=p{mark}\r\n"
               f"To: <sip:ping@127.0.0.1>\r\nCall-ID: ping-{mark}\r\nCSeq: 1 OPTIONS\r\n"
               f"Contact: <sip:ping@127.0.0.1:{own}>\r\nContent-Length: 0\r\n\r\n").encode())
    wanted = f"ping-{mark}".encode()
    return any(wanted in row for row in wire.receive(1.0, lambda rows: any(wanted in row for row in rows)))


def answers_to(message, rows):
    """Status codes (or methods) among the rows that belong to this message, in order, each once."""
    named = re.search(rb"(?im)^(?:call-id|i)[ \t]*:\s*(\S+)", message)
    named = named or re.search(rb"(?i)branch\s*=\s*([^\s;,]+)", message)
    codes = []
    for row in rows:
        if named and named[1] not in row:
            continue
        status = re.match(rb"SIP/2\.0 (\d{3})", row)
        codes.append(int(status[1]) if status else row.split(b" ", 1)[0].decode("latin-1"))
    return list(dict.fromkeys(codes))


def as_wanted(case, codes):
    final = [code for code in codes if isinstance(code, int) and code >= 200]
    named = {int(code) for code in re.findall(r"\b([2-6]\d\d)\b", case["uas"])}
    if case["kind"] == "response":
        return not codes
    if any(code in named for code in final):
        return True
    if case["uas"].lower().startswith("process"):
        return bool(codes) and not any(code in (400, 500, 505) for code in final)
    return case["liberal_ok"] and bool(final) and 500 not in final


def run(port, folder):
    """Sends them all; gives back (as wanted, of, lines about those that differ, faults that may never be)."""
    folder, wire = pathlib.Path(folder), Wire(port)
    good, differing, faults = 0, [], []
    cases = json.loads((folder / "index.json").read_text())
    mark = time.monotonic_ns() % 10**9
    for number, case in enumerate(cases):
        message = (folder / case["file"]).read_bytes()
        wire.receive(0.02)
        wire.send(message)
        codes = answers_to(message, wire.receive(0.4))
        if as_wanted(case, codes):
            good += 1
        else:
            differing.append(f"{case['file']}: wanted {case['uas']}, got {codes or 'nothing'}")
        if case["kind"] == "response" and codes:
            faults.append(f"{case['file']}: a response was answered")
        if not ping(wire, f"{mark}n{number}"):
            faults.append(f"{case['file']}: no answer to OPTIONS afterwards")
    wire.close()
    return good, len(cases), differing, faults
