"""Cases about messages: requests signed by the providers' own libraries, and what becomes of them."""

import base64
import datetime
import http.client
import http.server
import json
import random
import sys
import threading
import time
import urllib.parse

import cases
from caller import Call
from cases import HERE, case, publish
from gateway import Gateway, check

TOKEN, OTHER = "a token of ours", "a token of somebody else"
KEY = "whsec_" + base64.b64encode(b"thirty-two bytes of a secret key").decode()
URL = "https://gw.example.com/webhooks/sms"
OURS, CUSTOMER = "+14155550100", "+14155550177"
HOSTILE = "Grüße 👋 <script>alert(1)</script> ' \" & + % \\ \u202e end\n"


def libraries():
    """The libraries of requirements.txt, which deploy/setup installs beside the build."""
    folders = list((cases.ROOT / "target" / "interop-venv").glob("lib/python3*/site-packages"))
    check(folders, "the providers' libraries are not installed: run deploy/setup")
    if str(folders[0]) not in sys.path:
        sys.path.append(str(folders[0]))
    import standardwebhooks
    import twilio.request_validator
    return twilio.request_validator.RequestValidator, standardwebhooks.Webhook


def with_providers(gate):
    """Sets up two providers; idempotent."""
    (gate.folder / "token").write_text(TOKEN + "\n")
    (gate.folder / "key").write_text(KEY)

    providers = {
        "sms": {"name": "SMS", "kind": "twilio", "url": URL, "secrets": [f"file:{gate.folder}/token"]},
        "any": {"name": "Any", "kind": "generic", "url": "https://gw.example.com/webhooks/any",
                "secrets": [f"file:{gate.folder}/key"]},
    }
    if gate.ask("GET", f"/api/v1/numbers/{OURS}")["number"]["sms"]["state"] == "required":
        for event in ("submit", "approve"):
            gate.ask("POST", f"/api/v1/numbers/{OURS}/registration", {"event": event})
    if gate.ask("GET", "/api/v1/routing/draft").get("providers") != providers:
        publish(gate, lambda document: document.update(providers=providers), "Providers")


class Sender:
    """Sends as the SMS provider does, over a connection that is kept."""

    def __init__(self, gate, token=TOKEN):
        self.gate, self.validator, self.link = gate, libraries()[0](token), None

    def form(self, sid, text, **more):
        return {"MessageSid": sid, "AccountSid": "AC1", "From": CUSTOMER, "To": OURS, "Body": text,
                "NumMedia": "0", **more}

    def signature(self, form):
        return self.validator.compute_signature(URL, form)

    def send(self, form, signature=None, body=None, more=()):
        """The status, and the body of the answer."""
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        headers += [("X-Twilio-Signature", one) for one in ([self.signature(form)] if signature is None else signature)]
        data = (urllib.parse.urlencode(form) if body is None else body).encode()
        if self.link is None:
            self.link = http.client.HTTPConnection("127.0.0.1", self.gate.http, timeout=5)
        try:
            self.link.putrequest("POST", "/webhooks/sms")
            for name, value in [*headers, *more, ("Content-Length", str(len(data)))]:
                self.link.putheader(name, value)
            self.link.endheaders(data)
            answer = self.link.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.link.close()
            self.link = None
            raise OSError(str(error)) from error


def received(gate, provider=None):
    """Every message.received so far."""
    found = [event for event in gate.events() if event["type"] == "message.received"]
    return [event for event in found if provider in (None, event["data"]["provider"])]


