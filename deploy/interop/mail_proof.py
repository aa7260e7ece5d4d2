"""Cases about whose mail is whose: SPF, DKIM, DMARC and ARC by a name server of our own, and addresses that are verified."""

import concurrent.futures
import contextlib
import pathlib
import random
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import cases
from cases import case, publish
from gateway import Failure, Gateway, check, free_port
from mails import HELP, mails, raw, status

GOOGLE = "forwarding-noreply@google.com"


def libraries():
    """dkimpy and dnslib, which deploy/setup installs beside the build."""
    folders = list((cases.ROOT / "target" / "interop-venv").glob("lib/python3*/site-packages"))
    check(folders, "dkimpy and dnslib are not installed: run deploy/setup")
    if str(folders[0]) not in sys.path:
        sys.path.append(str(folders[0]))
    import dkim
    import dnslib
    return dkim, dnslib


class Names:
    """A name server on loopback that knows what `texts` says now; whatever else is asked does not exist."""

    def __init__(self):
        _, self.dns = libraries()
        self.texts, self.silent = {}, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", free_port()))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                asked, peer = self.socket.recvfrom(4096)
                if self.silent:
                    continue
                question = self.dns.DNSRecord.parse(asked)
                name, answer = str(question.q.qname).rstrip(".").lower(), question.reply()
                text = self.texts.get(name)
                if text is None:
                    answer.header.rcode = self.dns.RCODE.NXDOMAIN
                elif question.q.qtype == self.dns.QTYPE.TXT:
                    pieces = [text[at:at + 250] for at in range(0, len(text), 250)]
                    answer.add_answer(self.dns.RR(question.q.qname, self.dns.QTYPE.TXT, ttl=30, rdata=self.dns.TXT(pieces)))
                self.socket.sendto(answer.pack(), peer)

    def close(self):
        self.socket.close()


