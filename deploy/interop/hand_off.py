"""Cases about handing callers to those who take them: take, refusal, hold, transfer, and what both sides hear."""

import concurrent.futures
import math
import random
import subprocess
import tempfile
import time

import baresip
import cases
import sound
from agent import Agent
from caller import Call, CallError
from cases import BOTH, DIRECT, INITIAL, RINGBACK, case, prompts, publish
from gateway import Gateway, check, free_port

HOLD_MUSIC = "hold_music"


def tone(hertz, seconds, level=6000):
    return [level * math.sin(2 * math.pi * hertz * n / sound.RATE) for n in range(int(seconds * sound.RATE))]


def frames(samples, payload_type=0):
    """The packets that say the samples."""
    whole = len(samples) // 160 * 160
    return [sound.encode(samples[i : i + 160], payload_type) for i in range(0, whole, 160)]


def noise(seconds, seed):
    """Samples that nothing else sounds like."""
    place, out = seed, []
    for _ in range(int(seconds * sound.RATE)):
        place = (place * 1103515245 + 12345) & 0x7FFFFFFF
        out.append((place >> 16) % 12000 - 6000)
    return out


def has_run(packets, wanted):
    """Whether the payloads came one behind the other, bit for bit."""
    heard = [payload for _, _, _, _, payload in packets]
    starts = [i for i, payload in enumerate(heard) if payload == wanted[0]]
    return any(heard[i : i + len(wanted)] == wanted for i in starts)


def queued(gate, call):
    """Waits until the caller stands in a queue; the contact."""
    call.wait_answer()
    contact = gate.contact_of(call.call_id)
    gate.wait_event(contact, "contact.queued", 5)
    return contact


def take(gate, contact, agent, wanted=202, **more):
    status, body = gate.post(f"/api/v1/contacts/{contact}/take", {"target": agent.uri, **more})
    check(status == wanted, f"take gave {status}: {body}")
    return body


def post(gate, contact, what, body=None, wanted=(202, 204)):
    status, said = gate.post(f"/api/v1/contacts/{contact}/{what}", body)
    check(status in (wanted if isinstance(wanted, tuple) else (wanted,)), f"{what} gave {status}: {said}")
    return said


def connected(gate, call, agent, **more):
    """Has the caller taken by the agent; the contact."""
    contact = queued(gate, call)
    take(gate, contact, agent, **more)
    agent.wait_talk()
    gate.wait_event(contact, "contact.connected", 5)
    return contact


def hears_tone(side, hertz, since, what):
    """Whether a side hears a tone in what came after a moment."""
    packets = [p for p in list(side.packets) if p[0] >= since and p[3] in (0, 8)]
    samples = [s for p in packets for s in sound.decode(p[4], p[3])]
    found = sound.bursts(samples, (hertz,))
    check(found and max(end - start for start, end in found) > 0.5, f"{what}: {hertz} Hz is not heard: {found}")


def both_hear(caller, agent):
    begun = time.monotonic()
    caller.play(tone(700, 1.2))
    agent.play(tone(1500, 1.2))
    time.sleep(1.8)
    hears_tone(agent, 700, begun, "the agent")
    hears_tone(caller, 1500, begun, "the caller")


def all_gone(gate, contact, outcome):
    ended = gate.wait_event(contact, "contact.ended", 5)["data"]["outcome"]
    check((ended["side"], ended["reason"]) == outcome, f"outcome {ended}")


@case()
def take_bridges(gate):
    """A taker is called; the caller hears ringback until the answer, then both hear each other bit for bit."""
    with Call(gate.sip, DIRECT, payload_types=(0,)) as call, Agent("ann", payload_types=(0,), ring_s=1.5) as agent:
        contact = queued(gate, call)
        body = take(gate, contact, agent, by="ann")
        check(body["state"] == "ringing", f"{body}")
        agent.wait_talk()
        answered = agent.answered_at
        agent.wait(lambda: agent.packets, 2, "audio")
        late = (agent.packets[0][0] - answered) * 1000
        check(late < 150, f"the first sound came {late:.0f} ms after the answer")
        ringing = [p for p in call.packets if p[0] < answered]
        samples = [s for p in ringing for s in sound.decode(p[4], p[3])]
        check(sound.bursts(samples, RINGBACK), "no ringback was heard while the phone rang")
        said, told = noise(0.6, 7), noise(0.6, 99)
        call.play(said)
        agent.play(told)
        time.sleep(1.2)
        check(has_run(agent.packets, frames(said)), "the agent did not hear the caller bit for bit")
        check(has_run(call.packets, frames(told)), "the caller did not hear the agent bit for bit")
        check(agent.sequence_errors() == 0, f"{agent.sequence_errors()} sequence errors at the agent")
        check(call.sequence_errors() == 0, f"{call.sequence_errors()} sequence errors at the caller")
        shown = gate.ask("GET", f"/api/v1/contacts/{contact}")
        check(shown["now"]["stage"] == "connected", f"{shown['now']}")
        check(shown["hand_off"]["by"] == "ann", f"{shown['hand_off']}")
        call.hang_up()
        agent.wait(lambda: agent.ended_at, 2, "BYE")
    all_gone(gate, contact, ("caller", "completed"))
    kinds = [e["type"] for e in gate.history(contact)]
    check(kinds[-4:] == ["contact.queued", "contact.taken", "contact.connected", "contact.ended"], f"{kinds}")
    return f"first sound {late:.0f} ms after the answer"