@case(alone=True)
def signed_messages(gate):
    """Requests signed by the providers' own libraries pass unchanged; whatever else comes is refused."""
    validator, webhook = libraries()
    with_providers(gate)
    sender = Sender(gate)
    run = random.randbytes(8).hex()
    form = sender.form(f"SM{run}1", HOSTILE)
    status, answer = sender.send(form)
    check((status, b"<Response/>" in answer) == (200, True), f"{status} {answer}")
    check(sender.send(form)[0] == 200, "a repetition is acknowledged")
    refused = {
        "no signature": sender.send(form, signature=[]),
        "another account's": sender.send(form, signature=[validator(OTHER).compute_signature(URL, form)]),
        "twice": sender.send(form, signature=[sender.signature(form)] * 2),
        "garbage": sender.send(form, signature=["%%%"]),
        "another body": sender.send({**form, "Body": "x"}, signature=[sender.signature(form)]),
        "another address": sender.send(form, signature=[validator(TOKEN).compute_signature(URL + "/x", form)]),
        "a host of its own": sender.send(form, [validator(TOKEN).compute_signature("https://evil.example/webhooks/sms", form)],
                                         more=[("X-Forwarded-Host", "evil.example")]),
    }
    wrong = {name: status for name, (status, _) in refused.items() if status != 401}
    check(not wrong, f"let in: {wrong}")

    def standard(ago=0, body=None, name=f"m{run}", tampered=None):
        text = json.dumps(body or {"from": "ann", "to": "shop", "text": HOSTILE}, ensure_ascii=True)
        when = datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(seconds=ago)
        headers = {"webhook-id": name, "webhook-timestamp": str(int(when.timestamp())),
                   "webhook-signature": webhook(KEY).sign(name, when, text)}
        return gate.raw("POST", "/webhooks/any", (tampered or (lambda x: x))(text).encode(), headers)[0]

    check(standard() == 200, "a good one is refused")
    check(standard(ago=400) == 401 and standard(ago=-400) == 401, "stale ones are let in")
    reencoded = standard(tampered=lambda text: json.dumps(json.loads(text), ensure_ascii=False))
    check(reencoded == 401, f"a body that was encoded anew: {reencoded}")
    sms = [event["data"] for event in received(gate, "sms") if event["data"]["message"]["message_id"] == f"SM{run}1"]
    check([data["message"]["text"] for data in sms] == [HOSTILE], f"{sms}")
    any_ = [event["data"]["message"]["text"] for event in received(gate, "any")]
    check(any_[-1:] == [HOSTILE], f"{any_[-1:]}")
    return "2 kinds, 1 repetition, 10 refusals"


@case(alone=True)
def opt_out_and_taking(gate):
    """STOP and START change the ledger and reply_allowed; a message is taken by one; closing ends the conversation."""
    with_providers(gate)
    run = random.randbytes(8).hex()
    customer = f"+1415{random.randrange(10**6, 10**7)}"
    sender = Sender(gate)
    for number, text in enumerate(["hello", " stop ", "one more", "START"]):
        check(sender.send(sender.form(f"SM{run}{number}", text, From=customer))[0] == 200, text)
    mine = [event for event in received(gate, "sms") if event["data"]["customer"] == customer]
    allowed = [event["data"]["reply_allowed"] for event in mine]
    check(allowed == [True, False, False, True], f"reply_allowed was {allowed}")
    check([event["data"]["number"] for event in mine] == [1, 2, 3, 4], "the order of the conversation")
    changes = [event["data"]["opted_out"] for event in gate.events()
               if event["type"] == "optout.changed" and event["data"]["customer"] == customer]
    check(changes == [True, False], f"optout.changed: {changes}")
    ledger = gate.ask("GET", "/api/v1/opt-outs?customer=" + urllib.parse.quote(customer))["opt_outs"]
    check([(line["opted_out"], line["word"]) for line in ledger] == [(False, "START")], f"{ledger}")
    first = mine[0]["subject"]
    takes = [gate.post(f"/api/v1/contacts/{first}/take", {"by": by})[0] for by in ("eve", "eve", "bob")]
    check(takes == [200, 200, 409], f"{takes}")
    conversation = mine[0]["data"]["conversation"]
    check(gate.post(f"/api/v1/conversations/{conversation}/close")[0] == 204, "closing")
    ended = {event["subject"] for event in gate.events() if event["type"] == "contact.ended"}
    check({event["subject"] for event in mine} <= ended, "contacts of a closed conversation go on")
    return "4 messages, 2 changes of the ledger"


