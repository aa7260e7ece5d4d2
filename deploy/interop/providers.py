"""Cases about webhooks of providers: bodies signed or judged by each provider's own library."""

import base64
import hashlib
import hmac
import http.client
import json
import random
import time
import urllib.parse

from cases import case, publish
from gateway import check
from messages import libraries

TEXT = "Grüße 👋 <b>&amp;</b> \" \\ end"
FROM, TO = "14155550177", "14155550100"


def hashed(secret, text, digest=hashlib.sha256):
    return hmac.new(secret.encode(), text.encode(), digest).digest()


def b64(data):
    return base64.b64encode(data).decode()


class Telnyx:
    """Ed25519 by PyNaCl; PyPI `telnyx` takes it."""

    kind, header = "telnyx", "telnyx-signature-ed25519"

    def __init__(self, seed):
        import nacl.signing
        self.key = nacl.signing.SigningKey(hashlib.sha256(seed.encode()).digest())
        self.secret = b64(bytes(self.key.verify_key))

    def body(self, number):
        payload = {"id": f"tx-{number}", "type": "SMS", "from": {"phone_number": f"+{FROM}"},
                   "to": [{"phone_number": f"+{TO}"}], "text": TEXT, "media": []}
        return json.dumps({"data": {"event_type": "message.received", "id": f"ev-{number}", "payload": payload}})

    def headers(self, body, now):
        import telnyx
        signature = b64(self.key.sign(f"{now}|{body}".encode()).signature)
        telnyx.public_key = self.secret
        if abs(time.time() - now) < 60:
            telnyx.Webhook.construct_event(body, signature, str(now))
        return {self.header: signature, "telnyx-timestamp": str(now)}


class Vonage:
    """PyPI `PyJWT` signs, PyPI `vonage-jwt` judges."""

    kind, header = "vonage", "authorization"

    def __init__(self, seed):
        self.secret = hashlib.sha256(seed.encode()).hexdigest()

    def body(self, number):
        return json.dumps({"channel": "sms", "from": FROM, "to": TO, "message_uuid": f"vo-{number}", "message_type": "text",
                           "text": TEXT})

    def headers(self, body, now):
        import jwt
        from vonage_jwt.verify_jwt import verify_signature
        claims = {"iat": now, "jti": "j", "iss": "Vonage", "payload_hash": hashlib.sha256(body.encode()).hexdigest()}
        token = jwt.encode(claims, self.secret, "HS256")
        if abs(time.time() - now) < 60:
            check(verify_signature(token, self.secret), "the provider's library does not take its own signature")
        return {self.header: f"Bearer {token}"}


class Plivo:
    """PyPI `plivo` signs."""

    kind, header, stamped = "plivo", "x-plivo-signature-v3", False
    media_type = "application/x-www-form-urlencoded"
    url = "https://gw.example.com/webhooks/plivo"

    def __init__(self, seed):
        self.secret = seed

    def body(self, number):
        return urllib.parse.urlencode({"From": FROM, "To": TO, "Text": TEXT, "Type": "sms", "MessageUUID": f"pl-{number}"})

    def headers(self, body, now):
        from plivo.utils.signature_v3 import construct_post_url, get_signature_v3
        parameters = dict(urllib.parse.parse_qsl(body))
        signature = get_signature_v3(self.secret, construct_post_url(self.url, parameters).decode(), "nonce")
        return {self.header: signature.decode(), "x-plivo-signature-v3-nonce": "nonce"}


class Line:
    """PyPI `line-bot-sdk` judges."""

    kind, header, stamped = "line", "x-line-signature", False

    def __init__(self, seed):
        self.secret = seed

    def body(self, number):
        event = {"type": "message", "webhookEventId": f"ln-{number}", "timestamp": 1, "source": {"type": "user", "userId": "U-ann"},
                 "message": {"id": str(number), "type": "text", "text": TEXT}}
        return json.dumps({"destination": "U-shop", "events": [event]})

    def headers(self, body, now):
        from linebot.v3.webhook import SignatureValidator
        signature = b64(hashed(self.secret, body))
        check(SignatureValidator(self.secret).validate(body, signature), "the provider's library does not take it")
        return {self.header: signature}


class Viber:
    """PyPI `viberbot` judges."""

    kind, header, stamped = "viber", "x-viber-content-signature", False

    def __init__(self, seed):
        self.secret = seed

    def body(self, number):
        return json.dumps({"event": "message", "timestamp": 1, "message_token": 4912661846655238000 + number,
                           "sender": {"id": "v-ann", "name": "Ann"}, "message": {"type": "text", "text": TEXT}})

    def headers(self, body, now):
        from viberbot import Api
        from viberbot.api.bot_configuration import BotConfiguration
        signature = hashed(self.secret, body).hex()
        bot = Api(BotConfiguration(name="b", avatar="", auth_token=self.secret))
        check(bot.verify_signature(body.encode(), signature), "the provider's library does not take it")
        return {self.header: signature}


