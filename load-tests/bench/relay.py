"""The driver of relay.sh: sets up bridged calls at the gateway or at rtpengine, talks on them, reads CPU times."""

import pathlib
import random
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "deploy/interop"))
from caller import Message, Session  # noqa: E402
from gateway import Failure, Gateway, check, free_port  # noqa: E402

NUMBER = "+14155550100"
PACKET_S = 0.02


class Voice:
    """One end of a call: says a packet when told to, and counts what it hears."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.sequence, self.timestamp = random.getrandbits(16), random.getrandbits(32)
        self.ssrc = random.getrandbits(32).to_bytes(4, "big")
        self.sent = self.heard = 0
        self.payload = random.randbytes(160)

    def sdp(self):
        return (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=audio {self.port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n")

    def goes_to(self, sdp):
        session = Session(sdp)
        check(session.payload_types[:1] == [0], f"not PCMU: {session.payload_types}")
        self.socket.connect((session.address, session.port))

    def turn(self):
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp = self.timestamp + 160 & 0xFFFFFFFF
        try:
            self.socket.send(b"\x80\0" + self.sequence.to_bytes(2, "big") + self.timestamp.to_bytes(4, "big")
                             + self.ssrc + self.payload)
            self.sent += 1
        except ConnectionRefusedError:
            pass
        self.listen()

    def listen(self):
        try:
            while True:
                self.socket.recv(2048)
                self.heard += 1
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            pass


class Sip:
    """All callers behind one socket, all telephones behind another."""

    def __init__(self, gate):
        self.gate = gate
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in self.sockets:
            one.bind(("127.0.0.1", 0))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.callers, self.phones = (one.getsockname()[1] for one in self.sockets)
        self.calls, self.answered, self.talking = {}, {}, {}
        self.stop = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def dial(self, call_id, voice):
        self.calls[call_id] = voice
        body = voice.sdp()
        self._send(0, f"INVITE sip:{NUMBER}@127.0.0.1:{self.gate.sip} SIP/2.0\r\n"
                   f"Via: SIP/2.0/UDP 127.0.0.1:{self.callers};branch=z9hG4bK{call_id};rport\r\nMax-Forwards: 70\r\n"
                   f"From: <sip:+12125550177@127.0.0.1>;tag=c{call_id}\r\nTo: <sip:{NUMBER}@127.0.0.1>\r\n"
                   f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:bench@127.0.0.1:{self.callers}>\r\n"
                   f"Allow: INVITE, ACK, CANCEL, BYE\r\nContent-Type: application/sdp\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n{body}")

    def _send(self, side, text):
        self.sockets[side].sendto(text.encode(), ("127.0.0.1", self.gate.sip))

    def _run(self):
        while not self.stop:
            for one in select.select(self.sockets, [], [], 0.1)[0]:
                side = self.sockets.index(one)
                message = Message(one.recv(65535))
                if not message.is_response:
                    self._request(side, message)
                elif side == 0 and message.status >= 200 and message.method == "INVITE":
                    self._final(message)

    def _final(self, message):
        call_id = message.first("call-id")
        if message.status >= 300:
            raise Failure(f"refused with {message.status}")
        if call_id not in self.answered:
            self.calls[call_id].goes_to(message.body)
            self.answered[call_id] = True
        target = re.search(r"<([^>]+)>", message.first("contact"))[1]
        self._send(0, f"ACK {target} SIP/2.0\r\n"
                   f"Via: SIP/2.0/UDP 127.0.0.1:{self.callers};branch=z9hG4bKa{call_id};rport\r\nMax-Forwards: 70\r\n"
                   f"From: {message.first('from')}\r\nTo: {message.first('to')}\r\nCall-ID: {call_id}\r\n"
                   "CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n")

    def _request(self, side, message):
        if message.method == "ACK":
            return
        to, body, call_id = message.first("to"), "", message.first("call-id")
        if message.method == "INVITE":
            if call_id not in self.talking:
                self.talking[call_id] = Voice()
                self.talking[call_id].goes_to(message.body)
            to, body = f"{to};tag=p{call_id[:16]}", self.talking[call_id].sdp()
        vias = "".join(f"Via: {via}\r\n" for via in message.all("via"))
        routes = "".join(f"Record-Route: {route}\r\n" for route in message.all("record-route"))
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self._send(side, f"SIP/2.0 200 OK\r\n{vias}{routes}From: {message.first('from')}\r\nTo: {to}\r\n"
                   f"Call-ID: {call_id}\r\nCSeq: {message.first('cseq')}\r\n"
                   f"Contact: <sip:phone@127.0.0.1:{self.phones}>\r\nAllow: INVITE, ACK, CANCEL, BYE\r\n{kind}"
                   f"Content-Length: {len(body)}\r\n\r\n{body}")

    def close(self):
        self.stop = True
        self.thread.join(1)
        for one in self.sockets:
            one.close()


def until(what, seconds, sentence):
    end = time.monotonic() + seconds
    while not what():
        check(time.monotonic() < end, f"not in {seconds} s: {sentence()}")
        time.sleep(0.05)


def through_gateway(binary, count, seconds):
    gate = Gateway(binary, name="relay")
    try:
        gate.start()
        sip = Sip(gate)
        for at in range(count):
            sip.dial(f"relay{at}x{random.getrandbits(40):x}", Voice())
            time.sleep(0.01)
        until(lambda: len(sip.answered) == count, 10, lambda: f"{len(sip.answered)} of {count} answered")
        waiting = {}

        def queued():
            for event in gate.events():
                if event["type"] == "contact.queued":
                    waiting[event["subject"]] = True
            return len(waiting) == count

        until(queued, 10, lambda: f"{len(waiting)} of {count} in the queue")
        for contact in waiting:
            status, body = gate.post(f"/api/v1/contacts/{contact}/take", {"target": f"sip:phone@127.0.0.1:{sip.phones}"})
            check(status == 202, f"take gave {status}: {body}")
        connected = lambda: sum(event["type"] == "contact.connected" for event in gate.events())  # noqa: E731
        until(lambda: connected() == count, 15, lambda: f"{connected()} of {count} connected")
        voices = [*sip.calls.values(), *sip.talking.values()]
        result = talk(voices, gate.process.pid, seconds, count)
        sip.close()
        return result
    finally:
        gate.stop()


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    return f"{len(value.encode())}:{value}".encode()


def through_rtpengine(count, seconds):
    control = free_port()
    folder = tempfile.mkdtemp(prefix="vestibule-relay-")
    process = subprocess.Popen(
        ["rtpengine", "--foreground", "--log-stderr", "--log-level=3", "--table=-1", "--interface=127.0.0.1",
         f"--listen-ng=127.0.0.1:{control}", "--port-min=30000", "--port-max=39999"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=open(pathlib.Path(folder) / "log", "wb"))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", control))
            sock.settimeout(2)

            def ask(**command):
                sock.send(b"c%d " % random.getrandbits(32) + bencode(command))
                answer = sock.recv(65535)
                found = re.search(rb"3:sdp(\d+):", answer)
                check(found, f"rtpengine answered {answer[:200]}")
                return answer[found.end():found.end() + int(found[1])]

            time.sleep(1)
            voices = []
            for at in range(count):
                one, other = Voice(), Voice()
                names = {"call-id": f"relay{at}", "from-tag": "one", "ICE": "remove"}
                other.goes_to(ask(command="offer", sdp=one.sdp(), **names))
                one.goes_to(ask(command="answer", sdp=other.sdp(), **{"to-tag": "other"}, **names))
                voices += [one, other]
        return talk(voices, process.pid, seconds, count)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def cpu_s(pid, thread=""):
    """Seconds of CPU so far, of all threads or of those of a name."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "comm").read_text().startswith(thread):
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def talk(voices, pid, seconds, count):
    """Everybody says a packet each 20 ms; CPU is read after the first two seconds."""
    turns, warm = round(seconds / PACKET_S), round(2 / PACKET_S)
    began = time.monotonic()
    for turn in range(-warm, turns):
        if turn == 0:
            # What is on its way arrives first, and is not counted.
            time.sleep(0.05)
            began += 0.05
            for voice in voices:
                voice.listen()
                voice.sent = voice.heard = 0
            before, media, since = cpu_s(pid), cpu_s(pid, "media-"), time.monotonic()
        due = began + (turn + warm) * PACKET_S
        # In twenty groups, so that the packets do not come in one burst.
        for group in range(20):
            for voice in voices[group::20]:
                voice.turn()
            wait = due + (group + 1) * PACKET_S / 20 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
    took = time.monotonic() - since
    used, media = cpu_s(pid) - before, cpu_s(pid, "media-") - media
    time.sleep(0.1)
    for voice in voices:
        voice.listen()
    sent, heard = sum(voice.sent for voice in voices), sum(voice.heard for voice in voices)
    for voice in voices:
        voice.socket.close()
    return used * 1000 / count / took, media * 1000 / count / took, sent, heard, took


def main(binary, rounds, seconds, count):
    peers = {"gateway": lambda: through_gateway(binary, count, seconds)}
    if shutil.which("rtpengine"):
        peers["rtpengine"] = lambda: through_rtpengine(count, seconds)
    else:
        print("rtpengine is not installed: the gateway alone", file=sys.stderr)
    rows = {name: [] for name in peers}
    print("peer ms/call-second of-which-media-threads sent heard seconds")
    for _ in range(rounds):
        for name, run in peers.items():
            row = run()
            rows[name].append(row)
            print(name, f"{row[0]:.3f} {row[1]:.3f} {row[2]} {row[3]} {row[4]:.2f}", flush=True)
    print(f"\n| medians of {rounds} rounds, {count} calls | CPU a call-second, ms | packets not relayed | driver's pace |")
    print("| --- | --- | --- | --- |")
    for name, found in rows.items():
        missing = sum(row[2] - row[3] for row in found)
        pace = statistics.median(seconds / row[4] for row in found)
        print(f"| {name} | {statistics.median(row[0] for row in found):.3f} | {missing} | {pace * 100:.0f} % |")


try:
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
except Failure as failure:
    sys.exit(f"relay: {failure}")