@case()
def sip_of_both_legs(gate):
    """The trace of a contact shows the caller's call and every telephone that was called for it."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", status=486) as busy, Agent("bob") as agent:
        contact = queued(gate, call)
        uris = (busy.uri, agent.uri)
        take(gate, contact, busy)
        gate.wait_event(contact, "contact.refused", 5)
        take(gate, contact, agent)
        agent.wait_talk()
        gate.wait_event(contact, "contact.connected", 5)
        call.hang_up()
        agent.wait(lambda: agent.ended_at, 2, "BYE")
    messages = gate.ask("GET", f"/api/v1/contacts/{contact}/sip")["messages"]
    legs = {}
    for message in messages:
        start = " ".join(message["text"].split("\r\n")[0].split()[:2])
        legs.setdefault(message["call_id"], []).append((message["direction"], start))
    check(len(legs) == 3 and list(legs)[0] == call.call_id, f"legs: {legs}")
    caller, refused, taken = legs.values()
    check(caller[0][0] == "received" and ("received", "BYE") == (caller[-2][0], caller[-2][1].split()[0]), f"{caller}")
    check(("sent", f"INVITE {uris[0]}") in refused and ("received", "SIP/2.0 486") in refused, f"{refused}")
    check(("sent", f"INVITE {uris[1]}") in taken and ("received", "SIP/2.0 200") in taken, f"{taken}")
    check(any(d == "sent" and s.startswith("BYE ") for d, s in taken), f"{taken}")
    check([m["at"] for m in messages] == sorted(m["at"] for m in messages), "out of order")
    return f"{len(messages)} messages of 3 calls"


@case()
def baresip_takes_baresip(gate):
    """A baresip that calls is taken by a baresip that answers, over TCP; each hears the other."""
    baresips_talk(gate)


def baresips_talk(gate, account=""):
    """One baresip calls, another takes; checks that each hears the other."""
    user = f"taken{time.time_ns()}"
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        phone = baresip.Phone(other, 14, hertz=300, account=account)
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                calling = pool.submit(baresip.call, one, gate.sip, DIRECT, 9, user=user, hertz=500, account=account)
                end = time.monotonic() + 6
                waiting = []
                while not waiting and time.monotonic() < end:
                    rows = gate.ask("GET", f"/api/v1/contacts?state=live&from={user}")["contacts"]
                    waiting = [row for row in rows if row["now"] and row["now"]["stage"] == "waiting"]
                    time.sleep(0.2)
                check(waiting, "baresip does not wait")
                target = f"sip:agent@127.0.0.1:{phone.port};transport=tcp"
                status, said = gate.post(f"/api/v1/contacts/{waiting[0]['id']}/take", {"target": target})
                check(status == 202, f"{status} {said}")
                caller, _ = calling.result()
            agent = phone.heard()
            for what, path, hertz in (("the caller", caller, 300), ("the taker", agent, 500)):
                found = sound.bursts(sound.read_wav(path), (hertz,))
                longest = max((end - start for start, end in found), default=0)
                check(longest > 2, f"{what} does not hear {hertz} Hz: {found}")
        finally:
            phone.close()
    all_gone(gate, waiting[0]["id"], ("caller", "completed"))


@case()
def sipp_takes(gate):
    """SIPp answers as the taker and echoes what it hears: the caller hears himself; SIPp sees a whole dialog."""
    port, media = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        sipp = subprocess.Popen(
            ["sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1", "-mp", str(media), "-m", "1",
             "-rtp_echo", "-nostdin", "-timeout", "30"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with Call(gate.sip, DIRECT, payload_types=(0,)) as call:
                contact = queued(gate, call)
                status, said = gate.post(f"/api/v1/contacts/{contact}/take", {"target": f"sip:sipp@127.0.0.1:{port}"})
                check(status == 202, f"take gave {status}: {said}")
                gate.wait_event(contact, "contact.connected", 5)
                begun = time.monotonic()
                said = noise(0.6, 11)
                # SIPp is silent until it hears something: its first packets prove its address.
                call.play(noise(0.4, 5) + said)
                time.sleep(1.6)
                check(has_run([p for p in call.packets if p[0] >= begun], frames(said)), "the echo is not bit for bit")
                call.hang_up()
            all_gone(gate, contact, ("caller", "completed"))
            check(sipp.wait(8) == 0, f"SIPp ended with {sipp.returncode}")
        finally:
            sipp.kill()


@case()
def take_between_laws(gate):
    """A caller who speaks u-law only and a taker who speaks A-law only hear each other."""
    with Call(gate.sip, DIRECT, payload_types=(0,)) as call, Agent("ann", payload_types=(8,)) as agent:
        connected(gate, call, agent)
        both_hear(call, agent)
        kinds = ({p[3] for p in agent.packets}, {p[3] for p in call.packets})
        check(kinds == ({8}, {0}), f"payload types {kinds}")
        agent.hang_up()
        call.wait(lambda: call.ended_at, 2, "BYE")
    return "tones in both directions"


@case()
def taker_hangs_up(gate):
    """The caller is let go when the taker hangs up, and the outcome says so."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as agent:
        contact = connected(gate, call, agent)
        agent.hang_up()
        call.wait(lambda: call.ended_at, 2, "BYE")
        check(call.ended_by == "gateway", f"ended by {call.ended_by}")
    all_gone(gate, contact, ("inbox", "completed"))