class Meta:
    """As the provider documents it: there is no library of its own that signs. PyPI `pywa` judges."""

    kind, header, stamped = "meta", "x-hub-signature-256", False

    def __init__(self, seed):
        self.secret = seed

    def body(self, number):
        message = {"from": FROM, "id": f"wamid.{number}", "timestamp": "1700000000", "type": "text", "text": {"body": TEXT}}
        value = {"metadata": {"display_phone_number": TO}, "messages": [message]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]})

    def headers(self, body, now):
        from pywa.utils import webhook_updates_validator
        signature = "sha256=" + hashed(self.secret, body).hex()
        check(webhook_updates_validator(self.secret, body.encode(), signature), "the provider's library does not take it")
        return {self.header: signature}


class MessageBird:
    """PyPI `PyJWT` signs, PyPI `messagebird` judges."""

    kind, header = "messagebird", "messagebird-signature-jwt"
    url = "https://gw.example.com/webhooks/messagebird"

    def __init__(self, seed):
        self.secret = hashlib.sha256(seed.encode()).hexdigest()

    def body(self, number):
        return json.dumps({"id": f"mb-{number}", "originator": FROM, "recipient": TO, "body": TEXT,
                           "createdDatetime": "2026-01-02T03:04:05+00:00"})

    def headers(self, body, now):
        import jwt
        from messagebird.request_validator import RequestValidator
        claims = {"iss": "MessageBird", "nbf": now, "exp": now + 60, "jti": "j",
                  "url_hash": hashlib.sha256(self.url.encode()).hexdigest(),
                  "payload_hash": hashlib.sha256(body.encode()).hexdigest()}
        token = jwt.encode(claims, self.secret, "HS256")
        if abs(time.time() - now) < 60:
            RequestValidator(self.secret).validate_signature(token, self.url, body.encode())
        return {self.header: token}


PROVIDERS = [Telnyx, Vonage, Plivo, Line, Viber, Meta, MessageBird]
CHANGES = 60


def one_byte_changed(body, headers, header, media_type):
    """Requests in which one byte of the body, or of what is signed with, is another one that means something else."""
    chance = random.Random()
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    meaning = (lambda text: urllib.parse.parse_qsl(text, True)) if media_type.endswith("urlencoded") else (lambda text: text)

    def change(text, same):
        while True:
            at = chance.randrange(len(text))
            changed = text[:at] + chance.choice(letters) + text[at + 1:]
            if not same(changed, text):
                return changed

    for _ in range(CHANGES):
        yield change(body, lambda a, b: meaning(a) == meaning(b)), headers
        # Hexadecimal digits may be capitals.
        yield body, {**headers, header: change(headers[header], lambda a, b: a.lower() == b.lower())}


def send(gate, kind, body, headers, media_type):
    """The status; headers that are lists come several times."""
    link = http.client.HTTPConnection("127.0.0.1", gate.http, timeout=5)
    link.putrequest("POST", f"/webhooks/{kind}")
    for name, values in {"Content-Type": media_type, "Content-Length": str(len(body.encode())), **headers}.items():
        for value in values if isinstance(values, list) else [values]:
            link.putheader(name, value)
    link.endheaders(body.encode())
    status = link.getresponse().status
    link.close()
    return status


@case(alone=True)
def providers_sign(gate):
    """Good, repeated, of another account, unsigned, altered byte by byte, encoded anew, doubled and old requests of seven providers."""
    libraries()
    made = {maker.kind: (maker("one"), maker("two"), maker("another account's")) for maker in PROVIDERS}
    for kind, (one, two, _) in made.items():
        (gate.folder / f"{kind}-1").write_text(one.secret)
        (gate.folder / f"{kind}-2").write_text(two.secret)
    documents = {kind: {"name": kind, "kind": kind, "url": f"https://gw.example.com/webhooks/{kind}",
                        "secrets": [f"file:{gate.folder}/{kind}-1", f"file:{gate.folder}/{kind}-2"],
                        **({"account": "shop"} if kind == "viber" else {})} for kind in made}
    publish(gate, lambda document: document.setdefault("providers", {}).update(documents), "Providers")
    refused = 0
    for number, (kind, (one, two, other)) in enumerate(made.items(), start=int(time.time()) % 100_000):
        media_type, now = getattr(one, "media_type", "application/json"), int(time.time())
        body, second = one.body(number), two.body(number + 500_000)

        def gives(body, headers, wanted, what, kind=kind, media_type=media_type):
            status = send(gate, kind, body, headers, media_type)
            check(status == wanted, f"{kind}: {what} got {status}")

        good = one.headers(body, now)
        before = len([e for e in gate.events() if e["type"] == "message.received"])
        gives(body, good, 200, "a good one")
        gives(body, good, 200, "a good one again")
        gives(second, two.headers(second, now), 200, "one by the other secret")
        bad = [(body, other.headers(body, now), "another account's"), (body, {}, "an unsigned one"),
               (body + " ", good, "an altered one"), (body, {**good, one.header: [good[one.header]] * 2}, "a doubled header")]
        if media_type == "application/json":
            bad.append((json.dumps(json.loads(body), ensure_ascii=False), good, "one encoded anew"))
        if getattr(one, "stamped", True):
            bad.append((body, one.headers(body, now - 400), "an old one"))
        bad += [(text, headers, "one with another byte") for text, headers in
                one_byte_changed(body, good, one.header, media_type)]
        for text, headers, what in bad:
            gives(text, headers, 401, what)
            refused += 1
        told = [e["data"] for e in gate.events() if e["type"] == "message.received"][before:]
        texts = [data["message"]["text"] for data in told if data["provider"] == kind]
        check(texts == [TEXT, TEXT], f"{kind}: {texts}")
    return f"{len(made)} providers, {refused} refusals"


