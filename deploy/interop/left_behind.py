"""Cases about what callers leave behind: messages, and requests to be called back; and what the queue tells them."""

import time

import cases
import sound
from agent import Agent
from caller import Call
from cases import BOTH, DIRECT, INITIAL, case, publish
from gateway import Gateway, check
from hand_off import all_gone, both_hear, connected, queued, take, tone

BEEP = (1000,)


def with_queue_ivr(gate, nodes, **more):
    """Links the nodes as the Queue IVR of the direct line, after five seconds."""
    def change(document):
        document["ivrs"]["ivr_asks"] = {"name": "Asks", "kind": "queue", "start": "start", "nodes": nodes}
        document["numbers"][DIRECT].update({"queue_ivr": "ivr_asks", "queue_wait_seconds": 5})
        document.pop("tests", None)
        more.get("change", lambda _: None)(document)

    publish(gate, change, "Asks")


def wait_beep(call, seconds=14):
    """Waits for the tone after which a message is recorded."""
    def heard():
        return any(end - start > 0.2 for start, end in sound.bursts(last(call, 3), BEEP))

    end = time.monotonic() + seconds
    while not heard():
        check(time.monotonic() < end, "no tone was heard")
        time.sleep(0.1)
    time.sleep(0.4)


def last(call, seconds):
    """What was heard in the last seconds."""
    return call.heard()[-int(seconds * sound.RATE) :]


def says(heard, name):
    """Where in what was heard the built-in words stand, in seconds; they must."""
    at, likeness = sound.find(heard, cases.prompts()[name])
    check(likeness > 0.85, f"{name} is not heard: likeness {likeness:.2f}")
    return at


def fetched(gate, contact, said, name):
    listed = gate.ask("GET", f"/api/v1/contacts/{contact}/recordings")["recordings"]
    check([(one["file"], one["kind"]) for one in listed] == [(said["file"], "voicemail")], f"{listed}")
    path = f"/api/v1/contacts/{contact}/recordings/{said['file']}"
    status, body, _ = gate.raw("GET", path, headers={"Authorization": f"Bearer {gate.key()}"})
    check(status == 200 and len(body) == said["bytes"], f"{status}, {len(body)} of {said['bytes']} bytes")
    path = gate.folder / name
    path.write_bytes(body)
    return sound.read_wav(path)


@case()
def a_message_is_left(_):
    """A caller leaves a message: by #, by hanging up, by silence; too short is none; nobody takes who speaks."""
    gate = Gateway(cases.BINARY, name="voicemail")
    gate.start()
    try:
        with_queue_ivr(gate, {
            "start": {"type": "voicemail", "greeting": "builtin:transfer", "inbox": "ib_sales", "error": "sorry"},
            "sorry": {"type": "message", "prompt": "builtin:no_input", "next": "back"},
            "back": {"type": "continue"}})
        with Call(gate.sip, DIRECT, payload_types=(0,)) as call, Agent("ann", payload_types=(0,)) as agent:
            contact = queued(gate, call)
            wait_beep(call)
            body = take(gate, contact, agent, wanted=409)
            check(body["code"] == "contact_committed", f"{body}")
            call.play(tone(700, 3))
            time.sleep(3.4)
            call.press("#")
            said = gate.wait_event(contact, "voicemail.recorded", 5)["data"]
            check(said["inbox"] == "ib_sales" and 2800 <= said["duration_ms"] <= 4200, f"{said}")
            call.wait(lambda: call.ended_at, 9, "BYE after the thanks")
            says(last(call, 6), "voicemail_thanks")
        all_gone(gate, contact, ("plan", "left_voicemail"))
        samples = fetched(gate, contact, said, "message.wav")
        length = max(end - start for start, end in sound.bursts(samples, (700,)))
        check(2.8 <= length <= 3.1, f"{length:.2f} s of the tone are in the message")
        with Call(gate.sip, DIRECT) as call:
            contact = queued(gate, call)
            wait_beep(call)
            call.play(tone(500, 3))
            time.sleep(3.2)
            call.hang_up()
        said = gate.wait_event(contact, "voicemail.recorded", 5)["data"]
        all_gone(gate, contact, ("caller", "left_voicemail"))
        check(sound.bursts(fetched(gate, contact, said, "cut.wav"), (500,)), "the message is not what was said")
        with Call(gate.sip, DIRECT) as call:
            contact = queued(gate, call)
            wait_beep(call)
            call.play(tone(500, 0.5))
            time.sleep(0.7)
            call.press("#")
            time.sleep(3.5)
            says(last(call, 4), "no_input")
            wait_beep(call)
            call.play(tone(500, 3))
            time.sleep(3)
            # From here on silence ends it.
            said = gate.wait_event(contact, "voicemail.recorded", 14)["data"]
            check(said["duration_ms"] < 5000, f"the silence at the end is not cut: {said}")
        kinds = [e["type"] for e in gate.history(contact)]
        check(kinds.count("voicemail.recorded") == 1, f"{kinds}")
    finally:
        gate.stop()


