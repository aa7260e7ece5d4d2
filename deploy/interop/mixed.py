"""Everything at once, and the process killed at random: SMS by webhook, mails by SMTP and chats."""

import collections
import json
import random
import smtplib
import threading
import time

from cases import case, publish
from gateway import Gateway, check
from mails import HELP
from messages import Sender, libraries, with_providers

ORIGIN = "https://www.example.com"
KILLS, CUSTOMERS = 6, 5


class Load:
    """Who sends, and what was acknowledged: (channel, customer) to ids in their order."""

    def __init__(self, gate):
        self.gate, self.stop = gate, threading.Event()
        self.acknowledged, self.lock = collections.defaultdict(list), threading.Lock()
        self.threads = [threading.Thread(target=self._until_stopped, args=(writer, index))
                        for writer in (self._sms, self._mails, self._chat) for index in range(CUSTOMERS)]

    def _until_stopped(self, writer, index):
        """Each thing is sent again, with the same id, until it is acknowledged: as its senders do."""
        send, key = writer(index)
        number = 0
        while not self.stop.is_set():
            number += 1
            while not self.stop.is_set():
                try:
                    name = send(number)
                    if name:
                        with self.lock:
                            self.acknowledged[key].append(name)
                        break
                except (OSError, smtplib.SMTPException, ValueError):
                    pass
                time.sleep(0.02)

    def _sms(self, index):
        sender, customer = Sender(self.gate), f"+141555513{index:02}"

        def send(number):
            form = sender.form(f"SM{index:03}{number:08}", str(number), From=customer)
            return form["MessageSid"] if sender.send(form)[0] == 200 else None

        return send, ("sms", customer)

    def _mails(self, index):
        customer = f"ann{index}@example.org"

        def send(number):
            name = f"m{index}-{number}@example.org"
            mail = f"From: {customer}\r\nSubject: {number}\r\nMessage-ID: <{name}>\r\n\r\nText {number}\r\n"
            with smtplib.SMTP("127.0.0.1", self.gate.smtp, timeout=5) as line:
                line.sendmail(customer, [HELP], mail)
            return name

        return send, ("email", customer)

    def _chat(self, index):
        visitor = {}

        def ask(path, body):
            headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
            if "token" in visitor:
                headers["Authorization"] = f"Bearer {visitor['token']}"
            status, text, _ = self.gate.raw("POST", f"/chat/load/{path}", json.dumps(body), headers, 5)
            return status, json.loads(text) if text else None

        status, session = ask("session", {})
        check(status == 200, f"no session: {status} {session}")
        visitor.update(token=session["token"])

        def send(number):
            status, answer = ask("messages", {"id": f"c{index}-{number}", "text": str(number)})
            return answer["id"] if status == 200 else None

        return send, ("chat", session["customer"])


def set_up(gate):
    with_providers(gate)
    publish(gate, lambda document: document.update(chat_apps={"load": {"name": "Load", "origins": [ORIGIN]}}), "A chat app")


@case(alone=True)
def kill_under_everything(gate):
    """kill -9 six times at random under texts, mails and chats: what was acknowledged is there once, in order."""
    libraries()
    own = Gateway(gate.binary, name="everything", settings={"chat.messages_per_minute": 100_000, "chat.sessions_per_minute": 1000})
    try:
        own.start()
        set_up(own)
        load = Load(own)
        for thread in load.threads:
            thread.start()
        pauses, chance = [], random.Random()
        for _ in range(KILLS):
            # Also in the middle of the start, when what was repeated comes in.
            pauses.append(chance.choice([chance.uniform(0.02, 0.3), chance.uniform(0.3, 2)]))
            time.sleep(pauses[-1])
            own.kill()
            own.start()
        time.sleep(1.5)
        load.stop.set()
        for thread in load.threads:
            thread.join()
        return _compare(own, load.acknowledged) + f" over {KILLS} kills"
    finally:
        own.stop()


def _compare(gate, acknowledged):
    gate.forget_feed()
    feed, events = collections.defaultdict(list), gate.events()
    check(len({event["id"] for event in events}) == len(events), "an event's id comes twice")
    for event in events:
        if event["type"] == "message.received":
            data = event["data"]
            feed[data["channel"], data["customer"]].append(data)
    counts = collections.Counter()
    for (channel, customer), names in acknowledged.items():
        got = feed[channel, customer]
        kept = [data["message"]["message_id"] for data in got]
        where = f"{channel} {customer}: {len(names)} acknowledged, {len(kept)} kept"
        check(len(kept) == len(set(kept)), f"{where}, some twice")
        # The last may be there without its acknowledgement having come through.
        check(kept[: len(names)] == names and len(kept) <= len(names) + 1, f"{where}; first difference "
              f"{next(((a, b) for a, b in zip(names, kept) if a != b), None)}")
        if channel != "email":  # each mail that answers none is a conversation of its own
            check([data["number"] for data in got] == list(range(1, len(kept) + 1)), f"{where}: numbers in the conversation")
            check(len({data["conversation"] for data in got}) == 1, f"{where}: more than one conversation")
        counts[channel] += len(names)
    check(all(counts[channel] > 50 for channel in ("sms", "email", "chat")), f"too few: {dict(counts)}")
    queued = collections.Counter(event["subject"] for event in events if event["type"] == "contact.started")
    check(not [contact for contact, times in queued.items() if times > 1], "a contact has begun twice")
    return ", ".join(f"{count} {channel}" for channel, count in sorted(counts.items()))
