"""Cases of trunks: pings, registrations, and calls that go by another trunk. The carrier is a small one of our own."""

import hashlib
import re
import socket
import struct
import threading
import time

import cases
from agent import Agent
from caller import Call
from cases import DIRECT, case, publish
from gateway import Gateway, check
from hand_off import both_hear

PING = {"sip.ping.every_seconds": 1, "sip.ping.answer_seconds": 1, "sip.ping.losses_max": 2}
TARGET = "+14155550999"


class Carrier:
    """Answers OPTIONS and REGISTER over UDP; refuses calls. `silent`: it hears, and says nothing."""

    def __init__(self, *, login=None, algorithm="SHA-256", min_expires=0, granted=None, invite=503):
        self.login, self.algorithm, self.min_expires, self.granted = login, algorithm, min_expires, granted
        self.invite, self.silent, self.options = invite, False, 200
        self.registrations, self.pings, self.invites, self.nonce = [], [], [], "first"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self._stop, self._thread = False, threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join(2)
        self.socket.close()

    def wait(self, what, seconds, name):
        end = time.monotonic() + seconds
        while not (found := what()):
            check(time.monotonic() < end, f"no {name} in {seconds} s")
            time.sleep(0.02)
        return found

    def registered(self):
        """The registrations that were accepted: (Call-ID, number, seconds asked for, Contact)."""
        return [row[:4] for row in self.registrations if row[4] == 200]

    def _run(self):
        self.socket.settimeout(0.2)
        while not self._stop:
            try:
                data, peer = self.socket.recvfrom(65535)
            except TimeoutError:
                continue
            if self.silent or not data.strip():
                continue
            head = data.decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")
            fields = {}
            for line in head[1:]:
                name, _, value = line.partition(":")
                fields.setdefault(name.strip().lower(), value.strip())
            method = head[0].split(" ")[0]
            status, further = {"OPTIONS": self._options, "REGISTER": self._register,
                               "INVITE": self._invite}.get(method, lambda *_: (0, []))(head[0], fields)
            if status:
                lines = [f"SIP/2.0 {status} Answer", f"Via: {fields['via']};received=127.0.0.1",
                         f"From: {fields['from']}", f"To: {fields['to']};tag=carrier",
                         f"Call-ID: {fields['call-id']}", f"CSeq: {fields['cseq']}", *further, "Content-Length: 0"]
                self.socket.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), peer)

    def _options(self, _start, fields):
        self.pings.append((time.monotonic(), fields["call-id"]))
        return self.options, []

    def _invite(self, start, _fields):
        self.invites.append(start)
        return self.invite, []

    def _register(self, start, fields):
        seconds, contact = int(fields["expires"]), fields["contact"]
        status, further = 200, [f"Contact: {contact};expires={min(seconds, self.granted or seconds)}"]
        if self.login and not self._proven(start, fields):
            status = 401
            further = [f'WWW-Authenticate: Digest realm="carrier", nonce="{self.nonce}", '
                       f'algorithm={self.algorithm}, qop="auth"']
        elif 0 < seconds < self.min_expires:
            status, further = 423, [f"Min-Expires: {self.min_expires}"]
        number = int(fields["cseq"].split(" ")[0])
        self.registrations.append((fields["call-id"], number, seconds, contact, status))
        return status, further

    def _proven(self, start, fields):
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', fields.get("authorization", "")))
        if given.get("nonce") != self.nonce:
            return False
        user, secret = self.login

        def digest(text):
            return {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}[self.algorithm](text.encode()).hexdigest()

        a1, a2 = digest(f"{user}:carrier:{secret}"), digest(f"REGISTER:{start.split(' ')[1]}")
        wanted = digest(f"{a1}:{self.nonce}:{given['nc']}:{given['cnonce']}:auth:{a2}")
        return given["response"] == wanted and given["username"] == user


