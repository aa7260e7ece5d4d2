"""Cases about files of messages: a CDN of our own, MMS signed by the provider's own library, and kill -9 between them."""

import base64
import collections
import hashlib
import http.server
import threading
import time

import cases
from cases import case, publish
from gateway import Gateway, check
from messages import TOKEN, Sender, with_providers

ACCOUNT = "AC1:" + TOKEN
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


class Quiet(http.server.ThreadingHTTPServer):
    """Whoever asks may be killed meanwhile."""

    daemon_threads = True

    def handle_error(self, *_):
        pass


class Cdn:
    """Asks for the account's credentials, sends on to a second host without them, and is slow or broken at times."""

    def __init__(self):
        self.heard, self.failing, self.delay = [], 0, 0.0
        self.open = [Quiet(("127.0.0.1", 0), self.handler(stage)) for stage in ("api", "cdn")]
        for server in self.open:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.api, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self.open)

    def handler(self, stage):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                proof = self.headers.get("Authorization")
                outer.heard.append((stage, self.path, proof))
                if stage == "api":
                    wanted = "Basic " + base64.b64encode(ACCOUNT.encode()).decode()
                    if proof != wanted:
                        return self.answer(401)
                    return self.answer(307, Location=outer.cdn + self.path)
                time.sleep(outer.delay)
                if outer.failing > 0:
                    outer.failing -= 1
                    return self.answer(503, **{"Retry-After": "1"})
                self.answer(200, JPEG + self.path.encode(), **{"Content-Type": "image/jpeg"})

        return Handler

    def close(self):
        for server in self.open:
            server.shutdown()
            server.server_close()


def with_store(gate, cdn):
    """The account that its files are had by; its API is the fake one."""
    with_providers(gate)
    (gate.folder / "account").write_text(ACCOUNT)

    def change(document):
        document["providers"]["sms"]["media"] = {"key": f"file:{gate.folder}/account", "api": cdn.api}

    publish(gate, change, "Files of messages")


def settled(gate, count, seconds=30.0):
    """The files of messages, when none is pending any more."""
    until = time.monotonic() + seconds
    while True:
        media = gate.ask("GET", "/api/v1/message-media?limit=500")["media"]
        if len(media) >= count and all(one["state"] != "pending" for one in media):
            return media
        check(time.monotonic() < until, f"not settled: {collections.Counter(one['state'] for one in media)}")
        time.sleep(0.1)


@case(alone=True)
def files_of_messages(_):
    """MMS whose pictures lie behind the account's credentials and a redirection, one of them late; and on a forbidden address."""
    cdn = Cdn()
    gate = Gateway(cases.BINARY, name="files", settings={
        "message_media.plain_http": "true", "message_media.allowed_targets": "127.0.0.1"})
    try:
        gate.start()
        with_store(gate, cdn)
        sender = Sender(gate)
        cdn.failing = 1
        form = sender.form("MM1", "two pictures", NumMedia="2", MediaUrl0=cdn.api + "/one", MediaUrl1=cdn.api + "/two",
                           MediaContentType0="image/jpeg", MediaContentType1="image/jpeg")
        check(sender.send(form)[0] == 200, "the message was not taken")
        check(sender.send(form)[0] == 200, "a repetition is acknowledged")
        inside = sender.form("MM2", "an inner one", NumMedia="1", MediaUrl0=f"http://127.0.0.2:{gate.http}/metrics")
        check(sender.send(inside)[0] == 200, "the message was not taken")
        media = {(one["message_id"], one["place"]): one for one in settled(gate, 3)}
        bad = media[("MM2", 0)]
        check((bad["state"], bad["reason"]) == ("failed", "forbidden_address"), f"{bad}")
        for place, name in enumerate(("/one", "/two")):
            one = media[("MM1", place)]
            want = hashlib.sha256(JPEG + name.encode()).hexdigest()
            check((one["state"], one["file"], one["media_type"]) == ("stored", want, "image/jpeg"), f"{one}")
            status, body, headers = gate.raw("GET", f"/api/v1/files/{want}",
                                             headers={"Authorization": f"Bearer {gate.key()}"})
            check((status, body) == (200, JPEG + name.encode()), f"{status}")
            check(headers["content-disposition"] == "attachment", f"{headers}")
        check(all(proof is None for stage, _, proof in cdn.heard if stage == "cdn"), "credentials went to another host")
        check(sum(1 for stage, path, _ in cdn.heard if path == "/one" and stage == "api") <= 2, f"{cdn.heard}")
        told = [e["data"]["media"] for e in gate.events() if e["type"] == "message.updated"]
        states = collections.Counter(one["state"] for one in told)
        check(states == {"stored": 2, "failed": 1}, f"the feed tells of {states}")
        late = sum(one["attempts"] for one in media.values()) - 3
    finally:
        gate.stop()
        cdn.close()
    return f"two kept after {late} more attempt, one refused; {len(cdn.heard)} requests"


@case(alone=True)
def kill_under_files(_):
    """kill -9 three times while files are fetched: each message's file is kept in the end, and told of once."""
    cdn = Cdn()
    cdn.delay = 0.15
    gate = Gateway(cases.BINARY, name="killfiles", settings={
        "message_media.plain_http": "true", "message_media.allowed_targets": "127.0.0.1"})
    try:
        gate.start()
        with_store(gate, cdn)
        taken = 0
        for turn in range(3):
            sender = Sender(gate)
            for number in range(20):
                form = sender.form(f"KM{turn}-{number}", "a picture", NumMedia="1", MediaUrl0=f"{cdn.api}/{turn}-{number}")
                taken += sender.send(form)[0] == 200
            time.sleep(0.2)
            gate.kill()
            gate.start()
        media = settled(gate, taken, 60.0)
        check(taken == 60 and len(media) == 60, f"{taken} messages, {len(media)} files")
        check(all(one["state"] == "stored" for one in media), f"{[one for one in media if one['state'] != 'stored'][:3]}")
        gate.forget_feed()
        told = [e["data"]["media"]["id"] for e in gate.events() if e["type"] == "message.updated"]
        check(sorted(told) == sorted(one["id"] for one in media), f"{len(told)} told, {len(set(told))} different")
        asked = collections.Counter(path for stage, path, _ in cdn.heard if stage == "cdn")
        again = sum(count - 1 for count in asked.values())
    finally:
        gate.stop()
        cdn.close()
    return f"60 messages, 60 files kept, told once; {again} fetched twice"
