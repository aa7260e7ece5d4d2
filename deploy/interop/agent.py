"""A SIP phone that is called: rings, answers or refuses, talks and listens. Loopback only, one call at a time.

What it does once the call is answered is what a caller does: see `caller.Call`.
"""

import hashlib
import re
import time

from caller import Call, Session


class Agent(Call):
    """One phone. `status` is its final answer, given after `ring_s` seconds; none: it rings for ever."""

    def __init__(self, name="agent", *, status=200, ring_s=0.3, payload_types=(0, 8), telephone_event=101,
                 login=None, line=None, scheme="sip", srtp=False):
        super().__init__(1, name, caller=name, payload_types=payload_types, telephone_event=telephone_event, line=line,
                         scheme=scheme, srtp=srtp)
        self.status, self.ring_s = status, ring_s
        self.login = login  # user and secret that callers must prove, if any
        self.invite, self.invited_at, self.cancelled_at = None, None, None
        self.acknowledged_at = None
        self._due, self._final, self._refused = None, b"", False
        self._own = ""
        self._thread.start()

    @property
    def uri(self):
        return f"sip:{self.caller}@127.0.0.1:{self.sip.getsockname()[1]}"

    def __enter__(self):
        return self

    def wait_invite(self, seconds=5.0):
        self.wait(lambda: self.invite, seconds, "an INVITE")
        return self

    def wait_talk(self, seconds=5.0):
        """Waits until the call is answered and acknowledged."""
        self.wait(lambda: self.acknowledged_at, seconds, "an ACK")
        return self

    def again(self, status=200, ring_s=0.3):
        """Ready for another call, with another answer; it may have come already."""
        with self._change:
            self.status, self.ring_s = status, ring_s
            if self.ended_at or self.cancelled_at or self._refused:
                self._forget()
        return self

    def _forget(self):
        """What belongs to one call is of the past."""
        self.packets, self.session = [], None
        self.cancelled_at = self.acknowledged_at = self.answered_at = self.ended_at = self.ended_by = None
        self.invite, self._refused, self._due = None, False, None

    def hang_up(self):
        call = self.call_id
        status = self.request("BYE")
        with self._change:
            # The next call may have come already, and that one has not ended.
            if self.call_id == call:
                self._end("caller")
        return status

    def close(self):
        if self._stop:
            return
        if self.answered_at and not self.ended_at and self.acknowledged_at:
            super().close()
            return
        self._stop = True
        self._thread.join(1.0)
        self.sip.close()
        self.rtp.close()

    # -- SIP ---------------------------------------------------------------------------------------------------

    def _own_party(self):
        return self._own

    def _on_request(self, message):
        tagged = ";tag=" in message.first("to")
        if message.method == "INVITE" and not tagged:
            self._on_invite(message)
        elif message.method == "CANCEL":
            self._on_cancel(message)
        elif message.method == "ACK":
            with self._change:
                self.requests.append((time.monotonic(), message))
                if self.answered_at and not self.acknowledged_at:
                    self.acknowledged_at = time.monotonic()
                self._resend = None
                self._change.notify_all()
        else:
            super()._on_request(message)

    def _on_invite(self, message):
        known = self.invite and (message.first("call-id"), message.cseq) == (self.invite.first("call-id"), self.invite.cseq)
        if known:
            return  # repeated: our answers are repeated as well
        if self.login and not self._proven(message):
            self.port, self._own = self.last_peer[1], f"{message.first('to')};tag={self.tag}"
            refusal = self._response(message, 401)
            challenge = f'WWW-Authenticate: Digest realm="agent", nonce="{NONCE}", algorithm=SHA-256, qop="auth"'
            head, _, rest = refusal.partition(b"\r\n")
            self._send(b"\r\n".join((head, challenge.encode(), rest)))
            return
        with self._change:
            self._forget()
            self._take_invite(message)
        self._answer(180)
        self._due = time.monotonic() + self.ring_s if self.status else None

    def _take_invite(self, message):
        self.port = self.last_peer[1]
        self.call_id, self.remote_to = message.first("call-id"), message.first("from")
        self.remote_target = re.search(r"<([^>]+)>", message.first("contact"))[1]
        self.routes = [route for value in message.all("record-route") for route in value.split(",")]
        self._own = f"{message.first('to')};tag={self.tag}"
        self.session, self._final, self._resend = Session(message.body), b"", None
        self.invite, self.invited_at = message, time.monotonic()
        self._change.notify_all()

    def _proven(self, message):
        """Whether the INVITE answers our challenge (RFC 7616)."""
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', message.first("authorization")))
        if given.get("nonce") != NONCE:
            return False
        user, secret = self.login

        def digest(text):
            return hashlib.sha256(text.encode()).hexdigest()

        a1, a2 = digest(f"{user}:agent:{secret}"), digest(f"INVITE:{given['uri']}")
        wanted = digest(f"{a1}:{NONCE}:{given['nc']}:{given['cnonce']}:auth:{a2}")
        return given["response"] == wanted and given["username"] == user

    def _on_cancel(self, message):
        self._send(self._response(message, 200))
        if self.invite and not self.answered_at:
            self._due = None
            self._answer(487)
        with self._change:
            self.cancelled_at = self.cancelled_at or time.monotonic()
            self._change.notify_all()

    def _answer(self, status):
        body = self._sdp() if status == 200 else b""
        response = self._response(self.invite, status, body)
        self._send(response)
        if status >= 300:
            self._refused = True
        if status >= 200:
            self._final, self._resend = response, [time.monotonic() + 0.5, 0.5]
        if status == 200:
            with self._change:
                self.answered_at = time.monotonic()
                self._change.notify_all()

    def _response(self, request, status, body=b""):
        lines = [f"SIP/2.0 {status} {PHRASES.get(status, 'Answer')}",
                 *[f"Via: {via}" for via in request.all("via")],
                 *[f"Record-Route: {route}" for route in request.all("record-route")],
                 f"From: {request.first('from')}", f"To: {self._own}", f"Call-ID: {request.first('call-id')}",
                 f"CSeq: {request.first('cseq')}",
                 f"Contact: {self._contact()}",
                 "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY"]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def _repeat(self, now):
        if self._due and now >= self._due:
            self._due = None
            self._answer(self.status)
        if self._resend and now >= self._resend[0]:
            self._resend = [now + min(self._resend[1] * 2, 4.0), self._resend[1] * 2]
            if self._resend[1] <= 32:
                self._send(self._final)
        resend, self._resend = self._resend, None
        super()._repeat(now)
        self._resend = resend


PHRASES = {180: "Ringing", 200: "OK", 401: "Unauthorized", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here",
           487: "Request Terminated", 503: "Service Unavailable", 603: "Decline"}
NONCE = "a-nonce-of-the-agent"
