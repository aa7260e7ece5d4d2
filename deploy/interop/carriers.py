"""Cases about carriers of numbers: every request is judged by Prism, from the carriers' own descriptions of their APIs.

Prism answers with examples and remembers nothing. So a judge stands before it: it lets Prism see each request as it is, keeps
what Prism says of it, and changes the example where the next step needs another answer.
"""

import http.client
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse

import cases
from cases import case
from gateway import Failure, Gateway, LeftOut, check, free_port

LOCAL, TOLL_FREE = "+14155551212", "+18885551212"
ACCOUNT = "AC" + "1" * 32
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
FORM = {
    "business_name": "Acme Inc", "entity_type": "PRIVATE_PROFIT", "vertical": "RETAIL", "registration_number": "123456789",
    "website": "https://example.com", "email": "ann@example.com", "street": "1 Main St", "city": "Denver", "region": "CO",
    "postal_code": "80202", "country": "US", "contact_first_name": "Ann", "contact_last_name": "Lee",
    "contact_phone": "+13035550100", "use_case": "CUSTOMER_CARE", "description": "Answers to questions of customers",
    "message_flow": "Customers write first, after they have read the page on consent", "sample_1": "Acme: your order is on its way",
    "sample_2": "Acme: how can we help? (Grüße)", "opt_in_type": "WEB_FORM", "opt_in_image_urls": "https://example.com/a.png",
    "opt_in_keywords": "START, JOIN", "opt_in_message": "Acme: welcome", "opt_out_message": "Acme: bye", "help_message": "Acme: help",
    "message_volume": "1,000", "privacy_url": "https://example.com/privacy", "terms_url": "https://example.com/terms",
    "additional_information": "None",
}


def description(name):
    """A carrier's description of its API: installed by deploy/setup, or laid by hand where CARRIER_DESCRIPTIONS says."""
    laid = [os.environ.get("CARRIER_DESCRIPTIONS"), cases.ROOT / "target" / "interop-node" / "twilio",
            cases.ROOT.parent / "shared" / "data" / "openapi"]
    found = [file for folder in laid if folder and (file := pathlib.Path(folder) / name).is_file()]
    if not found:
        raise LeftOut(f"{name} is no package of any registry: lay it into a folder and name that in CARRIER_DESCRIPTIONS")
    return json.loads(found[0].read_text())


def prism():
    """The program, installed by deploy/setup beside the build."""
    installed = cases.ROOT / "target" / "interop-node" / "node_modules" / ".bin" / "prism"
    found = str(installed) if installed.exists() else shutil.which("prism")
    check(found, "Prism is not installed: run deploy/setup")
    return found


