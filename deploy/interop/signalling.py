"""Cases about the signalling of trunks: digest, TCP, session timers, and what a trace shows of it."""

import hashlib
import random
import re
import socket
import tempfile
import time

import baresip
import cases
from caller import Call
from cases import DIRECT, case, options, publish, rows, sipp
from gateway import Gateway, check

USER, SECRET = "carrier", "correct-horse-battery"


def challenged(headers, algorithm):
    """Parameters of the WWW-Authenticate header of an algorithm."""
    for value in headers:
        found = dict(re.findall(r'(\w+)="?([^",]+)"?', value))
        if found.get("algorithm") == algorithm:
            return found
    check(False, f"no challenge by {algorithm}: {headers}")


def credentials(challenge, uri, secret, count=1):
    """An Authorization header (RFC 7616)."""
    def digest(text):
        return hashlib.new({"SHA-256": "sha256", "MD5": "md5"}[challenge["algorithm"]], text.encode()).hexdigest()
    cnonce, nc = f"{random.getrandbits(64):016x}", f"{count:08x}"
    a1, a2 = digest(f"{USER}:{challenge['realm']}:{secret}"), digest(f"INVITE:{uri}")
    response = digest(f"{a1}:{challenge['nonce']}:{nc}:{cnonce}:auth:{a2}")
    return (f'Authorization: Digest username="{USER}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
            f'uri="{uri}", algorithm={challenge["algorithm"]}, qop=auth, cnonce="{cnonce}", nc={nc}, '
            f'response="{response}"')


def first_answer(gate, headers=()):
    """Places a call; gives back its final status, its WWW-Authenticate headers and its Request-URI."""
    with Call(gate.sip, DIRECT, extra_headers=headers) as call:
        call.wait(lambda: call.answered_at or call.final_status, 5, "a final answer")
        last = call.responses[-1][1]
        wanted = [value for name, value in last.headers if name.lower() == "www-authenticate"]
        status, uri = call.final_status or 200, call.request_uri
        if call.answered_at:
            status = 200
            call.hang_up()
        return status, wanted, uri


@case(alone=True)
def digest_trunk(_):
    """A trunk with digest is challenged; SHA-256, MD5 and baresip prove themselves; replays and wrong secrets do not."""
    gate = Gateway(cases.BINARY, name="digest")
    try:
        gate.start()
        (gate.folder / "secret").write_text(SECRET + "\n")

        def ask_for_proof(document):
            for trunk in rows(document["trunks"]):
                trunk["digest"] = {"user": USER, "secret": f"file:{gate.folder}/secret", "algorithms": ["sha-256", "md5"]}

        publish(gate, ask_for_proof, "Trunks prove themselves")
        status, wanted, uri = first_answer(gate)
        check(status == 401, f"a call without credentials got {status}")
        for algorithm in ("SHA-256", "MD5"):
            check(algorithm in wanted[0 if algorithm == "SHA-256" else 1], f"order of the challenges: {wanted}")
            header = credentials(challenged(wanted, algorithm), uri, SECRET, 1 if algorithm == "SHA-256" else 2)
            status, _, _ = first_answer(gate, (header,))
            check(status == 200, f"right credentials by {algorithm} got {status}")
        status, again, _ = first_answer(gate, (header,))
        check(status == 401 and "stale=true" in again[0], f"a replay got {status}: {again}")
        wrong = credentials(challenged(again, "SHA-256"), uri, "wrong")
        status, _, _ = first_answer(gate, (wrong,))
        check(status == 403, f"a wrong secret got {status}")
        check(options(gate, "127.0.0.1") == 200, "a ping needs no credentials")
        started = [e for e in gate.events() if e["type"] == "contact.started"]
        check(len(started) == 2, f"{len(started)} records: only calls that were let in leave one")
        def only_md5(document):
            for trunk in rows(document["trunks"]):
                trunk["digest"]["algorithms"] = ["md5"]

        publish(gate, only_md5, "For devices that stop at a challenge they do not know")
        with tempfile.TemporaryDirectory() as folder:
            baresip.call(folder, gate.sip, DIRECT, seconds=3, account=f";auth_user={USER};auth_pass={SECRET}")
    finally:
        gate.stop()
    return "401, SHA-256, MD5, baresip; replay 401, wrong 403"


@case()
def tcp_calls(gate):
    """Calls over TCP, many on one connection."""
    with tempfile.TemporaryDirectory() as folder:
        run = sipp(gate, folder, calls=200, rate=50, stay_ms=500, extra=("-t", "t1"))
        answered = cases.answered_calls(folder)
    check(run.returncode == 0, f"sipp ended with {run.returncode}: {run.stdout[-600:]}")
    check(len(answered) == 200, f"{len(answered)} of 200 answered")
    return "200 calls"


