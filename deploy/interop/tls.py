"""TLS for callers and phones, by Python's own: lines that look like datagram sockets, and certificates by openssl."""

import pathlib
import re
import select
import socket
import ssl
import subprocess
import threading

from gateway import check


class Authority:
    """An authority and what it has signed, as files in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.file = self.folder / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", "/CN=Interop authority", "-keyout", "ca.key", "-out", "ca.crt")

    def certificate(self, file, names="", common_name="", expired=False):
        """Writes chain and key into one file; `names` as openssl has them: `DNS:a.example,URI:sip:b.example`."""
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                      f"/CN={common_name or 'nobody'}", "-keyout", "one.key", "-out", "one.csr")
        extensions = "basicConstraints=CA:FALSE\n" + (f"subjectAltName={names}\n" if names else "")
        (self.folder / "one.ext").write_text(extensions)
        # One that ended yesterday can only be had by its days counted backwards.
        days = "-1" if expired else "30"
        self._openssl("x509", "-req", "-in", "one.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                      days, "-extfile", "one.ext", "-out", "one.crt")
        path = self.folder / file
        fresh = self.folder / f"{file}.new"
        fresh.write_bytes((self.folder / "one.crt").read_bytes() + (self.folder / "one.key").read_bytes())
        fresh.replace(path)
        return path

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True)
        check(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr[-400:]}")

    def client(self, certificate=None):
        """How a caller connects: it believes this authority alone."""
        context = ssl.create_default_context(cafile=self.file)
        if certificate:
            context.load_cert_chain(certificate)
        return context


class _Wire:
    """One connection: sends, and hands every whole message on."""

    def __init__(self, connection, deliver):
        self.connection, self.deliver = connection, deliver
        self.lock, self.closed = threading.Lock(), False
        connection.setblocking(False)
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, data):
        while data:
            try:
                with self.lock:
                    data = data[self.connection.send(data):]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([], [self.connection], [], 1)

    def _read(self):
        buffer = b""
        try:
            while not self.closed:
                try:
                    with self.lock:
                        part = self.connection.recv(65536)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    select.select([self.connection], [], [], 0.2)
                    continue
                if not part:
                    break
                buffer = self._frames(buffer + part)
        except (OSError, ValueError):
            pass
        self.closed = True

    def _frames(self, buffer):
        while True:
            buffer = buffer.lstrip(b"\r\n")
            head, blank, rest = buffer.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
            if not blank or len(rest) < int(length[1]):
                return buffer
            self.deliver(self, head + blank + rest[: int(length[1])])
            buffer = rest[int(length[1]) :]

    def close(self):
        self.closed = True
        self.connection.close()


class _Line:
    """What callers need of a datagram socket: messages come in by a pair, so that they can be selected for."""

    def __init__(self):
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.peer = ("127.0.0.1", 0)

    def fileno(self):
        return self.near.fileno()

    def recvfrom(self, size):
        return self.near.recv(size), self.peer

    def _deliver(self, wire, message):
        self.wire = wire
        try:
            self.far.send(message)
        except OSError:
            pass  # the call is over

    def sendto(self, data, _):
        if self.wire:
            self.wire.send(data)


class Line(_Line):
    """A connection that we make, to a gateway that must be `name`."""

    def __init__(self, port, context, name):
        super().__init__()
        plain = socket.create_connection(("127.0.0.1", port), 5)
        self.peer, self._own = plain.getpeername(), plain.getsockname()
        secure = context.wrap_socket(plain, server_hostname=name)
        self.certificate = secure.getpeercert()
        self.wire = _Wire(secure, self._deliver)

    def getsockname(self):
        return self._own

    def close(self):
        self.wire.close()
        self.near.close()
        self.far.close()


class Listener(_Line):
    """A phone's port: every connection that is made to it; answers go by the one that spoke last. It outlives the
    calls of the phone, until its end."""

    def __init__(self, certificate):
        super().__init__()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.wire, self.wires, self.tried = None, [], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def getsockname(self):
        return self.server.getsockname()

    def _accept(self):
        while True:
            try:
                plain, _ = self.server.accept()
            except OSError:
                return
            self.tried += 1
            try:
                plain.settimeout(5)
                self.wires.append(_Wire(self.context.wrap_socket(plain, server_side=True), self._deliver))
            except OSError:
                plain.close()

    def close(self):
        """The call is over, the phone stays."""

    def end(self):
        self.server.close()
        for wire in self.wires:
            wire.close()
        self.near.close()
        self.far.close()
