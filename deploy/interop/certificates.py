"""A certificate by ACME, from Pebble, the test authority of Let's Encrypt, which connects for the proof."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

import cases
from cases import case
from gateway import Failure, Gateway, check, free_port
from secure import wait_until
from tls import Authority

NAMES = ("gw.example.test", "chat.example.test")


class Pebble:
    """The authority, and the name server that leads it to us. It forgets everything at its end."""

    def __init__(self, folder, tls_port):
        self.folder, self.processes = pathlib.Path(folder), []
        self.port, self.management, self.tls = free_port(), free_port(), tls_port
        self.authority = Authority(folder)
        both = self.authority.certificate("pebble.pem", "DNS:localhost,IP:127.0.0.1")
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(both), "privateKey": str(both), "httpPort": free_port(), "tlsPort": tls_port}}))
        self.directory = f"https://localhost:{self.port}/dir"

    def start(self):
        names = free_port()
        self._run("pebble-challtestsrv", "-dns01", f"127.0.0.1:{names}", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
                  "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}")
        self._run("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}", "-strict")
        wait_until(self._answers, 10, "Pebble does not answer")

    def _run(self, program, *arguments):
        log = open(self.folder / f"{program}.log", "ab")
        # Neither chance: a refused nonce costs a whole order, and a slow proof only time.
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        self.processes.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=environment))

    def _answers(self):
        try:
            return bool(self._get(self.directory))
        except OSError:
            return False

    def _get(self, url):
        with urllib.request.urlopen(url, context=self.authority.client(), timeout=5) as answer:
            return answer.read()

    def root(self):
        """The file of the authority that certificates are signed by."""
        path = self.folder / "root.pem"
        path.write_bytes(self._get(f"https://localhost:{self.management}/roots/0"))
        return path

    def last_words(self):
        return (self.folder / "pebble.log").read_text(errors="replace")[-2000:]

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()
        self.processes = []


@contextlib.contextmanager
def pebble(port):
    if not shutil.which("pebble"):
        raise Failure("pebble is not here: deploy/setup installs it")
    with tempfile.TemporaryDirectory() as folder:
        authority = Pebble(folder, port)
        try:
            yield authority
        finally:
            authority.stop()


def served(port, root, name):
    """The certificate that is served for a name, judged by that authority; none when the handshake fails."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            context = ssl.create_default_context(cafile=root)
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.getpeercert(binary_form=True)
    except ssl.SSLError:
        return None


@case()
def certificate_by_acme(_):
    """Pebble proves our names by TLS-ALPN-01 and signs; what is served outlives restarts, and failures change nothing."""
    port = free_port()
    with pebble(port) as authority:
        gate = Gateway(cases.BINARY, name="acme", settings={
            "http.tls.listen": f"127.0.0.1:{port}", "http.tls.acme.domains": ",".join(NAMES),
            "http.tls.acme.contacts": "ops@example.test", "http.tls.acme.directory": authority.directory,
            "http.tls.acme.agree_terms": "true", "http.tls.acme.trust": authority.authority.file,
            "http.tls.acme.retry_seconds": 1})
        try:
            # The authority is not there yet: plain HTTP answers, TLS has nothing to show.
            gate.start()
            wait_until(lambda: gate.metric("vestibule_http_acme_failures_total") >= 1, 20, "no failure is counted")
            check(served(port, authority.authority.file, NAMES[0]) is None, "something is served without a certificate")
            authority.start()
            end = time.monotonic() + 90
            while gate.metric("vestibule_http_acme_certificates_total") == 0:
                check(time.monotonic() < end, f"no certificate: {gate.last_words()}\nPebble: {authority.last_words()}")
                time.sleep(0.2)
            root = authority.root()
            wait_until(lambda: served(port, root, NAMES[0]), 5, "the new certificate is not served")
            first = {name: served(port, root, name) for name in NAMES}
            check(len({*first.values()}) == 1 and None not in first.values(), "one certificate for both names")
            check(served(port, root, "other.example.test") is None, "another name is believed")
            expiry = gate.metric("vestibule_http_tls_certificate_expiry_timestamp_seconds")
            check(expiry > 1e9, f"the end of the certificate is shown as {expiry}")
            _proof_is_for_proofs_only(port)
            # A restart, the authority away: the same certificate is served at once.
            authority.stop()
            gate.kill()
            gate.start()
            check(served(port, root, NAMES[0]) == first[NAMES[0]], "a restart serves another certificate")
            check(gate.metric("vestibule_http_acme_failures_total") == 0, "a valid certificate is asked for again")
            # Another name is wanted and cannot be had: the one before goes on.
            gate.kill()
            gate.settings["http.tls.acme.domains"] = ",".join((*NAMES, "new.example.test"))
            gate.start()
            wait_until(lambda: gate.metric("vestibule_http_acme_failures_total") >= 2, 20, "no failure is counted")
            check(served(port, root, NAMES[0]) == first[NAMES[0]], "a failure took the certificate away")
            kept = sorted((gate.data / "acme").iterdir())
            modes = {oct(path.stat().st_mode & 0o777) for path in kept}
            check(modes == {"0o600"}, f"modes of {[path.name for path in kept]}: {modes}")
            return f"{len(NAMES)} names, certificate {hashlib.sha256(first[NAMES[0]]).hexdigest()[:12]} kept over a restart"
        finally:
            gate.stop()


def _proof_is_for_proofs_only(port):
    """Who asks for a proof while none is wanted gets nothing; who offers it beside HTTP gets HTTP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for protocols, wanted in ((["acme-tls/1"], None), (["http/1.1", "acme-tls/1"], "http/1.1")):
        context.set_alpn_protocols(protocols)
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                with context.wrap_socket(plain, server_hostname=NAMES[0]) as secure:
                    got = secure.selected_alpn_protocol()
        except ssl.SSLError:
            got = None
        check(got == wanted, f"{protocols} leads to {got}")
