"""Cases about SIP over TLS: whom callers and the gateway believe, and certificates that change under a call."""

import contextlib
import signal
import socket
import ssl
import tempfile
import time

import baresip
import cases
from agent import Agent
from caller import Call, CallError
from cases import DIRECT, INITIAL, case, options, publish, rows
from gateway import Failure, Gateway, check, free_port
from hand_off import all_gone, both_hear, connected, queued
from tls import Authority, Line, Listener

NAME = "gateway.example"


@contextlib.contextmanager
def secure_gateway(name, **settings):
    """A gateway that listens by UDP and TLS, the authority of its certificate, and its TLS port."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        own = authority.certificate("gateway.pem", f"DNS:{NAME},DNS:localhost,IP:127.0.0.1")
        port = free_port()
        gate = Gateway(cases.BINARY, name=name)
        gate.settings = {"sip.listen": f"udp:127.0.0.1:{gate.sip},tls:127.0.0.1:{port}", "sip.tls.certificates": own,
                         "sip.tls.trust": authority.file,
                         **{key.replace("__", "."): value for key, value in settings.items()}}
        if "sip.tls.client_certificates" in gate.settings:
            gate.settings["sip.tls.client_ca"] = authority.file
        try:
            gate.start()
            yield gate, authority, port
        finally:
            gate.stop()


def wait_until(what, seconds, sentence):
    end = time.monotonic() + seconds
    while not what():
        check(time.monotonic() < end, sentence)
        time.sleep(0.05)


@case()
def tls_calls(_):
    """A call over TLS 1.3 and one over 1.2 hear the greeting and hang up; a sips caller gets a sips Contact."""
    with secure_gateway("tls") as (gate, authority, port):
        heard = []
        for version, scheme in ((ssl.TLSVersion.TLSv1_3, "sip"), (ssl.TLSVersion.TLSv1_2, "sips")):
            context = authority.client()
            context.minimum_version = context.maximum_version = version
            with Call(port, INITIAL, line=Line(port, context, NAME), scheme=scheme) as call:
                call.wait_answer()
                check(call.remote_target.startswith(f"{scheme}:"), f"Contact of a {scheme} call: {call.remote_target}")
                call.wait(lambda: len(call.packets) >= 10 * 50, 15, "10 s of audio")
                check(call.hang_up() == 200, "BYE was not answered")
            name, _, likeness = cases.best_match(call.heard())
            heard.append(f"{name} ({likeness:.2f})")
            check(gate.outcome_of(call.call_id)[1] == "abandoned_in_ivr", f"outcome {gate.outcome_of(call.call_id)}")
        old = authority.client()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        try:
            Line(port, old, NAME).close()
            raise Failure("TLS 1.1 is taken")
        except ssl.SSLError:
            pass
        wait_until(lambda: gate.metric("vestibule_sip_connections") == 0, 5, "a connection is left")
        wait_until(lambda: gate.metric("vestibule_sip_tls_handshakes_failed_total") == 1, 5, "TLS 1.1 is not counted")
    return f"TLS 1.3 and 1.2: {', '.join(heard)}; 1.1 refused"


@case()
def tls_certificate_renewed_under_a_call(_):
    """A new certificate serves new callers, a broken one changes nothing, and the call from before goes on."""
    with secure_gateway("renewal") as (gate, authority, port):
        context = authority.client()
        with Call(port, DIRECT, line=Line(port, context, NAME)) as call:
            call.wait_answer()
            authority.certificate("gateway.pem", "DNS:renewed.example")
            gate.process.send_signal(signal.SIGHUP)
            wait_until(lambda: reached(port, context, "renewed.example"), 4, "the new certificate is not in use")
            check(not reached(port, context, NAME), "the old certificate is still in use")
            (authority.folder / "gateway.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf\n")
            wait_until(lambda: gate.metric("vestibule_sip_tls_files_failed_total") == 1, 8, "a broken file is not counted")
            check("gateway.pem" in gate.last_words(), "the log does not name the file")
            check(reached(port, context, "renewed.example"), "a broken file took the certificate away")
            expiry = gate.metric("vestibule_sip_tls_certificate_expiry_timestamp_seconds") - time.time()
            check(28 * 86400 < expiry < 31 * 86400, f"expires in {expiry} s")
            check(not call.ended_at, "the call has ended")
            check(call.request("INFO", b"Signal=1\r\nDuration=160\r\n", "application/dtmf-relay") == 200, "INFO")
            check(call.hang_up() == 200, "BYE was not answered")
    return "renewed by SIGHUP, broken file seen by itself"


@case()
def https(_):
    """HTTPS: sessions resume, HTTP/1.1 is agreed, a renewed certificate serves new connections while old ones go on."""
    with tempfile.TemporaryDirectory() as folder:
        authority, port = Authority(folder), free_port()
        own = authority.certificate("gateway.pem", f"DNS:{NAME}")
        gate = Gateway(cases.BINARY, name="https",
                       settings={"http.tls.listen": f"127.0.0.1:{port}", "http.tls.certificates": own})
        try:
            gate.start()
            context = authority.client()
            context.set_alpn_protocols(["h2", "http/1.1"])

            def connect(name, version=None, session=None):
                context.minimum_version = context.maximum_version = version or ssl.TLSVersion.TLSv1_3
                plain = socket.create_connection(("127.0.0.1", port), 5)
                return context.wrap_socket(plain, server_hostname=name, session=session)

            def ask(link):
                link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                return link.recv(4096).split(b"\r\n")[0]

            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                first = connect(NAME, version)
                check(ask(first) == b"HTTP/1.1 200 OK", "no answer over TLS")
                check(first.selected_alpn_protocol() == "http/1.1", f"ALPN {first.selected_alpn_protocol()}")
                again = connect(NAME, version, first.session)
                check(again.session_reused and ask(again) == b"HTTP/1.1 200 OK", f"{version.name} is not resumed")
                again.close()
            authority.certificate("gateway.pem", "DNS:renewed.example")
            gate.process.send_signal(signal.SIGHUP)

            def renewed(name):
                try:
                    connect(name).close()
                    return True
                except ssl.SSLError:
                    return False

            wait_until(lambda: renewed("renewed.example"), 4, "the new certificate is not in use")
            check(ask(first) == b"HTTP/1.1 200 OK", "the connection from before is cut off")
            (authority.folder / "gateway.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf\n")
            wait_until(lambda: gate.metric("vestibule_http_tls_files_failed_total") == 1, 8, "a broken file is not counted")
            check(renewed("renewed.example"), "a broken file took the certificate away")
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                check(b"HTTP" not in plain.recv(100), "plain HTTP is answered on the TLS listener")
            wait_until(lambda: gate.metric("vestibule_http_tls_handshakes_failed_total") >= 1, 5, "a failure is not counted")
        finally:
            gate.stop()
    return "TLS 1.2 and 1.3 resumed, renewed by SIGHUP, broken file seen by itself"


def reached(port, context, name):
    try:
        Line(port, context, name).close()
        return True
    except (ssl.SSLError, OSError):
        return False


@case()
def tls_identity_of_a_trunk(_):
    """A trunk with tls_identity has calls from that certificate alone, over TLS alone."""
    asked = {"sip__tls__client_certificates": "optional"}
    with secure_gateway("identity", **asked) as (gate, authority, port):
        def identified(document):
            for trunk in rows(document["trunks"]):
                trunk["tls_identity"] = "carrier.example"

        publish(gate, identified, "The carrier proves who it is")

        def status(certificate):
            with Call(port, DIRECT, line=Line(port, authority.client(certificate), NAME)) as call:
                final = call.wait_final()
                if final == 200:
                    call.hang_up()
                return final

        uri = authority.certificate("uri.pem", "URI:sip:carrier.example,DNS:other.example")
        dns = authority.certificate("dns.pem", "DNS:Carrier.Example")
        check(status(uri) == 200 and status(dns) == 200, "the carrier is refused")
        for names, common_name in (("DNS:evil.example", ""), ("", "carrier.example"), ("DNS:*.example", ""),
                                   ("URI:sip:evil.example,DNS:carrier.example", "")):
            got = status(authority.certificate("bad.pem", names, common_name))
            check(got == 403, f"{names or 'CN'}: {got}")
        check(status(None) == 403, "a caller without a certificate is taken")
        expired = authority.certificate("expired.pem", "DNS:carrier.example", expired=True)
        try:
            check(status(expired) != 200, "an expired certificate is taken")
        except (CallError, OSError):
            pass
        check(options(gate, "127.0.0.1") is None, "the trunk is heard over UDP")
        failed = gate.metric("vestibule_sip_tls_handshakes_failed_total")
        check(failed == 1, f"{failed} handshakes failed")
    return "URI, DNS; 403 for another name, CN, wildcard, none; silence over UDP"


@case()
def tls_targets(_):
    """A taker over sips is called when its certificate names the target; expired, wrong or CN-only ones are not."""
    with secure_gateway("targets", hand_off__allowed_targets="127.0.0.0/8,localhost") as (gate, authority, port):
        good = Listener(authority.certificate("agent.pem", "DNS:localhost"))
        uri = f"sips:agent@localhost:{good.getsockname()[1]}"
        for talk in range(2):
            with Call(gate.sip, DIRECT) as call, Agent("agent", line=good, scheme="sips") as agent:
                contact = connected(gate, call, Target(agent, uri))
                invite = agent.invite
                check(invite.start.startswith("INVITE sips:agent@localhost"), invite.start)
                check(invite.first("contact").startswith("<sips:"), f"Contact {invite.first('contact')}")
                check(invite.first("via").startswith("SIP/2.0/TLS"), f"Via {invite.first('via')}")
                if talk == 0:
                    both_hear(call, agent)
                call.hang_up()
                agent.wait(lambda: agent.ended_at, 2, "BYE")
            all_gone(gate, contact, ("caller", "completed"))
        check(good.tried == 1, f"{good.tried} connections for two calls")
        good.end()
        results = []
        with Call(gate.sip, DIRECT) as call:
            contact = queued(gate, call)
            for names, common_name, expired in (("DNS:localhost", "", True), ("DNS:other.example", "", False),
                                                ("", "localhost", False), ("DNS:*.localhost", "", False)):
                bad = Listener(authority.certificate("bad.pem", names, common_name, expired))
                target = {"target": f"sips:agent@localhost:{bad.getsockname()[1]}"}
                status, said = gate.post(f"/api/v1/contacts/{contact}/take", target)
                check(status == 202, f"{status} {said}")
                gate.wait_event(contact, "contact.refused", 8, count=len(results) + 1)
                check(bad.tried >= 1 and bad.wire is None, f"{names or 'CN'}: it was called")
                results.append(names or "CN")
                bad.end()
            check(not call.ended_at, "the caller was lost")
            failed = gate.metric("vestibule_sip_tls_handshakes_failed_total")
            check(failed >= 4, f"{failed} handshakes failed")
            call.hang_up()
    return "two talks on one connection; refused: expired, wrong name, CN, wildcard"


class Target:
    """An agent under another URI."""

    def __init__(self, agent, uri):
        self._agent, self.uri = agent, uri

    def __getattr__(self, name):
        return getattr(self._agent, name)


@case()
def tls_baresip(_):
    """baresip calls over TLS, believes the gateway's certificate, and hears the greeting."""
    with secure_gateway("baresip-tls") as (gate, authority, port), tempfile.TemporaryDirectory() as folder:
        baresip.call(folder, port, INITIAL, seconds=5, transport="tls", authority=authority.file)
        started = [e for e in gate.events() if e["type"] == "contact.started"]
        check(len(started) == 1, f"{len(started)} calls")
    return "established"