@case()
def take_refused(gate):
    """Busy, declined and unreachable takers leave the caller waiting, who may be taken again."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", status=486, ring_s=0.1) as agent:
        contact = queued(gate, call)
        for count, status in enumerate((486, 603, 404), start=1):
            agent.again(status, 0.1)
            take(gate, contact, agent)
            said = gate.wait_event(contact, "contact.refused", 5, count)["data"]
            check(said["status"] == status, f"{status}: {said}")
        begun = time.monotonic()
        time.sleep(7)
        samples = [s for p in list(call.packets) if p[0] > begun for s in sound.decode(p[4], p[3])]
        check(sound.bursts(samples, RINGBACK), "no ringback is heard after the refusals")
        agent.again(200)
        take(gate, contact, agent)
        agent.wait_talk()
        both_hear(call, agent)
        call.hang_up()
    all_gone(gate, contact, ("caller", "completed"))


@case()
def take_times_out(gate):
    """A phone that nobody answers is given up with CANCEL after its time; the caller keeps the place."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", status=None) as agent:
        contact = queued(gate, call)
        begun = time.monotonic()
        take(gate, contact, agent, ring_seconds=2)
        agent.wait(lambda: agent.cancelled_at, 5, "CANCEL")
        after = agent.cancelled_at - begun
        check(1.8 < after < 2.6, f"given up after {after:.1f} s")
        gate.wait_event(contact, "contact.take_timed_out", 5)
        check(gate.ask("GET", f"/api/v1/contacts/{contact}")["now"]["stage"] == "waiting", "the place is lost")
        call.hang_up()
    all_gone(gate, contact, ("caller", "abandoned_in_queue"))
    return f"CANCEL after {after:.2f} s"


@case()
def caller_leaves_while_it_rings(gate):
    """A caller who hangs up stops the taker's phone."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", status=None) as agent:
        contact = queued(gate, call)
        take(gate, contact, agent)
        agent.wait_invite()
        call.hang_up()
        agent.wait(lambda: agent.cancelled_at, 2, "CANCEL")
    all_gone(gate, contact, ("caller", "abandoned_in_queue"))


@case()
def one_taker(gate):
    """The same take again changes nothing; another taker gets 409; who is in an IVR or gone cannot be taken."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", ring_s=1.0) as ann, Agent("bob") as bob:
        contact = queued(gate, call)
        take(gate, contact, ann, by="ann")
        take(gate, contact, ann, by="ann")
        check(take(gate, contact, bob, 409, by="bob")["code"] == "take_under_way", "bob was let in")
        ann.wait_talk()
        gate.wait_event(contact, "contact.connected", 5)
        take(gate, contact, ann, 200, by="ann")
        check(take(gate, contact, bob, 409, by="bob")["code"] == "taken_already", "bob was let in")
        check(bob.invite is None, "bob was called")
        call.hang_up()
        all_gone(gate, contact, ("caller", "completed"))
        check(take(gate, contact, bob, 409)["code"] == "contact_ended", "a contact that is over")
        check(take(gate, "ct_none", bob, 404)["code"] == "no_such_contact", "a contact that never was")
    invites = [e for e in gate.history(contact) if e["type"] == "contact.taken"]
    check(len(invites) == 1, f"taken {len(invites)} times")
    with Call(gate.sip, INITIAL) as call, Agent("ann") as ann:
        call.wait_answer()
        contact = gate.contact_of(call.call_id)
        check(take(gate, contact, ann, 409)["code"] == "not_waiting", "a caller in an IVR was taken")
        call.hang_up()


@case()
def strange_targets(gate):
    """Targets that are not allowed, or are none, are refused with what to do about it."""
    with Call(gate.sip, DIRECT) as call:
        contact = queued(gate, call)
        for target, code in (("sip:ann@192.0.2.1", "target_not_allowed"), ("sip:ann@pbx.example.net", "target_not_allowed"),
                             ("ann", "target_unusable"), ("tel:+14155550100", "target_unusable"),
                             ("sip:a@127.0.0.1;transport=ws", "target_unusable")):
            status, body = gate.post(f"/api/v1/contacts/{contact}/take", {"target": target})
            check((status, body["code"]) == (422, code), f"{target}: {status} {body}")
        status, body = gate.post(f"/api/v1/contacts/{contact}/take", {"target": "sip:a@127.0.0.1", "ring_seconds": 0})
        check(status == 400, f"{status} {body}")
        call.hang_up()