@case(alone=True)
def whatsapp_as_it_comes(gate):
    """Meta's handshake; a thousand messages in one request, from people without a number too, escaped as Meta does it."""
    libraries()
    secret, word = Meta("app"), "our word"
    (gate.folder / "meta-app").write_text(secret.secret)
    (gate.folder / "meta-word").write_text(word)
    provider = {"name": "WhatsApp", "kind": "meta", "url": "https://gw.example.com/webhooks/whatsapp", "secrets": [f"file:{gate.folder}/meta-app"],
                "verify_token": f"file:{gate.folder}/meta-word"}
    publish(gate, lambda document: document.setdefault("providers", {}).update(whatsapp=provider), "WhatsApp")

    def asks(**more):
        query = {"hub.mode": "subscribe", "hub.verify_token": word, "hub.challenge": "1158201444", **more}
        return gate.raw("GET", "/webhooks/whatsapp?" + urllib.parse.urlencode(query))

    status, answer, headers = asks()
    check((status, answer) == (200, b"1158201444") and headers["content-type"].startswith("text/plain"), f"{status} {answer}")
    for wrong in ({"hub.verify_token": "another word"}, {"hub.mode": "unsubscribe"}, {"hub.challenge": "<script>"}):
        check(asks(**wrong)[0] == 401, f"a handshake with {wrong}")

    run, people = random.randbytes(4).hex(), 40

    def message(number):
        who = number % people
        # Half of them have a user name, and no number that we are told.
        sender = {"from": f"4915100{who:05}"} if who % 2 else {"from_user_id": f"DE.{run}{who}"}
        return {**sender, "id": f"wamid.{run}.{number}", "timestamp": "1700000000", "type": "text", "text": {"body": f"{number} äöü 👋"}}

    def request(first, last):
        changes = [{"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": {"display_phone_number": TO},
                                                   "messages": [message(number) for number in range(at, at + 50)]}}
                   for at in range(first, last, 50)]
        body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).replace("/", "\\/")
        check("\\u00e4" in body, "the body is not escaped")
        return body

    body = request(0, 1000)
    began = time.monotonic()
    for what in ("a thousand messages", "the same again"):
        status = send(gate, "whatsapp", body, secret.headers(body, 0), "application/json")
        check(status == 200, f"{what}: {status}")
    took = time.monotonic() - began
    again = json.dumps(json.loads(body), ensure_ascii=False)
    check(send(gate, "whatsapp", again, secret.headers(body, 0), "application/json") == 401, "a body that was encoded anew")
    mine = [e["data"] for e in gate.events() if e["type"] == "message.received" and e["data"]["message"]["message_id"].startswith(f"wamid.{run}")]
    check(len(mine) == 1000, f"{len(mine)} of 1000 messages")
    texts = {data["message"]["message_id"]: data["message"]["text"] for data in mine}
    check(all(texts[f"wamid.{run}.{n}"] == f"{n} äöü 👋" for n in range(1000)), "texts are changed")
    threads = {}
    for data in mine:
        threads.setdefault((data["customer"], data["conversation"]), []).append(int(data["message"]["message_id"].split(".")[-1]))
    check(len(threads) == people, f"{len(threads)} conversations of {people} people")
    check(all(numbers == sorted(numbers) for numbers in threads.values()), "out of order")
    named = {customer for customer, _ in threads if customer.startswith("DE.")}
    check(len(named) == people // 2, f"{len(named)} people without a number")
    check(all(data["window_expires_at"] for data in mine), "no window")
    odd = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "tomorrow", "value": {"x": run}}]}]}
    body = json.dumps(odd)
    check(send(gate, "whatsapp", body, secret.headers(body, 0), "application/json") == 200, "an unknown event")
    check(any(run in json.dumps(e["data"]) for e in gate.events() if e["type"] == "message.unparsed"), "the unknown event is not kept")
    return f"1000 messages twice in {took:.1f} s, {people} conversations"
