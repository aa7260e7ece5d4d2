"""A receiver as one writes it in Python: aiosmtpd, the standard library's parser, and fdatasync before 250."""

import asyncio
import email
import email.policy
import os
import sys
import tempfile

from aiosmtpd.smtp import SMTP


class Keep:
    def __init__(self):
        self.file = tempfile.TemporaryFile()

    async def handle_DATA(self, _server, _session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = mail.get_body(("plain", "html"))
        self.file.write(f"{mail['message-id']} {mail['subject']} {len(body.get_content()) if body else 0}\n".encode())
        self.file.write(envelope.content)
        self.file.flush()
        os.fdatasync(self.file.fileno())
        return "250 Kept"


async def main():
    keep = Keep()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(keep), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