@case()
def keys_pass_the_bridge(gate):
    """Keys that the caller presses reach the taker as telephone events, and the other way round."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as agent:
        connected(gate, call, agent)
        for side, other, how in ((call, agent, "rfc4733"), (agent, call, "rfc4733"), (call, agent, "info")):
            before = len(other.packets)
            side.press("57", how)
            other.wait(lambda: len(pressed(other, before)) >= 2, 4, f"two keys by {how}")
            check(pressed(other, before) == "57", f"{pressed(other, before)} came by {how}")
        call.hang_up()


def pressed(side, since):
    """The keys that came as telephone events, each once."""
    keys, stamps = "", set()
    for _, _, stamp, kind, payload in list(side.packets)[since:]:
        if kind == side.event_type and stamp not in stamps:
            stamps.add(stamp)
            keys += "0123456789*#ABCD"[payload[0]]
    return keys


@case()
def hold_and_resume(gate):
    """On hold by request or by the taker's re-INVITE the caller hears hold music, and afterwards the taker."""
    music = prompts()[HOLD_MUSIC]
    with Call(gate.sip, DIRECT) as call, Agent("ann") as agent:
        contact = connected(gate, call, agent)
        for count, (hold, resume) in enumerate((
                (lambda: post(gate, contact, "hold"), lambda: post(gate, contact, "resume")),
                (lambda: agent.reinvite("sendonly"), lambda: agent.reinvite("sendrecv")),
                (lambda: agent.reinvite("inactive"), lambda: agent.reinvite("sendrecv"))), start=1):
            hold()
            gate.wait_event(contact, "contact.held", 3, count)
            begun = time.monotonic()
            time.sleep(2.5)
            packets = [p for p in list(call.packets) if p[0] > begun + 0.2]
            samples = [s for p in packets for s in sound.decode(p[4], p[3])]
            _, likeness = sound.find([*music, *music], samples)
            check(likeness > 0.8, f"hold {count}: hold music is not heard, likeness {likeness:.2f}")
            resume()
            gate.wait_event(contact, "contact.resumed", 3, count)
            both_hear(call, agent)
        call.hang_up()
    return "three ways"


@case()
def answered_on_hold(gate):
    """A taker who answers with sendonly holds the caller from the start; a re-INVITE lets them talk."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as agent:
        agent._direction = "sendonly"
        contact = connected(gate, call, agent)
        gate.wait_event(contact, "contact.held", 3)
        agent.reinvite("sendrecv")
        gate.wait_event(contact, "contact.resumed", 3)
        both_hear(call, agent)
        call.hang_up()
    return "held, then talking"


@case()
def transfer_to_another_phone(gate):
    """A transfer holds the caller, connects the other phone, and lets the first go; one that fails goes back."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as ann, Agent("bob", status=486, ring_s=0.2) as bob:
        contact = connected(gate, call, ann)
        post(gate, contact, "transfer", {"target": bob.uri})
        gate.wait_event(contact, "contact.refused", 5)
        both_hear(call, ann)
        bob.again(200, 0.5)
        post(gate, contact, "transfer", {"target": bob.uri})
        bob.wait_talk()
        gate.wait_event(contact, "contact.transferred", 5)
        ann.wait(lambda: ann.ended_at, 2, "BYE at the first phone")
        both_hear(call, bob)
        bob.hang_up()
        call.wait(lambda: call.ended_at, 2, "BYE")
    all_gone(gate, contact, ("inbox", "completed"))


@case()
def transfer_to_an_inbox(gate):
    """A talk that goes to another inbox lets the taker go; the caller waits again and is taken there."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as ann, Agent("bob") as bob:
        contact = connected(gate, call, ann)
        check(post(gate, contact, "transfer", {"inbox": "ib_none"}, 422)["code"] == "no_such_inbox", "an unknown inbox")
        post(gate, contact, "transfer", {"inbox": "ib_sales"})
        ann.wait(lambda: ann.ended_at, 2, "BYE at the first phone")
        said = gate.wait_event(contact, "contact.queued", 5, 2)["data"]
        check(said["inbox"] == "ib_sales", f"{said}")
        take(gate, contact, bob)
        bob.wait_talk()
        both_hear(call, bob)
        call.hang_up()
    all_gone(gate, contact, ("caller", "completed"))


def outcome_told(agent, seconds=5.0):
    """The statuses that NOTIFY requests told the sender of a REFER."""
    def told():
        bodies = [m.body.decode() for _, m in list(agent.requests) if m.method == "NOTIFY"]
        return [int(body.split()[1]) for body in bodies]
    agent.wait(lambda: told() and told()[-1] >= 200, seconds, "the outcome of a REFER")
    return told()


@case()
def refer_to_another_phone(gate):
    """A taker transfers by REFER: blind, attended with Replaces; what is not allowed or fails is told, and the talk goes on."""
    with Call(gate.sip, DIRECT) as call, Agent("ann") as ann, Agent("bob", status=486, ring_s=0.2) as bob:
        contact = connected(gate, call, ann)
        for target, wanted in (("sip:eve@192.0.2.1", 603), (bob.uri, 486)):
            ann.requests.clear()
            check(ann.request("REFER", headers=(f"Refer-To: <{target}>",)) == 202, "the REFER was not taken")
            told = outcome_told(ann)
            check(told == [100, wanted], f"{target}: told {told}")
        both_hear(call, ann)
        check(call.request("REFER", headers=(f"Refer-To: <{bob.uri}>",)) == 202, "the caller's REFER was not answered")
        check(outcome_told(call)[-1] == 603, "a caller may transfer nobody")
        bob.again(200, 0.4)
        ann.requests.clear()
        replaced = "them%40there%3Bto-tag%3Dt1%3Bfrom-tag%3Df1"
        ann.request("REFER", headers=(f"Refer-To: <{bob.uri}?Replaces={replaced}>", f"Referred-By: <{ann.uri}>"))
        bob.wait_talk()
        check(bob.invite.first("replaces") == "them@there;to-tag=t1;from-tag=f1", f"{bob.invite.headers}")
        check(outcome_told(ann) == [100, 200], "the success was not told")
        ann.wait(lambda: ann.ended_at, 2, "BYE at the first phone")
        said = gate.wait_event(contact, "contact.transferred", 2)["data"]
        check((said["to_target"], said["by"]) == (bob.uri, ann.uri), f"{said}")
        both_hear(call, bob)
        call.hang_up()
    all_gone(gate, contact, ("caller", "completed"))


@case()
def keys_for_phones_without_events(gate):
    """A phone that takes no telephone events gets the caller's keys by INFO."""
    with Call(gate.sip, DIRECT) as call, Agent("ann", telephone_event=None) as agent:
        connected(gate, call, agent)
        for how in ("rfc4733", "info"):
            agent.requests.clear()
            call.press("4#", how)
            agent.wait(lambda: len(infos(agent)) >= 2, 4, f"two INFO for keys by {how}")
            check(infos(agent) == ["4", "#"], f"{infos(agent)} came by {how}")
        call.hang_up()