class NameServer:
    """Answers SRV and A questions from two tables; everything else is unknown to it."""

    def __init__(self, services, hosts):
        self.services, self.hosts, self.asked = services, hosts, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self._stop, self._thread = False, threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join(2)
        self.socket.close()

    @staticmethod
    def _name(text):
        return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"

    def _run(self):
        self.socket.settimeout(0.2)
        while not self._stop:
            try:
                data, peer = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            at, labels = 12, []
            while data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
                at += 1 + data[at]
            name, kind = ".".join(labels), int.from_bytes(data[at + 1:at + 3])
            self.asked.append((name, kind))
            rows = []
            if kind == 33:
                rows = [struct.pack("!HHH", priority, 10, port) + self._name(host)
                        for priority, port, host in self.services.get(name, ())]
            elif kind == 1 and name in self.hosts:
                rows = [socket.inet_aton(self.hosts[name])]
            known = name in self.services or name in self.hosts
            head = data[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, len(rows), 0, 0)
            answers = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(row)) + row for row in rows)
            self.socket.sendto(head + data[12:at + 5] + answers, peer)


def trunk_of(gate, name="tr_a"):
    return next(row for row in gate.ask("GET", "/api/v1/trunks")["trunks"] if row["id"] == name)


def wait_for(holds, seconds, name):
    end = time.monotonic() + seconds
    while not (found := holds()):
        check(time.monotonic() < end, f"not {name} in {seconds} s")
        time.sleep(0.05)
    return found


@case(alone=True)
def trunk_goes_down_and_comes_back(_):
    """A trunk that falls silent is down after the losses that the settings allow, calls go by another, and it is up
    again with its first answer; a publish that changes something else leaves what is known alone."""
    gate = Gateway(cases.BINARY, name="pings", settings=PING)
    gate.start()
    try:
        with Carrier() as first, Agent(TARGET) as second:
            other = second.uri.split("@")[1]

            def change(document):
                document["trunks"]["tr_a"] = {"name": "A", "allowed": ["192.0.2.1"],
                                              "outbound": {"target": f"sip:{first.host}"}}
                document["trunks"]["tr_b"] = {"name": "B", "allowed": ["192.0.2.2"],
                                              "outbound": {"target": f"sip:{other}", "ping": False}}
                document["ivrs"]["ivr_forward"] = {"name": "Forward", "kind": "initial", "start": "start", "nodes": {
                    "start": {"type": "start", "next": "number"},
                    "number": {"type": "forward", "to": TARGET, "ring_seconds": 10, "failed": "out"},
                    "out": {"type": "exit"}}}
                document["numbers"][DIRECT]["initial_ivr"] = "ivr_forward"
                document.pop("tests", None)

            def call_goes_to_second():
                second.again(200, 0.2)
                with Call(gate.sip, DIRECT) as call:
                    call.wait_answer()
                    second.wait_talk(8)
                    both_hear(call, second)
                    second.hang_up()
                    call.wait(lambda: call.ended_at, 2, "BYE")

            publish(gate, change, "Trunks")
            wait_for(lambda: trunk_of(gate)["reach"] == "up", 3, "up")
            check(trunk_of(gate, "tr_b")["reach"] == "unknown", "a trunk is pinged whose pings are off")
            check(gate.metric('vestibule_trunk_up{trunk="tr_a"}') == 1, "the metric")
            check(len({call_id for _, call_id in first.pings}) == len(first.pings), "pings share a Call-ID")
            call_goes_to_second()
            check(len(first.invites) >= 1, "the first trunk, which refuses with 503, was not tried")
            since = trunk_of(gate)["reach_since"]
            publish(gate, lambda document: document["inboxes"]["ib_sales"].update(name="Sales!"), "Another")
            check(trunk_of(gate)["reach_since"] == since, "a publish of something else forgot the trunk")
            first.silent = True
            fell = time.monotonic()
            wait_for(lambda: trunk_of(gate)["reach"] == "down", 10, "down")
            took = time.monotonic() - fell
            check(gate.metric('vestibule_trunk_up{trunk="tr_a"}') == 0, "the metric")
            first.silent, first.options = False, 503
            tried = len(first.invites)
            call_goes_to_second()
            check(len(first.invites) == tried, "a trunk that is down was tried")
            check(trunk_of(gate)["reach"] == "down", "503 counts as an answer")
            first.options = 404
            wait_for(lambda: trunk_of(gate)["reach"] == "up", 4, "up again")
            publish(gate, lambda document: document["trunks"].pop("tr_a"), "Gone")
            wait_for(lambda: b'trunk="tr_a"' not in gate.raw(
                "GET", "/metrics", headers={"Authorization": f"Bearer {gate.key()}"})[1], 3, "without its series")
            return f"down after {took:.1f} s"
    finally:
        gate.stop()


