"""Cases about our own mail server: what it takes, what it refuses, and what it must never lose."""

import pathlib
import random
import smtplib
import socket
import subprocess
import tempfile
import time

import cases
from cases import case, publish
from gateway import Gateway, check
from tls import Authority

HELP = "help@example.com"


def swaks(gate, *options, to=HELP):
    """Sends one mail by swaks; the exit status and what was said."""
    done = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{gate.smtp}", "--from", "ann@example.org", "--to", to, *options],
        capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def mails_of(gate, sender):
    found = gate.ask("GET", "/api/v1/events?after=0&limit=1000&type=message.received")["events"]
    return [event["data"] for event in found if event["data"]["customer"] == sender]


def mails(gate, sender, count, seconds=5):
    """What the feed tells of the mails of one sender, when there are so many."""
    end = time.monotonic() + seconds
    while len(found := mails_of(gate, sender)) < count and time.monotonic() < end:
        time.sleep(0.05)
    check(len(found) == count, f"{len(found)} mails of {sender}, {count} wanted")
    return found


def raw(gate, data, seconds=5):
    """Sends bytes as they are; what is said until the connection closes or nothing more comes."""
    with socket.create_connection(("127.0.0.1", gate.smtp), seconds) as line:
        line.settimeout(1)
        line.sendall(data)
        said = b""
        try:
            while piece := line.recv(4096):
                said += piece
        except TimeoutError:
            pass
        return said.decode(errors="replace")


def status(said):
    return [int(line[:3]) for line in said.splitlines() if line[3:4] == " "]


@case()
def mail_comes_in(gate):
    """swaks sends a mail with a file, pipelined: it is in the feed with its thread and its file."""
    sender = f"ann{time.time_ns()}@example.org"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "bill.bin"
        content = random.Random(4).randbytes(300_000)
        file.write_bytes(content)
        code, said = swaks(gate, "--from", sender, "--pipeline", "--header", "Subject: A bill", "--header",
                           "In-Reply-To: <first@example.org>", "--body", "Here is the bill.", "--attach", f"@{file}")
    check(code == 0, said)
    mail = mails(gate, sender, 1)[0]
    message = mail["message"]
    check((mail["address"], message["subject"]) == (HELP, "A bill"), f"{mail}")
    check(message["text"].strip() == "Here is the bill." and message["reply_to"] == "first@example.org", f"{message}")
    status_code, kept, headers = gate.raw("GET", f"/api/v1/files/{message['attachments'][0]['file']}",
                                          headers={"Authorization": f"Bearer {gate.key()}"})
    check(status_code == 200 and kept == content, "the file is not what was sent")
    check(headers["content-type"] == "application/octet-stream", f"{headers}")
    return f"{len(content)} bytes attached"


@case()
def mail_is_for_us_or_refused(gate):
    """Unknown recipients, wrong orders, other servers' business and too many errors are refused, in words."""
    code, said = swaks(gate, to="nobody@example.com")
    check(code != 0 and "550 5.1.1" in said, said)
    for to in ("user@elsewhere.example", "help@example.com.evil.example", "help%elsewhere.example@example.com"):
        code, said = swaks(gate, to=to)
        check(code != 0 and "550 5.1.1" in said, f"{to}: {said}")
    check(swaks(gate, "--auth-user", "a", "--auth-password", "b")[0] != 0, "a password was taken")
    sender = f"tag{time.time_ns()}@example.org"
    code, said = swaks(gate, "--from", sender, to="Help+order7@EXAMPLE.com")
    check(code == 0 and mails(gate, sender, 1)[0]["address"] == HELP, said)
    said = raw(gate, b"DATA\r\nRCPT TO:<help@example.com>\r\nEHLO a\r\nDATA\r\n" + 12 * b"HUH\r\n")
    check(status(said)[:5] == [220, 503, 503, 250, 503] and status(said)[-1] == 421, said)
    early = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<help@example.com>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
    check(status(raw(gate, early))[-1] == 554, "a mail was taken that came before 354")
    check(status(raw(gate, b"EHLO a\r\n" + b"A" * 20000 + b"\r\nQUIT\r\n")) == [220, 250, 500, 221], "long line")
    with smtplib.SMTP("127.0.0.1", gate.smtp) as line:
        line.ehlo()
        limit = int(line.esmtp_features["size"])
        check(line.docmd(f"MAIL FROM:<a@b> SIZE={limit + 1}")[0] == 552, "a size beyond the limit was taken")
    return "unknown, relay, AUTH, early, long, large"