def infos(side):
    bodies = [m.body.decode() for _, m in list(side.requests) if m.method == "INFO"]
    return [body.split("Signal=")[1].split()[0] for body in bodies]


@case(alone=True)
def live_calls_end_after_a_kill(_):
    """200 live calls at kill -9, a part of them bridged: all lines are ended with BYE and Reason within 5 s of the start."""
    gate = Gateway(cases.BINARY, name="orphans")
    gate.start()
    sides = []
    try:
        waiting = [Call(gate.sip, DIRECT, rtp=False) for _ in range(180)]
        talking = [(Call(gate.sip, DIRECT, rtp=False), Agent(f"t{n}", ring_s=0.05)) for n in range(20)]
        sides = [*waiting, *(side for pair in talking for side in pair)]
        for call in [*waiting, *(call for call, _ in talking)]:
            call.dial()
        for call in waiting:
            call.wait_answer(10)
        for call, agent in talking:
            connected(gate, call, agent)
        gate.kill()
        begun = time.monotonic()
        gate.start()
        for side in sides:
            side.wait(lambda s=side: s.ended_at, max(0.1, begun + 5 - time.monotonic()), "BYE after the kill")
        took = max(side.ended_at for side in sides) - begun
        byes = [m for side in sides for _, m in list(side.requests) if m.method == "BYE"]
        check(all("cause=503" in bye.first("reason") for bye in byes), "a BYE without a reason")
        gate.forget_feed()
        live = gate.ask("GET", "/api/v1/contacts?state=live")["contacts"]
        check(not live, f"{len(live)} records stand open")
    finally:
        for side in sides:
            side.close()
        gate.stop()
    return f"{len(sides)} lines ended {took:.2f} s after the kill"


def with_phones(strategy, agents, ring_seconds=45):
    """A gateway of its own whose inbox `ib_general` calls these phones."""
    gate = Gateway(cases.BINARY, name=f"dial-{strategy}")
    gate.start()

    def change(document):
        document["inboxes"]["ib_general"]["dial"] = {
            "strategy": strategy, "targets": [agent.uri for agent in agents], "ring_seconds": ring_seconds}

    publish(gate, change, "Telephones")
    return gate


@case(alone=True)
def dial_rings_all(_):
    """All phones of an inbox ring; the first to answer has the caller, the others are taken back."""
    with Agent("ann", status=None) as ann, Agent("bob", ring_s=1.0) as bob, Agent("eve", status=486, ring_s=0.1) as eve:
        gate = with_phones("ring_all", (ann, bob, eve))
        try:
            with Call(gate.sip, DIRECT) as call:
                contact = queued(gate, call)
                bob.wait_talk()
                ann.wait(lambda: ann.cancelled_at, 2, "CANCEL")
                both_hear(call, bob)
                said = gate.wait_event(contact, "contact.taken", 2)["data"]
                check((said["by"], said["target"]) == ("dial", bob.uri), f"{said}")
                refused = gate.wait_event(contact, "contact.refused", 2)["data"]
                check((refused["target"], refused["status"]) == (eve.uri, 486), f"{refused}")
                call.hang_up()
            all_gone(gate, contact, ("caller", "completed"))
        finally:
            gate.stop()


@case(alone=True)
def dial_one_after_the_other(_):
    """Callers get the phones in the order of the queue; a phone has one call; who does not answer is passed over."""
    with Agent("ann", ring_s=0.2) as ann, Agent("bob", status=None) as bob:
        gate = with_phones("round_robin", (ann, bob), ring_seconds=2)
        try:
            with Call(gate.sip, DIRECT) as first:
                one = queued(gate, first)
                ann.wait_talk()
                with Call(gate.sip, DIRECT) as second:
                    two = queued(gate, second)
                    bob.wait_invite()
                    with Call(gate.sip, DIRECT) as third:
                        three = queued(gate, third)
                        bob.wait(lambda: bob.cancelled_at, 5, "CANCEL at the phone that nobody answers")
                        gate.wait_event(two, "contact.take_timed_out", 3)
                        # The first talk ends: its phone goes to the second caller, who came before the third.
                        ann.hang_up()
                        first.wait(lambda: first.ended_at, 2, "BYE")
                        ann.again(200, 0.2)
                        ann.wait_talk(5)
                        taken = gate.wait_event(two, "contact.taken", 3)["data"]
                        check(taken["target"] == ann.uri, f"{taken}")
                        check(not [e for e in gate.history(three) if e["type"] == "contact.taken"], "the third went first")
                        both_hear(second, ann)
                        third.hang_up()
                    second.hang_up()
            all_gone(gate, one, ("inbox", "completed"))
            all_gone(gate, two, ("caller", "completed"))
            all_gone(gate, three, ("caller", "abandoned_in_queue"))
        finally:
            gate.stop()


