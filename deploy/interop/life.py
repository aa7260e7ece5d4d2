"""Cases about the life of the process and about strangers: draining, and media that is not the caller's."""

import socket
import struct
import subprocess
import time
import urllib.request

import cases
import sound
from agent import Agent
from browser import Browser
from caller import Call
from cases import DIRECT, INITIAL, case, options
from gateway import Gateway, check
from hand_off import all_gone, connected, hears_tone, queued, tone
from left_behind import last, says


def wait_end(gate, seconds):
    """Waits for the end of the process; how long that took."""
    began = time.monotonic()
    gate.process.wait(seconds)
    return time.monotonic() - began


@case()
def what_a_start_prints(_):
    """The first start of an empty folder prints an SMS and a mail that a shell can send as they stand, and a chat to open."""
    gate = Gateway(cases.BINARY, name="first")
    gate.start()
    try:
        printed = gate.last_words().splitlines()
        line = next(line.strip() for line in printed if line.strip().startswith("U=http"))
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20)
        check("<Response/>" in done.stdout, f"the SMS got {done.stdout} {done.stderr}")
        told = [event for event in gate.events() if event["type"] == "message.received"]
        check([event["data"]["message"]["text"] for event in told] == ["Hello"], f"{told}")
        line = next(line.split(": ", 1)[1] for line in printed if line.startswith("Try a mail: "))
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20)
        told = [event["data"] for event in gate.events() if event["type"] == "message.received"]
        check(done.returncode == 0 and told[-1]["message"]["text"] == "Hello", f"{done.stderr} {told}")
        check((told[-1]["channel"], told[-1]["message"]["subject"]) == ("email", "Hello"), f"{told}")
        page = next(line.split()[-1] for line in printed if "Try a chat" in line)
        with urllib.request.urlopen(page, timeout=5) as answer:
            check(answer.status == 200, f"the chat's page got {answer.status}")
        with Browser() as browser:
            browser.open(page)
            browser.until(lambda: browser.seen("button.open") == ["Talk to us"], "the chat's button")
    finally:
        gate.stop()
    return "an SMS, a mail and a chat"


@case()
def draining(_):
    """SIGTERM: no new calls, pings get 503, calls go on; at the limit who waits hears why, and all are ended."""
    gate = Gateway(cases.BINARY, name="drain", settings={"drain.limit_seconds": 4})
    gate.start()
    try:
        with Call(gate.sip, DIRECT) as waiting, Call(gate.sip, DIRECT) as talking, Agent("ann") as ann:
            queued(gate, waiting)
            connected(gate, talking, ann)
            gate.process.terminate()
            time.sleep(0.3)
            check(options(gate, "127.0.0.1") == 503, "a ping is not refused")
            check(gate.raw("GET", "/readyz")[0] == 503, "it is still ready")
            with Call(gate.sip, DIRECT) as late:
                check(late.wait_final() == 503, f"a new call got {late.final_status}")
            time.sleep(2)
            begun = time.monotonic()
            talking.play(tone(700, 1))
            time.sleep(1.2)
            hears_tone(ann, 700, begun, "the agent in the drain")
            talking.wait(lambda: talking.ended_at, 4, "BYE")
            ann.wait(lambda: ann.ended_at, 2, "BYE")
            waiting.wait(lambda: waiting.ended_at, 10, "BYE")
            says(last(waiting, 8), "closing")
            byes = [message for _, message in waiting.requests if message.start.startswith("BYE")]
            check("503" in (byes[0].first("reason") or ""), f"Reason {byes[0].first('reason')}")
        took = wait_end(gate, 5)
        check(gate.process.returncode == 0, f"ended with {gate.process.returncode}")
        gate.start()
        with Call(gate.sip, DIRECT) as call:
            queued(gate, call)
            gate.process.terminate()
            time.sleep(0.5)
            check(gate.alive(), "it did not wait for its call")
            gate.process.terminate()
            took = wait_end(gate, 5)
            call.wait(lambda: call.ended_at, 2, "BYE")
        check(took < 3, f"told twice, it took {took:.1f} s to end")
    finally:
        gate.stop()


def inject(to, event_type, source, digit="1", packets=60):
    """Sends a tone and a key to a port, as somebody who has guessed it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((source, 0))
        code, payload = "0123456789*#ABCD".index(digit), sound.encode(tone(1500, 0.02), 0)
        for number in range(packets):
            head = struct.pack("!BBHII", 0x80, 0, number, number * 160, 0x5EED)
            stranger.sendto(head + payload, to)
            last_one = number % 10 == 9
            event = struct.pack("!BBH", code, (0x80 if last_one else 0) | 10, 160 * (number % 10 + 1))
            head = struct.pack("!BBHII", 0x80, event_type, 1000 + number, number // 10 * 8000, 0x5EED)
            stranger.sendto(head + event, to)
            time.sleep(0.02)


@case()
def strangers_are_not_heard(gate):
    """Packets from elsewhere, with tones and keys, reach neither IVR nor taker; the caller is heard all the while."""
    with Call(gate.sip, INITIAL) as call:
        call.wait_answer()
        contact = gate.contact_of(call.call_id)
        time.sleep(0.5)
        to = (call.session.address, call.session.port)
        for source in ("127.0.0.1", "127.0.0.9"):
            inject(to, call.event_type, source)
        nodes = [e["data"] for e in gate.history(contact) if e["type"] == "contact.node_entered"]
        check(not any(node["digits"] for node in nodes), f"a stranger's key was taken: {nodes}")
        call.press("1")
        gate.wait_event(contact, "contact.queued", 8)
    with Call(gate.sip, DIRECT) as call, Agent("ann") as ann:
        connected(gate, call, ann)
        call.play(tone(700, 3))
        begun = time.monotonic()
        time.sleep(0.3)
        inject((call.session.address, call.session.port), call.event_type, "127.0.0.9")
        inject((ann.session.address, ann.session.port), ann.event_type, "127.0.0.9")
        hears_tone(ann, 700, begun, "the agent")
        for side in (call, ann):
            samples = [s for p in side.packets if p[0] >= begun and p[3] in (0, 8) for s in sound.decode(p[4], p[3])]
            check(not sound.bursts(samples, (1500,)), "a stranger is heard")
            check(not [p for p in side.packets if p[3] == side.event_type], "a stranger's key is heard")
        contact = gate.contact_of(call.call_id)
        call.hang_up()
    all_gone(gate, contact, ("caller", "completed"))