@case()
def mail_is_not_smuggled(gate):
    """No odd end of a line ends a mail for us that another server may have sent on as one."""
    sender = f"evil{time.time_ns()}@example.org"
    begin = b"EHLO a\r\nMAIL FROM:<%s>\r\nRCPT TO:<help@example.com>\r\n" % sender.encode()
    ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n",
            b"\r\n\0.\r\n", b"\n\n.\r\n", b"\r\n.\0\r\n"]
    for odd in ends:
        with socket.create_connection(("127.0.0.1", gate.smtp), 5) as line:
            line.settimeout(1)
            line.sendall(begin + b"DATA\r\n")
            said = b""
            while b"354" not in said:
                said += line.recv(4096)
            line.sendall(b"Subject: one\r\n\r\none" + odd + begin[8:] + b"DATA\r\nSubject: two\r\n\r\ntwo\r\n.\r\nQUIT\r\n")
            said = b""
            try:
                while piece := line.recv(4096):
                    said += piece
            except TimeoutError:
                pass
            check(said.count(b"354") == 0 and said.count(b"Kept") <= 1, f"{odd!r}: {said!r}")
    kept = [mail["message"] for mail in mails_of(gate, sender)]
    check(all(message["subject"] == "one" for message in kept), f"{[message['subject'] for message in kept]}")
    return f"{len(ends)} ends of lines, {len(kept)} mails whole"


@case()
def mail_in_chunks(gate):
    """BDAT, addresses and headers in UTF-8, and a bounce that no machine may answer."""
    sender = f"chunk{time.time_ns()}@example.org".encode()
    mail = "Subject: Grüße\r\nFrom: ".encode() + sender + "\r\n\r\n.\r\nTschüß\r\n".encode()
    half = len(mail) // 2
    said = raw(gate, b"EHLO a\r\nMAIL FROM:<" + sender + b"> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<help@example.com>\r\n"
               + b"BDAT %d\r\n" % half + mail[:half] + b"BDAT %d LAST\r\n" % (len(mail) - half) + mail[half:] + b"QUIT\r\n")
    check(status(said) == [220, 250, 250, 250, 250, 250, 221], said)
    message = mails(gate, sender.decode(), 1)[0]["message"]
    check((message["subject"], message["text"]) == ("Grüße", ".\nTschüß"), f"{message}")
    check(status(raw(gate, b"BDAT 6\r\nQUIT\r\nEHLO a\r\nQUIT\r\n")) == [220, 503, 250, 221], "a refused chunk is read as commands")
    bounce = f"bounce{time.time_ns()}@example.org"
    code, said = swaks(gate, "--from", "<>", "--header", f"From: {bounce}")
    check(code == 0 and mails(gate, bounce, 1)[0]["message"]["automatic"], said)
    return "two chunks, a bounce"


@case(alone=True)
def mail_over_tls(_):
    """STARTTLS by swaks; what was sent behind it in the clear is dropped; a disarmed address puts mail off."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        own = authority.certificate("gateway.pem", "DNS:localhost")
        gate = Gateway(cases.BINARY, name="mails", settings={"http.tls.certificates": own})
        try:
            gate.start()
            sender = f"tls{time.time_ns()}@example.org"
            code, said = swaks(gate, "--tls", "--from", sender)
            check(code == 0 and "TLS started" in said, said)
            mails(gate, sender, 1)
            said = raw(gate, b"EHLO a\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<a@b>\r\n")
            check(status(said) == [220, 250, 220], f"what came behind STARTTLS was heard: {said}")

            def disarm(document):
                document["entry_points"]["email/help@example.com"]["armed"] = False

            publish(gate, disarm, "No mail")
            code, said = swaks(gate)
            check(code != 0 and "451 4.2.1" in said, said)
        finally:
            gate.stop()
    return "taken by TLS, put off while disarmed"