@case(alone=True)
def dial_the_longest_idle(_):
    """The phone whose last call is the longest ago rings."""
    with Agent("ann", ring_s=0.1) as ann, Agent("bob", ring_s=0.1) as bob:
        gate = with_phones("longest_idle", (ann, bob))
        try:
            order = []
            for _ in range(4):
                with Call(gate.sip, DIRECT) as call:
                    contact = queued(gate, call)
                    order.append(gate.wait_event(contact, "contact.taken", 3)["data"]["target"])
                    gate.wait_event(contact, "contact.connected", 2)
                    call.hang_up()
                    phone = ann if order[-1] == ann.uri else bob
                    phone.wait(lambda p=phone: p.ended_at, 2, "BYE")
                    phone.again(200, 0.1)
            check(order == [ann.uri, bob.uri, ann.uri, bob.uri], f"order {order}")
        finally:
            gate.stop()


@case(alone=True)
def answered_by_the_taker(_):
    """A number with `answer: taken` rings until the taker answers; only then the caller gets the 200, and both hear."""
    gate = Gateway(cases.BINARY, name="taken")
    gate.start()
    try:
        def change(document):
            document["numbers"][DIRECT] = {"answer": "taken"}
            document.pop("tests", None)

        publish(gate, change, "Answered when taken")
        with Call(gate.sip, DIRECT) as call, Agent("ann", ring_s=0.8) as ann, Agent("bob", status=486, ring_s=0.1) as bob:
            call.wait(lambda: any(m.status == 180 for _, m in call.responses), 3, "180")
            contact = gate.contact_of(call.call_id)
            gate.wait_event(contact, "contact.queued", 3)
            take(gate, contact, bob)
            gate.wait_event(contact, "contact.refused", 3)
            check(not call.answered_at, "answered though nobody took it")
            take(gate, contact, ann)
            ann.wait_invite()
            check(not call.answered_at, "answered while the phone rings")
            call.wait_answer()
            check(call.answered_at >= ann.answered_at, "answered before the taker")
            ann.wait_talk()
            both_hear(call, ann)
            call.hang_up()
        all_gone(gate, contact, ("caller", "completed"))
    finally:
        gate.stop()


@case(alone=True)
def availability_and_its_treatment(_):
    """Nobody available is told by the API: those who wait, and those who come, get the treatment; unknown is not zero."""
    gate = Gateway(cases.BINARY, name="availability")
    gate.start()

    def tell(agents, wanted=(204,), inbox="ib_general"):
        gate.ask("PUT", f"/api/v1/inboxes/{inbox}/availability", {"agents_available": agents}, wanted=wanted)

    def inbox_of(call):
        contact = gate.contact_of(call.call_id)
        call.wait(lambda: len(gate.history(contact)) >= 2, 3, "events")
        time.sleep(0.3)
        kinds = [(e["type"], e["data"].get("to_inbox") or e["data"].get("inbox")) for e in gate.history(contact)]
        return [inbox for kind, inbox in kinds if kind in ("contact.queued", "contact.moved")][-1]

    try:
        def change(document):
            document["inboxes"]["ib_general"]["no_one_available"] = {"inbox": "ib_sales"}

        publish(gate, change, "Nobody there")
        with Call(gate.sip, DIRECT) as waits:
            waits.wait_answer()
            check(inbox_of(waits) == "ib_general", "unknown availability was taken for zero")
            tell(3)
            check(inbox_of(waits) == "ib_general", "agents are there")
            tell(0)
            check(inbox_of(waits) == "ib_sales", "the one who waits was not treated")
            with Call(gate.sip, DIRECT) as comes:
                comes.wait_answer()
                check(inbox_of(comes) == "ib_sales", "the one who comes was not treated")
                shown = {row["id"]: row for row in gate.ask("GET", "/api/v1/inboxes")["inboxes"]}
                check(shown["ib_sales"]["waiting"] == 2, f"{shown}")
                check(shown["ib_general"]["agents_available"] == 0, f"{shown}")
                check(shown["ib_sales"]["agents_available"] is None, f"{shown}")
                tell(None)
                with Call(gate.sip, DIRECT) as later:
                    later.wait_answer()
                    check(inbox_of(later) == "ib_general", "unknown again, but taken for zero")
                    later.hang_up()
                comes.hang_up()
            waits.hang_up()
        tell(1, wanted=(404,), inbox="ib_none")
        tell(-1, wanted=(400, 422))
    finally:
        gate.stop()