@case(alone=True)
def trunk_registers(_):
    """The gateway registers at two carriers (SHA-256 with a brief interval refused; MD5 that comes later), refreshes
    under one Call-ID, answers stale nonces, lets publishes pass, and takes itself off at the end."""
    gate = Gateway(cases.BINARY, name="registers", settings=PING)
    gate.start()
    try:
        with Carrier(login=("edge", "open sesame"), min_expires=90, granted=3) as first, \
                Carrier(login=("4155550100", "secret"), algorithm="MD5") as second:
            (gate.folder / "one").write_text("open sesame\n")
            (gate.folder / "two").write_text("wrong\n")
            second.silent = True

            def change(document):
                for name, carrier, user, file in (("tr_a", first, "edge", "one"), ("tr_b", second, "4155550100", "two")):
                    document["trunks"][name] = {
                        "name": name, "allowed": [f"192.0.2.{1 + len(document['trunks'])}"],
                        "register": {"target": f"sip:{carrier.host}", "user": user, "secret": f"file:{gate.folder}/{file}",
                                     "expires_seconds": 60}}
                document.pop("tests", None)

            publish(gate, change, "Registrations")
            wait_for(lambda: (trunk_of(gate)["registration"] or {}).get("registered"), 5, "registered")
            check(gate.metric('vestibule_trunk_registered{trunk="tr_a"}') == 1, "the metric")
            check(trunk_of(gate, "tr_b")["registration"] is None, "an answer of a silent registrar")
            asked = [row[2] for row in first.registrations]
            check(asked[0] == 60 and asked[-1] == 90, f"intervals {asked}: the 423 was not heeded")
            check(f"<sip:edge@127.0.0.1:{gate.sip}>" in first.registrations[0][3], first.registrations[0][3])
            first.wait(lambda: len(first.registered()) >= 2, 5, "refresh")
            first.nonce = "second"
            first.wait(lambda: len(first.registered()) >= 3, 5, "refresh with a fresh nonce")
            publish(gate, lambda document: document["inboxes"]["ib_sales"].update(name="Sales!"), "Another")
            rows = list(first.registrations)
            check(len({row[0] for row in rows}) == 1, "more than one Call-ID")
            numbers = [row[1] for row in rows]
            check(all(b == a + 1 for a, b in zip(numbers, numbers[1:])), f"numbers {numbers}")
            check(sum(row[4] == 401 for row in rows) == 2, "asked for credentials more than twice")
            second.silent = False
            wait_for(lambda: trunk_of(gate, "tr_b")["registration"], 12, "answered by the second")
            said = trunk_of(gate, "tr_b")["registration"]
            check((said["registered"], said["status"]) == (False, 401), f"{said}")
            # A changed document is tried at once.
            (gate.folder / "two").write_text("secret\n")
            publish(gate, lambda document: document["trunks"]["tr_b"]["register"].update(expires_seconds=300), "Mended")
            second.wait(second.registered, 5, "registration by MD5")
            first.silent = True
            wait_for(lambda: not trunk_of(gate)["registration"]["registered"], 10, "run out")
            check(gate.metric('vestibule_trunk_registered{trunk="tr_a"}') == 0, "the metric")
            first.silent = False
            gate.process.terminate()
            gate.process.wait(8)
            check(second.registered()[-1][2] == 0, f"not taken off: {second.registrations[-1]}")
    finally:
        gate.stop()


@case(alone=True)
def a_call_to_a_registered_contact(_):
    """A registrar sends calls to the Contact that was registered: the number called stands in To, or in
    P-Called-Party-ID."""
    gate = Gateway(cases.BINARY, name="registered")
    gate.start()
    try:
        with Carrier() as carrier:
            (gate.folder / "one").write_text("open sesame\n")

            def change(document):
                trunk = next(iter(document["trunks"].values()))
                trunk["register"] = {"target": f"sip:{carrier.host}", "user": "edge", "secret": f"file:{gate.folder}/one"}

            publish(gate, change, "Register")
            carrier.wait(carrier.registered, 5, "registration")
            for headers, to in ((), DIRECT), ((f"P-Called-Party-ID: <sip:{DIRECT}@carrier.example>",), "+19995550000"):
                call = Call(gate.sip, to, extra_headers=headers)
                call.request_uri = f"sip:edge@127.0.0.1:{gate.sip}"
                with call:
                    call.wait_answer()
                    contact = gate.contact_of(call.call_id)
                    check(gate.ask("GET", f"/api/v1/contacts/{contact}")["to"] == DIRECT, "taken for another number")
                    call.hang_up()
    finally:
        gate.stop()


