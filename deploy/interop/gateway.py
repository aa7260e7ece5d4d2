"""A gateway process under test: started on free loopback ports with a data folder of its own, asked over its API."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Failure(Exception):
    """A case found something that is not as it must be."""


class LeftOut(Exception):
    """A case cannot run here; it says what is missing, and counts neither as passed nor as failed."""


def check(holds, sentence):
    if not holds:
        raise Failure(sentence)


def free_port(host="127.0.0.1"):
    """A port that is free for UDP and TCP now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            try:
                udp.bind((host, tcp.getsockname()[1]))
                return tcp.getsockname()[1]
            except OSError:
                continue
    raise Failure("no free port")


class Gateway:
    def __init__(self, binary, host="127.0.0.1", name="gateway", settings=None):
        self.binary, self.host, self.name = str(binary), host, name
        self.settings = settings or {}  # by their path: {"sip.listen": "udp:…"}; listeners replace our own
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-interop-"))
        self.data = self.folder / "data"
        self.sip, self.http, self.smtp = free_port(host), free_port(), free_port()
        self.process = None
        self.log = open(self.folder / "gateway.log", "ab")
        self._seen, self._events, self._lock = 0, [], threading.Lock()

    # -- the process ------------------------------------------------------------------------------------------

    def start(self, seconds=10.0):
        """Starts the process; gives back the seconds until it takes calls."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        began = time.monotonic()
        listen = [] if "sip.listen" in self.settings else ["--sip", f"{host}:{self.sip}"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("VESTIBULE_")}
        for key, value in {"smtp.listen": f"127.0.0.1:{self.smtp}", **self.settings}.items():
            environment[f"VESTIBULE_{key.replace('.', '_').upper()}"] = str(value)
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data-dir", str(self.data), *listen, "--http", f"127.0.0.1:{self.http}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder, env=environment)
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise Failure(f"the gateway ended with {self.process.returncode}: {self.last_words()}")
            try:
                if self.raw("GET", "/readyz", seconds=1)[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.01)
        raise Failure(f"not ready after {seconds} s: {self.last_words()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, keep=False):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            # The second time calls are not waited for.
            time.sleep(0.3)
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        self.log.flush()
        return (self.folder / "gateway.log").read_text(errors="replace")[-2000:]

    # -- the API ----------------------------------------------------------------------------------------------

    def raw(self, method, path, body=None, headers=None, seconds=10.0):
        link = http.client.HTTPConnection("127.0.0.1", self.http, timeout=seconds)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read(), {key.lower(): value for key, value in answer.getheaders()}
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            link.close()

    def key(self):
        return (self.data / "api-key").read_text().strip()

    def post(self, path, body=None):
        """A POST whose refusal is of interest: the status and the decoded body."""
        data = None if body is None else json.dumps(body)
        sent = {"Authorization": f"Bearer {self.key()}", "Content-Type": "application/json"}
        status, text, _ = self.raw("POST", path, data, sent)
        return status, (json.loads(text) if text.strip() else None)

    def ask(self, method, path, body=None, headers=None, wanted=(200, 201, 202, 204)):
        """A call to the API; gives back the decoded body."""
        return self.ask_with_headers(method, path, body, headers, wanted)[0]

    def ask_with_headers(self, method, path, body=None, headers=None, wanted=(200, 201, 202, 204)):
        data = None if body is None else json.dumps(body)
        sent = {"Authorization": f"Bearer {self.key()}", "Content-Type": "application/json", **(headers or {})}
        status, text, got = self.raw(method, path, data, sent)
        check(status in wanted, f"{method} {path}: {status} {text[:600].decode(errors='replace')}")
        return (json.loads(text) if text.strip() else None), got

    def metric(self, name):
        """The sum of a metric family over its labels."""
        text = self.raw("GET", "/metrics", headers={"Authorization": f"Bearer {self.key()}"})[1].decode()
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return sum(float(value) for label, value in rows if label == name or label.startswith(name + "{"))

    # -- the feed ---------------------------------------------------------------------------------------------

    def events(self):
        """Every event so far, in order of the feed."""
        with self._lock:
            while True:
                page = self.ask("GET", f"/api/v1/events?after={self._seen}&limit=1000")
                rows = page["events"]
                if not rows:
                    return list(self._events)
                self._events += rows
                numbers = [int(row["sequence"]) for row in rows]
                check(numbers == sorted(set(numbers)) and numbers[0] > self._seen, "the feed is out of order")
                self._seen = max(numbers[-1], int(page.get("next", 0)))

    def forget_feed(self):
        """Reads the feed anew from its beginning, as after a restart."""
        with self._lock:
            self._seen, self._events = 0, []

    def contact_of(self, call_id, seconds=5.0):
        """The id of the one contact that a call made."""
        found = self._until(lambda: [e for e in self.events() if e["type"] == "contact.started"
                                     and e.get("data", {}).get("call_id") == call_id], seconds)
        check(found, f"no contact.started for {call_id}")
        check(len(found) == 1, f"{len(found)} contacts for one call")
        return found[0]["subject"]

    def history(self, contact):
        return [e for e in self.events() if e.get("subject") == contact]

    def wait_event(self, contact, kind, seconds=10.0, count=1):
        """The count-th event of a kind of a contact."""
        found = self._until(lambda: (lambda rows: rows if len(rows) >= count else None)(
            [e for e in self.history(contact) if e["type"] == kind]), seconds)
        check(found, f"no {kind} in {seconds} s; the feed has {[e['type'] for e in self.history(contact)]}")
        return found[count - 1]

    def outcome_of(self, call_id, seconds=5.0):
        """(side, reason) of a call that is over; makes sure that there is one record and one end."""
        contact = self.contact_of(call_id)
        self.wait_event(contact, "contact.ended", seconds)
        kinds = [e["type"] for e in self.history(contact)]
        check(kinds[0] == "contact.started" and kinds[-1] == "contact.ended", f"order of the feed: {kinds}")
        check(kinds.count("contact.ended") == 1, f"ended {kinds.count('contact.ended')} times")
        record = self.ask("GET", f"/api/v1/contacts/{contact}")
        check(record.get("id") == contact, f"the record of {contact} is {record}")
        outcome = self.history(contact)[-1]["data"]["outcome"]
        return outcome["side"], outcome["reason"]

    @staticmethod
    def _until(what, seconds):
        end = time.monotonic() + seconds
        while True:
            found = what()
            if found or time.monotonic() >= end:
                return found
            time.sleep(0.05)