@case(alone=True)
def forward_by_ivr_and_treatment(_):
    """An IVR forwards to a phone, and to a number by a trunk that asks for digest; a treatment forwards who waits."""
    gate = Gateway(cases.BINARY, name="forward")
    gate.start()
    try:
        with Agent("ann", status=486, ring_s=0.2) as ann, Agent("+14155550999", login=("edge", "open sesame")) as carrier:
            (gate.folder / "secret").write_text("open sesame\n")

            def change(document):
                host = carrier.uri.split("@")[1]
                trunk = next(iter(document["trunks"].values()))
                trunk["outbound"] = {"target": f"sip:{host}", "user": "edge", "secret": f"file:{gate.folder}/secret"}
                document["ivrs"]["ivr_forward"] = {"name": "Forward", "kind": "initial", "start": "start", "nodes": {
                    "start": {"type": "start", "next": "phone"},
                    "phone": {"type": "forward", "to": ann.uri, "ring_seconds": 10, "failed": "number"},
                    "number": {"type": "forward", "to": "+14155550999", "ring_seconds": 10, "failed": "out"},
                    "out": {"type": "exit"}}}
                document["numbers"][DIRECT]["initial_ivr"] = "ivr_forward"
                document["inboxes"]["ib_sales"]["no_one_available"] = {"forward": ann.uri}
                document.pop("tests", None)

            publish(gate, change, "Forward")
            with Call(gate.sip, DIRECT) as call:
                call.wait_answer()
                contact = gate.contact_of(call.call_id)
                carrier.wait_talk(8)
                check(ann.invited_at, "the phone was not called first")
                check(carrier.invite.start.startswith("INVITE sip:+14155550999@"), carrier.invite.start)
                check(f"sip:{DIRECT}@" in carrier.invite.first("from"), f"From {carrier.invite.first('from')}")
                check(ann.invite.all("x-vestibule-contact"), "a telephone is not told the contact")
                check(not carrier.invite.all("x-vestibule-contact"), "a carrier is told the contact")
                both_hear(call, carrier)
                said = gate.wait_event(contact, "contact.transferred", 2)["data"]
                check((said["to_target"], said["by"]) == ("+14155550999", "forward"), f"{said}")
                carrier.hang_up()
                call.wait(lambda: call.ended_at, 2, "BYE")
            all_gone(gate, contact, ("plan", "completed"))
            ann.again(200, 0.3)
            with Call(gate.sip, INITIAL) as call:
                call.wait_answer()
                contact = gate.contact_of(call.call_id)
                gate.ask("PUT", "/api/v1/inboxes/ib_sales/availability", {"agents_available": 0})
                call.press("1")
                ann.wait_talk(20)
                both_hear(call, ann)
                call.hang_up()
            all_gone(gate, contact, ("caller", "completed"))
    finally:
        gate.stop()


@case()
def a_talk_is_recorded(gate):
    """A recording begins after the prompt, keeps the caller left and the taker right, leaves pauses out, and is fetched."""
    with Call(gate.sip, DIRECT, payload_types=(0,)) as call, Agent("ann", payload_types=(0,)) as agent:
        contact = connected(gate, call, agent)
        status, said = gate.post(f"/api/v1/contacts/{contact}/recording", {"action": "pause"})
        check((status, said["code"]) == (409, "not_recording"), f"{status} {said}")
        start = {"action": "start", "consent_prompt": "no_such"}
        check(gate.post(f"/api/v1/contacts/{contact}/recording", start)[0] == 422, "a prompt that is none")
        post(gate, contact, "recording", {"action": "start", "consent_prompt": "builtin:transfer"})
        begun = time.monotonic()
        time.sleep(2.8)
        for side in (call, agent):
            samples = [s for p in list(side.packets) if p[0] > begun for s in sound.decode(p[4], p[3])]
            _, likeness = sound.find(samples, prompts()["transfer"])
            check(likeness > 0.8, f"the prompt is not heard, likeness {likeness:.2f}")
        call.play(tone(700, 1.0))
        agent.play(tone(1500, 1.0))
        time.sleep(1.3)
        post(gate, contact, "recording", {"action": "pause"})
        call.play(tone(1000, 0.6))
        time.sleep(1.0)
        post(gate, contact, "recording", {"action": "resume"})
        call.play(tone(440, 0.5))
        time.sleep(0.8)
        post(gate, contact, "recording", {"action": "stop"})
        said = gate.wait_event(contact, "recording.stored", 5)["data"]
        call.hang_up()
    check(len(said["pauses"]) == 1 and 900 < said["pauses"][0]["lasted_ms"] < 1400, f"{said}")
    listed = gate.ask("GET", f"/api/v1/contacts/{contact}/recordings")["recordings"]
    check([row["file"] for row in listed] == [said["file"]], f"{listed}")
    path = f"/api/v1/contacts/{contact}/recordings/{said['file']}"
    headers = {"Authorization": f"Bearer {gate.key()}"}
    status, data, got = gate.raw("GET", path, headers=headers)
    check(status == 200 and len(data) == said["bytes"] == int(got["content-length"]), f"{status}, {len(data)} bytes")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(data)
        file.flush()
        left, right = sound.read_wav(file.name), sound.read_wav(file.name, 1)
    check(len(left) == len(right) and abs(len(left) / 8 - said["duration_ms"]) < 100, f"{len(left)} samples, {said}")
    for channel, there, absent in ((left, (700, 440), (1500, 1000)), (right, (1500,), (700, 440, 1000))):
        for hertz in there:
            check(sound.bursts(channel, (hertz,)), f"{hertz} Hz is missing")
        for hertz in absent:
            check(not sound.bursts(channel, (hertz,)), f"{hertz} Hz is where it should not be")
    check(gate.raw("DELETE", path, headers=headers)[0] == 204, "not deleted")
    check(gate.raw("GET", path, headers=headers)[0] == 404, "still there")
    return f"{said['duration_ms']} ms, pause of {said['pauses'][0]['lasted_ms']} ms"


def position(gate, contact):
    return gate.ask("GET", f"/api/v1/contacts/{contact}")["now"]["position"]