@case(alone=True)
def what_a_trunk_says_of_callers(_):
    """P-Asserted-Identity and Diversion of a trusted trunk stand in the record; of another, nothing is believed."""
    gate = Gateway(cases.BINARY, name="trusted")
    gate.start()
    try:
        said = ("P-Asserted-Identity: <sip:+12125550111@carrier.example>",
                "Diversion: <sip:+14155550177@carrier.example>;reason=no-answer")
        for trusted, wanted in (True, ("+12125550111", "+14155550177")), (False, (None, None)):
            publish(gate, lambda document: next(iter(document["trunks"].values())).update(trusted=trusted), f"{trusted}")
            with Call(gate.sip, DIRECT, caller="+12125550122", extra_headers=said) as call:
                call.wait_answer()
                contact = gate.contact_of(call.call_id)
                record = gate.ask("GET", f"/api/v1/contacts/{contact}")
                got = (record["from"], record["diverted_from"])
                check(got == (wanted[0] or "+12125550122", wanted[1]), f"trusted {trusted}: {got}")
                started = gate.wait_event(contact, "contact.started", 2)["data"]
                check(started.get("diverted_from") == wanted[1], f"{started}")
                call.hang_up()
    finally:
        gate.stop()


@case(alone=True)
def a_trunk_is_found_by_srv(_):
    """A trunk is a domain: SRV records say its servers, the next is tried on 503, and a trunk with as many calls as it
    may have leaves the next call to another trunk."""
    with Carrier(invite=503) as first, Agent(TARGET) as second, Agent(TARGET) as third:
        ports = [int(host.rsplit(":", 1)[1]) for host in (first.host, second.uri, third.uri)]
        services = {"_sip._udp.carrier.example": [(1, ports[0], "one.carrier.example"), (2, ports[1], "two.carrier.example")]}
        hosts = {"one.carrier.example": "127.0.0.1", "two.carrier.example": "127.0.0.1"}
        with NameServer(services, hosts) as names:
            gate = Gateway(cases.BINARY, name="srv", settings={"sip.dns_servers": names.address})
            gate.start()
            try:
                def change(document):
                    document["trunks"]["tr_a"] = {"name": "A", "allowed": ["192.0.2.1"], "concurrent_max": 1,
                                                  "outbound": {"target": "sip:carrier.example", "ping": False}}
                    document["trunks"]["tr_b"] = {"name": "B", "allowed": ["192.0.2.2"],
                                                  "outbound": {"target": f"sip:127.0.0.1:{ports[2]}", "ping": False}}
                    document["ivrs"]["ivr_forward"] = {
                        "name": "Forward", "kind": "initial", "start": "start", "nodes": {
                            "start": {"type": "start", "next": "number"},
                            "number": {"type": "forward", "to": TARGET, "ring_seconds": 10, "failed": "out"},
                            "out": {"type": "exit"}}}
                    document["numbers"][DIRECT]["initial_ivr"] = "ivr_forward"
                    document.pop("tests", None)

                publish(gate, change, "Trunks")
                with Call(gate.sip, DIRECT) as call:
                    call.wait_answer()
                    second.wait_talk(8)
                    check(len(first.invites) == 1 and TARGET in first.invites[0], f"{first.invites}")
                    check(second.invite.start.startswith(f"INVITE sip:{TARGET}@carrier.example "), second.invite.start)
                    with Call(gate.sip, DIRECT) as other:
                        other.wait_answer()
                        third.wait_talk(8)
                        check(len(first.invites) == 1, "a trunk that was full was called")
                        check(gate.metric("vestibule_sip_trunk_full_total") >= 1, "the metric")
                        other.hang_up()
                    call.hang_up()
                questions = [name for name, kind in names.asked if kind == 33]
                check(questions.count("_sip._udp.carrier.example") == 1, f"asked {questions}: answers are not kept")
            finally:
                gate.stop()