class Key:
    """An RSA key for signatures."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder) / f"{random.random()}.pem"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", self.file, "2048"], check=True, capture_output=True)
        self.pem = self.file.read_bytes()
        public = subprocess.run(["openssl", "rsa", "-in", self.file, "-pubout"], check=True, capture_output=True).stdout
        self.record = "v=DKIM1; k=rsa; p=" + "".join(public.decode().splitlines()[1:-1])

    def sign(self, mail, domain):
        dkim, _ = libraries()
        return dkim.sign(mail, b"one", domain.encode(), self.pem, include_headers=[b"From", b"To", b"Subject"]) + mail

    def seal(self, mail, domain, says):
        """Passes a mail on as `domain` does, which says this of what it saw."""
        dkim, _ = libraries()
        mail = f"Authentication-Results: {domain}; {says}\r\n".encode() + mail
        lines = dkim.arc_sign(mail, b"one", domain.encode(), self.pem, domain.encode(), include_headers=[b"From", b"Subject"])
        return b"".join(lines) + mail


@contextlib.contextmanager
def setting(**more):
    """A name server, a key, and a gateway that asks the one about the other."""
    names = Names()
    with tempfile.TemporaryDirectory() as folder:
        key = Key(folder)
        settings = {"mail.dns_servers": names.address, **{name.replace("__", "."): value for name, value in more.items()}}
        gate = Gateway(cases.BINARY, name="proof", settings=settings)
        try:
            gate.start()
            yield names, key, gate
        finally:
            gate.stop()
            names.close()


def mail_of(sender, subject="Hello", text="Hello there", more=""):
    return f"From: Ann <{sender}>\r\nTo: {HELP}\r\nSubject: {subject}\r\n{more}\r\n{text}\r\n".encode()


def send(gate, sender, mail, to=HELP):
    """Sends a mail as it is; the status and words of the answer."""
    with smtplib.SMTP("127.0.0.1", gate.smtp, local_hostname="out.example.org", timeout=15) as line:
        line.ehlo()
        line.mail(sender)
        code, said = line.rcpt(to)
        if code == 250:
            code, said = line.data(mail)
        return code, said.decode()


def findings(gate, sender, count=1):
    """What the newest mail of a sender was found to be."""
    message = mails(gate, sender, count)[-1]["message"]
    return message, {name: found["result"] for name, found in message["authentication"].items()}


@case(alone=True)
def mail_is_authenticated(_):
    """A name server of our own: signed mail passes, an altered one fails and is marked, a forwarder's seal is believed."""
    with setting(mail__trusted_forwarders="forwarder.example", mail__authentication_ms=1500) as (names, key, gate):
        names.texts.update({
            "example.org": "v=spf1 ip4:127.0.0.1 -all", "_dmarc.example.org": "v=DMARC1; p=reject",
            "one._domainkey.example.org": key.record, "one._domainkey.forwarder.example": key.record,
            "one._domainkey.stranger.example": key.record, "one._domainkey.first.example": key.record,
            "elsewhere.example": "v=spf1 -all",
        })
        good = key.sign(mail_of("ann@example.org"), "example.org")
        check(send(gate, "ann@example.org", good)[0] == 250, "a good mail was not taken")
        message, found = findings(gate, "ann@example.org")
        check(found == {"spf": "pass", "dkim": "pass", "dmarc": "pass", "arc": "none"}, f"{message['authentication']}")
        check(not message["spam"]["marked"], f"{message['spam']}")
        code, kept, headers = gate.raw("GET", f"/api/v1/mails/{message['raw']}",
                                       headers={"Authorization": f"Bearer {gate.key()}"})
        check(code == 200 and kept == good and headers["content-type"] == "message/rfc822", f"{code} {headers}")

        altered = good.replace(b"Hello there", b"Send money")
        check(send(gate, "bob@elsewhere.example", altered)[0] == 250, "an altered mail was not taken")
        message, found = findings(gate, "ann@example.org", 2)
        check(found == {"spf": "fail", "dkim": "fail", "dmarc": "fail", "arc": "none"}, f"{message['authentication']}")
        check(message["spam"]["marked"] and message["spam"]["reasons"], f"{message['spam']}")

        says = "dkim=pass header.d=example.org; dmarc=pass header.from=example.org"
        listed = good.replace(b"Hello there", b"Hello there\r\n-- of a list")
        for count, (domain, marked) in enumerate([("forwarder.example", False), ("stranger.example", True)], 3):
            sealed = key.seal(key.seal(listed, "first.example", f"{says}; arc=none"), domain, f"{says}; arc=pass")
            check(send(gate, f"list@{domain}", sealed)[0] == 250, "a sealed mail was not taken")
            message, found = findings(gate, "ann@example.org", count)
            check((found["arc"], found["dmarc"]) == ("pass", "fail"), f"{domain}: {message['authentication']}")
            check(message["authentication"]["arc"]["domain"] == domain, f"{message['authentication']}")
            check(message["spam"]["marked"] is marked, f"{domain}: {message['spam']}")
        broken = sealed.replace(b"-- of a list", b"-- of another")
        check(send(gate, "list@stranger.example", broken)[0] == 250, "a broken seal is no reason to refuse")
        check(findings(gate, "ann@example.org", 5)[1]["arc"] == "fail", "the seal of another mail passes")

        names.silent = True
        began = time.monotonic()
        slow = key.sign(mail_of("eve@silent.example"), "silent.example")
        check(send(gate, "eve@silent.example", slow)[0] == 250, "a mail was refused because a name server is slow")
        waited = time.monotonic() - began
        check(waited < 4, f"a silent name server held a mail for {waited:.1f} s")
        found = findings(gate, "eve@silent.example")[1]
        check(found["spf"] == found["dkim"] == "temperror", f"{found}")
    return f"pass, altered, sealed by one who is trusted and one who is not, silence ({waited:.1f} s)"


