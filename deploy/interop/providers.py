"""Cases about webhooks of providers: bodies signed or judged by each provider's own library."""

import base64
import hashlib
import hmac
import http.client
import json
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
    """As the provider documents it: there is no library of its own that signs."""

    kind, header, stamped = "meta", "x-hub-signature-256", False

    def __init__(self, seed):
        self.secret = seed

    def body(self, number):
        message = {"from": FROM, "id": f"wamid.{number}", "timestamp": "1700000000", "type": "text", "text": {"body": TEXT}}
        value = {"metadata": {"display_phone_number": TO}, "messages": [message]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]})

    def headers(self, body, now):
        return {self.header: "sha256=" + hashed(self.secret, body).hex()}


PROVIDERS = [Telnyx, Vonage, Plivo, Line, Viber, Meta]


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
    """Good, repeated, of another account, unsigned, altered, encoded anew, doubled and old requests of six providers."""
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
        for text, headers, what in bad:
            gives(text, headers, 401, what)
            refused += 1
        told = [e["data"] for e in gate.events() if e["type"] == "message.received"][before:]
        texts = [data["message"]["text"] for data in told if data["provider"] == kind]
        check(texts == [TEXT, TEXT], f"{kind}: {texts}")
    return f"{len(made)} providers, {refused} refusals"