@case(alone=True)
def a_lost_place_is_had_back(_):
    """Who left the queue, or was cut off by a kill -9, and rings again in time goes before those who came later."""
    gate = Gateway(cases.BINARY, name="places")
    gate.start()
    try:
        mine = "+12125550111"
        with Call(gate.sip, DIRECT, caller=mine) as first:
            queued(gate, first)
            with Call(gate.sip, DIRECT, caller="+12125550222") as other:
                later = queued(gate, other)
                check(position(gate, later) == 2, "the second is not behind the first")
                first.hang_up()
                with Call(gate.sip, DIRECT, caller=mine) as again:
                    back = queued(gate, again)
                    check((position(gate, back), position(gate, later)) == (1, 2), "the place was not had back")
                    gate.kill()
                    gate.start()
                    gate.forget_feed()
                    with Call(gate.sip, DIRECT, caller="+12125550333") as new:
                        newest = queued(gate, new)
                        with Call(gate.sip, DIRECT, caller=mine) as third:
                            back = queued(gate, third)
                            places = position(gate, back), position(gate, newest)
                            check(places == (1, 2), f"after the kill: {places}")
                            third.hang_up()
                        new.hang_up()
                    again.ended_at = other.ended_at = time.monotonic()
    finally:
        gate.stop()


def random_script(gate, seed):
    """One call with whatever may happen to it, in any order; gives back what was done."""
    chance = random.Random(seed)
    done = []
    agents = [Agent(f"a{seed}x{n}", status=chance.choice((200, 200, 200, 486, None)), ring_s=chance.uniform(0, 0.6),
                    payload_types=chance.choice(((0, 8), (0,), (8,)))) for n in range(2)]
    call = Call(gate.sip, chance.choice((DIRECT, DIRECT, BOTH)), payload_types=chance.choice(((0, 8), (0,), (8,))))

    def ask(contact, what, body=None):
        status, said = gate.post(f"/api/v1/contacts/{contact}/{what}", body)
        check(status < 500, f"{what}: {status} {said}")

    try:
        call.dial()
        if chance.random() < 0.05:
            call.close()
            return ["left at once"]
        call.wait_answer()
        contact = gate.contact_of(call.call_id)
        for _ in range(chance.randrange(2, 9)):
            time.sleep(chance.choice((0, 0, 0.05, 0.3, 0.7)))
            agent = chance.choice(agents)
            what = chance.choice(("take", "take", "take", "transfer", "inbox", "hold", "resume", "keys", "reinvite", "refer",
                                  "agent reinvite", "agent leaves", "caller leaves", "hang_up"))
            done.append(what)
            if call.ended_at:
                break
            talks = agent.acknowledged_at and not agent.ended_at
            if what in ("take", "transfer"):
                ask(contact, what, {"target": agent.uri, "ring_seconds": chance.choice((1, 45))})
            elif what == "inbox":
                ask(contact, "transfer", {"inbox": chance.choice(("ib_sales", "ib_support", "ib_none"))})
            elif what in ("hold", "resume", "hang_up"):
                ask(contact, what)
            elif what == "keys":
                call.press("12", chance.choice(("rfc4733", "info")))
            elif what == "refer" and talks:
                other = agents[1 - agents.index(agent)]
                agent.request("REFER", headers=(f"Refer-To: <{other.uri}>",))
            elif what == "reinvite":
                call.reinvite(chance.choice(("sendrecv", "sendonly", "inactive")))
            elif what == "agent reinvite" and talks:
                agent.reinvite(chance.choice(("sendrecv", "sendonly", "inactive")))
            elif what == "agent leaves" and talks:
                agent.hang_up()
            elif what == "caller leaves":
                call.hang_up()
    except CallError as error:
        # A request that meets the other side's BYE has no answer that counts.
        check(call.ended_at or any(agent.ended_at for agent in agents), f"script {seed} {done}: {error}")
    finally:
        call.close()
        for agent in agents:
            agent.close()
    return done


def last_words(gate):
    """The last SIP messages of contacts that are still live."""
    said = []
    for contact in gate.ask("GET", "/api/v1/contacts?state=live&channel=voice")["contacts"]:
        trace = gate.ask("GET", f"/api/v1/contacts/{contact['id']}/sip")["messages"]
        said.append([f"{m['direction']} {m['text'].splitlines()[0]}" for m in trace[-6:]])
    return said


@case(alone=True)
def random_scripts(gate):
    """300 calls with take, transfer, hold, keys, re-INVITE and hang-up in any order leave nothing behind."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        steps = sum(len(done) for done in pool.map(lambda seed: random_script(gate, seed), range(300)))
    left = ("vestibule_calls_active", "vestibule_media_streams", "vestibule_queue_waiting_contacts",
            "vestibule_sip_dialogs", "vestibule_sip_transactions")
    end = time.monotonic() + 75
    while time.monotonic() < end and any(gate.metric(name) for name in left):
        time.sleep(0.5)
    rest = {name: gate.metric(name) for name in left}
    check(not any(rest.values()), f"left behind: {rest}; {last_words(gate)}")
    check(gate.metric("vestibule_call_panics_total") == 0, "a contact's task panicked")
    # Messages that earlier cases have left in inboxes are none of this case's.
    contacts = gate.ask("GET", "/api/v1/contacts?state=live&channel=voice")["contacts"]
    check(not contacts, f"{len(contacts)} records are still open")
    return f"{steps} steps"