@case()
def tcp_connection_lost(gate):
    """A call outlives its TCP connection: our BYE comes over a new one, to the Contact."""
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(("127.0.0.1", gate.sip)) as line:
        own, mark = listener.getsockname()[1], f"{random.getrandbits(48):x}"
        sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
               "m=audio 9 RTP/AVP 0\r\n")

        def request(method, to, body=""):
            return (f"{method} sip:{DIRECT}@127.0.0.1 SIP/2.0\r\n"
                    f"Via: SIP/2.0/TCP 127.0.0.1:{own};branch=z9hG4bK{mark}{method}\r\nMax-Forwards: 70\r\n"
                    f"From: <sip:a@127.0.0.1>;tag={mark}\r\nTo: {to}\r\nCall-ID: {mark}@tcp\r\n"
                    f"CSeq: 1 {method}\r\nContact: <sip:a@127.0.0.1:{own};transport=tcp>\r\n"
                    f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()

        line.settimeout(5)
        line.sendall(request("INVITE", f"<sip:{DIRECT}@127.0.0.1>", sdp))
        heard = b""
        while b"SIP/2.0 200" not in heard or not heard.rstrip().endswith(b"sendrecv"):
            part = line.recv(65535)
            check(part, f"the connection was closed: {heard}")
            heard += part
        to = re.findall(r"To: (.*)\r\n", heard.decode())[-1]
        line.sendall(request("ACK", to))
        contact = gate.contact_of(f"{mark}@tcp")
        line.close()
        time.sleep(0.2)
        gate.ask("POST", f"/api/v1/contacts/{contact}/hang_up")
        listener.settimeout(5)
        again, _ = listener.accept()
        with again:
            again.settimeout(5)
            said = again.recv(65535).decode()
        check(said.startswith(f"BYE sip:a@127.0.0.1:{own};transport=tcp"), said)
    return "BYE over a new connection"


@case()
def session_timer(gate):
    """The gateway refreshes the session at half its interval, and ends a call that the caller stops refreshing."""
    ours = Call(gate.sip, DIRECT, extra_headers=("Supported: timer", "Session-Expires: 90;refresher=uas"))
    theirs = Call(gate.sip, DIRECT, extra_headers=("Supported: timer", "Session-Expires: 90;refresher=uac"))
    small = Call(gate.sip, DIRECT, extra_headers=("Supported: timer", "Session-Expires: 30"))
    with small:
        check(small.wait_final() == 422, f"an interval of 30 s got {small.final_status}")
    with ours, theirs:
        for call in (ours, theirs):
            call.wait_answer()
        began = time.monotonic()
        ours.wait(lambda: any(m.method in ("INVITE", "UPDATE") for _, m in ours.requests), 50, "a refresh")
        after = time.monotonic() - began
        check(44 < after < 47, f"the refresh came after {after:.1f} s")
        theirs.wait(lambda: theirs.ended_at, 25, "the end of an unrefreshed call")
        ended = time.monotonic() - began
        check(58 < ended < 64, f"the call without a refresh ended after {ended:.1f} s")
        check(not ours.ended_at, "the refreshed call ended")
        ours.hang_up()
    outcome = gate.outcome_of(theirs.call_id)
    check(outcome == ("carrier", "signalling_timeout"), f"outcome {outcome}")
    return f"refreshed after {after:.1f} s, ended after {ended:.1f} s"


@case()
def sip_trace(gate):
    """A contact's trace shows its SIP messages, without the digits of an INFO."""
    with Call(gate.sip, DIRECT) as call:
        call.wait_answer()
        contact = gate.contact_of(call.call_id)
        call.press("7", "info")
        time.sleep(0.3)
        call.hang_up()
    messages = gate.ask("GET", f"/api/v1/contacts/{contact}/sip")["messages"]
    starts = [(message["direction"], message["text"].split("\r\n")[0]) for message in messages]
    for direction, start in (("received", "INVITE sip:"), ("sent", "SIP/2.0 200 OK"), ("received", "ACK sip:"),
                             ("received", "INFO sip:"), ("received", "BYE sip:")):
        check(any(d == direction and s.startswith(start) for d, s in starts), f"no {start} {direction}: {starts}")
    info = next(message["text"] for message in messages if message["text"].startswith("INFO"))
    check("7" not in info.split("\r\n\r\n")[1], "the digit stands in the trace")
    return f"{len(messages)} messages"
