"""baresip as a caller: made for one call, with its configuration in a folder of its own, recorded to a file."""

import json
import math
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import time
import wave

from gateway import Failure, check, free_port

MODULES = ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules",
           "/usr/lib/aarch64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules")

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{listen}
call_local_timeout 20
call_max_calls 1
audio_player aufile,{player}
audio_source aufile,{folder}/said.wav
audio_alert aufile,{folder}/alert.wav
audio_srate 8000
audio_channels 1
audio_txmode thread
audio_level no
ausrc_format s16
auplay_format s16
rtp_ports {port}-{port_end}
rtcp_mux no
jitter_buffer_type fixed
jitter_buffer_delay 2-6
snd_path {folder}
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aufile.so
module sndfile.so
module srtp.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""


def _free(kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _quiet_hum(path, seconds, hertz=200):
    """What baresip says: one soft tone, so that the line is not silent and no key is meant."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", int(500 * math.sin(2 * math.pi * hertz * n / 8000)))
                                  for n in range(8000 * seconds)))


def _press(control, keys):
    """Has baresip send keys as telephone events, half a second apart."""
    with socket.create_connection(("127.0.0.1", control), 2) as desk:
        for key in keys:
            command = json.dumps({"command": "sndcode", "params": key, "token": key})
            desk.sendall(f"{len(command)}:{command},".encode())
            time.sleep(0.5)


def _start(folder, seconds, listen, account, hertz, *arguments, more=""):
    """Starts baresip in a folder of its own; its port for commands, and the process."""
    modules = next((path for path in MODULES if pathlib.Path(path).is_dir()), None)
    check(shutil.which("baresip") and modules, "baresip is not installed: deploy/setup")
    rtp, control = _free(socket.SOCK_DGRAM) & ~1, _free(socket.SOCK_STREAM)
    (folder / "config").write_text(CONFIG.format(
        folder=folder, player=folder / "heard.wav", port=rtp, port_end=rtp + 8, modules=modules, control=control,
        listen=listen) + more)
    (folder / "accounts").write_text(account)
    (folder / "contacts").write_text("")
    _quiet_hum(folder / "said.wav", seconds + 5, hertz)
    with open(folder / "baresip.log", "wb") as log:
        phone = subprocess.Popen(["baresip", "-f", str(folder), "-t", str(seconds), *arguments],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    return control, phone


def _heard(folder):
    """The recording of a baresip that has ended, and what it printed."""
    said = (folder / "baresip.log").read_text(errors="replace")
    check(re.search(r"(?i)call established", said), f"baresip reached nobody: {said[-800:]}")
    time.sleep(0.2)
    found = sorted(folder.glob("dump-*-dec.wav")) or [folder / "heard.wav"]
    check(found[0].exists(), f"baresip recorded nothing: {sorted(p.name for p in folder.iterdir())}")
    return found[0], said


def call(folder, port, number, seconds, account="", user="interop", keys="", keys_after=5.0, hertz=200,
         transport="udp", authority=None):
    """Calls a number, listens for so long, hangs up; presses keys after a while.

    Gives back the recording and what baresip printed of the call.
    """
    folder = pathlib.Path(folder)
    account = f"<sip:{user}@127.0.0.1;transport={transport}>;regint=0;audio_codecs=PCMU,PCMA{account}\n"
    more = f"sip_cafile {authority}\nsip_verify_server yes\n" if authority else ""
    by = "" if transport == "udp" else f";transport={transport}"
    control, phone = _start(folder, seconds, 0, account, hertz, "-e", f"/dial sip:{number}@127.0.0.1:{port}{by}", more=more)
    try:
        if keys:
            time.sleep(keys_after)
            _press(control, keys)
        phone.wait(seconds + 15)
    except subprocess.TimeoutExpired:
        phone.kill()
        phone.wait()
        raise Failure("baresip did not end") from None
    return _heard(folder)


class Phone:
    """A baresip that answers by itself, on a port of its own, by UDP and TCP."""

    def __init__(self, folder, seconds, user="agent", hertz=300, account=""):
        # A port that nobody has by UDP either.
        self.folder, self.port, self.seconds = pathlib.Path(folder), free_port(), seconds
        account = f"<sip:{user}@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMA,PCMU{account}\n"
        _, self.phone = _start(self.folder, seconds, self.port, account, hertz)
        end = time.monotonic() + 15
        while not self._listens():
            check(time.monotonic() < end, "baresip does not listen")
            time.sleep(0.1)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def heard(self):
        """Waits for its end; the recording."""
        self.phone.wait(self.seconds + 15)
        return _heard(self.folder)[0]

    def close(self):
        if self.phone.poll() is None:
            self.phone.kill()
            self.phone.wait()
