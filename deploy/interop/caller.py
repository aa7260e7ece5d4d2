"""A SIP caller that listens: one call over UDP or TLS with its audio recorded in memory. Loopback only.

Not a SIP stack: it does what the interop cases need, strictly enough that a wrong answer is noticed.
`Call` runs a thread of its own from `dial()` to the end of the call; everything else may be called from outside.
"""

import ipaddress
import os
import queue
import random
import re
import select
import socket
import struct
import threading
import time

import sound
import srtp as protection

FRAME_S = 0.02


class CallError(Exception):
    """The far end did something that it must not do, or nothing at all."""


class Message:
    """A received SIP message: start line, headers in order, body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
        self.start = lines[0]
        self.headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((COMPACT.get(name, name), value.strip()))
        words = self.start.split(" ", 2)
        self.is_response = words[0] == "SIP/2.0"
        self.status = int(words[1]) if self.is_response else None
        self.method = (self.first("cseq").split() or ["", ""])[-1] if self.is_response else words[0]

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def first(self, name):
        return next(iter(self.all(name)), "")

    @property
    def cseq(self):
        return int((self.first("cseq").split() or ["0"])[0])


COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type", "k": "supported", "s": "subject", "e": "content-encoding"}


class Session:
    """What an SDP body says about its one audio line."""

    def __init__(self, body):
        self.text = body.decode("utf-8", "replace")
        self.lines = [line for line in self.text.replace("\r\n", "\n").split("\n") if line]
        self.media = [line[2:].split() for line in self.lines if line.startswith("m=")]
        audio = next((m for m in self.media if m[0] == "audio"), None)
        self.port = int(audio[1]) if audio else 0
        self.payload_types = [int(word) for word in audio[3:]] if audio else []
        connection = [line[2:].split() for line in self.lines if line.startswith("c=")]
        self.address = connection[-1][2] if connection else ""
        self.family = connection[-1][1] if connection else ""
        self.crypto = protection.lines(self.text)
        directions = [line[2:] for line in self.lines if line[2:] in ("sendrecv", "sendonly", "recvonly", "inactive")]
        self.direction = directions[-1] if directions else "sendrecv"
        self.names = {}
        for line in self.lines:
            found = re.match(r"a=rtpmap:(\d+) (\S+)", line)
            if found:
                self.names[int(found[1])] = found[2].lower()
        self.telephone_event = next((pt for pt, name in self.names.items() if name == "telephone-event/8000"), None)


class Call:
    """One call. `to` is the user part that is dialled."""

    def __init__(self, port, to, *, host="127.0.0.1", source=None, caller=None, payload_types=(0, 8),
                 late_offer=False, telephone_event=101, extra_headers=(), rtp=True, line=None, scheme="sip",
                 srtp=False):
        for address in (host, source or host):
            if not ipaddress.ip_address(address).is_loopback:
                raise ValueError(f"{address}: loopback only")
        self.host, self.port, self.to = host, port, to
        self.v6 = ":" in host
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        self.local = source or host
        if line:  # a `tls.Line` or `tls.Listener`: what a datagram socket does, over a connection
            self.sip = line
        else:
            self.sip = socket.socket(family, socket.SOCK_DGRAM)
            self.sip.bind((self.local, 0))
        self.transport, self.scheme = ("TLS" if line else "UDP"), scheme
        self.rtp = socket.socket(family, socket.SOCK_DGRAM)
        self.rtp.bind((self.local, 0))
        self.caller = caller or f"+1212555{random.randrange(10000):04d}"
        self.call_id = f"{random.getrandbits(64):016x}@caller.invalid"
        self.tag = f"{random.getrandbits(32):08x}"
        self.offered, self.late_offer, self.event_type = tuple(payload_types), late_offer, telephone_event
        self.extra_headers, self.send_rtp = tuple(extra_headers), rtp
        self.cseq, self.sdp_version = 1, 1
        self.invite_branch, self.invite_text, self.request_uri = "", b"", self._uri(to)
        self.remote_to, self.remote_target, self.routes = "", "", []
        self.responses, self.requests = [], []  # (when, Message) as they came
        self.packets = []  # (when, sequence, timestamp, payload type, payload)
        self.session = None  # the far end's latest SDP
        self.dialled_at = self.answered_at = self.ended_at = None
        self.ended_by = None
        self._pending = {}  # CSeq of our in-dialog requests -> queue of final responses
        self._outgoing = queue.Queue()
        self._resend = None
        self._cancelled, self._acks = False, {}
        self._direction = "sendrecv"
        self._change = threading.Condition()
        self._stop = False
        self.acknowledge = True
        self.last_peer = None  # where the last datagram came from
        self.srtp, self.own_key, self._streams = srtp, os.urandom(protection.KEY_BYTES), {}
        self.next_key = self.own_key  # offered; in use from the answer on
        self.unreadable = 0  # packets of an encrypted call that are not authentic
        self.last_packet = b""  # as it went over the wire
        self.fault = None  # what the far end did that ends this call's thread
        self._thread = threading.Thread(target=self._run, daemon=True)

    # -- what a case does -------------------------------------------------------------------------------------

    def dial(self):
        self.invite_branch = self._branch()
        body = b"" if self.late_offer else self._sdp()
        self.invite_text = self._request("INVITE", self.request_uri, self.cseq, self.invite_branch, body)
        self.dialled_at = time.monotonic()
        self._send(self.invite_text)
        self._resend = [time.monotonic() + 0.5, 0.5]
        self._thread.start()
        return self

    def wait_answer(self, seconds=5.0):
        """Waits for the 200; a final refusal or silence is an error."""
        self.wait(lambda: self.answered_at or (self.final_status or 0) >= 300, seconds, "an answer")
        if not self.answered_at:
            raise CallError(f"refused with {self.final_status}")
        # The status is known a moment before the ACK is out.
        self.wait(lambda: self.answered_at, 2, "the ACK")
        return self

    def wait_final(self, seconds=5.0):
        self.wait(lambda: self.final_status, seconds, "a final response")
        return self.final_status

    def wait(self, what, seconds, name):
        end = time.monotonic() + seconds
        with self._change:
            while not what():
                left = end - time.monotonic()
                if self.fault:
                    raise self.fault
                if left <= 0:
                    raise CallError(f"waited {seconds} s for {name}; saw {[m.start for _, m in self.responses]}")
                self._change.wait(min(left, 0.05))

    @property
    def final_status(self):
        return next((m.status for _, m in self.responses if m.method == "INVITE" and m.status >= 200), None)

    def press(self, digits, how="rfc4733", gap_ms=100):
        for digit in digits:
            if how == "info":
                status = self.request("INFO", f"Signal={digit}\r\nDuration=160\r\n".encode(),
                                      "application/dtmf-relay")
                if status != 200:
                    raise CallError(f"INFO {digit}: {status}")
                time.sleep(gap_ms / 1000)
            else:
                self._outgoing.put((how, digit, gap_ms))

    def play(self, samples):
        self._outgoing.put(("audio", list(samples), 0))

    def request(self, method, body=b"", content_type="application/sdp", seconds=5.0, headers=()):
        """Sends a request inside the dialog and gives back the status of its final response."""
        answer = self._in_dialog(method, body, content_type, headers)
        try:
            return answer.get(timeout=seconds).status
        except queue.Empty:
            raise CallError(f"no answer to {method}") from None

    def reinvite(self, direction="sendrecv", seconds=5.0, new_key=False):
        """A re-INVITE with a direction (hold: sendonly or inactive); gives back the answer's SDP."""
        self.sdp_version += 1
        if new_key:
            self.next_key = os.urandom(protection.KEY_BYTES)
        self._direction = direction
        answer = self._in_dialog("INVITE", self._sdp(), "application/sdp")
        try:
            message = answer.get(timeout=seconds)
        except queue.Empty:
            raise CallError("no answer to the re-INVITE") from None
        if message.status != 200:
            raise CallError(f"re-INVITE: {message.status}")
        self.own_key = self.next_key
        return Session(message.body)

    def hang_up(self):
        status = self.request("BYE")
        self._end("caller")
        return status

    def cancel(self):
        self._cancelled = True
        self._send(self._request("CANCEL", self.request_uri, self.cseq, self.invite_branch))

    def close(self):
        """Leaves whatever state the call is in: BYE when answered, CANCEL when not, and frees the sockets."""
        if self._stop:
            return
        try:
            if self._thread.is_alive() and not self.final_status:
                self.cancel()
                self.wait_final(10)
            if self.final_status and self.final_status < 300:
                # The 200 may have crossed our CANCEL, and its ACK may be on its way.
                self.wait(lambda: self.answered_at, 10, "the ACK")
                if not self.ended_at:
                    self.hang_up()
        except CallError:
            pass
        self._stop = True
        if self._thread.is_alive():
            self._thread.join(1.0)
        self.sip.close()
        self.rtp.close()

    def __enter__(self):
        return self.dial()

    def __exit__(self, *_):
        self.close()

    # -- what was heard ---------------------------------------------------------------------------------------

    def heard(self, since=0.0, until=None):
        """The audio, placed by its RTP time stamps; 0.0 is the first packet. Lost packets are silence."""
        packets = [p for p in list(self.packets) if p[3] in (0, 8)]
        if not packets:
            return []
        first = packets[0][2]
        span = max((p[2] - first) & 0xFFFFFFFF for p in packets if (p[2] - first) & 0xFFFFFFFF < 1 << 31) + 160
        samples = [0] * span
        for _, _, stamp, payload_type, payload in packets:
            place = (stamp - first) & 0xFFFFFFFF
            if place < 1 << 31:
                part = sound.decode(payload, payload_type)
                samples[place : place + len(part)] = part
        end = len(samples) if until is None else int(until * sound.RATE)
        return samples[int(since * sound.RATE) : end]

    def first_packet_after_answer(self):
        return self.packets[0][0] - self.answered_at if self.packets and self.answered_at else None

    def sequence_errors(self):
        """Gaps, repetitions and disorder in the sequence numbers."""
        numbers = [p[1] for p in list(self.packets)]
        return sum((b - a) & 0xFFFF != 1 for a, b in zip(numbers, numbers[1:]))

    # -- SIP ---------------------------------------------------------------------------------------------------

    def _uri(self, user):
        return f"{self.scheme}:{user}@{self._host(self.host)}:{self.port};user=phone"

    @staticmethod
    def _host(address):
        return f"[{address}]" if ":" in address else address

    def _branch(self):
        return f"z9hG4bK{random.getrandbits(64):016x}"

    def _sdp(self):
        kind = "IP6" if self.v6 else "IP4"
        encrypted = self.srtp and (not self.session or self.session.crypto)
        profile = "RTP/SAVP" if encrypted else "RTP/AVP"
        types = list(self.offered) + ([self.event_type] if self.event_type else [])
        lines = ["v=0", f"o=- 20518 {self.sdp_version} IN {kind} {self.local}", "s=-", f"c=IN {kind} {self.local}",
                 "t=0 0", f"m=audio {self.rtp.getsockname()[1]} {profile} {' '.join(map(str, types))}"]
        lines += [f"a=rtpmap:{pt} {('PCMU', 'PCMA')[pt == 8]}/8000" for pt in self.offered if pt in (0, 8)]
        if self.event_type:
            lines += [f"a=rtpmap:{self.event_type} telephone-event/8000", f"a=fmtp:{self.event_type} 0-15"]
        lines += ["a=ptime:20", f"a={self._direction}"]
        if encrypted:
            offered = self.session.crypto if self.session else []
            tag = next((tag for tag, suite, _ in offered if suite == protection.SUITE), 1)
            lines.append(protection.line(tag, self.next_key))
        return ("\r\n".join(lines) + "\r\n").encode()

    def _request(self, method, uri, cseq, branch, body=b"", content_type="application/sdp"):
        host, port = self._host(self.local), self.sip.getsockname()[1]
        in_dialog = method not in ("CANCEL",) and self.remote_to
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{self.transport} {host}:{port};branch={branch};rport",
                 "Max-Forwards: 70", f"From: {self._own_party()}",
                 f"To: {self.remote_to if in_dialog else f'<{self._uri(self.to)}>'}", f"Call-ID: {self.call_id}",
                 f"CSeq: {cseq} {method}", f"Contact: {self._contact()}"]
        if in_dialog:
            lines += [f"Route: {route}" for route in self.routes]
        if method == "INVITE":
            lines += ["Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE", "Supported: timer",
                      *self.extra_headers]
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def _contact(self):
        plain = self.scheme == "sip" and self.transport == "TLS"
        return (f"<{self.scheme}:{self.caller}@{self._host(self.local)}:{self.sip.getsockname()[1]}"
                f"{';transport=tls' if plain else ''}>")

    def _own_party(self):
        host, port = self._host(self.local), self.sip.getsockname()[1]
        return f'"Caller" <sip:{self.caller}@{host}:{port}>;tag={self.tag}'

    def _in_dialog(self, method, body, content_type, headers=()):
        self.cseq += 1
        answer = queue.Queue()
        text = self._request(method, self.remote_target, self.cseq, self._branch(), body, content_type)
        head, _, rest = text.partition(b"\r\n")
        text = b"\r\n".join([head, *(header.encode() for header in headers), rest])
        self._pending[self.cseq] = [answer, text, time.monotonic() + 0.5, 0.5]
        self._send(text)
        return answer

    def _send(self, data):
        try:
            self.sip.sendto(data, (self.host, self.port))
        except OSError:
            pass  # the far end is being restarted; retransmissions tell

    def _on_response(self, message):
        now = time.monotonic()
        with self._change:
            self.responses.append((now, message))
            self._change.notify_all()
        if message.method == "INVITE":
            self._on_invite_response(message, now)
        if message.status >= 200 and message.cseq in self._pending and message.method != "CANCEL":
            self._pending.pop(message.cseq)[0].put(message)

    def _on_invite_response(self, message, now):
        if message.cseq == 1:
            self._resend = None
        if message.status < 200:
            if message.body and not self.session:
                self.session = Session(message.body)
        elif message.status < 300:
            self._on_success(message, now)
        else:
            to, self.remote_to = self.remote_to, message.first("to")
            self._send(self._request("ACK", self.request_uri, message.cseq, self.invite_branch))
            self.remote_to = to

    def _on_success(self, message, now):
        if message.cseq in self._acks:
            if self.acknowledge:
                self._send(self._acks[message.cseq])  # the 200 came again: our ACK was lost
            return
        if not self.answered_at:
            self.remote_to = message.first("to")
            contact = re.search(r"<([^>]+)>", message.first("contact"))
            if not contact or ";tag=" not in self.remote_to:
                raise CallError("a 200 without Contact or To tag")
            self.remote_target = contact[1]
            self.routes = list(reversed([r for value in message.all("record-route") for r in value.split(",")]))
        self.session = Session(message.body)
        body = self._sdp() if self.late_offer and not self.answered_at else b""
        ack = self._request("ACK", self.remote_target, message.cseq, self._branch(), body)
        self._acks[message.cseq] = ack
        if self.acknowledge:
            self._send(ack)
        with self._change:
            self.answered_at = self.answered_at or now
            self._change.notify_all()

    def _on_request(self, message):
        with self._change:
            self.requests.append((time.monotonic(), message))
            self._change.notify_all()
        if message.method == "ACK":
            return
        body = b""
        if message.method in ("INVITE", "UPDATE") and message.body:
            self.session, self.sdp_version = Session(message.body), self.sdp_version + 1
            body = self._sdp()
        lines = ["SIP/2.0 200 OK", *[f"Via: {via}" for via in message.all("via")], f"From: {message.first('from')}",
                 f"To: {message.first('to')}", f"Call-ID: {message.first('call-id')}",
                 f"CSeq: {message.first('cseq')}",
                 f"Contact: {self._contact()}"]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        self._send(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        if message.method == "BYE":
            self._end("gateway")

    def _end(self, by):
        with self._change:
            if not self.ended_at:
                self.ended_at, self.ended_by = time.monotonic(), by
            self._change.notify_all()

    # -- the thread: receives, repeats, and keeps the 20 ms of our own audio ------------------------------------

    def _run(self):
        try:
            self._converse()
        except (CallError, ValueError, IndexError) as error:
            self.fault = CallError(f"not understood: {error!r}")

    def _converse(self):
        voice = Voice(self)
        due = time.monotonic()
        while not self._stop:
            now = time.monotonic()
            self._repeat(now)
            ready, _, _ = select.select([self.sip, self.rtp], [], [], max(0.0, min(due - now, FRAME_S)))
            if self.sip in ready:
                data, self.last_peer = self.sip.recvfrom(65535)
                if len(data) > 4:
                    message = Message(data)
                    self._on_response(message) if message.is_response else self._on_request(message)
            if self.rtp in ready:
                self._on_packet(self.rtp.recv(2048))
            if time.monotonic() >= due:
                due += FRAME_S
                if self.answered_at and not self.ended_at and self.send_rtp:
                    voice.frame()

    def _repeat(self, now):
        if self._resend and now >= self._resend[0]:
            self._resend = [now + self._resend[1] * 2, self._resend[1] * 2]
            if self._resend[1] <= 32:
                self._send(self.invite_text)
        for entry in list(self._pending.values()):
            if now >= entry[2]:
                entry[3] = min(entry[3] * 2, 4.0)
                entry[2] = now + entry[3]
                self._send(entry[1])

    def _stream(self, way, key):
        """The protection of one direction, begun anew with each key."""
        if self._streams.get(way, (None, None))[0] != key:
            self._streams[way] = (key, protection.Stream(key))
        return self._streams[way][1]

    def _their_key(self):
        crypto = self.session.crypto if self.srtp and self.session else []
        return next((key for _, suite, key in crypto if suite == protection.SUITE), None)

    def _on_packet(self, data):
        if self.srtp:
            key = self._their_key()
            data = self._stream("in", key).unprotect(data) if key else data
            if data is None:
                self.unreadable += 1
                return
        if len(data) < 12 or data[0] >> 6 != 2:
            return
        kind, sequence, stamp = data[1] & 0x7F, *struct.unpack("!HI", data[2:8])
        start = 12 + 4 * (data[0] & 0x0F)
        self.packets.append((time.monotonic(), sequence, stamp, kind, data[start:]))


class Voice:
    """Our own side of the audio: silence, digits as events, digits as tones, or samples."""

    def __init__(self, call):
        self.call = call
        self.sequence, self.stamp = random.getrandbits(15), random.getrandbits(31)
        self.source = random.getrandbits(32)
        self.samples, self.event, self.rest = [], None, 0

    def frame(self):
        session = self.call.session
        if not session or not session.port or not session.payload_types:
            return
        kind = next((pt for pt in session.payload_types if pt in self.call.offered), 0)
        if not self.event and not self.samples and self.rest <= 0:
            self._next()
        if self.event:
            self._event_packet(session)
        else:
            part, self.samples = self.samples[:160], self.samples[160:]
            if not part:
                self.rest -= 20
            payload = sound.encode(part + [0] * (160 - len(part)), kind) if part else sound.silence(kind)
            self._send(kind, payload, False, self.stamp)
        self.stamp = (self.stamp + 160) & 0xFFFFFFFF

    def _next(self):
        try:
            how, what, self.rest = self.call._outgoing.get_nowait()
        except queue.Empty:
            return
        if how == "rfc4733":
            self.event = [what, 0, self.stamp]
        elif how == "inband":
            self.samples = sound.dtmf(what)
        else:
            self.samples = what

    def _event_packet(self, session):
        """RFC 4733: the same time stamp all along, growing duration, the last packet three times."""
        digit, duration, stamp = self.event
        duration += 160
        last = duration >= 800
        code = "0123456789*#ABCD".index(digit)
        payload = struct.pack("!BBH", code, (0x80 if last else 0) | 10, duration)
        kind = session.telephone_event if session.telephone_event is not None else self.call.event_type
        for _ in range(3 if last else 1):
            self._send(kind, payload, duration == 160, stamp)
        self.event = None if last else [digit, duration, stamp]

    def _send(self, kind, payload, marker, stamp):
        head = struct.pack("!BBHII", 0x80, (0x80 if marker else 0) | kind, self.sequence, stamp, self.source)
        self.sequence = (self.sequence + 1) & 0xFFFF
        session, packet = self.call.session, head + payload
        if self.call._their_key():
            packet = self.call._stream("out", self.call.own_key).protect(packet)
        self.call.last_packet = packet
        try:
            self.call.rtp.sendto(packet, (session.address, session.port))
        except OSError:
            pass