@case(alone=True)
def kill_under_messages(gate):
    """kill -9 three times under messages of twelve customers: what was acknowledged is in the feed once and in order."""
    own = Gateway(gate.binary, name="messages")
    own.start()
    try:
        with_providers(own)
        stop, acknowledged, lock = threading.Event(), {}, threading.Lock()

        def customer(index):
            sender = Sender(own)
            address = f"+141555512{index:02}"
            for number in range(1, 100_000):
                form = sender.form(f"SM{index:03}{number:08}", f"{number}", From=address)
                while True:  # as a provider does: again, until it is acknowledged
                    try:
                        if sender.send(form)[0] == 200:
                            break
                    except OSError:
                        pass
                    if stop.is_set():
                        return
                    time.sleep(0.02)
                with lock:
                    acknowledged.setdefault(address, []).append(form["MessageSid"])
                if stop.is_set():
                    return

        threads = [threading.Thread(target=customer, args=(index,)) for index in range(12)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(random.uniform(0.7, 1.5))
            own.kill()
            own.start()
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        own.forget_feed()
        feed = {}
        for event in received(own):
            feed.setdefault(event["data"]["customer"], []).append(event["data"])
        total = 0
        for address, sids in acknowledged.items():
            got = [data["message"]["message_id"] for data in feed.get(address, [])]
            check(len(got) == len(set(got)), f"{address}: something is there twice")
            # The last one may be there without its acknowledgement having come through.
            check(got[: len(sids)] == sids and len(got) <= len(sids) + 1, f"{address}: {len(sids)} acknowledged, {len(got)} kept")
            check([data["number"] for data in feed[address]] == list(range(1, len(got) + 1)), f"{address}: numbers")
            check(len({data["conversation"] for data in feed[address]}) == 1, f"{address}: more than one conversation")
            total += len(sids)
        check(total > 200, f"only {total} messages")
        return f"{total} messages acknowledged"
    finally:
        own.stop()


class Consumer:
    """Takes events as an agent platform does, proven by the standard's own library; `answer` says with which status."""

    def __init__(self):
        self.events, self.refused, self.forged, self.lock = [], [], [], threading.Lock()
        self.answer = lambda event: 200
        outer, webhook = self, libraries()[1](KEY)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    event = webhook.verify(body, dict(self.headers))
                    check(event["id"] == self.headers["webhook-id"], "webhook-id is not the event's id")
                    with outer.lock:
                        status = outer.answer(event)
                        (outer.events if status == 200 else outer.refused).append(event)
                except Exception as error:  # whatever is wrong is told by the case
                    outer.forged.append(str(error))
                    status = 401
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, customer):
        with self.lock:
            return [event["data"]["number"] for event in self.events
                    if event["type"] == "message.received" and event["data"]["customer"] == customer]


@case(alone=True)
def told_by_webhook(gate):
    """A consumer gets every event signed, once each and in order, through failures of one conversation, of itself and kill -9."""
    own = Gateway(gate.binary, name="told")
    consumer = Consumer()
    failing = "+14155551201"
    try:
        own.start()
        with_providers(own)

        def change(document):
            document["consumers"] = {"desk": {"name": "Desk", "url": consumer.url, "secrets": [f"file:{own.folder}/key"],
                                              "types": ["message.received", "contact.queued", "contact.delivered"]}}

        publish(own, change, "A consumer")
        check(own.post("/api/v1/webhook-consumers/desk/test")[0] == 204, "the test delivery")
        until(lambda: own.ask("GET", "/api/v1/webhook-consumers")["consumers"][0]["cursor"] is not None, "a cursor")
        sender, customers = Sender(own), [f"+141555512{index:02}" for index in range(1, 9)]

        def write(first, last):
            for number in range(first, last + 1):
                for customer in customers:
                    form = sender.form(f"SM{customer}{number}", str(number), From=customer)
                    check(sender.send(form)[0] == 200, "a message was refused")

        # One conversation fails: the others go on, and its events stay in order behind the first.
        consumer.answer = lambda event: 500 if event["data"].get("customer") == failing else 200
        write(1, 5)
        until(lambda: all(consumer.of(one) == [1, 2, 3, 4, 5] for one in customers[1:]), "other conversations are held up")
        check(consumer.of(failing) == [], "the failing conversation")
        late = own.ask("GET", "/api/v1/webhook-consumers/desk/undelivered")["undelivered"]
        check(late and late[0]["attempts"] >= 1 and "500" in late[0]["error"], f"{late[:1]}")
        consumer.answer = lambda event: 200
        until(lambda: consumer.of(failing) == [1, 2, 3, 4, 5], "what failed is not tried again", 15)
        # All of it fails for a while.
        consumer.answer = lambda event: 503
        write(6, 10)
        until(lambda: own.ask("GET", "/api/v1/webhook-consumers")["consumers"][0]["failures"] >= 5, "the breaker", 30)
        own.kill()
        own.start()
        sender.link = None
        consumer.answer = lambda event: 200
        write(11, 15)
        whole = list(range(1, 16))
        until(lambda: all(sorted(set(consumer.of(one))) == whole for one in customers), "not everything came", 60)
        for one in customers:
            got = consumer.of(one)
            first_seen = list(dict.fromkeys(got))
            check(first_seen == whole, f"out of order: {got}")
        check(not consumer.forged, f"not proven: {consumer.forged[:2]}")
        identities = [event["id"] for event in consumer.events if event["type"] == "message.received"]
        until(lambda: not own.ask("GET", "/api/v1/webhook-consumers/desk/undelivered")["undelivered"], "undelivered", 30)
        until(lambda: sum(event["type"] == "contact.delivered" for event in consumer.events) >= 120, "contact.delivered", 30)
        check(own.raw("GET", "/metrics", headers={"Authorization": f"Bearer {own.key()}"})[0] == 200, "metrics")
        return f"{len(set(identities))} messages, {len(identities) - len(set(identities))} twice, {len(consumer.refused)} refusals"
    finally:
        consumer.server.shutdown()
        own.stop()