def forwarder_asks(key=None, text="https://mail-settings.google.com/mail/vf-%5BANGjdJ%5D-x"):
    """The mail by which a forwarder asks, signed with a key or not."""
    subject = "(#123456789) Gmail Forwarding Confirmation - Receive Mail from ann@example.org"
    mail = mail_of(GOOGLE, subject, f"ann@example.org has requested to forward mail. Confirm: {text}")
    return key.sign(mail, "google.com") if key else mail


@case(alone=True)
def mailboxes_are_verified(_):
    """An address takes nothing until its domain's record, and a mail of its forwarder or of a test, have shown that it is ours."""
    with setting() as (names, key, gate):
        ours = "help@mail.example.net"

        def add(document):
            document["entry_points"][f"email/{ours}"] = {"inbox": document["entry_points"][f"email/{HELP}"]["inbox"]}

        publish(gate, add, "A mailbox")
        hello = mail_of("ann@example.org")
        code, said = send(gate, "ann@example.org", hello, ours)
        check(code == 451 and "not verified" in said, f"an address without a record: {code} {said}")
        check(gate.post("/api/v1/mailboxes", {"address": ours})[0] == 404, "a mailbox without its domain")
        domain = gate.ask("POST", "/api/v1/mail-domains", {"domain": "mail.example.net"})
        gate.ask("POST", "/api/v1/mailboxes", {"address": ours})
        code, said = send(gate, "ann@example.org", hello, ours)
        check(code == 451 and "not verified" in said, f"an unverified address: {code} {said}")
        seen = gate.ask("POST", "/api/v1/mail-domains/mail.example.net/verify")
        check((seen["state"], "no TXT record" in seen["problem"]) == ("pending", True), f"{seen}")
        record = next(one for one in domain["records"] if one["type"] == "TXT")
        names.texts[record["name"]] = "vestibule-verification=another"
        check("else" in gate.ask("POST", "/api/v1/mail-domains/mail.example.net/verify")["problem"], "another's record")
        names.texts[record["name"]] = record["value"]
        check(gate.ask("POST", "/api/v1/mail-domains/mail.example.net/verify")["state"] == "verified", "the record was not seen")

        # Anybody can write a mail that looks like a forwarder's question: without its signature it is put off.
        code, said = send(gate, GOOGLE, forwarder_asks(), ours)
        check(code == 451, f"an unsigned question was believed: {said}")
        names.texts["one._domainkey.google.com"] = key.record
        with tempfile.TemporaryDirectory() as folder:
            code, said = send(gate, GOOGLE, forwarder_asks(Key(folder)), ours)
        check(code == 451, f"a question signed with a strange key was believed: {said}")
        code, said = send(gate, GOOGLE, forwarder_asks(key), ours)
        check(code == 250, f"the forwarder's question was not taken: {said}")
        mailbox = gate.ask("GET", f"/api/v1/mailboxes/{ours}")["mailbox"]
        check((mailbox["state"], mailbox["live"]) == ("forwarding_requested", False), f"{mailbox}")
        question = mailbox["confirmations"][0]
        check("/mail/vf-" in question["link_or_code"] and question["from"] == GOOGLE, f"{question}")
        check(gate.raw("GET", f"/api/v1/mails/{question['mail']}", headers={"Authorization": f"Bearer {gate.key()}"})[0] == 200,
              "the question cannot be read")

        code, said = send(gate, "ann@example.org", hello, ours)
        check(code == 451, f"a question alone made the address live: {said}")
        word = gate.ask("POST", f"/api/v1/mailboxes/{ours}/test")["word"]
        check(send(gate, "ann@example.org", mail_of("ann@example.org", "vestibule-test-wrong"), ours)[0] == 451, "a wrong word")
        said = raw(gate, f"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<{HELP}>\r\nRCPT TO:<{ours}>\r\nQUIT\r\n".encode())
        check(status(said) == [220, 250, 250, 250, 452, 221], f"an unverified address beside another: {said}")
        code, said = send(gate, "admin@example.org", mail_of("admin@example.org", f"Test {word}"), ours)
        check(code == 250, f"the mail of the test was not taken: {said}")
        check(gate.ask("GET", f"/api/v1/mailboxes/{ours}")["mailbox"]["live"], "the test did not verify the mailbox")
        sender = f"ann{time.time_ns()}@example.org"
        check(send(gate, sender, mail_of(sender), ours)[0] == 250, "mail to a verified address is not taken")
        check(mails(gate, sender, 1)[0]["address"] == ours, "the mail went elsewhere")
        kinds = [event["type"] for event in gate.events()]
        check(kinds.count("mail_domain.changed") == 1 and kinds.count("mailbox.changed") >= 3, f"{kinds}")
        subjects = [e["data"]["message"].get("subject") for e in gate.events() if e["type"] == "message.received"]
        check(subjects == ["Hello"], f"what only verifies went to an inbox: {subjects}")

        gate.ask("POST", f"/api/v1/mailboxes/{ours}/state", {"event": "withdraw"})
        check(send(gate, sender, mail_of(sender), ours)[0] == 451, "mail to a withdrawn address is taken")
        check(gate.post(f"/api/v1/mailboxes/{ours}/state", {"event": "verify"})[0] == 400, "verified by hand without a note")
        gate.ask("POST", f"/api/v1/mailboxes/{ours}/state", {"event": "verify", "note": "Seen in the log of the forwarder"})
        gate.kill()
        gate.start()
        check(send(gate, sender, mail_of(sender, "Again"), ours)[0] == 250, "what was verified is forgotten by a restart")
        audit = gate.ask("GET", f"/api/v1/mailboxes/{ours}")["audit"]
        check(audit[0]["action"] == "mailbox.verified_by_hand" and word not in str(audit), f"{audit[0]}")
    return "record, strange signatures, question, test, by hand, restart"