@case()
def a_callback_is_made(_):
    """Who asks to be called back keeps the place over a crash, is called when it is his turn, and is taken."""
    gate = Gateway(cases.BINARY, name="callback")
    gate.start()
    try:
        number = "+12125550177"
        with Agent(number, ring_s=0.3) as customer, Agent("ann") as ann:
            def change(document):
                host = customer.uri.split("@")[1]
                next(iter(document["trunks"].values()))["outbound"] = {"target": f"sip:{host}"}

            with_queue_ivr(gate, {
                "start": {"type": "callback", "prompt": "builtin:callback_offer", "next": "bye", "error": "back"},
                "bye": {"type": "message", "prompt": "builtin:callback_stored", "next": "back"},
                "back": {"type": "continue"}}, change=change)
            inbox = "/api/v1/inboxes/ib_general/availability"
            gate.ask("PUT", inbox, {"agents_available": 0})
            with Call(gate.sip, DIRECT, caller=number) as call:
                contact = queued(gate, call)
                time.sleep(6.5)
                call.press("1")
                said = gate.wait_event(contact, "callback.requested", 5)["data"]
                check(said["number"] == number and said["inbox"] == "ib_general", f"{said}")
                call.wait(lambda: call.ended_at, 9, "BYE")
            all_gone(gate, contact, ("plan", "callback_requested"))
            gate.kill()
            gate.start()
            gate.forget_feed()
            gate.ask("PUT", inbox, {"agents_available": 0})
            (kept,) = gate.ask("GET", "/api/v1/callbacks")["callbacks"]
            check((kept["id"], kept["number"], kept["attempts"]) == (said["callback"], number, 0), f"{kept}")
            inboxes = {one["id"]: one for one in gate.ask("GET", "/api/v1/inboxes")["inboxes"]}
            check(inboxes["ib_general"]["waiting"] == 1, f"{inboxes['ib_general']}")
            time.sleep(11)
            check(customer.invited_at is None, "nobody is there, and the customer was called")
            gate.ask("PUT", inbox, {"agents_available": 1})
            customer.wait_talk(6)
            check(f"sip:{DIRECT}@" in customer.invite.first("from"), f"From {customer.invite.first('from')}")
            check(not customer.invite.all("x-vestibule-contact"), "a header for agents went to the customer")
            time.sleep(3)
            says(customer.heard(), "callback_greeting")
            customer.press("1")
            done = gate.wait_event(contact, "callback.done", 5)["data"]
            check((done["result"], done["attempts"]) == ("reached", 1), f"{done}")
            back = done["contact"]
            check(not gate.ask("GET", "/api/v1/callbacks")["callbacks"], "the callback is still there")
            take(gate, back, ann)
            ann.wait_talk()
            gate.wait_event(back, "contact.connected", 5)
            both_hear(customer, ann)
            customer.hang_up()
        all_gone(gate, back, ("caller", "completed"))
        started = gate.wait_event(back, "contact.started", 1)["data"]
        check((started["from"], started["callback"]) == (number, said["callback"]), f"{started}")
    finally:
        gate.stop()