def until(what, sentence, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        check(time.monotonic() < end, sentence)
        time.sleep(0.05)


class Carrier:
    """A carrier's API for texts, which keeps what it is asked. `with Carrier() as carrier:`."""

    def __init__(self):
        heard = self.heard = []

        class Api(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                heard.append((self.path, self.headers["Authorization"], dict(urllib.parse.parse_qsl(body))))
                answer = json.dumps({"sid": f"SM{len(heard):032}", "status": "queued"}).encode()
                self.send_response(201)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@case(alone=True)
def text_from_an_ivr(gate):
    """An IVR texts the caller by the carrier of the number, its report comes back; STOP and no registration lead elsewhere."""
    own = Gateway(gate.binary, name="texts")
    own.start()
    number = "+14155550101"
    try:
        with Carrier() as carrier:
            (own.folder / "token").write_text(TOKEN)
            ivr = {"name": "Texts", "kind": "initial", "nodes": {
                "start": {"type": "send_sms", "text": "Call {{customer_number}}: thanks", "success": "sent", "error": "not_sent"},
                "sent": {"type": "exit"}, "not_sent": {"type": "exit"}}}
            provider = {"name": "SMS", "kind": "twilio", "url": URL, "secrets": [f"file:{own.folder}/token"], "account": "AC1",
                        "send": {"key": f"file:{own.folder}/token", "api": carrier.url}}

            def edit(document):
                document["providers"] = {"sms": provider}
                document["tests"] = {}
                document["ivrs"]["texts"] = ivr
                document["numbers"][number] = {"initial_ivr": "texts"}

            publish(own, edit, "An IVR that texts")

            def call():
                with Call(own.sip, number, caller=CUSTOMER) as caller:
                    caller.wait_answer()
                    contact = own.contact_of(caller.call_id)
                    left = own.wait_event(contact, "contact.ivr_exited", 5)["data"]["node"]
                    caller.hang_up()
                return contact, left

            check(call()[1] == "not_sent" and not carrier.heard, "a number that is not registered has sent")
            for event in ("submit", "approve"):
                own.ask("POST", f"/api/v1/numbers/{number}/registration", {"event": event})
            contact, left = call()
            check(left == "sent", f"the IVR was left by {left}")
            path, login, form = carrier.heard[0]
            wanted = {"From": number, "To": CUSTOMER, "Body": f"Call {CUSTOMER}: thanks", "StatusCallback": URL}
            check(path == "/2010-04-01/Accounts/AC1/Messages.json" and form == wanted, f"{path} {form}")
            check(login == "Basic " + base64.b64encode(f"AC1:{TOKEN}".encode()).decode(), f"{login}")
            sent = own.wait_event(contact, "message.sent", 5)["data"]
            sender = Sender(own)
            report = {"MessageSid": sent["message_id"], "MessageStatus": "delivered", "From": number, "To": CUSTOMER}
            check(sender.send(report)[0] == 200, "the report")
            check(sender.send({**sender.form("SMstop", "STOP"), "To": number})[0] == 200, "STOP")
            check(call()[1] == "not_sent" and len(carrier.heard) == 1, "who wants no texts got one")
            reports = [e["data"] for e in own.events() if e["type"] == "message.delivery_reported"]
            check([(r["message_id"], r["status"]) for r in reports] == [(sent["message_id"], "delivered")], f"{reports}")
        return "sent once, reported, and twice not sent"
    finally:
        own.stop()