def with_encodings(description):
    """Says of every list in a form that its key is repeated, as the carrier takes it; without that word Prism wants commas.

    Prism also takes the plus sign that stands for a space in a form for a reserved character."""
    def resolved(schema):
        while "$ref" in schema:
            found = description
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema

    for operations in description["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            form = content.get("application/x-www-form-urlencoded")
            for name, schema in resolved(form["schema"]).get("properties", {}).items() if form else ():
                if resolved(schema).get("type") == "array":
                    form.setdefault("encoding", {}).setdefault(name, {"style": "form", "explode": True, "allowReserved": True})
    return description


def only_numbers(description):
    """Of Twilio's largest description what is about accounts and numbers: Prism takes long over all of it."""
    ours = ("/Accounts/{Sid}.json", "/AvailablePhoneNumbers", "/IncomingPhoneNumbers")
    paths = {path: said for path, said in description["paths"].items() if any(part in path for part in ours)}
    return {**description, "paths": paths} if paths else description


class Mock:
    """Prism with one description."""

    def __init__(self, name):
        self.port, self.folder = free_port(), tempfile.TemporaryDirectory(prefix="vestibule-prism-")
        file = pathlib.Path(self.folder.name) / name
        file.write_text(json.dumps(with_encodings(only_numbers(description(name)))))
        command = [prism(), "mock", "-h", "127.0.0.1", "-p", str(self.port), str(file)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                link.connect()
                link.close()
                return
            except OSError:
                time.sleep(0.1)
        raise Failure("Prism did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def ask(self, method, path, body, headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.request(method, path, body, headers)
        answer = link.getresponse()
        text = answer.read()
        link.close()
        return answer.status, text


class Judge:
    """Stands between the gateway and the mocks."""

    def __init__(self, mocks, patch):
        self.mocks, self.patch, self.heard, self.state = mocks, patch, [], {}
        judge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def serve(self):
                length = int(self.headers.get("content-length", 0))
                judge.serve(self, self.rfile.read(length) if length else None)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def serve(self, request, body):
        path = urllib.parse.urlsplit(request.path).path
        headers = {name: value for name, value in request.headers.items() if name.lower() in ("authorization", "content-type", "accept")}
        mock = next(mock for prefix, mock in self.mocks if path.startswith(prefix))
        status, text = mock.ask(request.command, request.path, body, headers)
        self.heard.append((request.command, path, status, text if status >= 400 else b"", body))
        answer = json.loads(text) if text.strip() else None
        if status < 300:
            answer = self.patch(self.state, request.command, path, body, answer)
        if answer == "hang":
            time.sleep(30)
            return None
        return self.answer(request, status, answer)

    @staticmethod
    def answer(request, status, answer):
        text = b"" if answer is None else json.dumps(answer).encode()
        try:
            request.send_response(status)
            if status != 204:
                request.send_header("content-type", "application/json")
                request.send_header("content-length", str(len(text)))
            request.end_headers()
            if status != 204:
                request.wfile.write(text)
        except OSError:
            pass

    def refused(self):
        return [f"{method} {path}: {status} {text[:500].decode(errors='replace')} (sent {body!r})"
                for method, path, status, text, body in self.heard if status >= 400]


def sid(prefix):
    return prefix + "2" * 32


def twilio(state, method, path, body, answer):
    """Answers as the next step needs them."""
    form = dict(urllib.parse.parse_qsl((body or b"").decode()))
    if "/AvailablePhoneNumbers/" in path:
        one = answer["available_phone_numbers"][0]
        one.update(phone_number=TOLL_FREE if "TollFree" in path else LOCAL, locality="San Francisco", region="CA", iso_country="US",
                   capabilities={"voice": True, "SMS": True, "MMS": True})
        answer["available_phone_numbers"] = [one]
    elif path.endswith("/IncomingPhoneNumbers.json") and method == "POST":
        state.setdefault("held", {})[form["PhoneNumber"]] = form["FriendlyName"]
        answer.update(sid=sid("PN"), phone_number=form["PhoneNumber"], friendly_name=form["FriendlyName"],
                      capabilities={"voice": True, "sms": True, "mms": True})
        if state.pop("hang", False):
            return "hang"
    elif path.endswith("/IncomingPhoneNumbers.json"):
        answer["incoming_phone_numbers"] = [{"sid": sid("PN"), "phone_number": number, "friendly_name": name, "capabilities": {"sms": True}}
                                            for number, name in state.get("held", {}).items()]
    elif path.startswith("/v1/PhoneNumbers/"):
        answer.update(price_unit="usd", phone_number_prices=[{"number_type": "local", "current_price": "1.15"},
                                                             {"number_type": "toll free", "current_price": "2.15"}])
    elif path.endswith("/BrandRegistrations") or path.endswith("/Services") or path.endswith("/Usa2p") or path.endswith("/Verifications"):
        kind = {"BrandRegistrations": ("BN", "data"), "Services": ("MG", "services"), "Usa2p": ("QE", "compliance"),
                "Verifications": ("HH", "verifications")}[path.rsplit("/", 1)[1]]
        answer.update({"sid": sid(kind[0])} if method == "POST" else {kind[1]: []})
    elif "/BrandRegistrations/" in path:
        answer["status"] = "APPROVED"
    elif "/Usa2p/" in path:
        state["campaign"] = state.get("campaign", False) or method == "POST"
        answer.update(campaign_status="VERIFIED" if state["campaign"] else "FAILED", errors=[{"error_code": 30886, "description": "flow"}])
    elif "/Verifications/" in path:
        state["verification"] = state.get("verification", False) or method == "POST"
        answer.update(status="TWILIO_APPROVED" if state["verification"] else "TWILIO_REJECTED", rejection_reason="consent",
                      edit_allowed=True, edit_expiration="2999-01-01T00:00:00Z")
    return answer


def telnyx(state, method, path, body, answer):
    """The same for the other carrier."""
    sent = json.loads(body) if body else {}
    if path == "/available_phone_numbers":
        one = answer["data"][0]
        one.update(phone_number=state["offer"], features=[{"name": "voice"}, {"name": "sms"}, {"name": "mms"}])
        answer["data"] = [one]
    elif path == "/number_orders" and method == "POST":
        state.setdefault("held", {})[sent["phone_numbers"][0]["phone_number"]] = sent["customer_reference"]
        answer["data"].update(id=UUID, status="pending", customer_reference=sent["customer_reference"])
    elif path == "/number_orders":
        answer["data"] = []
    elif path == "/phone_numbers":
        answer["data"] = [{"id": "1293384261075731499", "phone_number": number, "customer_reference": name, "status": "active"}
                          for number, name in state.get("held", {}).items()]
    elif path in ("/10dlc/brand", "/10dlc/campaign") and method == "GET":
        answer["records"] = []
    elif path.startswith("/10dlc/brand/"):
        answer.update(status="OK", identityStatus="VERIFIED")
    elif path.startswith("/10dlc/campaign/"):
        state["campaign"] = state.get("campaign", False) or method == "PUT"
        answer.update(campaignStatus="MNO_PROVISIONED" if state["campaign"] else "TCR_FAILED", failureReasons="flow")
    elif path.startswith("/10dlc/phone_number_campaigns"):
        answer["assignmentStatus"] = "PENDING_ASSIGNMENT" if method == "POST" else "ASSIGNED"
    elif path == "/messaging_tollfree/verification/requests":
        answer.update({"id": UUID} if method == "POST" else {"records": []})
    elif path.startswith("/messaging_tollfree/verification/requests/"):
        state["verification"] = state.get("verification", False) or method == "PATCH"
        answer.update(verificationStatus="Verified" if state["verification"] else "Waiting For Customer", reason="consent",
                      updatedAt="2999-01-01T00:00:00Z")
    return answer


def until(gate, path, holds, seconds=30):
    end = time.monotonic() + seconds
    while True:
        answer = gate.ask("GET", path)
        if holds(answer):
            return answer
        check(time.monotonic() < end, f"{path} never came to be as wanted: {answer}")
        time.sleep(0.1)


def buy(gate, carrier, number, key):
    review = gate.ask("POST", "/api/v1/numbers/reviews", {"carrier": carrier, "number": number})
    return gate.ask("POST", "/api/v1/numbers/purchases", {"review": review["review"]}, {"Idempotency-Key": key})


def register(gate, carrier, kind, number, form):
    """Hands a registration in, corrects it once, and waits for its approval."""
    body = {"carrier": carrier, "kind": kind, "form": form, "numbers": [number]}
    made = gate.ask("POST", "/api/v1/numbers/registrations", body)
    path = f"/api/v1/numbers/registrations/{made['id']}"
    until(gate, path, lambda one: one["editable"])
    gate.ask("PUT", path, {"form": form})
    until(gate, f"/api/v1/numbers/{number}", lambda one: one["number"]["sms"]["state"] == "approved")


def whole_life(gate, carrier, forms, offer):
    """Searches, buys, registers and gives back a number of each type."""
    for search in ("", "&sms=true&mms=true", "&area_code=415", "&city=San%20Francisco", "&contains=GLAD", "&country=CA"):
        offer(LOCAL)
        gate.ask("GET", f"/api/v1/numbers/available?carrier={carrier}{search}")
    for kind, number in (("ten_dlc", LOCAL), ("toll_free", TOLL_FREE)):
        offer(number)
        purchase = buy(gate, carrier, number, f"{carrier}-{number}")
        until(gate, f"/api/v1/numbers/purchases/{purchase['id']}", lambda one: one["pointed"])
        register(gate, carrier, kind, number, forms[kind])
        gate.ask("POST", f"/api/v1/numbers/{number}/release", {"confirm": number})
        until(gate, f"/api/v1/numbers/{number}", lambda one: one["number"]["state"] == "released")


def with_mocks(names, patch, run, binary):
    mocks = {name: Mock(name) for name in names.values()}
    gate = Gateway(binary, name="carriers", settings={"carriers.poll_seconds": 1})
    try:
        for mock in mocks.values():
            mock.ready()
        judge = Judge([(prefix, mocks[name]) for prefix, name in names.items()], patch)
        gate.start()
        run(gate, judge)
        check(not judge.refused(), "Prism refuses:\n" + "\n".join(judge.refused()))
        return len(judge.heard)
    except Failure as failure:
        words = "\n".join(judge.refused()) if "judge" in locals() else ""
        raise Failure(f"{failure}\n{words}") from failure
    finally:
        gate.stop()
        for mock in mocks.values():
            mock.stop()


TWILIO = {"/v1/PhoneNumbers/": "twilio_pricing_v1.json", "/2010-04-01/": "twilio_api_v2010.json", "/v1/": "twilio_messaging_v1.json"}
TELNYX = {"/": "telnyx_numbers.json"}


def account_at_twilio(gate, judge):
    settings = {"account_sid": ACCOUNT, "trunk_sid": sid("TK"), "sms_url": "https://gw.example.com/webhooks/sms", "api": judge.url,
                "messaging_api": judge.url, "pricing_api": judge.url, "customer_profile_sid": sid("BU"), "a2p_profile_sid": sid("BU")}
    gate.ask("PUT", "/api/v1/carriers/tw", {"kind": "twilio", "name": "T", "settings": settings, "secrets": {"secret": "x"}})
    gate.ask("POST", "/api/v1/carriers/tw/test")


@case(alone=True)
def carrier_twilio_as_described(gate):
    """Every request to Twilio, in all flows, is valid by its own descriptions."""
    def run(own, judge):
        account_at_twilio(own, judge)
        whole_life(own, "tw", {"ten_dlc": FORM, "toll_free": FORM}, lambda number: None)

    return f"{with_mocks(TWILIO, twilio, run, gate.binary)} requests judged, none refused"


@case(alone=True)
def carrier_telnyx_as_described(gate):
    """Every request to Telnyx, in all flows, is valid by its own description."""
    def run(own, judge):
        settings = {"api": judge.url, "connection_id": "1234567890", "messaging_profile_id": UUID}
        account = {"kind": "telnyx", "name": "X", "settings": settings, "secrets": {"api_key": "KEY1"}}
        own.ask("PUT", "/api/v1/carriers/tx", account)
        own.ask("POST", "/api/v1/carriers/tx/test")
        forms = {"ten_dlc": FORM, "toll_free": {**FORM, "use_case": "Order Notifications"}}
        whole_life(own, "tx", forms, lambda number: judge.state.update(offer=number))

    return f"{with_mocks(TELNYX, telnyx, run, gate.binary)} requests judged, none refused"


@case(alone=True)
def carrier_purchase_and_kill(gate):
    """A gateway that is killed while the carrier hangs, after it has sold, finds the number and does not buy it again."""
    def run(own, judge):
        account_at_twilio(own, judge)
        judge.state["hang"] = True
        threading.Thread(target=lambda: quietly(lambda: buy(own, "tw", LOCAL, "one key")), daemon=True).start()
        end = time.monotonic() + 10
        while not judge.state.get("held"):
            check(time.monotonic() < end, "the carrier was not asked to sell")
            time.sleep(0.02)
        own.kill()
        own.start()
        wait_known(own)
        until(own, f"/api/v1/numbers/{LOCAL}", lambda one: one["number"]["state"] == "owned_idle")
        sales = [one for one in judge.heard if one[0] == "POST" and one[1].endswith("/IncomingPhoneNumbers.json")]
        check(len(sales) == 1, f"the carrier was asked to sell {len(sales)} times")

    with_mocks(TWILIO, twilio, run, gate.binary)
    return "sold once, found after the kill"


def wait_known(gate):
    end = time.monotonic() + 20
    while gate.raw("GET", f"/api/v1/numbers/{LOCAL}", headers={"Authorization": f"Bearer {gate.key()}"})[0] != 200:
        check(time.monotonic() < end, "the number was never found")
        time.sleep(0.1)


def quietly(run):
    try:
        run()
    except (OSError, Failure):
        pass
