"""Cases about encrypted media: SRTP with keys in SDP, alone, bridged, with new keys, and where trunks want it or not."""

import contextlib
import struct
import tempfile
import time

import baresip
import cases
import sound
from agent import Agent
from caller import Call
from cases import DIRECT, INITIAL, best_match, case, digits, publish, rows
from gateway import Gateway, check
from hand_off import all_gone, baresips_talk, both_hear, connected
from srtp import SUITE

UNAUTHENTIC = "vestibule_media_srtp_unauthentic_packets_total"
REPLAYED = "vestibule_media_srtp_replayed_packets_total"


def is_encrypted(session):
    """Checks an answer to an offer of SRTP."""
    check(session.media[0][2] == "RTP/SAVP", f"profile {session.media[0]}")
    check([suite for _, suite, _ in session.crypto] == [SUITE], f"crypto {session.crypto}")


def grown(gate, name, before, seconds=5.0):
    """Waits until a count has grown; by how much."""
    end = time.monotonic() + seconds
    while gate.metric(name) <= before and time.monotonic() < end:
        time.sleep(0.1)
    return gate.metric(name) - before


@case()
def srtp_greeting(gate):
    """The greeting is heard over SRTP, every packet authentic."""
    with Call(gate.sip, INITIAL, srtp=True) as call:
        call.wait_answer()
        is_encrypted(call.session)
        check(call.session.crypto[0][0] == 1, f"tag {call.session.crypto}")
        call.wait(lambda: len(call.packets) >= 10 * 50, 15, "10 s of audio")
        heard, errors = call.heard(), call.sequence_errors()
        call.hang_up()
    name, at, likeness = best_match(heard)
    check(at < 2, f"the first words came after {at:.1f} s")
    check(errors == 0 and call.unreadable == 0, f"{errors} sequence errors, {call.unreadable} packets not authentic")
    return f"{name} at {at:.2f} s, likeness {likeness:.3f}"


@case()
def srtp_digits(gate):
    """Keys as RFC 4733 events over SRTP reach the right exits."""
    return digits(gate, "rfc4733", srtp=True)


@case()
def srtp_baresip(gate):
    """baresip with mandatory SRTP hears the greeting, and a key that it presses leads to the right inbox."""
    user = f"srtp{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        recording, _ = baresip.call(folder, gate.sip, INITIAL, seconds=12, user=user, keys="2",
                                    account=";mediaenc=srtp-mand")
        name, at, likeness = best_match(sound.read_wav(recording)[: 9 * 8000], least=0.7)
    check(at < 3, f"the first words came after {at:.1f} s")
    contacts = gate.ask("GET", "/api/v1/contacts?limit=500")["contacts"]
    mine = [contact for contact in contacts if contact["from"] == user]
    check(len(mine) == 1 and mine[0]["inbox"] == "ib_support", f"2 led to {mine}")
    messages = gate.ask("GET", f"/api/v1/contacts/{mine[0]['id']}/sip")["messages"]
    lines = [line for message in messages for line in message["text"].split("\r\n") if line.startswith("a=crypto:")]
    check(len(lines) >= 2 and all(line.endswith(" (withheld)") for line in lines), f"keys in the trace: {lines}")
    return f"{name}, likeness {likeness:.3f}, 2 to support; {lines[-1]}"


@case()
def srtp_bridge(gate):
    """An encrypted caller and a clear taker hear each other; the taker's keys and the caller's reach the other side."""
    with Call(gate.sip, DIRECT, srtp=True) as call, Agent("clear") as agent:
        contact = connected(gate, call, agent)
        check(agent.session.media[0][2] == "RTP/AVP", f"the taker was offered {agent.session.media}")
        both_hear(call, agent)
        call.press("7")
        agent.wait(lambda: any(p[3] == agent.session.telephone_event for p in agent.packets), 3, "the key at the taker")
        check(call.unreadable == 0, f"{call.unreadable} packets at the caller are not authentic")
        call.hang_up()
        agent.wait(lambda: agent.ended_at, 2, "BYE")
    all_gone(gate, contact, ("caller", "completed"))
    return "SRTP to RTP and back"


@case()
def srtp_new_keys(gate):
    """re-INVITEs with the same key, a new key, hold and again a new key: sound goes on, keys pressed are heard."""
    with Call(gate.sip, DIRECT, srtp=True) as call, Agent("rekey") as agent:
        contact = connected(gate, call, agent)
        first = call.session.crypto
        check(call.reinvite().crypto == first, "our key changed although the caller's did not")
        both_hear(call, agent)
        second = call.reinvite(new_key=True).crypto
        check(second[0][2] != first[0][2], "our key stayed although the caller's changed")
        both_hear(call, agent)
        call.reinvite("sendonly")
        third = call.reinvite(new_key=True).crypto
        check(third[0][2] not in (first[0][2], second[0][2]), "a key was used again")
        both_hear(call, agent)
        check(call.unreadable <= 4, f"{call.unreadable} packets at the caller are not authentic")
        call.hang_up()
    all_gone(gate, contact, ("caller", "completed"))
    return f"{call.unreadable} packets lost over two changes"