@case()
def mail_in_circles(gate):
    """Mail that goes in circles, or that machines wrote, is kept and says so."""
    hops = "".join(f"Received: from a{n} by b{n}; Mon, 1 Jan 2024 00:00:00 +0000\r\n" for n in range(31))
    loops = [hops, f"Delivered-To: {HELP}\r\n", "X-Loop: help@example.com\r\n", "Auto-Submitted: auto-replied\r\n",
             "Precedence: bulk\r\n", "List-Id: <a.example>\r\n"]
    for number, header in enumerate(loops):
        sender = f"loop{number}{time.time_ns()}@example.org"
        check(send(gate, sender, mail_of(sender, more=header))[0] == 250, f"{header[:30]} was not taken")
        check(mails(gate, sender, 1)[0]["message"].get("automatic"), f"{header[:30]!r} is not seen")
    sender = f"person{time.time_ns()}@example.org"
    check(send(gate, sender, mail_of(sender), "help+order7@example.com")[0] == 250, "a tag is not taken")
    mail = mails(gate, sender, 1)[0]
    check((mail["address"], mail["message"].get("tag"), mail["message"].get("automatic")) == (HELP, "order7", None), f"{mail}")
    return f"{len(loops)} kinds, and a mail of a person with a tag"


@case()
def mail_without_form(gate):
    """Mails that are no mails: each is kept as well as it can be, and the server goes on."""
    random_bytes = random.Random(7)
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(60))
    corpus = [
        b"", b"\r\n", b"\r\n\r\n", b"no header at all\r\n", b": no name\r\n\r\nx\r\n", b"From:\r\n\r\nx\r\n",
        b"Subject: =?utf-8?B?////?= =?nope?Q?=ZZ?=\r\n\r\nx\r\n", b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nx\r\n",
        b"Content-Type: text/plain; charset=\"no such\"\r\n\r\n\xff\xfe\x80\r\n",
        b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n----\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!====\r\n", b"Date: the day after\r\nMessage-ID: <<>>\r\n\r\nx\r\n",
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+Ig==\r\n",
        deep.encode(), b"X: " + b"y" * 900_000 + b"\r\n\r\nx\r\n", b"DKIM-Signature: v=1; a=rsa-sha256; b=\r\n" * 200 + b"\r\nx\r\n",
        b"ARC-Seal: i=1; cv=none; b=x\r\n" * 60 + b"\r\nx\r\n", b"Subject: \x00\x01\x02\r\n\r\n\x00\r\n",
        b"From: a@b\r\nFrom: c@d\r\n\r\nx\r\n",
    ] + [random_bytes.randbytes(3000).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" for _ in range(20)]
    sender = f"odd{time.time_ns()}@example.org"
    for number, mail in enumerate(corpus):
        code, said = send(gate, sender, mail)
        check(code == 250, f"mail {number} ({mail[:40]!r}): {code} {said}")
    check(gate.alive(), "the gateway ended")
    flagged = [event["data"]["message"] for event in gate.events() if event["type"] == "message.received"
               and any(file.get("winmail") for file in event["data"]["message"].get("attachments", []))]
    check(flagged, "winmail.dat is not flagged")
    return f"{len(corpus)} odd mails"


@case(alone=True)
def mail_in_a_burst(_):
    """Postfix's smtp-source sends 2000 mails by 20 connections: each is in the feed once."""
    if not (tool := shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/sbin")):
        raise Failure("smtp-source is not installed: run deploy/setup")
    gate = Gateway(cases.BINARY, name="burst", settings={"mail.authenticate": "false", "smtp.connections_per_source_max": 100})
    try:
        gate.start()
        sender, began = f"burst{time.time_ns()}@example.org", time.monotonic()
        done = subprocess.run([tool, "-s", "20", "-m", "2000", "-l", "10000", "-f", sender, "-t", HELP,
                               "-S", "burst", f"inet:127.0.0.1:{gate.smtp}"], capture_output=True, text=True, timeout=120, check=False)
        took = time.monotonic() - began
        check(done.returncode == 0, done.stdout + done.stderr)
        kept = [event for event in gate.events() if event["type"] == "message.received"]
        check(len(kept) == len({event["data"]["message"]["message_id"] for event in kept}), "mails are doubled")
        check(gate.metric("vestibule_smtp_mails_total") == 2000 == len(kept), f"{len(kept)} mails are in the feed")
    finally:
        gate.stop()
    return f"2000 mails in {took:.1f} s"


@case(alone=True)
def kill_under_mails(_):
    """kill -9 three times under mails of eight senders: what was answered 250 is in the feed once."""
    names, kept = Names(), []
    gate = Gateway(cases.BINARY, name="killmail", settings={"mail.dns_servers": names.address})

    def send(number, until):
        done, serial = [], 0
        while time.monotonic() < until:
            serial += 1
            subject = f"{number}-{until}-{serial}"
            text = f"From: kill@example.org\r\nSubject: {subject}\r\n\r\nText {subject}\r\n"
            try:
                with smtplib.SMTP("127.0.0.1", gate.smtp, timeout=5) as line:
                    line.sendmail("kill@example.org", [HELP], text)
                    done.append(subject)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)
        return done

    try:
        gate.start()
        for _ in range(3):
            until = time.monotonic() + 2.5
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                running = [pool.submit(send, number, until) for number in range(8)]
                time.sleep(random.Random().uniform(0.8, 1.6))
                gate.kill()
                gate.start()
                for task in running:
                    kept += task.result()
        gate.forget_feed()
        subjects = [event["data"]["message"]["subject"] for event in gate.events() if event["type"] == "message.received"]
        total = len(subjects)
        check(len(kept) > 50, f"only {len(kept)} mails were kept")
        check(len(set(subjects)) == total, f"{total - len(set(subjects))} mails are doubled")
        lost = set(kept) - set(subjects)
        check(not lost, f"{len(lost)} of {len(kept)} mails are lost")
    finally:
        gate.stop()
        names.close()
    return f"{len(kept)} mails answered 250, {total} in the feed"