@case()
def a_callback_that_fails_is_tried_again_or_given_up(_):
    """Nobody answers a callback: it is tried as often as the node says, then given up; another is taken back."""
    gate = Gateway(cases.BINARY, name="callbacks")
    gate.start()
    try:
        number = "+12125550178"
        with Agent(number, status=486, ring_s=0.1) as customer:
            def change(document):
                host = customer.uri.split("@")[1]
                next(iter(document["trunks"].values()))["outbound"] = {"target": f"sip:{host}"}

            with_queue_ivr(gate, {
                "start": {"type": "callback", "prompt": "builtin:callback_offer", "attempts": 1, "next": "back",
                          "error": "back"},
                "back": {"type": "continue"}}, change=change)
            with Call(gate.sip, DIRECT, caller=number) as call:
                contact = queued(gate, call)
                time.sleep(6.5)
                call.press("1")
                gate.wait_event(contact, "callback.requested", 5)
                call.wait(lambda: call.ended_at, 5, "BYE")
            done = gate.wait_event(contact, "callback.done", 9)["data"]
            check((done["result"], done["attempts"]) == ("not_reached", 1), f"{done}")
            gate.ask("PUT", "/api/v1/inboxes/ib_general/availability", {"agents_available": 0})
            with Call(gate.sip, DIRECT, caller=number) as call:
                contact = queued(gate, call)
                time.sleep(6.5)
                call.press("1")
                asked = gate.wait_event(contact, "callback.requested", 5)["data"]["callback"]
            gate.ask("DELETE", f"/api/v1/callbacks/{asked}")
            check(gate.wait_event(contact, "callback.done", 3)["data"]["result"] == "cancelled", "not cancelled")
            gate.ask("DELETE", f"/api/v1/callbacks/{asked}", wanted=(404,))
    finally:
        gate.stop()


@case()
def the_queue_says_place_and_wait(_):
    """The place in the queue and the estimated wait are said, in the gateway's own words."""
    gate = Gateway(cases.BINARY, name="position")
    gate.start()
    try:
        with_queue_ivr(gate, {
            "start": {"type": "position", "next": "wait"},
            "wait": {"type": "estimated_wait", "next": "back", "unknown": "unknown"},
            "unknown": {"type": "message", "prompt": "builtin:no_match", "next": "back"},
            "back": {"type": "continue"}})

        with Call(gate.sip, DIRECT) as call, Agent("ann") as ann:
            call.wait_answer()
            time.sleep(10)
            heard = call.heard()
            check(says(heard, "position_next") < says(heard, "no_match"), "place and wait are not said in their order")
            connected(gate, call, ann)
            time.sleep(2)
            call.hang_up()
        gate.ask("PUT", "/api/v1/inboxes/ib_general/availability", {"agents_available": 2})
        with Call(gate.sip, DIRECT) as one, Call(gate.sip, DIRECT) as other:
            one.wait_answer()
            time.sleep(0.3)
            other.wait_answer()
            time.sleep(11)
            says(one.heard(), "wait_under_a_minute")
            heard = other.heard()
            check(says(heard, "position_before") < says(heard, "number_2") < says(heard, "position_after"), "second place")
    finally:
        gate.stop()


@case()
def an_ivr_runs_within_another(_):
    """An IVR asks another one, which leads back with what was pressed."""
    gate = Gateway(cases.BINARY, name="parts")
    gate.start()
    try:
        def change(document):
            document["ivrs"]["ivr_sure"] = {"name": "Sure", "kind": "initial", "start": "start", "nodes": {
                "start": {"type": "menu", "prompt": "builtin:no_input", "choices": {"1": "yes", "2": "no"}, "default": "no"},
                "yes": {"type": "exit"}, "no": {"type": "exit"}}}
            document["ivrs"]["ivr_whole"] = {"name": "Whole", "kind": "initial", "start": "start", "nodes": {
                "start": {"type": "sub_ivr", "ivr": "ivr_sure", "next": "which", "error": "out"},
                "which": {"type": "match", "value": "{{node.start}}", "default": "out",
                          "patterns": [{"pattern": "yes", "next": "bye"}]},
                "bye": {"type": "hang_up", "prompt": "builtin:goodbye"},
                "out": {"type": "exit"}}}
            document["numbers"][INITIAL]["initial_ivr"] = "ivr_whole"
            document["numbers"][BOTH]["initial_ivr"] = "ivr_whole"
            document.pop("tests", None)

        publish(gate, change, "Parts")
        with Call(gate.sip, INITIAL) as call:
            call.wait_answer()
            contact = gate.contact_of(call.call_id)
            call.press("1")
            call.wait(lambda: call.ended_at, 8, "BYE")
        all_gone(gate, contact, ("plan", "hung_up_by_ivr"))
        with Call(gate.sip, INITIAL) as call:
            call.wait_answer()
            contact = gate.contact_of(call.call_id)
            call.press("2")
            gate.wait_event(contact, "contact.queued", 5)
        ivrs = [e["data"]["ivr"] for e in gate.history(contact) if e["type"] == "contact.ivr_exited"]
        check(ivrs == ["ivr_sure", "ivr_whole"], f"{ivrs}")
    finally:
        gate.stop()