@contextlib.contextmanager
def trunk_with(word):
    """A gateway whose trunks say this of encryption."""
    gate = Gateway(cases.BINARY, name=f"srtp-{word}")
    try:
        gate.start()

        def say(document):
            for trunk in rows(document["trunks"]):
                trunk["srtp"] = word

        publish(gate, say, f"Encryption: {word}")
        yield gate
    finally:
        gate.stop()


@case(alone=True)
def srtp_required(_):
    """Where SRTP is required, clear offers get 488, takers are offered SRTP only, and clear packets are dropped."""
    with trunk_with("required") as gate:
        with Call(gate.sip, DIRECT) as call:
            check(call.wait_final() == 488, f"a clear offer got {call.final_status}")
            check("clear RTP" in call.responses[-1][1].first("warning"), call.responses[-1][1].first("warning"))
        with Call(gate.sip, DIRECT, late_offer=True, srtp=True) as call:
            call.wait_answer()
            profile, suites = call.session.media[0][2], [suite for _, suite, _ in call.session.crypto]
            check(profile == "RTP/SAVP" and suites[-2:] == [SUITE, "AES_CM_128_HMAC_SHA1_32"], f"{profile} {suites}")
            call.hang_up()
        with Call(gate.sip, DIRECT, srtp=True) as call, Agent("safe", srtp=True) as agent:
            contact = connected(gate, call, agent)
            check(agent.session.media[0][2] == "RTP/SAVP", f"the taker was offered {agent.session.media}")
            both_hear(call, agent)
            check(call.unreadable + agent.unreadable == 0, "packets are not authentic")
            dropped = injected(gate, call)
            call.hang_up()
        all_gone(gate, contact, ("caller", "completed"))
        with Call(gate.sip, DIRECT, srtp=True) as call, Agent("deaf", payload_types=(0,)) as agent:
            agent.srtp = False  # answers RTP/AVP to an offer of RTP/SAVP
            call.wait_answer()
            contact = gate.contact_of(call.call_id)
            gate.wait_event(contact, "contact.queued", 5)
            gate.post(f"/api/v1/contacts/{contact}/take", {"target": agent.uri})
            agent.wait(lambda: agent.ended_at, 5, "BYE to a taker that answers in the clear")
            check(not any(e["type"] == "contact.connected" for e in gate.history(contact)), "connected in the clear")
            call.hang_up()
    return f"488; late offer and taker encrypted; {dropped}"


@case(alone=True)
def srtp_baresip_takes(_):
    """Where SRTP is required, a baresip that has to encrypt is taken by another; each hears the other."""
    with trunk_with("required") as gate:
        baresips_talk(gate, account=";mediaenc=srtp-mand")
        # A baresip that ends lets its keys go before it says RTCP BYE: that one packet is clear, and it is in a
        # race with the end of the call. One of each phone may come in time to be counted.
        clear = gate.metric(UNAUTHENTIC)
        check(clear <= 2, f"{clear} packets are not authentic")


def injected(gate, call):
    """Sends clear, changed and repeated packets from the caller's own port: each is dropped and counted."""
    target = (call.session.address, call.session.port)
    before = gate.metric(UNAUTHENTIC), gate.metric(REPLAYED)
    clear = struct.pack("!BBHII", 0x80, 0, 999, 999, 1) + bytes(160)
    for _ in range(5):
        call.rtp.sendto(clear, target)
    check(grown(gate, UNAUTHENTIC, before[0] + 4) == 1, "clear packets are not counted")
    packet = call.last_packet
    for _ in range(3):
        call.rtp.sendto(packet, target)
    check(grown(gate, REPLAYED, before[1] + 2) == 1, "repeated packets are not counted")
    return "5 clear and 3 repeated packets dropped"


@case(alone=True)
def srtp_off(_):
    """Where SRTP is off, an offer of nothing else gets 488 and a clear one is served."""
    with trunk_with("off") as gate:
        with Call(gate.sip, DIRECT, srtp=True) as call:
            check(call.wait_final() == 488, f"an encrypted offer got {call.final_status}")
        with Call(gate.sip, DIRECT) as call:
            call.wait_answer()
            check(call.session.media[0][2] == "RTP/AVP", f"{call.session.media}")
            call.hang_up()
    return "488 and 200"
